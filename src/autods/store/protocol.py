"""What every store can do, and what every key looks like."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from autods.errors import PlaceError, UsageError

TEMPORARY = ".tmp-"
"""How the name of a file begins that is still being written; no key has such a part."""
_LONGEST = 250


class MissingError(PlaceError):
    """A blob that was asked for is not there."""


class DeniedError(PlaceError):
    """A blob may be there, and is not for us to read or write."""


class Entry(NamedTuple):
    """A blob as a listing shows it; `stamp` is another one when its bytes have changed."""

    key: str
    size: int
    stamp: str


class Store(Protocol):
    """What every place of bytes can do; keys are `bucket/name` with `/` between the parts.

    A store holds no connection when it is pickled: workers get it over a pipe and open their own.
    A blob never changes: whoever puts a key again puts the same bytes. (What does change, a day's
    manifest say, is written by `replace`.) No key is another's folder. Methods raise UsageError
    for what is no key, PlaceError for a place that refuses, and UnreachableError for one that does
    not answer.
    """

    @property
    def url(self) -> str:
        """How the store is named to people; it holds no secret."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write a blob in one piece; writing the same key again changes nothing."""
        ...

    def put_many(self, blobs: Sequence[tuple[str, bytes]]) -> None:
        """Write many blobs, several at once where that is faster."""
        ...

    def put_file(self, key: str, path: Path) -> None:
        """Write a blob from a file, of which only a part is ever in memory."""
        ...

    def replace(self, key: str, data: bytes) -> None:
        """Write a blob anew, whatever was there: readers get the old bytes whole, or the new."""
        ...

    def get(self, key: str) -> bytes:
        """Read a blob; raises MissingError, a PlaceError, if it is not there."""
        ...

    def get_within(self, key: str, limit: int) -> bytes | None:
        """Read a blob unless it is longer than `limit` bytes; raises as `get`."""
        ...

    def get_many(self, keys: Iterable[str]) -> Iterator[bytes]:
        """Read blobs in the order asked for, at most 64 MB ahead; raises as `get`."""
        ...

    def stream(self, key: str) -> Iterator[bytes]:
        """Read a blob in pieces of about 1 MB; raises as `get`."""
        ...

    def fetch(self, key: str, path: Path) -> None:
        """Bring a blob into a file, which is there whole or not at all; raises as `get`."""
        ...

    def has(self, key: str) -> bool:
        """Tell whether a blob is there."""
        ...

    def size(self, key: str) -> int | None:
        """Tell how many bytes a blob has; None if it is not there."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Copy a blob within the store, without bringing its bytes here; raises as `get`."""
        ...

    def delete(self, key: str) -> None:
        """Remove a blob; removing a missing one is no error."""
        ...

    def delete_many(self, keys: Iterable[str]) -> None:
        """Remove many blobs, in batches where that is faster."""
        ...

    def written_at(self, key: str) -> dt.datetime:
        """Tell when a blob was written, in UTC, by the clock of the place."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """List the keys that begin with `prefix`, sorted, few of them in memory at a time."""
        ...

    def entries(self, prefix: str) -> Iterator[Entry]:
        """List as `keys` does, with what tells that a blob has changed since it was listed."""
        ...

    def share(self, key: str, seconds: int) -> str:
        """Give a link by which anyone can read a blob for so long."""
        ...

    def local_path(self, key: str) -> Path | None:
        """Give the file a blob lies in, where the store is a folder of this machine."""
        ...

    def sweep(self) -> int:
        """Remove what killed writers left half-done; returns how many pieces."""
        ...


def key_parts(key: str) -> list[str]:
    """Split a key into its parts; raises UsageError for what might leave the store or be lost.

    Refused are empty parts, `.` and `..`, parts of over 250 bytes (no folder holds them), names of
    files still being written and characters that do not print (no listing shows them).

    >>> key_parts("raw/ab/ab12")
    ['raw', 'ab', 'ab12']
    """
    parts = key.split("/")
    if not key.isprintable() or any(map(_is_no_part, parts)):
        raise UsageError(f"not a key: {key!r} (parts between '/' must be plain names)")
    return parts


def _is_no_part(part: str) -> bool:
    plain = part not in {"", ".", ".."} and not part.startswith(TEMPORARY)
    return not plain or len(part.encode()) > _LONGEST


def folder_of(prefix: str) -> str:
    """Give the folder that holds every key beginning with a prefix; raises UsageError as for a key.

    >>> folder_of("raw/ab/ab1"), folder_of("raw")
    ('raw/ab', '')
    """
    folder, _, beginning = prefix.rpartition("/")
    if "/" in prefix:
        key_parts(folder)
    if not beginning.isprintable():
        key_parts(beginning)
    return folder
