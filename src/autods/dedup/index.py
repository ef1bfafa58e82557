"""Keeps the 64-bit hashes of all kept images, to be searched within a Hamming radius, exactly."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autods.dedup.bands import STEP, Distances, Hashes, Ints, Tables, edges, expand, grouped, inside
from autods.errors import PlaceError, UsageError

HIGHEST_RADIUS = 16

PER_HASH = 64
"""Of the entries that share one hash a search reports this many, those with the lowest ids."""

_SCANS_PER_ENTRY = 500
"""What building the tables costs for each entry, counted in comparisons (measured at 1M)."""

_HEAD = struct.Struct("<8sIIqq")
_MAGIC, _VERSION = b"autodsNI", 1
_BODY = 64
"""Head (magic, version, radius, count, highest id) and digest, then all ids, then all hashes."""


class StaleIndexError(PlaceError):
    """A saved index is missing, damaged or of another format: build it again from the catalog."""


class Hits(NamedTuple):
    """What a search found, one row a hit, sorted by query, distance and id."""

    query: Ints
    id: Ints
    distance: Distances
    hash: Hashes

    def take(self, rows: Ints | slice) -> "Hits":
        """Give some of the hits."""
        return Hits(self.query[rows], self.id[rows], self.distance[rows], self.hash[rows])


class Pairs(NamedTuple):
    """Pairs of rows of one array of hashes, `i < j`."""

    i: Ints
    j: Ints
    distance: Distances


def pairs_within(hashes: ArrayLike, radius: int, *, limit: int = 50_000_000) -> Pairs:
    """Find all pairs of rows whose hashes differ in at most `radius` bits, sorted by i, then j.

    Equal hashes make quadratically many pairs, so more than `limit` of them (17 bytes each) raise
    a UsageError; `iter_pairs` gives any number in bounded memory.

    >>> found = pairs_within([0, 7, 1, 0], 1)
    >>> found.i.tolist(), found.j.tolist(), found.distance.tolist()
    ([0, 0, 2], [2, 3, 3], [1, 0, 1])
    """
    parts, found = [Pairs(*_empty(np.int64, np.int64, np.uint8))], 0
    for part in iter_pairs(hashes, radius):
        found += len(part.i)
        if found > limit:
            raise UsageError(
                f"more than {limit:,} pairs of hashes lie within radius {radius}: "
                "take a smaller radius, a higher limit, or iter_pairs"
            )
        parts.append(part)
    i, j, distance = map(np.concatenate, zip(*parts, strict=True))
    order = np.lexsort((j, i))
    return Pairs(i[order], j[order], distance[order])


def iter_pairs(hashes: ArrayLike, radius: int) -> Iterator[Pairs]:
    """Yield all pairs within `radius` in small pieces, each pair once, in no promised order.

    Equal hashes are grouped first, so that a third of all hashes being one flat picture costs the
    time to write its pairs down and no more. A piece holds 32,768 pairs, or as many as there are
    rows if that is more.

    >>> [(p.i.tolist(), p.j.tolist()) for p in iter_pairs([5, 9, 5], 0)]
    [([0], [2])]
    """
    rows, distinct, start = grouped(_as_hashes(hashes))
    for here, there in inside(start):
        yield _pairs(rows[here], rows[there], np.zeros(len(here), np.uint8))
    size = np.diff(start)
    for near in Tables(distinct, _checked(radius)).pairs():
        for left, here in expand(start[near.left], size[near.left]):
            other = near.right[left]
            for right, there in expand(start[other], size[other]):
                yield _pairs(rows[here[right]], rows[there], near.distance[left[right]])


class NearIndex:
    """All kept hashes, searched within a fixed `radius` (0 to 16 bits), growing by appending.

    New entries go to the end of two plain arrays, where a search simply scans them. Once as much
    has been scanned as building costs, the sorted tables are built over all entries; so neither
    one search in a fresh process nor a million small additions pays for sorting in vain. What is
    found depends on the entries alone, never on the order or the batches they came in.

    >>> index = NearIndex(radius=2)
    >>> index.add([7, 9], [0b0000, 0b1111])
    >>> hits = index.search([0b0001, 0b0011])
    >>> hits.query.tolist(), hits.id.tolist(), hits.distance.tolist()
    ([0, 1, 1], [7, 7, 9], [1, 2, 2])
    """

    def __init__(self, radius: int) -> None:
        self.radius = _checked(radius)
        self._ids: Ints = np.empty(0, np.int64)
        self._hashes: Hashes = np.empty(0, np.uint64)
        self._count = 0
        self._highest = -1
        self._sorted: _Sorted | None = None
        self._scanned = 0

    def __len__(self) -> int:
        return self._count

    @property
    def highest(self) -> int:
        """The highest id in the index, -1 if it is empty."""
        return self._highest

    def add(self, ids: ArrayLike, hashes: ArrayLike) -> None:
        """Append entries; raises UsageError if an id is known already, and then adds nothing."""
        ids, hashes = np.asarray(ids, np.int64).ravel(), _as_hashes(hashes)
        if len(ids) != len(hashes):
            raise UsageError(f"{len(ids)} ids but {len(hashes)} hashes: each id has one hash")
        if not len(ids):
            return
        self._refuse_known(ids)
        end = self._count + len(ids)
        self._ids = _with_room(self._ids, self._count, end)
        self._hashes = _with_room(self._hashes, self._count, end)
        self._ids[self._count : end], self._hashes[self._count : end] = ids, hashes
        self._count, self._highest = end, max(self._highest, int(ids.max()))

    def search(self, hashes: ArrayLike, *, per_hash: int = PER_HASH) -> Hits:
        """Find, for each hash, the entries within the radius.

        Of entries that share one and the same hash only the `per_hash` lowest ids are reported,
        lest a hundred thousand blank pages answer each blank page. Memory grows with the answer.
        """
        queries = _as_hashes(hashes)
        self._build_if_worth(len(queries))
        found = [] if self._sorted is None else [*self._sorted.search(queries, per_hash)]
        return join_hits([*found, *self._scan(queries, per_hash)], per_hash=per_hash)

    def entries(self) -> tuple[Ints, Hashes]:
        """Give all ids and hashes in the order they were added; not to be written to."""
        return self._ids[: self._count], self._hashes[: self._count]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the entries, 16 bytes each, and a checksum; the file appears whole or not."""
        ids, hashes = self.entries()
        body = ids.astype("<i8").tobytes() + hashes.astype("<u8").tobytes()
        head = _HEAD.pack(_MAGIC, _VERSION, self.radius, self._count, self._highest)
        target = Path(path)
        draft = target.with_name(f"{target.name}.{os.getpid()}.draft")
        with draft.open("wb") as file:
            file.writelines([head, _digest(head, body), body])
        draft.replace(target)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "NearIndex":
        """Map a saved index into memory; raises StaleIndexError, which means: build it again.

        The entries serve any radius: for another one make a new index and `add(*old.entries())`.
        """
        head, body = _read(Path(path))
        _, _, radius, count, highest = _HEAD.unpack(head)
        index = cls(radius)
        index._ids, index._hashes = body[: 8 * count].view("<i8"), body[8 * count :].view("<u8")
        index._count, index._highest = count, highest
        return index

    def _refuse_known(self, ids: Ints) -> None:
        known = np.ones(len(ids), bool)
        known[np.unique(ids, return_index=True)[1]] = False
        if ids.min() <= self._highest:
            known |= np.isin(ids, self._ids[: self._count])
        if known.any():
            raise UsageError(f"id {ids[known][0]} is in the index already: each id has one hash")

    def _covered(self) -> int:
        return 0 if self._sorted is None else len(self._sorted.ids)

    def _build_if_worth(self, queries: int) -> None:
        self._scanned += queries * (self._count - self._covered())
        if self._scanned > _SCANS_PER_ENTRY * max(self._count, 1 << 14):
            self._sorted = _Sorted(*self.entries(), radius=self.radius)
            self._scanned = 0

    def _scan(self, queries: Hashes, per_hash: int) -> Iterator[Hits]:
        """Compare with the entries that stand in no table yet."""
        tail = slice(self._covered(), self._count)
        ids, hashes = self._ids[tail], self._hashes[tail]
        step = max(1, STEP // max(1, len(ids)))
        for low in range(0, len(queries), step):
            some = queries[low : low + step, None]
            for left in range(0, len(ids), STEP):
                part = hashes[left : left + STEP]
                distance = np.bitwise_count(some ^ part)
                row, column = np.divmod(np.flatnonzero(distance <= self.radius), len(part))
                if len(row):
                    near = Hits(row + low, ids[left + column], distance[row, column], part[column])
                    yield join_hits([near], per_hash=per_hash)


class _Sorted:
    """Entries grouped by their hash, ids ascending, with tables over the distinct hashes."""

    def __init__(self, ids: Ints, hashes: Hashes, *, radius: int) -> None:
        by_id = np.argsort(ids, kind="stable")
        rows, distinct, self.start = grouped(hashes[by_id])
        self.ids = ids[by_id][rows]
        self.tables = Tables(distinct, radius)

    def search(self, queries: Hashes, per_hash: int) -> Iterator[Hits]:
        for near in self.tables.join(queries):
            start = self.start[near.right]
            size = np.minimum(self.start[near.right + 1] - start, per_hash)
            hashes = self.tables.hashes[near.right]
            for row, place in expand(start, size):
                yield Hits(near.left[row], self.ids[place], near.distance[row], hashes[row])


def join_hits(parts: list[Hits], *, per_hash: int) -> Hits:
    """Put hits together, sorted; for a query, each hash keeps its `per_hash` lowest ids."""
    none: list[Any] = _empty(np.int64, np.int64, np.uint8, np.uint64)
    hits = Hits(*map(np.concatenate, zip(none, *parts, strict=True)))
    if len(hits.id) > per_hash:
        hits = hits.take(np.lexsort((hits.id, hits.hash, hits.query)))
        same = (hits.hash[1:] == hits.hash[:-1]) & (hits.query[1:] == hits.query[:-1])
        start = edges(np.cumsum(np.append(True, ~same)))
        rank = np.arange(len(hits.id)) - np.repeat(start[:-1], np.diff(start))
        hits = hits.take(np.flatnonzero(rank < per_hash))
    return hits.take(np.lexsort((hits.id, hits.distance, hits.query)))


def _empty(*kinds: type[np.generic]) -> list[NDArray[Any]]:
    return [np.empty(0, kind) for kind in kinds]


def _pairs(left: Ints, right: Ints, distance: Distances) -> Pairs:
    return Pairs(np.minimum(left, right), np.maximum(left, right), distance)


def _checked(radius: int) -> int:
    if not 0 <= radius <= HIGHEST_RADIUS:
        raise UsageError(f"radius {radius} is not possible: choose 0 to {HIGHEST_RADIUS} bits")
    return radius


def _as_hashes(hashes: ArrayLike) -> Hashes:
    """Take unsigned hashes, or signed ones with the same bits, as databases keep them."""
    if isinstance(hashes, np.ndarray) and hashes.dtype.kind not in "iu":
        raise UsageError(f"hashes of type {hashes.dtype}: give 64-bit integers")
    return np.asarray(hashes, np.uint64).ravel()


def _with_room(column: NDArray[Any], used: int, end: int) -> NDArray[Any]:
    """Give the column, or a copy an eighth longer than `end`: a mapped file is never written to."""
    if end <= len(column):
        return column
    room = np.empty(end + end // 8 + 1024, column.dtype)
    room[:used] = column[:used]
    return room


def _digest(head: bytes, body: bytes | memoryview) -> bytes:
    from blake3 import blake3

    return blake3(head).update(body).digest()


def _read(path: Path) -> tuple[bytes, NDArray[np.uint8]]:
    """Map a saved index and trust nothing in it that the checksum does not cover."""
    try:
        raw = np.asarray(np.memmap(path, np.uint8, mode="r"))
    except (OSError, ValueError) as error:
        raise StaleIndexError(f"{path} is no near-duplicate index ({error}): rebuild it") from error
    head, digest, body = raw[: _HEAD.size].tobytes(), raw[_HEAD.size : _BODY].tobytes(), raw[_BODY:]
    if len(raw) < _BODY or not head.startswith(_MAGIC):
        raise StaleIndexError(f"{path} is no near-duplicate index: rebuild it")
    _, version, radius, count, _ = _HEAD.unpack(head)
    if version != _VERSION:
        raise StaleIndexError(f"{path} has format {version}, not {_VERSION}: rebuild it")
    if len(body) != 16 * count or radius > HIGHEST_RADIUS or _digest(head, body.data) != digest:
        raise StaleIndexError(f"{path} is damaged: rebuild it")
    return head, body
