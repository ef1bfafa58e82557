import os
from pathlib import Path

import pytest

from autods.errors import PlaceError, UsageError
from autods.export.place import (
    link_or_copy,
    make_folder,
    publishing,
    rebuilding,
    replacing,
    scratch,
    sweep,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(f"half {1 // 0}")
    assert (path.read_text(), names(path.parent)) == ("one", ["a.txt"])


def test_a_published_file_is_read_only_and_alone(tmp_path: Path) -> None:
    with publishing(tmp_path / "a") as one, publishing(tmp_path / "a") as other:
        one.write_text("same")
        other.write_text("same")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o444


def test_what_a_kill_left_is_swept_once_it_is_old(tmp_path: Path) -> None:
    for name, age in ((".partial-old", 4000), (".partial-new", 10), ("kept", 4000)):
        (tmp_path / name).touch()
        then = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (then, then))
    sweep(tmp_path)
    assert names(tmp_path) == [".partial-new", "kept"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for text in ("one", "two"):
        with rebuilding(out, mark="mark") as partial:
            (partial / "mark").write_text(text)
            (partial / text).touch()
    assert (names(tmp_path), names(out)) == (["out"], ["mark", "two"])
    with pytest.raises(RuntimeError), rebuilding(out, mark="mark") as partial:
        raise RuntimeError
    assert (names(tmp_path), names(out)) == (["out"], ["mark", "two"])


def test_what_a_kill_left_is_cleared(tmp_path: Path) -> None:
    for left in (".out.partial", ".out.old"):
        (tmp_path / left / "deep").mkdir(parents=True)
    with rebuilding(tmp_path / "out", mark="mark") as partial:
        assert names(partial) == []
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "left").touch()
    with scratch(tmp_path / "scratch") as folder:
        assert names(folder) == []
    assert names(tmp_path) == ["out"]


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with (
        pytest.raises(UsageError, match="no earlier export"),
        rebuilding(tmp_path, mark="mark"),
    ):
        pass
    assert names(tmp_path) == ["thesis.txt"]
    (tmp_path / "empty").mkdir()
    with rebuilding(tmp_path / "empty", mark="mark") as partial:
        (partial / "mark").touch()
    assert names(tmp_path / "empty") == ["mark"]


def test_a_link_is_made_where_it_can_be_and_else_a_copy(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("bytes")
    assert link_or_copy(source, tmp_path / "link")
    assert (tmp_path / "link").samefile(source)
    memory = Path("/dev/shm")  # Another device on Linux.
    if memory.is_dir() and memory.stat().st_dev != tmp_path.stat().st_dev:
        far = memory / f"autods-test-{os.getpid()}"
        try:
            assert not link_or_copy(source, far)
            assert far.read_text() == "bytes"
        finally:
            far.unlink(missing_ok=True)
    with pytest.raises(PlaceError, match="is gone"):
        link_or_copy(tmp_path / "missing", tmp_path / "other")


def test_a_folder_that_cannot_be_made_is_a_place_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlaceError, match="cannot make the folder"):
        make_folder(tmp_path / "file" / "sub")
