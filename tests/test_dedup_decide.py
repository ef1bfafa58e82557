"""Decisions follow the order of arrival alone: any batches, any block size, one oracle."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from autods.dedup import decide as decide_module
from autods.dedup.decide import (
    Arrivals,
    Decision,
    DedupPolicy,
    Kept,
    Lookalike,
    Thumbs,
    WhenNear,
    decide,
    to_add,
)
from autods.dedup.index import NearIndex
from autods.errors import UsageError

RADIUS = 2


@dataclass(frozen=True)
class Image:
    id: int
    hash: int
    shade: int = 0
    checksum: str = ""
    pixels: int = 0


def confirm(left: Thumbs, right: Thumbs) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Images are the same if their shades differ little: not transitive, like all likeness."""
    differ = np.abs(left[:, 0].astype(np.float64) - right[:, 0])
    return differ <= 10, 1 - differ / 256


def arrivals(images: list[Image]) -> Arrivals:
    return Arrivals(
        ids=np.array([image.id for image in images], np.int64),
        pixel_checksums=[image.checksum for image in images],
        hashes=np.array([image.hash for image in images], np.uint64),
        thumbs=np.array([[image.shade, 7] for image in images], np.uint8).reshape(-1, 2),
    )


@dataclass
class World:
    """All images there are, and those kept so far."""

    images: list[Image]
    policy: DedupPolicy = field(default_factory=DedupPolicy)

    def __post_init__(self) -> None:
        self.by_id = {image.id: image for image in self.images}
        self.sums: dict[str, int] = {}
        self.index = NearIndex(RADIUS)
        self.asked: list[tuple[int, int]] = []

    def by_checksum(self, checksums: list[str]) -> dict[str, int]:
        return {name: self.sums[name] for name in checksums if name in self.sums}

    def thumbs_of(self, ids: NDArray[np.int64]) -> Thumbs:
        return arrivals([self.by_id[name] for name in ids.tolist()]).thumbs

    def same_pixels(self, left: int, right: int) -> bool:
        self.asked.append((left, right))
        return self.by_id[left].pixels == self.by_id[right].pixels

    def arrive(self, images: list[Image]) -> list[Decision]:
        kept = Kept(
            index=self.index,
            by_checksum=self.by_checksum,
            thumbs_of=self.thumbs_of,
            same_pixels=self.same_pixels,
        )
        new = arrivals(images)
        decisions = decide(new, kept, confirm, policy=self.policy)
        self.index.add(*to_add(new, decisions))
        for image, decision in zip(images, decisions, strict=True):
            if decision.verdict == "kept":
                lowest = min(image.id, self.sums.get(image.checksum, image.id))
                self.sums[image.checksum] = lowest
        return decisions


def oracle(images: list[Image], policy: DedupPolicy) -> list[Decision]:
    """The rules again, one image beside all kept ones, with nothing clever in between."""
    kept: list[Image] = []
    return [_judge(image, kept, policy) for image in images]


def _judge(image: Image, kept: list[Image], policy: DedupPolicy) -> Decision:
    equal = [k for k in kept if image.checksum and k.checksum == image.checksum]
    first = min(equal, key=lambda k: k.id, default=None)
    if first and (image.checksum.startswith("px1:") or first.pixels == image.pixels):
        return Decision(id=image.id, verdict="duplicate", of=first.id, kind="pixels")
    near = [] if policy.near == "off" else _near(image, kept, policy.per_hash)
    same = [(bits, k) for bits, k in near if abs(k.shade - image.shade) <= 10][:1]
    others = tuple(Lookalike(k.id, bits) for bits, k in near if (bits, k) not in same)
    if not same or policy.near == "keep":
        kept.append(image)
    if not same:
        return Decision(id=image.id, verdict="kept", lookalikes=others)
    bits, of = same[0]
    score = 1 - abs(of.shade - image.shade) / 256
    mark = {"kind": "near", "of": of.id, "distance": bits, "score": score}
    if policy.near == "drop":
        return Decision(id=image.id, verdict="duplicate", **mark)  # type: ignore[arg-type]
    return Decision(id=image.id, verdict="kept", lookalikes=others, **mark)  # type: ignore[arg-type]


def _near(image: Image, kept: list[Image], per_hash: int) -> list[tuple[int, Image]]:
    found = []
    for other in kept:
        crowd = sorted(k.id for k in kept if k.hash == other.hash)[:per_hash]
        bits = (image.hash ^ other.hash).bit_count()
        if bits <= RADIUS and other.id in crowd:
            found.append((bits, other))
    return sorted(found, key=lambda hit: (hit[0], hit[1].id))


def one_by_one(images: list[Image], policy: DedupPolicy) -> list[Decision]:
    world = World(images, policy)
    return [decision for image in images for decision in world.arrive([image])]


def drop(images: list[Image]) -> list[Decision]:
    return World(images).arrive(images)


IMAGES = st.lists(
    st.builds(
        Image,
        id=st.integers(1, 10**12),
        hash=st.integers(0, 31) | st.sampled_from([0, 2**63]),
        shade=st.sampled_from([0, 8, 16, 24, 100]),
        checksum=st.sampled_from(["", "", "px1:a", "px1:b", "px1:c", "dct1/8:a", "frames-px1:a"]),
        pixels=st.integers(0, 1),
    ),
    unique_by=lambda image: image.id,
    max_size=40,
)
POLICIES = st.builds(
    DedupPolicy, near=st.sampled_from(get_args(WhenNear)), per_hash=st.sampled_from([1, 2, 64])
)


@settings(deadline=None)
@given(IMAGES, POLICIES)
def test_one_batch_and_one_by_one_decide_as_the_oracle(
    images: list[Image], policy: DedupPolicy
) -> None:
    expected = oracle(images, policy)
    assert World(images, policy).arrive(images) == expected
    assert one_by_one(images, policy) == expected


@settings(deadline=None)
@given(IMAGES, POLICIES, st.lists(st.integers(0, 40)), st.integers(1, 12))
def test_any_cut_into_batches_and_blocks_decides_the_same(
    images: list[Image], policy: DedupPolicy, cuts: list[int], block: int
) -> None:
    world, edges = World(images, policy), sorted({0, len(images), *cuts})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide_module, "BLOCK", block)
        patch.setattr(decide_module, "_PAIRS", 3)
        batches = [world.arrive(images[a:b]) for a, b in pairwise(edges)]
    assert [decision for batch in batches for decision in batch] == oracle(images, policy)


@settings(deadline=None)
@given(IMAGES, POLICIES)
def test_every_kept_pair_within_the_radius_is_bound_together(
    images: list[Image], policy: DedupPolicy
) -> None:
    policy = DedupPolicy(near="drop" if policy.near == "off" else policy.near, per_hash=1)
    home = {image.id: image.id for image in images}

    def root(name: int) -> int:
        return name if home[name] == name else root(home[name])

    kept = [d for d in World(images, policy).arrive(images) if d.verdict == "kept"]
    for decision in kept:
        bound = {other.id for other in decision.lookalikes} | {decision.of or decision.id}
        for other in bound:
            home[root(decision.id)] = root(other)
    hashes = {image.id: image.hash for image in images}
    for a in kept:
        for b in kept:
            if (hashes[a.id] ^ hashes[b.id]).bit_count() <= RADIUS:
                assert root(a.id) == root(b.id)


def test_equal_pixels_come_before_a_nearer_look() -> None:
    images = [
        Image(1, hash=0b11, checksum="px1:a"),
        Image(2, hash=0b1, shade=99),
        Image(3, 0b1, 99, "px1:a"),
    ]
    assert drop(images)[2] == Decision(id=3, verdict="duplicate", of=1, kind="pixels")


def test_the_nearest_confirmed_wins_and_among_equals_the_lowest_id() -> None:
    images = [
        Image(5, 0b1),
        Image(3, 0b10, shade=20),
        Image(9, 0b0, shade=50),
        Image(10, 0b0, shade=10),
    ]
    assert drop(images)[3].of == 3
    assert drop([images[0], images[2], images[3]])[2].of == 5


def test_nothing_is_chained() -> None:
    a, b, c = Image(1, hash=0b0), Image(2, hash=0b11), Image(3, hash=0b1111)
    assert [(d.verdict, d.of) for d in drop([a, b, c])] == [
        ("kept", None),
        ("duplicate", 1),
        ("kept", None),
    ]


def test_with_keep_a_near_copy_is_marked_and_found_by_the_next() -> None:
    images = [Image(1, hash=0b0), Image(2, hash=0b11), Image(3, hash=0b1111)]
    decisions = World(images, DedupPolicy(near="keep")).arrive(images)
    assert [(d.verdict, d.of, d.kind) for d in decisions[1:]] == [
        ("kept", 1, "near"),
        ("kept", 2, "near"),
    ]


def test_a_near_image_that_is_not_confirmed_is_a_lookalike_of_the_new_one() -> None:
    images = [Image(1, hash=0b0), Image(2, hash=0b11, shade=50)]
    assert drop(images)[1] == Decision(id=2, verdict="kept", lookalikes=(Lookalike(1, 2),))


def test_pixels_are_compared_in_full_only_where_equal_checksums_are_not_exact() -> None:
    images = [
        Image(1, hash=0, checksum="px1:a"),
        Image(2, hash=2**20 - 1, checksum="dct1/8:a", pixels=1),
        Image(3, hash=2**40 - 1, checksum="px1:a"),
        Image(4, hash=2**50 - 1, checksum="dct1/8:a", pixels=2),
        Image(5, hash=2**60 - 1, checksum="dct1/8:a", pixels=1),
    ]
    world = World(images)
    assert [d.of for d in world.arrive(images)] == [None, None, 1, None, 2]
    assert world.asked == [(4, 2), (5, 2)]


def test_an_image_without_a_checksum_equals_none() -> None:
    images = [Image(1, hash=0), Image(2, hash=2**63 - 1)]
    assert [d.verdict for d in drop(images)] == ["kept", "kept"]


def test_a_crowd_of_blank_pages_is_kept_bound_and_cheap() -> None:
    images = [Image(n, hash=0, shade=n % 12 * 20) for n in range(1_500)]
    decisions = drop(images)
    assert [d.verdict for d in decisions] == ["kept"] * 12 + ["duplicate"] * 1_488
    assert all(d.of == d.id % 12 for d in decisions[12:])


def test_deciding_changes_nothing_until_it_is_added() -> None:
    images = [Image(1, hash=0), Image(2, hash=1)]
    world = World(images)
    kept = Kept(
        index=world.index,
        by_checksum=world.by_checksum,
        thumbs_of=world.thumbs_of,
        same_pixels=world.same_pixels,
    )
    first = decide(arrivals(images), kept, confirm)
    assert len(world.index) == 0
    assert decide(arrivals(images), kept, confirm) == first


def test_an_image_is_never_the_duplicate_of_itself() -> None:
    for image in (Image(4, hash=0), Image(4, hash=0, checksum="px1:a")):
        world = World([image])
        world.arrive([image])
        with pytest.raises(UsageError, match="id 4 is kept already"):
            world.arrive([image])


def test_no_arrivals_make_no_decisions() -> None:
    assert drop([]) == []


def test_wrong_columns_and_policies_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"columns of \[1, 2, 1, 1\] rows"):
        Arrivals(
            ids=np.array([1]),
            pixel_checksums=["a", "b"],
            hashes=np.array([1], np.uint64),
            thumbs=np.zeros((1, 1), np.uint8),
        )
    with pytest.raises(UsageError, match="an id stands twice"):
        arrivals([Image(1, hash=0), Image(1, hash=1)])
    with pytest.raises(UsageError, match="near 'maybe' is unknown: choose drop, keep or off"):
        DedupPolicy(near="maybe")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="per_hash 0 is too small"):
        DedupPolicy(per_hash=0)


def test_thumbs_that_do_not_answer_the_question_are_refused() -> None:
    images = [Image(1, hash=0), Image(2, hash=0)]
    world = World(images)
    world.arrive(images[:1])
    world.thumbs_of = lambda ids: np.zeros((len(ids) + 1, 2), np.uint8)  # type: ignore[method-assign]
    with pytest.raises(UsageError, match=r"thumbs_of gave an array of \(2, 2\) for 1 ids"):
        world.arrive(images[1:])
