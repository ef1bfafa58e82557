"""A store that is a folder of this machine."""

import datetime as dt
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from autods.errors import PlaceError, UsageError
from autods.store.files import PIECE, into_file, pieces, reading
from autods.store.protocol import TEMPORARY, Entry, MissingError, folder_of, key_parts


class LocalStore:
    """A folder. Blobs are read-only files, written under a temporary name and renamed.

    A kill therefore leaves a whole blob or none; a leftover temporary file is swept by `sweep`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.url = str(self.root)
        self._known: set[Path] = set()

    def put(self, key: str, data: bytes) -> None:
        """Write a blob in one piece; writing the same key again changes nothing."""
        path = self._path(key)
        if _size(path) is None:
            self._write(path, lambda file: file.write(data))

    def put_many(self, blobs: Sequence[tuple[str, bytes]]) -> None:
        """Write many blobs, one after the other: a disk is not faster otherwise."""
        for key, data in blobs:
            self.put(key, data)

    def put_file(self, key: str, path: Path) -> None:
        """Write a blob from a file, of which only a part is ever in memory."""
        target = self._path(key)
        if _size(target) is None:
            with reading(path) as source:
                self._write(target, partial(shutil.copyfileobj, source, length=PIECE))

    def replace(self, key: str, data: bytes) -> None:
        """Write a blob anew, at one stroke."""
        self._write(self._path(key), lambda file: file.write(data))

    def get(self, key: str) -> bytes:
        """Read a blob; raises MissingError if it is not there."""
        path = self._path(key)
        try:
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(path, error) from error

    def get_within(self, key: str, limit: int) -> bytes | None:
        """Read a blob unless it is longer than `limit` bytes."""
        size = self.size(key)
        return None if size is not None and size > limit else self.get(key)

    def get_many(self, keys: Iterable[str]) -> Iterator[bytes]:
        """Read blobs one after the other."""
        return map(self.get, keys)

    def stream(self, key: str) -> Iterator[bytes]:
        """Read a blob in pieces of about 1 MB."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                yield from pieces(file)
        except OSError as error:
            raise _unreadable(path, error) from error

    def fetch(self, key: str, path: Path) -> None:
        """Bring a blob into a file, which is there whole or not at all."""
        into_file(path, self.stream(key))

    def has(self, key: str) -> bool:
        """Tell whether a blob is there."""
        return _size(self._path(key)) is not None

    def size(self, key: str) -> int | None:
        """Tell how many bytes a blob has; None if it is not there."""
        return _size(self._path(key))

    def copy(self, source: str, target: str) -> None:
        """Copy a blob: a hard link, as blobs never change, or its bytes where there are none."""
        origin = self._path(source)
        if not self._link(target, origin):
            self.put_file(target, origin)

    def _link(self, key: str, origin: Path) -> bool:
        """Take a file in as a hard link; False where there can be none."""
        path = self._path(key)
        if _size(path) is not None:
            return True
        self._make_folder(path.parent)
        try:
            path.hardlink_to(origin)
        except FileExistsError:
            return True
        except FileNotFoundError as error:
            raise _unreadable(origin, error) from error
        except OSError:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove a blob; removing a missing one is no error."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise PlaceError(f"cannot remove {path}: {error.strerror}") from error

    def delete_many(self, keys: Iterable[str]) -> None:
        """Remove blobs one after the other."""
        for key in keys:
            self.delete(key)

    def written_at(self, key: str) -> dt.datetime:
        """Tell when a blob was written, in UTC, by the clock of the file system."""
        path = self._path(key)
        try:
            return dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
        except OSError as error:
            raise _unreadable(path, error) from error

    def keys(self, prefix: str) -> Iterator[str]:
        """List the keys that begin with `prefix`, sorted, one folder's in memory at a time."""
        return (key for key, _ in self._listed(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        """List the files that begin with `prefix`; the stamp is size and time of writing."""
        for key, file in self._listed(prefix):
            status = _status(Path(file.path))
            if status:
                yield Entry(key, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")

    def share(self, key: str, seconds: int) -> str:
        """Refuse, as a folder has no links; raises UsageError."""
        raise UsageError(
            f"no link to {key} for {seconds} s: {self.url} is a folder, and only a store on S3 "
            "(s3://BUCKET/PREFIX) has links to share"
        )

    def local_path(self, key: str) -> Path:
        """Give the file a blob lies in."""
        return self._path(key)

    def sweep(self) -> int:
        """Remove temporary files that a killed process left; returns how many.

        Only what is an hour old: another dataset's build may be writing beside this one.
        """
        stale = time.time() - 3600
        swept = 0
        for path in self.root.rglob(f"{TEMPORARY}*"):
            with suppress(FileNotFoundError):  # Its writer may be done with it by now.
                if path.lstat().st_mtime < stale:
                    path.unlink()
                    swept += 1
        return swept

    def _listed(self, prefix: str) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
        folder = folder_of(prefix)
        for file in _files(self._path(folder) if folder else self.root):
            key = Path(file.path).relative_to(self.root).as_posix()
            if key.startswith(prefix):
                yield key, file

    def _write(self, path: Path, fill: Callable[[IO[bytes]], object]) -> None:
        self._make_folder(path.parent)
        try:
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)
            try:
                with os.fdopen(handle, "wb") as file:  # Buffered: a raw write may fall short.
                    fill(file)
                    file.flush()
                    os.fchmod(file.fileno(), 0o444)
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise PlaceError(f"cannot write {path}: {error.strerror}") from error

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._known:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise PlaceError(f"cannot make the folder {folder}: {error.strerror}") from error
            self._known.add(folder)

    def _path(self, key: str) -> Path:
        """Turn a key into a path; a key never leaves the store, whatever it says."""
        return self.root.joinpath(*key_parts(key))


def _size(path: Path) -> int | None:
    status = _status(path)
    return status.st_size if status else None


def _status(path: Path) -> os.stat_result | None:
    """Look at a file; None if there is none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise PlaceError(f"cannot look at {path}: {error.strerror}") from error
    return status if stat.S_ISREG(status.st_mode) else None


def _unreadable(path: Path, error: OSError) -> PlaceError:
    kind = MissingError if isinstance(error, FileNotFoundError) else PlaceError
    return kind(f"cannot read {path}: {error.strerror}")


def _files(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """Walk a folder in the order of its keys, one folder's listing in memory at a time."""
    try:
        entries = sorted(os.scandir(folder), key=_name_in_key)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise PlaceError(f"cannot list {folder}: {error.strerror}") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif not entry.name.startswith(TEMPORARY):
            yield entry


def _name_in_key(entry: os.DirEntry[str]) -> str:
    """Give a name as it sorts within keys, where a folder goes on with '/': 'a-b' before 'a/b'."""
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
