"""Joins arrays of 64-bit hashes within a Hamming radius, exactly, by multi-index hashing.

A hash is cut into bands. If two hashes differ in at most `radius = bands * s + a` bits, then one
of the first `a + 1` bands differs in at most `s` bits, or one of the others in at most `s - 1`
(or else `radius + 1` bits would differ). So it is enough to look up, band by band, every key that
close, and to check what is found there: nothing is missed, and little is checked. (Norouzi,
Punjani, Fleet: "Fast exact search in Hamming space with multi-index hashing", TPAMI 2014.)
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Distances = NDArray[np.uint8]
Keys = NDArray[np.uint32]

STEP = 1 << 15
"""How much is looked up or checked at a time: arrays that stay in a core's cache and in the
allocator's hands (with twice as much, each step fetched its memory from the system anew)."""


@dataclass(frozen=True, slots=True)
class Band:
    """Some bits of a hash, and in how many of them a neighbour may differ."""

    shift: int
    width: int
    radius: int

    def keys(self, hashes: Hashes) -> Keys:
        """Cut the band's bits out of each hash."""
        mask = np.uint64((1 << self.width) - 1)
        return ((hashes >> np.uint64(self.shift)) & mask).astype(np.uint32)

    def masks(self) -> list[int]:
        """List every difference of 1 to `radius` bits."""
        bits = [1 << bit for bit in range(self.width)]
        sizes = range(1, self.radius + 1)
        return [sum(chosen) for size in sizes for chosen in combinations(bits, size)]

    def lookups(self) -> int:
        """Count the keys that one hash looks up: `masks` and its own."""
        return sum(math.comb(self.width, size) for size in range(self.radius + 1))


class Table(NamedTuple):
    """A band's buckets: key k holds the places `start[k]` to `start[k + 1]` of slots and hashes."""

    band: Band
    start: NDArray[np.int32]
    slots: NDArray[np.int32]
    hashes: Hashes


class Near(NamedTuple):
    """Rows of one array beside rows of another (or of the same), and the bits they differ in."""

    left: Ints
    right: Ints
    distance: Distances


class Tables:
    """An array of distinct hashes, made ready to be searched within one radius."""

    def __init__(self, hashes: Hashes, radius: int) -> None:
        self.hashes = hashes
        self.radius = radius
        self._tables = [_table(band, hashes) for band in plan(len(hashes), radius)]

    def join(self, queries: Hashes) -> Iterator[Near]:
        """Yield every (query row, row of the table) within the radius, each once."""
        for number, table in enumerate(self._tables):
            order = np.argsort(table.band.keys(queries), kind="stable")
            asked = queries[order]
            keys = table.band.keys(asked)
            masks = np.array([0, *table.band.masks()], np.uint32)
            for row, place in _lookup(table, keys, masks):
                near = self._verified(number, asked.take(row), table.hashes.take(place))
                yield Near(order[row[near.left]], _rows(table, place[near.left]), near.distance)

    def pairs(self) -> Iterator[Near]:
        """Yield every pair of own rows within the radius, each once, in either order."""
        for number, table in enumerate(self._tables):
            for here, there in _own_places(table):
                near = self._verified(number, table.hashes.take(here), table.hashes.take(there))
                left, right = here[near.left], there[near.left]
                yield Near(_rows(table, left), _rows(table, right), near.distance)

    def _verified(self, number: int, left: Hashes, right: Hashes) -> Near:
        """Keep what is near, and not already found by an earlier band."""
        differ = left ^ right
        distance = np.bitwise_count(differ)
        near = np.flatnonzero(distance <= self.radius)
        differ = differ[near]
        fresh = np.ones(len(near), bool)
        for band in [table.band for table in self._tables[:number]]:
            fresh &= np.bitwise_count(band.keys(differ)) > band.radius
        near = near[fresh]
        return Near(near, near, distance[near])


def plan(count: int, radius: int) -> list[Band]:
    """Choose the bands that make the join of `count` random hashes cheapest.

    A lookup and a check of what it finds cost about the same (measured), so the sum is weighed.
    A band has 22 bits at most: its 4 million buckets take 16 MB.

    >>> [(band.width, band.radius) for band in plan(100_000, 3)]
    [(16, 0), (16, 0), (16, 0), (16, 0)]
    """
    return min((cut(bands, radius) for bands in range(3, 9)), key=lambda some: _cost(some, count))


def cut(bands: int, radius: int) -> list[Band]:
    """Cut 64 bits into so many bands, as even as can be, and give each the radius it needs.

    >>> [(band.width, band.radius) for band in cut(3, 7)]
    [(22, 2), (21, 2), (21, 1)]
    """
    small, exceed = divmod(radius, bands)
    wide, wider = divmod(64, bands)
    widths = [wide + (number < wider) for number in range(bands)]
    radii = [small if number <= exceed else small - 1 for number in range(bands)]
    shifts = [sum(widths[:number]) for number in range(bands)]
    whole = [Band(*band) for band in zip(shifts, widths, radii, strict=True)]
    return [band for band in whole if band.radius >= 0]


def grouped(hashes: Hashes) -> tuple[Ints, Hashes, Ints]:
    """Group equal hashes: `rows[start[g] : start[g + 1]]`, ascending, all have `distinct[g]`."""
    rows = np.argsort(hashes, kind="stable")
    ordered = hashes[rows]
    start = edges(ordered)
    return rows, ordered[start[:-1]], start


def edges(ordered: NDArray[Any]) -> Ints:
    """Give where each run of equal values begins, and the length of the whole as the last edge."""
    if not len(ordered):
        return np.zeros(1, np.int64)
    changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    return np.concatenate([[0], changes, [len(ordered)]])


def expand(start: Ints, count: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield (n, place) for each place of the ranges `start[n] : start[n] + count[n]`, in pieces.

    A piece is about `STEP` long, and longer only where a single range is.
    """
    ends = np.cumsum(count)
    ahead = start - (ends - count)
    low = done = 0
    while low < len(count):
        high = max(low + 1, int(np.searchsorted(ends, done + STEP, side="right")))
        n = np.repeat(np.arange(low, high), count[low:high])
        yield n, ahead.take(n) + np.arange(done, ends[high - 1])
        low, done = high, int(ends[high - 1])


def inside(start: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield all pairs of places `i < j` that lie in one group `start[g]` to `start[g + 1]`."""
    size = np.diff(start)
    place = np.arange(start[-1])
    after = np.repeat(start[1:], size) - (place + 1)
    yield from expand(place + 1, after)


def _cost(some: list[Band], count: int) -> float:
    """Weigh one hash's lookups, the checks of what they find, and its share of the tables."""
    return sum(
        band.lookups() * (1 + count / (1 << band.width)) + (1 << band.width) / max(1, count)
        for band in some
    )


def _table(band: Band, hashes: Hashes) -> Table:
    keys = band.keys(hashes)
    slots = np.argsort(keys, kind="stable").astype(np.int32)
    start = np.zeros((1 << band.width) + 1, np.int32)
    np.cumsum(np.bincount(keys, minlength=1 << band.width), out=start[1:])
    return Table(band, start, slots, hashes[slots])


def _rows(table: Table, places: Ints) -> Ints:
    return table.slots[places].astype(np.int64)


def _lookup(table: Table, keys: Keys, masks: Keys) -> Iterator[tuple[Ints, Ints]]:
    """Yield (row of keys, place in the table) for every bucket that differs by one of the masks.

    Keys come sorted, so that under one mask the lookups walk through the table nearly in order.
    """
    for low in range(0, len(keys), STEP):
        some = keys[low : low + STEP]
        step = STEP // len(some)
        for left in range(0, len(masks), step):
            wanted = (some ^ masks[left : left + step, None]).ravel().astype(np.int64)
            start = table.start.take(wanted)
            count = table.start[1:].take(wanted) - start
            found = np.flatnonzero(count > 0)
            rows = low + found % len(some)
            for n, place in expand(start.take(found).astype(np.int64), count.take(found)):
                yield rows.take(n), place


def _own_places(table: Table) -> Iterator[tuple[Ints, Ints]]:
    """Yield the pairs of places in buckets that are close enough, each pair once.

    Of two different keys, the one without the highest bit they differ in looks up the other.
    """
    keys = table.band.keys(table.hashes)
    yield from inside(edges(keys))
    masks = np.array(table.band.masks(), np.uint32)
    for bit in range(table.band.width):
        asking = np.flatnonzero(keys & np.uint32(1 << bit) == 0)
        higher = masks[masks >> np.uint32(bit) == 1]
        for row, place in _lookup(table, keys[asking], higher):
            yield asking.take(row), place
