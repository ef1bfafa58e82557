"""Put finished files and folders in place at one stroke, so that a kill leaves no half export.

Nothing is synced to the disk: the promise is against a killed process, not against a power cut.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from autods.errors import PlaceError, UsageError

ABANDONED = ".partial-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write to; it takes the place of `path` when the block succeeds.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "note.txt") as temporary:
    ...         _ = temporary.write_text("done")
    ...     [file.name for file in Path(folder).iterdir()]
    ['note.txt']
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """Do as `replacing`, under a name of this call's own: several processes may publish one path.

    The file becomes read-only. A kill leaves a `.partial-` file behind, which `sweep` removes.
    """
    handle, name = tempfile.mkstemp(prefix=ABANDONED, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o444)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path, *, age: float = 3600.0) -> None:
    """Remove what killed calls of `publishing` left in `folder`: files untouched for `age` seconds.

    A live writer touches its file with every batch of samples, so an hour tells the two apart.
    """
    for path in folder.glob(f"{ABANDONED}*"):
        with suppress(FileNotFoundError):  # published or removed by another in the meantime
            if time.time() - path.stat().st_mtime > age:
                path.unlink()


@contextmanager
def rebuilding(out: Path, *, mark: str) -> Iterator[Path]:
    """Give an empty temporary sibling folder; it takes the place of `out` when the block succeeds.

    `mark` is the file that every export of the kind holds: a folder that has files but not this
    one was not made by us and is never replaced (`UsageError`). What a killed call left behind is
    cleared by the next one. Two calls with one `out` must not run at the same time.
    """
    out = out.resolve()
    if out.exists() and not _ours(out, mark):
        raise UsageError(
            f"{out} exists and is no earlier export (it holds no {mark}): "
            "give a new or an empty folder"
        )
    partial = out.with_name(f".{out.name}.partial")
    old = out.with_name(f".{out.name}.old")
    _clear(partial, old)
    make_folder(partial)
    try:
        yield partial
        if out.exists():
            out.rename(old)
        partial.rename(out)
    finally:
        _clear(partial, old)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give `folder` empty, whatever a killed call left in it, and remove it after the block."""
    _clear(folder)
    make_folder(folder)
    try:
        yield folder
    finally:
        _clear(folder)


def make_folder(folder: Path) -> None:
    """Make the folder and those above it; `PlaceError` where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlaceError(f"cannot make the folder {folder}: {error.strerror}") from error


def link_or_copy(source: Path, target: Path) -> bool:
    """Hard-link `target` to `source`, or copy where the file system cannot; True if linked."""
    try:
        os.link(source, target)
    except FileNotFoundError as error:
        raise PlaceError(f"{source} is gone") from error
    except OSError:
        # Another device, a file system without links, or a file with too many of them already.
        shutil.copyfile(source, target)
        shutil.copymode(source, target)
        return False
    return True


def _ours(out: Path, mark: str) -> bool:
    return out.is_dir() and ((out / mark).is_file() or not any(out.iterdir()))


def _clear(*folders: Path) -> None:
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
