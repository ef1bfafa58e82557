"""Where bytes lie: a store maps keys to immutable blobs; an asset is named by its SHA-256."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from autods.errors import PlaceError, UsageError

RAW = "raw"
"""The bucket of assets, as in seed 4; `processed` and `shards` lie beside it."""


class Store(Protocol):
    """What every place of bytes can do; keys are `bucket/name` with `/` between the parts."""

    url: str

    def put(self, key: str, data: bytes) -> None:
        """Write a blob in one piece; writing the same key again changes nothing."""
        ...

    def get(self, key: str) -> bytes:
        """Read a blob; raises PlaceError if it is not there."""
        ...

    def has(self, key: str) -> bool:
        """Tell whether a blob is there."""
        ...

    def delete(self, key: str) -> None:
        """Remove a blob; removing a missing one is no error."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """List the keys that begin with `prefix`, sorted."""
        ...

    def local_path(self, key: str) -> Path | None:
        """Give the file a blob lies in, where the store is a folder of this machine."""
        ...

    def sweep(self) -> int:
        """Remove what killed writers left half-done; returns how many pieces."""
        ...


def asset_key(sha256: str) -> str:
    """Give the key of an asset's bytes.

    One level of 256 folders, as git has: soon made for a small store (making a folder costs more
    than writing an image), 40,000 entries in each at ten million.

    >>> asset_key("ab12" + "0" * 60)[:11]
    'raw/ab/ab12'
    """
    return f"{RAW}/{sha256[:2]}/{sha256}"


def open_store(url: str) -> Store:
    """Open the store behind a URL; a path or `file://` is a local folder.

    Raises UsageError for a scheme that no store understands.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return LocalStore(Path(url))
    if scheme == "file":
        return LocalStore(Path(rest))
    raise UsageError(f"no store for {url!r}: give a folder's path or file://PATH")


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
        if path.exists():
            return
        self._make_folder(path.parent)
        try:
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
            try:
                with os.fdopen(handle, "wb") as file:  # Buffered: a raw write may fall short.
                    file.write(data)
                    file.flush()
                    os.fchmod(file.fileno(), 0o444)
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise PlaceError(f"cannot write {path}: {error.strerror}") from error

    def get(self, key: str) -> bytes:
        """Read a blob; raises PlaceError if it is not there."""
        path = self._path(key)
        try:
            return path.read_bytes()
        except OSError as error:
            raise PlaceError(f"cannot read {path}: {error.strerror}") from error

    def has(self, key: str) -> bool:
        """Tell whether a blob is there."""
        return self._path(key).exists()

    def delete(self, key: str) -> None:
        """Remove a blob; removing a missing one is no error."""
        self._path(key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> Iterator[str]:
        """List the keys that begin with `prefix`, sorted."""
        folder = prefix.rpartition("/")[0]
        for path in _files(self._path(folder) if folder else self.root):
            key = path.relative_to(self.root).as_posix()
            if key.startswith(prefix):
                yield key

    def local_path(self, key: str) -> Path:
        """Give the file a blob lies in."""
        return self._path(key)

    def sweep(self) -> int:
        """Remove temporary files that a killed process left; returns how many.

        Only what is an hour old: another dataset's build may be writing beside this one.
        """
        stale = time.time() - 3600
        leftovers = [p for p in self.root.rglob(".tmp-*") if p.lstat().st_mtime < stale]
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def free_bytes(self) -> int:
        """Tell how much room is left."""
        return shutil.disk_usage(self.root).free

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._known:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise PlaceError(f"cannot make the folder {folder}: {error.strerror}") from error
            self._known.add(folder)

    def _path(self, key: str) -> Path:
        """Turn a key into a path; a key never leaves the store, whatever it says."""
        parts = key.split("/")
        if not key or key.startswith("/") or any(part in {"", ".", ".."} for part in parts):
            raise UsageError(f"not a key: {key!r} (parts between '/' must be plain names)")
        return self.root.joinpath(*parts)


def _files(folder: Path) -> Iterator[Path]:
    """Walk a folder in sorted order, one folder's listing in memory at a time."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif not entry.name.startswith(".tmp-"):
            yield Path(entry.path)


def sha256_of(data: bytes) -> str:
    """Give the SHA-256 of bytes, in hex: the name of an asset.

    >>> sha256_of(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()
