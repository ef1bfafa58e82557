"""Two places behind one door: a hot store for what is used, a cold one for what is kept."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Literal, TypeVar

from autods.errors import PlaceError, UsageError
from autods.store.ahead import batches, in_order, read_ahead
from autods.store.carrying import carry
from autods.store.protocol import Entry, MissingError, Store
from autods.store.s3 import SCHEME, S3Store

Tier = Literal["hot", "cold"]
Found = TypeVar("Found")
_BATCH = 1000


class TieredStore:
    """What is written goes to the hot store; what is read is found in whichever has it.

    Moving is two steps, so that a kill between them loses nothing: `move` copies and checks, and
    once the caller has noted it, `forget` removes the blob where it came from. Either may be done
    again. Raises UsageError if one store lies within the other: what one forgets, both would lose.
    """

    def __init__(self, hot: Store, cold: Store) -> None:
        if _overlap(_address(hot), _address(cold)):
            raise UsageError(f"hot and cold store overlap: {hot.url} and {cold.url}")
        self.hot, self.cold = hot, cold
        self.url = f"{hot.url} (cold: {cold.url})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hot!r}, {self.cold!r})"

    def put(self, key: str, data: bytes) -> None:
        """Write a blob to the hot store."""
        self.hot.put(key, data)

    def put_many(self, blobs: Sequence[tuple[str, bytes]]) -> None:
        """Write many blobs to the hot store."""
        self.hot.put_many(blobs)

    def put_file(self, key: str, path: Path) -> None:
        """Write a blob from a file to the hot store."""
        self.hot.put_file(key, path)

    def replace(self, key: str, data: bytes) -> None:
        """Write a blob anew to the hot store, where it is looked for first."""
        self.hot.replace(key, data)
        self.cold.delete(key)

    def get(self, key: str) -> bytes:
        """Read a blob; raises MissingError if neither store has it."""
        return self._found(key, lambda store: store.get(key))

    def get_within(self, key: str, limit: int) -> bytes | None:
        """Read a blob unless it is longer than `limit` bytes."""
        return self._found(key, lambda store: store.get_within(key, limit))

    def get_many(self, keys: Iterable[str]) -> Iterator[bytes]:
        """Read blobs in order, up to 16 and 64 MB ahead."""
        return read_ahead(self, keys)

    def stream(self, key: str) -> Iterator[bytes]:
        """Read a blob in pieces of about 1 MB."""
        first, rest = self._found(key, lambda store: _begun(store.stream(key)))
        yield from first
        yield from rest

    def fetch(self, key: str, path: Path) -> None:
        """Bring a blob into a file, which is there whole or not at all."""
        self._found(key, lambda store: store.fetch(key, path))

    def has(self, key: str) -> bool:
        """Tell whether a blob is in either store."""
        return self.tier_of(key) is not None

    def size(self, key: str) -> int | None:
        """Tell how many bytes a blob has; None if neither store has it."""
        sizes = (store.size(key) for store in self._looks)
        return next((size for size in sizes if size is not None), None)

    def copy(self, source: str, target: str) -> None:
        """Copy a blob within the store that has it."""
        self._found(source, lambda store: store.copy(source, target))

    def delete(self, key: str) -> None:
        """Remove a blob from both stores."""
        self.delete_many([key])

    def delete_many(self, keys: Iterable[str]) -> None:
        """Remove many blobs from both stores."""
        for batch in batches(keys, _BATCH):
            self.hot.delete_many(batch)
            self.cold.delete_many(batch)

    def written_at(self, key: str) -> dt.datetime:
        """Tell when a blob was written, in UTC, by the clock of the store that has it."""
        return self._found(key, lambda store: store.written_at(key))

    def keys(self, prefix: str) -> Iterator[str]:
        """List the keys of both stores, sorted, each once."""
        both = merge(self.hot.keys(prefix), self.cold.keys(prefix))
        return (key for key, _ in groupby(both))

    def entries(self, prefix: str) -> Iterator[Entry]:
        """List the blobs of both stores, each once: as it is in the hot one, if both have it."""
        both = merge(self.hot.entries(prefix), self.cold.entries(prefix), key=itemgetter(0))
        return (next(same) for _, same in groupby(both, key=itemgetter(0)))

    def copy_out(self, key: str, bring: Callable[[Store], Found]) -> Found:
        """Do with a blob what `bring` does, in whichever store has it; raises MissingError."""
        return self._found(key, bring)

    def share(self, key: str, seconds: int) -> str:
        """Give a link to a blob where it lies; raises MissingError if neither store has it."""
        tier = self.tier_of(key)
        if tier is None:
            raise self._missing(key)
        return self._tier(tier).share(key, seconds)

    def local_path(self, key: str) -> Path | None:
        """Give the file a blob lies in, if the store that has it is a folder."""
        for store in (self.hot, self.cold):
            path = store.local_path(key)  # Asked first: it costs no request.
            if path and store.has(key):
                return path
        return None

    def sweep(self) -> int:
        """Sweep both stores."""
        return self.hot.sweep() + self.cold.sweep()

    def tier_of(self, key: str) -> Tier | None:
        """Tell which store has a blob: the hot one if both do, None if neither."""
        for store in self._looks:
            if store.has(key):
                return "hot" if store is self.hot else "cold"
        return None

    def move(self, keys: Iterable[str], to: Tier) -> int:
        """Copy blobs to a tier and check them there; returns how many are there now.

        What is there already, and sound, is not copied again: a killed move goes on. An asset is
        read again and compared by its SHA-256, another blob by its size. The other tier keeps its
        own until `forget`. Raises MissingError for a blob that neither has, PlaceError for one
        that is damaged or arrives so. Two processes that move one blob in opposite directions
        could both forget it: whoever moves holds a lock, as the catalog's.
        """
        source, target = self._tier(_other(to)), self._tier(to)
        return carry(source, target, keys)

    def forget(self, keys: Iterable[str], tier: Tier) -> int:
        """Remove blobs from a tier; returns how many are gone from there.

        Raises PlaceError for a blob that the other tier does not hold whole; it is kept, and so is
        every blob of its batch of a thousand.
        """
        store, other = self._tier(tier), self._tier(_other(tier))
        forgotten = 0
        for batch in batches(keys, _BATCH):
            for _ in in_order(partial(_check_held, other, store), batch):
                pass
            store.delete_many(batch)
            forgotten += len(batch)
        return forgotten

    @property
    def _looks(self) -> tuple[Store, ...]:
        """Where to look, in order: hot again, as a blob may come from cold between two looks."""
        return self.hot, self.cold, self.hot

    def _tier(self, tier: Tier) -> Store:
        if tier not in {"hot", "cold"}:
            raise UsageError(f"no tier {tier!r}: there are 'hot' and 'cold'")
        return self.hot if tier == "hot" else self.cold

    def _found(self, key: str, look: Callable[[Store], Found]) -> Found:
        for store in self._looks:
            with suppress(MissingError):
                return look(store)
        raise self._missing(key)

    def _missing(self, key: str) -> MissingError:
        return MissingError(f"cannot read {key} in {self.url}: it is not there")


def _other(tier: Tier) -> Tier:
    return "cold" if tier == "hot" else "hot"


def _check_held(other: Store, store: Store, key: str) -> None:
    held, size = other.size(key), store.size(key)
    if held is None or size not in {None, held}:
        raise PlaceError(f"{key} stays in {store.url}: {other.url} does not hold it; move it there")


def _begun(pieces: Iterator[bytes]) -> tuple[list[bytes], Iterator[bytes]]:
    """Take the first piece, so that a blob that is not there says so now."""
    return list(islice(pieces, 1)), pieces


def _address(store: Store) -> tuple[str, str]:
    """Give the server of a store, empty for this machine, and where it is there."""
    if isinstance(store, S3Store):
        return store.endpoint, store.url
    return "", str(Path(store.url).resolve())


def _overlap(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Tell whether one address is within another.

    `s3://` by itself is every bucket, but one that it does not use may well be the cold store.

    >>> _overlap(("", "/data/store"), ("", "/data/store/cold"))
    True
    >>> _overlap(("AWS", "s3://"), ("AWS", "s3://cold"))
    False
    """
    (server, first), (other_server, second) = sorted((one, other), key=lambda at: len(at[1]))
    within = first == second or (first != SCHEME and second.startswith(f"{first}/"))
    return server == other_server and within
