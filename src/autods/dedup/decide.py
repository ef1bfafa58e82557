"""Decides, one image after the other, what is kept and what is a copy of something kept before.

    arrivals -> same pixels as a kept one?   -> duplicate (pixels)
             -> near a kept one, confirmed?  -> duplicate (near), or by policy kept and marked
             -> kept; kept ones that are near but not confirmed are its lookalikes

An image is compared only with images kept before it, so nothing is chained: of A, B, C where B is
near A and C is near B but not near A, A and C are kept. What is decided depends on the order of
arrival alone, not on how it is cut into batches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from autods.dedup.bands import Hashes, Ints, edges
from autods.dedup.index import PER_HASH, Hits, NearIndex, join_hits
from autods.errors import UsageError

Thumbs = NDArray[np.uint8]
Confirm = Callable[[Thumbs, Thumbs], tuple[NDArray[np.bool_], NDArray[np.floating]]]
"""The second look: (n, bytes) beside (n, bytes) gives n times 'the same picture?' and a score."""

WhenNear = Literal["drop", "keep", "off"]

BLOCK = 512
"""How many arrivals are compared with each other in one step; it changes no decision."""

_PAIRS = 2048
"""How many pairs of thumbs are fetched and confirmed at a time."""

_FURTHER = 8
"""First the nearest candidate is confirmed; if that fails, so many times more, and so on."""

_EXACT = "px1:"
"""Prefix of a checksum over all pixels; any other (`dct1/8:`, `frames-`) only hints at equality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """New images as columns, in order of arrival; an empty checksum equals no other."""

    ids: Ints
    pixel_checksums: Sequence[str]
    hashes: Hashes
    thumbs: Thumbs

    def __post_init__(self) -> None:
        lengths = [len(self.ids), len(self.pixel_checksums), len(self.hashes), len(self.thumbs)]
        if len(set(lengths)) > 1:
            raise UsageError(
                f"columns of {lengths} rows: ids, checksums, hashes, thumbs must agree"
            )
        if len(set(self.ids.tolist())) < len(self.ids):
            raise UsageError("an id stands twice among the arrivals: each arrives once")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """All images kept so far, as far as deciding needs to know them.

    `by_checksum` maps those checksums that are known to the lowest kept id that has them;
    `thumbs_of` gives thumbs in the order of the ids; `same_pixels` compares two images in full and
    is asked only about equal checksums that are not exact (do not begin with `px1:`).
    """

    index: NearIndex
    by_checksum: Callable[[list[str]], dict[str, int]]
    thumbs_of: Callable[[Ints], Thumbs]
    same_pixels: Callable[[int, int], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupPolicy:
    """What becomes of a confirmed near-duplicate, and how far a crowd of equal hashes is searched.

    `near`: `drop` it, `keep` it marked with the image it is near to, or `off`: do not look.
    `per_hash`: of kept images with one and the same hash only so many, the lowest ids, are looked
    at and listed as lookalikes. It bounds the work on blank pages and the like; an image it
    overlooks is kept, and still has lookalikes that bind it to the crowd.
    """

    near: WhenNear = "drop"
    per_hash: int = PER_HASH

    def __post_init__(self) -> None:
        if self.near not in get_args(WhenNear):
            raise UsageError(f"near {self.near!r} is unknown: choose drop, keep or off")
        if self.per_hash < 1:
            raise UsageError(f"per_hash {self.per_hash} is too small: choose 1 or more")


class Lookalike(NamedTuple):
    """A kept image within the radius that is not known to be the same picture."""

    id: int
    distance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of one arrival.

    `of` is the kept image it is a copy of, by `kind`; `distance` (bits) and `score` (of `Confirm`)
    are given where kind is `near`. `lookalikes`, only on kept images, are all other kept images
    within the radius, nearest first: one split must hold them all.
    """

    id: int
    verdict: Literal["kept", "duplicate"]
    of: int | None = None
    kind: Literal["pixels", "near"] | None = None
    distance: int | None = None
    score: float | None = None
    lookalikes: tuple[Lookalike, ...] = ()


def decide(
    new: Arrivals, kept: Kept, confirm: Confirm, *, policy: DedupPolicy | None = None
) -> list[Decision]:
    """Decide on the arrivals in order; nothing is changed: the caller commits, then adds.

    Equal pixels come first, then the nearest confirmed candidate; among equally near ones, the
    lowest id. Raises UsageError if an arrival is among the kept already.

    >>> index = NearIndex(radius=2)
    >>> held = Kept(index=index, by_checksum=lambda sums: {}, same_pixels=lambda a, b: True,
    ...             thumbs_of=lambda ids: np.zeros((len(ids), 1), np.uint8))
    >>> new = Arrivals(ids=np.array([1, 2, 3]), pixel_checksums=["px1:a", "px1:b", "px1:a"],
    ...                hashes=np.array([0, 1, 0], np.uint64), thumbs=np.zeros((3, 1), np.uint8))
    >>> decisions = decide(new, held, lambda a, b: ((a == b).all(axis=1), np.ones(len(a))))
    >>> [(d.id, d.verdict, d.of, d.kind) for d in decisions]
    [(1, 'kept', None, None), (2, 'duplicate', 1, 'near'), (3, 'duplicate', 1, 'pixels')]
    >>> index.add(*to_add(new, decisions))
    >>> len(index)
    1
    """
    bench = _Bench(new, kept, confirm, policy or DedupPolicy())
    return [
        decision
        for low in range(0, len(new.ids), BLOCK)
        for decision in bench.block(range(low, min(low + BLOCK, len(new.ids))))
    ]


def to_add(new: Arrivals, decisions: list[Decision]) -> tuple[Ints, Hashes]:
    """Give ids and hashes of what was kept, for `NearIndex.add` once it is committed."""
    rows = [row for row, decision in enumerate(decisions) if decision.verdict == "kept"]
    return new.ids[rows], new.hashes[rows]


class _Bench:
    """Where one call of `decide` lays out what it knows: what was kept, what was confirmed."""

    def __init__(self, new: Arrivals, kept: Kept, confirm: Confirm, policy: DedupPolicy) -> None:
        self.new, self.kept, self.confirm, self.policy = new, kept, confirm, policy
        self.ids: list[int] = new.ids.tolist()
        self.by_id = np.argsort(new.ids)
        self.earlier = NearIndex(kept.index.radius)
        self.first = dict(kept.by_checksum(sorted({*new.pixel_checksums} - {""})))
        self.answers: dict[tuple[int, int], float | None] = {}
        self._refuse_kept(np.array([*self.first.values()], np.int64))

    def block(self, rows: range) -> list[Decision]:
        """Decide on some rows; those before them are decided, and the kept ones in `earlier`."""
        self.answers.clear()
        outer, close = self._outer(rows), self._close(rows)
        has_close = np.any(close, axis=1).tolist()
        start = np.searchsorted(outer.query, np.arange(len(rows) + 1)).tolist()
        is_kept = np.zeros(len(rows), bool)
        decisions = []
        for number, row in enumerate(rows):
            hits = outer.take(slice(start[number], start[number + 1]))
            if has_close[number]:
                inner = self._inner(number, rows, np.flatnonzero(close[number] & is_kept))
                hits = join_hits([hits, inner], per_hash=self.policy.per_hash)
            decisions.append(self._decide(row, hits))
            is_kept[number] = decisions[-1].verdict == "kept"
        added = np.flatnonzero(is_kept) + rows.start
        self.earlier.add(self.new.ids[added], self.new.hashes[added])
        return decisions

    def _decide(self, row: int, hits: Hits) -> Decision:
        decision = self._as_copy(row) or self._as_near(row, hits)
        checksum = self.new.pixel_checksums[row]
        if checksum and decision.verdict == "kept":
            self.first[checksum] = min(decision.id, self.first.get(checksum, decision.id))
        return decision

    def _as_copy(self, row: int) -> Decision | None:
        checksum, name = self.new.pixel_checksums[row], self.ids[row]
        of = self.first.get(checksum) if checksum else None
        if of is None:
            return None
        if not checksum.startswith(_EXACT) and not self.kept.same_pixels(name, of):
            return None
        return Decision(id=name, verdict="duplicate", of=of, kind="pixels")

    def _as_near(self, row: int, hits: Hits) -> Decision:
        others = [*map(Lookalike, hits.id.tolist(), hits.distance.tolist())]
        nearest = self._nearest(row, [other.id for other in others])
        if nearest is None:
            return Decision(id=self.ids[row], verdict="kept", lookalikes=tuple(others))
        of, distance = others.pop(nearest)
        dropped = self.policy.near == "drop"
        return Decision(
            id=self.ids[row],
            verdict="duplicate" if dropped else "kept",
            of=of,
            kind="near",
            distance=distance,
            score=self.answers[row, of],
            lookalikes=() if dropped else tuple(others),
        )

    def _outer(self, rows: range) -> Hits:
        """Find candidates kept before these rows, for those that are not copies beyond doubt."""
        if self.policy.near == "off":
            return join_hits([], per_hash=self.policy.per_hash)
        asked = np.array([row for row in rows if not self._surely_copy(row)], np.int64)
        queries, per_hash = self.new.hashes[asked], self.policy.per_hash
        held = self.kept.index.search(queries, per_hash=per_hash)
        self._refuse_kept(held.id)
        hits = join_hits([held, self.earlier.search(queries, per_hash=per_hash)], per_hash=per_hash)
        self._ask_nearest_first(asked[hits.query], hits.id)
        return hits._replace(query=asked[hits.query] - rows.start)

    def _close(self, rows: range) -> NDArray[np.bool_]:
        """Tell which of these rows (across) are near to which later ones (down)."""
        if self.policy.near == "off":
            return np.zeros((len(rows), len(rows)), bool)
        hashes = self.new.hashes[rows.start : rows.stop]
        distance = np.bitwise_count(hashes[:, None] ^ hashes)
        return np.tril(distance <= self.kept.index.radius, -1)

    def _inner(self, number: int, rows: range, near: Ints) -> Hits:
        """Lay out the kept ones among these rows that are near to one of them, as hits."""
        hashes = self.new.hashes[rows.start + near]
        distance = np.bitwise_count(hashes ^ self.new.hashes[rows.start + number])
        return Hits(np.full(len(near), number), self.new.ids[rows.start + near], distance, hashes)

    def _surely_copy(self, row: int) -> bool:
        checksum = self.new.pixel_checksums[row]
        return checksum in self.first and checksum.startswith(_EXACT)

    def _nearest(self, row: int, ids: list[int]) -> int | None:
        """Give the place of the first confirmed id, asking about no more of them than need be."""
        some = 1
        for place, name in enumerate(ids):
            if (row, name) not in self.answers:
                open_ids = [other for other in ids[place:] if (row, other) not in self.answers]
                self._ask(np.full(len(open_ids[:some]), row), np.array(open_ids[:some]))
                some *= _FURTHER
            if self.answers[row, name] is not None:
                return place
        return None

    def _ask_nearest_first(self, rows: Ints, ids: Ints) -> None:
        """Do what `_nearest` does for many rows at once; candidates come in order, row by row."""
        start = edges(rows)
        rank = np.arange(len(rows)) - np.repeat(start[:-1], np.diff(start))
        still_open = np.ones(len(rows), bool)
        low, high = 0, 1
        while still_open.any():
            chosen = still_open & (low <= rank) & (rank < high)
            done = rows[chosen][self._ask(rows[chosen], ids[chosen])]
            still_open &= (rank >= high) & ~np.isin(rows, done)
            low, high = high, high * (_FURTHER + 1)

    def _ask(self, rows: Ints, ids: Ints) -> NDArray[np.bool_]:
        """Confirm pairs, keep the answers, and tell which are the same picture."""
        answers = [np.empty(0, np.bool_)]
        for low in range(0, len(rows), _PAIRS):
            left, right = rows[low : low + _PAIRS], ids[low : low + _PAIRS]
            same, score = self.confirm(self.new.thumbs[left], self._thumbs(right))
            pairs = zip(left.tolist(), right.tolist(), strict=True)
            for pair, yes, value in zip(pairs, same.tolist(), score.tolist(), strict=True):
                self.answers[pair] = value if yes else None
            answers.append(same)
        return np.concatenate(answers)

    def _thumbs(self, ids: Ints) -> Thumbs:
        """Give thumbs of kept images: of those among the arrivals from there, else fetched."""
        rows = self._rows(ids)
        held = rows < 0
        thumbs = self.new.thumbs[rows]
        if held.any():
            wanted, place = np.unique(ids[held], return_inverse=True)
            fetched = self.kept.thumbs_of(wanted)
            if fetched.shape != (len(wanted), *thumbs.shape[1:]):
                raise UsageError(
                    f"thumbs_of gave an array of {fetched.shape} for {len(wanted)} ids: "
                    f"one thumb of {thumbs.shape[1:]} is due for each"
                )
            thumbs[held] = fetched[place]
        return thumbs

    def _rows(self, ids: Ints) -> Ints:
        """Give the rows that have these ids among the arrivals, -1 for others."""
        place = np.searchsorted(self.new.ids, ids, sorter=self.by_id)
        rows = self.by_id[np.minimum(place, len(self.by_id) - 1)]
        return np.where(self.new.ids[rows] == ids, rows, -1)

    def _refuse_kept(self, ids: Ints) -> None:
        known = ids[self._rows(ids) >= 0]
        if len(known):
            raise UsageError(f"id {known[0]} is kept already: it cannot be decided on again")
