"""A far store with a copy here of what passes by, so that nothing is fetched twice."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from autods.errors import PlaceError
from autods.store.ahead import read_ahead
from autods.store.assets import sha256_named, sha256_of
from autods.store.local import LocalStore
from autods.store.protocol import Entry, Store


class NearStore:
    """What is written goes far and is kept here; what is read is read here if it can be.

    The far store is the truth: whether a blob is there, how long it is and what there is to list
    is asked there. An asset kept here is checked against its SHA-256 before it is used. Whatever
    is wrong with the near copy, a full disk say, costs no more than the way.
    """

    def __init__(self, far: Store, near: LocalStore) -> None:
        self.far, self.near = far, near

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.far!r}, {self.near!r})"

    @property
    def url(self) -> str:
        """How the far store is named."""
        return self.far.url

    def put(self, key: str, data: bytes) -> None:
        """Write a blob far, and keep it."""
        self.far.put(key, data)
        self._keep(key, data)

    def put_many(self, blobs: Sequence[tuple[str, bytes]]) -> None:
        """Write many blobs far, and keep them."""
        self.far.put_many(blobs)
        for key, data in blobs:
            self._keep(key, data)

    def put_file(self, key: str, path: Path) -> None:
        """Write a blob from a file; it is near already."""
        self.far.put_file(key, path)

    def replace(self, key: str, data: bytes) -> None:
        """Write a blob anew far; what was kept here goes, what other machines keep does not."""
        self.far.replace(key, data)
        with suppress(PlaceError):
            self.near.delete(key)

    def get(self, key: str) -> bytes:
        """Read a blob here, or far and keep it; raises MissingError if it is not there."""
        kept = self._kept(key)
        if kept is not None:
            return kept
        data = self.far.get(key)
        self._keep(key, data)
        return data

    def get_within(self, key: str, limit: int) -> bytes | None:
        """Read a blob unless it is longer than `limit` bytes."""
        kept = self._kept(key)
        if kept is not None:
            return kept if len(kept) <= limit else None
        data = self.far.get_within(key, limit)
        if data is not None:
            self._keep(key, data)
        return data

    def get_many(self, keys: Iterable[str]) -> Iterator[bytes]:
        """Read blobs in order, up to 16 and 64 MB ahead."""
        return read_ahead(self, keys)

    def stream(self, key: str) -> Iterator[bytes]:
        """Read a far blob in pieces of about 1 MB."""
        return self.far.stream(key)

    def fetch(self, key: str, path: Path) -> None:
        """Bring a far blob into a file."""
        self.far.fetch(key, path)

    def has(self, key: str) -> bool:
        """Tell whether the far store has a blob."""
        return self.far.has(key)

    def size(self, key: str) -> int | None:
        """Tell how many bytes a far blob has; None if it is not there."""
        return self.far.size(key)

    def copy(self, source: str, target: str) -> None:
        """Copy a blob within the far store."""
        self.far.copy(source, target)

    def delete(self, key: str) -> None:
        """Remove a blob far and near."""
        self.delete_many([key])

    def delete_many(self, keys: Iterable[str]) -> None:
        """Remove many blobs far and near."""
        gone = list(keys)
        self.far.delete_many(gone)
        self.near.delete_many(gone)

    def written_at(self, key: str) -> dt.datetime:
        """Tell when a blob was written, in UTC, by the far store's clock."""
        return self.far.written_at(key)

    def keys(self, prefix: str) -> Iterator[str]:
        """List the far keys that begin with `prefix`, sorted."""
        return self.far.keys(prefix)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """List the far blobs, with what tells that they have changed."""
        return self.far.entries(prefix)

    def share(self, key: str, seconds: int) -> str:
        """Give a link to a far blob."""
        return self.far.share(key, seconds)

    def local_path(self, key: str) -> Path | None:
        """Give the file of the near copy, if there is one that is sound."""
        return None if self._kept(key) is None else self.near.local_path(key)

    def sweep(self) -> int:
        """Sweep both stores."""
        return self.far.sweep() + self.near.sweep()

    def _keep(self, key: str, data: bytes) -> None:
        with suppress(PlaceError):
            self.near.put(key, data)

    def _kept(self, key: str) -> bytes | None:
        """Read the near copy; one that is damaged is dropped."""
        if self.near.size(key) is None:
            return None
        with suppress(PlaceError):
            data = self.near.get(key)
            named = sha256_named(key)
            if named is None or sha256_of(data) == named:
                return data
            self.near.delete(key)
        return None


def far_of(store: Store) -> Store:
    """Give the store behind a near copy, or the store itself."""
    return store.far if isinstance(store, NearStore) else store
