"""A workspace is found as git finds its own, and never made where nobody asked for it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autods.errors import PlaceError, UsageError
from autods.workspace import FOLDER, Workspace, checked_name, find, init
from autods.workspace import open as open_workspace


@pytest.fixture
def ours() -> Iterator[Path]:
    """A folder of an ordinary user's, and being that user: to root nothing is locked."""
    with tempfile.TemporaryDirectory() as name:
        init(Path(name) / "first").close()  # He may not be able to read root's Python later on.
        shutil.rmtree(Path(name) / "first")
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, 65534, 65534)
        os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


def test_init_makes_a_workspace_and_opens_one_that_is_there(tmp_path: Path) -> None:
    made = init(tmp_path / "new" / "place")
    dataset = made.catalog.dataset_id("cats")
    made.store.put("raw/x", b"bytes")
    made.close()
    again = init(tmp_path / "new" / "place")
    assert again.root == tmp_path / "new" / "place"
    assert again.catalog.find_dataset("cats") == dataset
    assert again.store.get("raw/x") == b"bytes"


def test_a_workspace_lies_in_one_hidden_folder(tmp_path: Path) -> None:
    place = init(tmp_path)
    place.store.put("raw/x", b"bytes")
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]
    assert place.dataset_folder("cats", 3) == tmp_path / "datasets" / "cats" / "v3"
    assert place.folder("cache", "shards").is_dir()
    assert place.folder("cache", "shards") == tmp_path / FOLDER / "cache" / "shards"


def test_the_nearest_workspace_at_or_above_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(tmp_path).close()
    init(tmp_path / "a" / "b").close()
    (tmp_path / "a" / "b" / "c").mkdir()
    assert find(tmp_path / "a" / "b" / "c" / "not-there-yet") == tmp_path / "a" / "b"
    assert find(tmp_path / "a") == tmp_path
    assert open_workspace(tmp_path / "a" / "b" / "c").root == tmp_path / "a" / "b"
    assert open_workspace(f"file://{tmp_path}").root == tmp_path
    monkeypatch.chdir(tmp_path / "a")
    assert open_workspace().root == tmp_path


def test_a_file_of_that_name_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("mine")
    assert find(tmp_path) is None
    with pytest.raises(PlaceError, match=r"^cannot make a workspace in .*: File exists$"):
        init(tmp_path)


@pytest.mark.parametrize("where", ["", "file://", "postgresql://nowhere/x"])
def test_where_there_is_none_the_next_step_is_named(tmp_path: Path, where: str) -> None:
    with pytest.raises(PlaceError, match=r"^no workspace at .* or above: run `autods init` there$"):
        open_workspace(f"{where}{tmp_path}")
    with pytest.raises(PlaceError, match=r"is no workspace: run `autods init` there$"):
        Workspace(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_sentence(ours: Path) -> None:
    (ours / "file").write_text("")
    with pytest.raises(PlaceError, match=r"^cannot make a workspace in .*: Not a directory$"):
        init(ours / "file" / "below")
    (ours / "locked").mkdir(mode=0o500)
    with pytest.raises(PlaceError, match=r"^cannot make a workspace in .*: Permission denied$"):
        init(ours / "locked")
    (ours / "bare" / FOLDER).mkdir(parents=True)
    (ours / "bare" / FOLDER).chmod(0o500)
    with pytest.raises(PlaceError, match=r"^the catalog .* cannot be used: unable to open"):
        init(ours / "bare")
    place = init(ours / "open")
    place.home.chmod(0o500)
    with pytest.raises(PlaceError, match=r"^cannot make the folder .*cache: Permission denied$"):
        place.folder("cache")
    for path in (ours / "bare" / FOLDER, place.home, ours / "locked"):
        path.chmod(0o700)


def test_a_damaged_catalog_is_one_sentence(tmp_path: Path) -> None:
    init(tmp_path).close()
    for path in (tmp_path / FOLDER).glob("catalog.db*"):
        path.write_bytes(b"no database" * 500)
    with pytest.raises(PlaceError, match="cannot be read: file is not a database"):
        open_workspace(tmp_path)


@pytest.mark.parametrize("name", ["a", "Cats", "2024-11", "a.b_c-d", "x" * 100, "0"])
def test_names_that_can_be_part_of_any_path(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "../a", "/a", "a\\b", "-a", ".a", "_a", "a b", "a\n", "a\0", "é",
     "x" * 101, "\u212a", "\u017f", "a@v1", "C:"],
)  # fmt: skip
def test_names_that_cannot_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"^not a dataset name: "):
        checked_name(name)
