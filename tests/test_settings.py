"""A wrong YAML file is one sentence: file, line, key, value, and what would do."""

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, MinLen
from hypothesis import given
from hypothesis import strategies as st

from autods.errors import RecipeError
from autods.settings import MOST_VALUES, Document, checked, checked_call, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Inner:
    near: Literal["drop", "keep", "off"] = "drop"
    radius: Annotated[int, Ge(0)] = 8
    words: tuple[str, ...] = ()
    open: bool | tuple[str, ...] = False

    def __post_init__(self) -> None:
        if self.radius > 16:
            raise ValueError(f"radius {self.radius} exceeds 16")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    things: Annotated[list[dict[str, Any]], MinLen(1)] = field(default_factory=lambda: [{}])
    path: Path | None = None


Written = Callable[[str], Document]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(text: str) -> Document:
        path = tmp_path / "r.yaml"
        path.write_text(text, encoding="utf-8")
        return Document(path)

    return write


def outer(document: Document) -> Outer:
    return checked(Outer, document.data, document)


def refusal(act: Callable[[], object]) -> str:
    """The sentence something ends in, without its folder."""
    with pytest.raises(RecipeError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return re.sub(r"[^\s']*/(?=\w+\.yaml)", "", str(caught.value))


def test_a_document_knows_the_line_of_every_key(written: Written) -> None:
    document = written("# hello\na: 1\n\nb:\n  c: 2\n  d: [x,\n      {e: 3}]\n")
    assert document.data == {"a": 1, "b": {"c": 2, "d": ["x", {"e": 3}]}}
    places = [("a",), ("b",), ("b", "c"), ("b", "d"), ("b", "d", 0), ("b", "d", 1, "e")]
    assert [document.line(keys) for keys in places] == [2, 4, 5, 6, 6, 7]
    assert document.line(("b", "d", 7, "z")) == 6
    assert document.line(("nowhere",)) == document.line(()) == 2


def test_plain_words_are_read_as_in_yaml_1_2(written: Written) -> None:
    """`near: off` is one of our own values; YAML 1.1 would make it False."""
    text = "a: off\nb: [yes, no, on, y, N]\nc: true\nd: False\ne: 2024-11-01\nf: 2024-13-45\n"
    assert written(text).data == {
        "a": "off", "b": ["yes", "no", "on", "y", "N"], "c": True, "d": False,
        "e": "2024-11-01", "f": "2024-13-45",
    }  # fmt: skip
    assert written("on: 1\nnull: 2\n").data == {"on": 1, None: 2}


def test_anchors_aliases_and_merge_keys_work(written: Written) -> None:
    document = written(
        "name: x\ninner: &i {near: keep}\nthings:\n- <<: *i\n  radius: 3\n- *i\n- &t [1, 2]\n"
    )
    assert document.data["things"] == [{"near": "keep", "radius": 3}, {"near": "keep"}, [1, 2]]
    assert document.line(("things", 1, "near")) == 2


def test_a_file_saved_by_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: caf\xc3\xa9\r\ninner:\r\n  near: off\r\n")
    document = Document(path)
    assert outer(document).name == "café"
    assert document.line(("inner", "near")) == 3


NOT_YAML = {
    "": "r.yaml:1: a mapping of keys is wanted, found nothing",
    "# only a comment\n": "r.yaml:1: a mapping of keys is wanted, found nothing",
    "- a\n": "r.yaml:1: a mapping of keys is wanted, found ['a']",
    "just words\n": "r.yaml:1: a mapping of keys is wanted, found 'just words'",
    "a: 1\nb: [1, 2\n": "r.yaml:3: not YAML: while parsing a flow sequence, expected ',' or ']'",
    "a: 1\n\tb: 2\n": "r.yaml:2: not YAML: while scanning for the next token, found character ",
    "a: 1\n b: 2\n": "r.yaml:2: not YAML: mapping values are not allowed here",
    "a: 1\nb: 'open\n": "r.yaml:3: not YAML: while scanning a quoted scalar, found unexpected end",
    "a: 1\n---\nb: 2\n": "r.yaml:2: not YAML: expected a single document in the stream",
    "a: 1\nb: \0\n": "r.yaml:2: not YAML: special characters are not allowed (#x0000)",
    "a: 1\nb: *none\n": "r.yaml:2: not YAML: found undefined alias 'none'",
    "a: 1\nb: !!python/object:os.system x\n": "r.yaml:2: not YAML: could not determine a constr",
    "a: 1\nb: !mine x\n": "r.yaml:2: not YAML: could not determine a constructor for the tag",
    "a: 1\nb: !!timestamp x\n": "r.yaml:2: not YAML: 'x' is no timestamp",
    "a: 1\nb: !!bool x\n": "r.yaml:2: not YAML: 'x' is no bool",
    "a: 1\nb: !!int x\n": "r.yaml:2: not YAML: 'x' is no int",
    "a: 1\nb: " + "9" * 5000: "r.yaml:2: not YAML: '99999",
    "? [a]\n: 1\n": "r.yaml:1: not YAML: while constructing a mapping, found unhashable key",
    "a: 1\nb: 2\na: 3\n": "r.yaml:3: 'a' stands here twice",
    "a: 1\nb: {c: 1,\n  c: 2}\n": "r.yaml:3: 'c' stands here twice",
    "a: &a [*a]\n": "r.yaml:1: nested too deeply, or an alias inside itself",
    "a: &a {b: *a}\n": "r.yaml:1: nested too deeply, or an alias inside itself",
    "a: " + "[" * 1000: "r.yaml:1: nested too deeply, or an alias inside itself",
    "a: " + "{a: " * 1000: "r.yaml:1: nested too deeply, or an alias inside itself",
}


@pytest.mark.parametrize("text", NOT_YAML, ids=range(len(NOT_YAML)))
def test_what_is_no_yaml_is_named_with_its_line(written: Written, text: str) -> None:
    found = refusal(lambda: written(text))
    assert found.startswith(NOT_YAML[text])
    assert len(found) < 200


def laughs(opening: str, closing: str, first: str) -> str:
    """Ten lines that stand for 9**10 values: Klein's XML bomb, in YAML."""
    lines = [f"a: &a {first}"]
    for one, other in zip("abcdefghi", "bcdefghij", strict=True):
        lines.append(f"{other}: &{other} {opening}{', '.join([f'*{one}'] * 9)}{closing}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text", [laughs("[", "]", "[lol]"), laughs("{<<: [", "]}", "{x: lol}")], ids=["lists", "merges"]
)
def test_ten_lines_cannot_stand_for_a_billion_values(written: Written, text: str) -> None:
    found = refusal(lambda: written(text))
    assert f"this stands for more than {MOST_VALUES:,} values: aliases of aliases?" in found


def test_a_long_list_is_no_bomb(written: Written) -> None:
    assert len(written("a: [" + "x, " * 5000 + "x]").data["a"]) == 5001


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "latin.yaml"
    bad.write_bytes(b"a: 1\nb: caf\xe9\n")
    assert refusal(lambda: Document(bad)) == "latin.yaml:2: not UTF-8: byte 0xe9; save it as UTF-8"
    wide = tmp_path / "wide.yaml"
    wide.write_text("a: 1\n", encoding="utf-16")
    assert refusal(lambda: Document(wide)).startswith("wide.yaml:1: not UTF-8: byte 0xff")
    assert refusal(lambda: Document(tmp_path)).endswith(": Is a directory")
    assert refusal(lambda: Document(tmp_path / "no.yaml")) == (
        "cannot read no.yaml: No such file or directory"
    )


@given(st.text(max_size=60))
def test_any_text_is_a_document_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "r.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(RecipeError):
        assert isinstance(Document(path).data, dict)


WRONG = {
    "nam: x\n": "r.yaml:1: nam: unknown key; did you mean 'name'? (valid: name, inner, things, pa",
    "name: x\nzzz: 1\n": "r.yaml:2: zzz: unknown key; (valid: name, inner, things, path)",
    "name: x\ninner:\n  radus: 1\n": "r.yaml:3: inner.radus: unknown key; did you mean 'radius'?",
    "name: x\n7: 1\n": "r.yaml:2: 7: unknown key; (valid: name",
    "inner: {}\n": "r.yaml:1: name: is missing",
    "name: 7\n": "r.yaml:1: name: 7 will not do: text is wanted, in quotes if need be",
    "name:\n": "r.yaml:1: name: is empty: text is wanted",
    "name: x\ninner:\n": "r.yaml:2: inner: is empty: a mapping of keys is wanted",
    "name: x\ninner: yes\n": "r.yaml:2: inner: 'yes' will not do: a mapping of keys is wanted",
    "name: x\ninner:\n  radius: wide\n": "r.yaml:3: inner.radius: 'wide' will not do: input shoul",
    "name: x\ninner:\n  radius: -1\n": "r.yaml:3: inner.radius: -1 will not do: input should be g",
    "name: x\ninner:\n  radius: 17\n": "r.yaml:2: inner: radius 17 exceeds 16",
    "name: x\ninner:\n  near: dorp\n": "r.yaml:3: inner.near: 'dorp' will not do: input should be "
    "'drop', 'keep' or 'off'",
    "name: x\ninner:\n  words: word\n": "r.yaml:3: inner.words: 'word' will not do: a list is wan",
    "name: x\ninner:\n  words:\n  - a\n  - 2\n": "r.yaml:5: inner.words.1: 2 will not do: text is",
    "name: x\ninner: {open: [1]}\n": "r.yaml:2: inner.open: [1] will not do: input should be a va",
    "name: x\nthings: []\n": "r.yaml:2: things: [] will not do: at least one is wanted",
    "name: x\nthings: {}\n": "r.yaml:2: things: {} will not do: a list is wanted",
    "name: x\nthings:\n- {}\n- a\n": "r.yaml:4: things.1: 'a' will not do: a mapping of keys is w",
    "name: x\npath: [a]\n": "r.yaml:2: path: ['a'] will not do: a path is wanted",
    "x: &b {near: no}\nname: a\n": "r.yaml:1: x: unknown key",
    "name: x\ninner:\n  <<: &b {near: no}\n": "r.yaml:3: inner.near: 'no' will not do: input",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_line_key_value_and_choices(
    written: Written, text: str
) -> None:
    if "<<" in text:  # A merged key stands where it is merged, not where it was written.
        assert "inner.near: 'no' will not do" in refusal(lambda: outer(written(text)))
        return
    assert refusal(lambda: outer(written(text))).startswith(WRONG[text])


def test_what_is_right_comes_converted(written: Written) -> None:
    found = outer(written("name: x\ninner: {near: off, words: [yes, no], open: [a]}\npath: a/b\n"))
    assert found.inner == Inner(near="off", words=("yes", "no"), open=("a",))
    assert found.path == Path("a/b")


def test_a_long_value_is_cut_in_the_message(written: Written) -> None:
    assert len(refusal(lambda: outer(written(f"name: [{'x' * 10_000}]\n")))) < 200


# Calls.


def source(where: Path, *, times: int = 1, kind: Literal["a", "b"] = "a", free=None) -> None:  # type: ignore[no-untyped-def]
    """A function as users write them, one annotation forgotten."""


def open_ended(where: Path, *more: int, **options: Any) -> None: ...


def quoted(schema: "int", copy: "Nowhere") -> None: ...  # type: ignore[name-defined] # noqa: F821


class Odd:
    """A type that pydantic knows nothing of."""


def odd(thing: Odd, model_config: int = 0) -> None: ...


def call(function: Callable[..., Any], written: Written, text: str) -> dict[str, Any]:
    document = written(f"call:\n{text}")
    return checked_call(function, document.data["call"], document, ("call",))


def test_arguments_are_checked_against_the_function(written: Written) -> None:
    found = call(source, written, "  where: a/b\n  times: 3\n  free: [1, {}]\n")
    assert found == {"where": Path("a/b"), "times": 3, "kind": "a", "free": [1, {}]}


WRONG_CALLS = {
    "  {}\n": "r.yaml:1: call.where: is missing",
    "  where: a\n  tims: 3\n": "r.yaml:3: call.tims: unknown key; did you mean 'times'? (valid: w",
    "  where: a\n  times: x\n": "r.yaml:3: call.times: 'x' will not do: input should be a valid i",
    "  where: a\n  kind: c\n": "r.yaml:3: call.kind: 'c' will not do: input should be 'a' or 'b'",
    "  where:\n": "r.yaml:2: call.where: is empty: a path is wanted",
}


@pytest.mark.parametrize("text", WRONG_CALLS)
def test_a_wrong_argument_is_named_with_its_line(written: Written, text: str) -> None:
    assert refusal(lambda: call(source, written, text)).startswith(WRONG_CALLS[text])


def test_a_function_with_options_takes_any_key(written: Written) -> None:
    found = call(open_ended, written, "  where: a\n  colour: [red]\n")
    assert found == {"where": Path("a"), "colour": ["red"]}


def test_names_and_types_of_any_kind_do_no_harm(written: Written) -> None:
    assert call(quoted, written, "  schema: x\n  copy: y\n") == {"schema": "x", "copy": "y"}
    assert call(odd, written, "  thing: z\n") == {"thing": "z", "model_config": 0}


def test_the_nearest_choice_is_named() -> None:
    assert did_you_mean("licence", ["name", "license"]) == (
        "did you mean 'license'? (valid: name, license)"
    )
    assert did_you_mean("zzz", ["name"]) == "(valid: name)"
