"""Labeling functions from a file: in order, and every mistake told with file and line."""

from pathlib import Path

import pytest

from autods.errors import UsageError
from autods.label import load_functions

HEAD = "from autods.label import ABSTAIN, labeling_function\n"


def written(path: Path, text: str) -> Path:
    file = path / "my_functions.py"
    file.write_text(HEAD + text, encoding="utf-8")
    return file


def test_functions_come_in_the_order_of_definition(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
@labeling_function()
def lf_z(row):
    return 1 if "dog" in row.caption else ABSTAIN

@labeling_function(name="second")
def lf_a(row):
    return 0

def keyword(word):
    return labeling_function(word)(lambda row: 1 if word in row.caption else ABSTAIN)

MORE = [keyword("cat"), keyword("bird")]
lf_cat = MORE[0]
""",
    )
    functions = load_functions(file)
    assert [function.name for function in functions] == ["lf_z", "second", "cat", "bird"]
    assert functions[0]({"caption": "a dog"}) == 1
    assert functions[2].fingerprint != functions[3].fingerprint


def test_an_edit_counts_at_once(tmp_path: Path) -> None:
    text = "@labeling_function()\ndef lf(row):\n    return {}\n"
    before = load_functions(written(tmp_path, text.format(0)))[0]
    after = load_functions(written(tmp_path, text.format(1)))[0]
    assert (before({}), after({})) == (0, 1)
    assert before.fingerprint != after.fingerprint
    assert list(tmp_path.iterdir()) == [tmp_path / "my_functions.py"]


def test_dataclasses_in_the_file_work(tmp_path: Path) -> None:
    file = tmp_path / "lfs.py"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        + HEAD
        + "@dataclass\nclass Limit:\n    top: int = 3\n\n"
        "@labeling_function()\ndef lf(row):\n    return int(row.size < Limit().top)\n",
        encoding="utf-8",
    )
    assert load_functions(file)[0]({"size": 1}) == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("x = 1\n", r"defines no labeling function; write @labeling_function\(\)$"),
        ("def lf_dog(row): ...\n", r"write @labeling_function\(\) above 'lf_dog'"),
        ("x = (\n", r"my_functions\.py, line 2: SyntaxError"),
        ("\n\nx = 1 / 0\n", r"my_functions\.py, line 4: ZeroDivisionError: division by zero"),
        ("import no_such_module_here\n", r"line 2: ModuleNotFoundError: .*no_such_module_here"),
        ("raise SystemExit(3)\n", r"line 2: SystemExit: 3"),
        (
            "@labeling_function\ndef lf(row): ...\n",
            r"line 2: UsageError: Looks like this decorator is missing parentheses!.*'lf'",
        ),
        (
            "@labeling_function('a')\ndef f(row): ...\n@labeling_function('a')\ndef g(row): ...\n",
            r"has 2 functions named 'a'",
        ),
        (
            "@labeling_function()\ndef f(row): ...\n@labeling_function()\ndef f(row): ...\n",
            r"line 5: 'f' is defined already on line 3",
        ),
    ],
)
def test_a_mistake_is_told_with_file_and_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        load_functions(written(tmp_path, text))
    assert "my_functions.py" in str(caught.value)


def test_a_mistake_deep_in_another_module_names_the_line_of_this_file(tmp_path: Path) -> None:
    file = written(tmp_path, "import json\nVALUE = json.loads('{')\n")
    with pytest.raises(UsageError, match=r"line 3: JSONDecodeError"):
        load_functions(file)


def test_a_missing_or_unreadable_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*nowhere\.py"):
        load_functions(tmp_path / "nowhere.py")
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match=r"cannot read .*bytes\.py"):
        load_functions(tmp_path / "bytes.py")
    (tmp_path / "null.py").write_bytes(b"x = 1\0")
    with pytest.raises(UsageError, match=r"null\.py, line 1"):
        load_functions(tmp_path / "null.py")
