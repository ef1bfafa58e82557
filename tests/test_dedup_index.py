"""The index of kept hashes: exact, bounded on crowds, cheap to grow, and honest when damaged."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.dedup import index as index_module
from autods.dedup.bands import Hashes
from autods.dedup.index import (
    Hits,
    NearIndex,
    StaleIndexError,
    iter_pairs,
    pairs_within,
)
from autods.errors import UsageError

Rows = list[tuple[int, ...]]


def planted(count: int, *, seed: int = 0) -> Hashes:
    """Random hashes; every third is a near copy of another, every fourth one and the same."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, count, dtype=np.uint64)
    flips = np.uint64(1) << random.integers(0, 64, (6, count), dtype=np.uint64)
    copies = hashes[random.permutation(count)] ^ np.bitwise_or.reduce(flips)
    hashes = np.where(np.arange(count) % 3 == 0, copies, hashes)
    return np.where(np.arange(count) % 4 == 0, np.uint64(0x8000_0000_0000_0000), hashes)


def brute_pairs(hashes: Hashes, radius: int) -> Rows:
    distance = np.bitwise_count(hashes[:, None] ^ hashes)
    i, j = np.nonzero(np.triu(distance <= radius, 1))
    return [*zip(i.tolist(), j.tolist(), distance[i, j].tolist(), strict=True)]


def brute_hits(queries: Hashes, ids: list[int], hashes: Hashes, radius: int) -> Rows:
    distance = np.bitwise_count(queries[:, None] ^ hashes)
    q, n = np.nonzero(distance <= radius)
    found = zip(q.tolist(), distance[q, n].tolist(), n.tolist(), strict=True)
    return sorted((query, bits, ids[row]) for query, bits, row in found)


def as_rows(hits: Hits) -> Rows:
    columns = (hits.query, hits.distance, hits.id)
    return [*zip(*(column.tolist() for column in columns), strict=True)]


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5, 8, 12, 16])
def test_all_pairs_are_those_of_brute_force(radius: int) -> None:
    hashes = planted(400)
    found = pairs_within(hashes, radius)
    rows = [*zip(*(column.tolist() for column in found), strict=True)]
    assert rows == brute_pairs(hashes, radius)


@settings(deadline=None)
@given(st.lists(st.integers(0, 40) | st.integers(0, 2**64 - 1)), st.integers(0, 9))
def test_pairs_of_any_hashes_are_found_each_once(values: list[int], radius: int) -> None:
    hashes = np.array(values, np.uint64)
    found = pairs_within(hashes, radius)
    rows = [*zip(*(column.tolist() for column in found), strict=True)]
    assert rows == brute_pairs(hashes, radius)


def test_a_crowd_of_equal_hashes_comes_in_small_pieces() -> None:
    sizes = [len(piece.i) for piece in iter_pairs(np.full(2_000, 7, np.uint64), 3)]
    assert sum(sizes) == 2_000 * 1_999 // 2
    assert max(sizes) <= 1 << 15


def test_more_pairs_than_the_limit_are_refused_with_advice() -> None:
    with pytest.raises(UsageError, match=r"more than 100 pairs .* radius 3.* iter_pairs"):
        pairs_within(np.zeros(1_000, np.uint64), 3, limit=100)


@pytest.mark.parametrize("radius", [0, 3, 8, 16])
def test_a_search_finds_the_same_scanned_sorted_or_half_and_half(
    radius: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes, queries = planted(600), planted(600)[::7] ^ np.uint64(0b101)
    ids = np.random.default_rng(1).permutation(600)
    expected = brute_hits(queries, ids.tolist(), hashes, radius)
    scanned = NearIndex(radius)
    scanned.add(ids, hashes)
    assert as_rows(scanned.search(queries, per_hash=600)) == expected
    monkeypatch.setattr(index_module, "_SCANS_PER_ENTRY", 0)
    mixed = NearIndex(radius)
    mixed.add(ids[:400], hashes[:400])
    mixed.search(queries)
    monkeypatch.undo()
    mixed.add(ids[400:], hashes[400:])
    assert as_rows(mixed.search(queries, per_hash=600)) == expected


def test_tables_are_built_once_scanning_has_cost_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_SCANS_PER_ENTRY", 1)
    index = NearIndex(3)
    hashes = planted(1_200)
    for low in range(0, 1_200, 100):
        index.search(hashes[low : low + 100])
        index.add(range(low, low + 100), hashes[low : low + 100])
    hits = index.search(hashes, per_hash=1_200)
    assert as_rows(hits) == brute_hits(hashes, [*range(1_200)], hashes, 3)


@pytest.mark.parametrize("scans", [0, 1_000_000])
def test_of_one_hash_only_the_lowest_ids_are_reported(
    scans: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_SCANS_PER_ENTRY", scans)
    index = NearIndex(2)
    index.add([9, 3, 5, 1, 7], [0, 0, 0, 1, 0])
    index.search([0])
    index.add([2, 8], [0, 1])
    found = as_rows(index.search([1, 0], per_hash=2))
    assert found == [
        (0, 0, 1),
        (0, 0, 8),
        (0, 1, 2),
        (0, 1, 3),
        (1, 0, 2),
        (1, 0, 3),
        (1, 1, 1),
        (1, 1, 8),
    ]


def test_signed_hashes_are_the_unsigned_ones_with_the_same_bits() -> None:
    index = NearIndex(0)
    index.add([1], np.array([-1], np.int64))
    assert as_rows(index.search([2**64 - 1])) == [(0, 0, 1)]


def test_an_empty_index_finds_nothing_and_nothing_is_found_for_no_query() -> None:
    index = NearIndex(8)
    assert (len(index), index.highest) == (0, -1)
    assert not as_rows(index.search([1, 2]))
    index.add([4], [1])
    assert not as_rows(index.search([]))
    assert (len(index), index.highest) == (1, 4)


@pytest.mark.parametrize(("ids", "named"), [([5, 6, 5], "5"), ([7, 2], "2"), ([3], "3")])
def test_an_id_that_is_known_is_refused_and_nothing_added(ids: list[int], named: str) -> None:
    index = NearIndex(8)
    index.add([2, 3, 4], [1, 2, 3])
    with pytest.raises(UsageError, match=f"id {named} is in the index already"):
        index.add(ids, [0] * len(ids))
    assert len(index) == 3


def test_what_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="radius 17 is not possible: choose 0 to 16"):
        NearIndex(17)
    with pytest.raises(UsageError, match="radius -1"):
        pairs_within([1], -1)
    with pytest.raises(UsageError, match="2 ids but 1 hashes"):
        NearIndex(3).add([1, 2], [1])
    with pytest.raises(UsageError, match="hashes of type float64"):
        NearIndex(3).search(np.array([0.5]))


def test_a_saved_index_comes_back_and_grows_without_touching_the_file(tmp_path: Path) -> None:
    hashes = planted(500)
    index = NearIndex(8)
    index.add(range(500), hashes)
    index.save(tmp_path / "near.idx")
    before = (tmp_path / "near.idx").read_bytes()
    again = NearIndex.load(tmp_path / "near.idx")
    again.add([500], [123])
    index.add([500], [123])
    assert (again.radius, len(again), again.highest) == (8, 501, 500)
    assert as_rows(again.search(hashes)) == as_rows(index.search(hashes))
    assert (tmp_path / "near.idx").read_bytes() == before
    again.save(tmp_path / "near.idx")
    assert len(NearIndex.load(tmp_path / "near.idx")) == 501
    assert [path.name for path in tmp_path.iterdir()] == ["near.idx"]


def test_an_empty_index_can_be_saved(tmp_path: Path) -> None:
    NearIndex(3).save(tmp_path / "near.idx")
    assert len(NearIndex.load(tmp_path / "near.idx")) == 0


def test_the_entries_of_one_radius_serve_another(tmp_path: Path) -> None:
    old = NearIndex(3)
    old.add([1], [0])
    wider = NearIndex(8)
    wider.add(*old.entries())
    assert as_rows(wider.search([0b11111])) == [(0, 5, 1)]


def test_any_damaged_byte_means_rebuild(tmp_path: Path) -> None:
    path = tmp_path / "near.idx"
    index = NearIndex(8)
    index.add([1, 2], [3, 4])
    index.save(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StaleIndexError, match="rebuild it"):
            NearIndex.load(path)
    for length in (0, 1, 31, 63, 64, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(StaleIndexError, match="rebuild it"):
            NearIndex.load(path)


def test_a_missing_file_and_an_older_format_mean_rebuild(tmp_path: Path) -> None:
    path = tmp_path / "near.idx"
    with pytest.raises(StaleIndexError, match=r"near\.idx is no near-duplicate index"):
        NearIndex.load(path)
    NearIndex(8).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:8] + (0).to_bytes(4, "little") + whole[12:])
    with pytest.raises(StaleIndexError, match="has format 0, not 1"):
        NearIndex.load(path)
