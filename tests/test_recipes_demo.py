"""The example is the same on every machine, untidy on purpose, and never writes over one's own."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from autods.errors import UsageError
from autods.label import load_functions
from autods.recipes.demo import CLASSES, write_demo
from autods.recipes.file import read_recipe
from autods.records import Refusal
from autods.sources import folder
from autods.validate import decode, same_pixels

BROKEN = {
    "cut.jpg": "truncated", "damaged.png": "corrupt", "page.jpg": "unsupported-format",
    "empty.jpg": "empty", "bomb.gif": "too-many-pixels",
}  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as `scripts/demo` has it, in small; gives its folder."""
    return write_demo(tmp_path_factory.mktemp("demo"), 240).parent


def pictures(root: Path) -> list[Path]:
    found = [p for p in root.rglob("*") if p.suffix in {".jpg", ".png", ".gif"}]
    return sorted(path for path in found if path.name not in BROKEN)


def test_its_recipe_reads_and_lists_every_picture(demo: Path) -> None:
    plan = read_recipe(demo / "recipe.yaml")
    refs = [ref for source in plan.sources for ref in source()]
    assert len(refs) == len(pictures(demo)) + len(BROKEN)
    assert {ref.label for ref in refs} == {*CLASSES, None}
    assert {ref.license for ref in refs} == {"BSD-3-Clause"}
    assert plan.recipe.label.classes == CLASSES


def test_its_labeling_functions_load(demo: Path) -> None:
    assert len(load_functions(demo / "labels.py")) == 5


def test_a_third_is_unlabelled_and_captioned(demo: Path) -> None:
    refs = [ref for ref in folder(demo / "inbox", labels="none") if ref.uri not in BROKEN]
    originals = [ref for ref in refs if "-" not in ref.uri]
    assert 0.25 < len(originals) / 240 < 0.45
    assert all(ref.caption for ref in originals)


def test_every_picture_but_the_broken_ones_decodes(demo: Path) -> None:
    for path in pictures(demo):
        assert not isinstance(decode(path.read_bytes()), Refusal), path.name


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_file_is_broken_in_its_way(demo: Path, name: str) -> None:
    found = decode((demo / "inbox" / name).read_bytes())
    assert isinstance(found, Refusal)
    assert found.reason == BROKEN[name]


def test_there_are_copies_of_three_kinds(demo: Path) -> None:
    names = Counter(path.stem.partition("-")[2] for path in pictures(demo))
    assert names.keys() == {"", "copy", "saved", "small"}
    for path in pictures(demo):
        number, _, kind = path.stem.partition("-")
        if kind == "copy":
            assert path.read_bytes() == path.with_name(f"{number}{path.suffix}").read_bytes()
        if kind == "saved":
            original = next(path.parent.glob(f"{number}.*g"))
            assert path.read_bytes() != original.read_bytes()
            assert same_pixels(path.read_bytes(), original.read_bytes())
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in pictures(demo)]
    assert len(set(digests)) < len(digests)


def test_the_same_arguments_give_the_same_files(
    tmp_path: Path, tree: Callable[..., dict[str, str]]
) -> None:
    for name in ("one", "two"):
        write_demo(tmp_path / name, 30)
    first = tree(tmp_path / "one")
    assert first == tree(tmp_path / "two")
    write_demo(tmp_path / "other", 30, seed=8)
    assert tree(tmp_path / "other") != first


def test_a_second_writing_changes_nothing(
    tmp_path: Path, tree: Callable[..., dict[str, str]]
) -> None:
    write_demo(tmp_path, 30)
    before = tree(tmp_path)
    write_demo(tmp_path, 30)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("count", [3, 4, 31])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_count_and_seed_make_a_whole_example(tmp_path: Path, count: int, seed: int) -> None:
    write_demo(tmp_path, count, seed)
    assert BROKEN.keys() <= {path.name for path in (tmp_path / "inbox").iterdir()}
    assert len(read_recipe(tmp_path / "recipe.yaml").sources) == 2


@pytest.mark.parametrize("count", [2, 0, -1])
def test_too_few_are_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(UsageError, match=rf"^count is {count}: one of each class is needed, 3 in"):
        write_demo(tmp_path, count)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["labels.py", "recipe.yaml"])
def test_ones_own_files_are_not_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=rf"{name} is there and not the example's"):
        write_demo(tmp_path, 30)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"
