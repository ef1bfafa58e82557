"""The bands miss no pair of hashes, and name none twice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.dedup import bands
from autods.dedup.bands import Hashes, Near, Tables, expand, grouped, inside, plan

RADII = st.integers(0, 16)
COUNTS = st.sampled_from([1, 1_000, 100_000, 10_000_000])
CROWDS = st.lists(st.integers(0, 2**6 - 1).map(lambda bits: bits * 0x0401_0010_0200_4001 % 2**64))


def _distinct(values: list[int]) -> Hashes:
    return np.unique(np.array(values, np.uint64))


def _brute(left: Hashes, right: Hashes, radius: int) -> set[tuple[int, int, int]]:
    distance = np.bitwise_count(left[:, None] ^ right)
    a, b = np.nonzero(distance <= radius)
    return {*zip(a.tolist(), b.tolist(), distance[a, b].tolist(), strict=True)}


def _rows(found: list[Near]) -> list[tuple[int, int, int]]:
    return [row for near in found for row in zip(*(c.tolist() for c in near), strict=True)]


@settings(deadline=None)
@given(RADII, COUNTS, st.data())
def test_two_hashes_within_the_radius_are_close_in_some_band(
    radius: int, count: int, data: st.DataObject
) -> None:
    bits = data.draw(st.sets(st.integers(0, 63), max_size=radius))
    differ = np.array([sum(1 << bit for bit in bits)], np.uint64)
    close = [np.bitwise_count(band.keys(differ))[0] <= band.radius for band in plan(count, radius)]
    assert any(close)


@settings(deadline=None)
@given(RADII, COUNTS)
def test_a_band_looks_up_its_own_key_and_every_mask_once(radius: int, count: int) -> None:
    for band in plan(count, min(radius, 9)):
        masks = band.masks()
        assert len({0, *masks}) == len(masks) + 1 == band.lookups()
        assert all(mask.bit_count() <= band.radius and mask < 1 << band.width for mask in masks)


@settings(deadline=None)
@given(CROWDS, st.integers(0, 9))
def test_pairs_of_a_crowd_are_all_found_and_each_once(values: list[int], radius: int) -> None:
    hashes = _distinct(values)
    found = _rows(list(Tables(hashes, radius).pairs()))
    assert len({frozenset(pair[:2]) for pair in found}) == len(found)
    expected = {pair for pair in _brute(hashes, hashes, radius) if pair[0] < pair[1]}
    assert {(min(a, b), max(a, b), distance) for a, b, distance in found} == expected


@settings(deadline=None)
@given(CROWDS, CROWDS, st.integers(0, 9))
def test_a_join_finds_all_that_brute_force_finds(
    asked: list[int], held: list[int], radius: int
) -> None:
    queries, hashes = np.array(asked, np.uint64), _distinct(held)
    found = _rows(list(Tables(hashes, radius).join(queries)))
    assert sorted(found) == sorted(_brute(queries, hashes, radius))


@pytest.mark.parametrize("count", range(3, 9))
@pytest.mark.parametrize("radius", [0, 3, 8])
def test_any_number_of_bands_finds_the_same(
    count: int, radius: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(count)
    noise = random.integers(0, 2**64, (4, 300), dtype=np.uint64)
    hashes = np.unique(np.bitwise_and.reduce(noise))
    monkeypatch.setattr(bands, "plan", lambda _, radius: bands.cut(count, radius))
    tables = Tables(hashes, radius)
    expected = _brute(hashes, hashes, radius)
    assert sorted(_rows(list(tables.join(hashes)))) == sorted(expected)
    assert len(_rows(list(tables.pairs()))) == (len(expected) - len(hashes)) // 2


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9))), st.integers(1, 20))
def test_ranges_are_expanded_in_pieces_that_hold_no_more_than_asked(
    ranges: list[tuple[int, int]], step: int
) -> None:
    start, count = (np.array(column, np.int64) for column in zip(*[(0, 0), *ranges], strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "STEP", step)
        pieces = list(expand(start, count))
    expected = [
        (n, first + k) for n, (first, many) in enumerate([(0, 0), *ranges]) for k in range(many)
    ]
    assert [
        pair for n, place in pieces for pair in zip(n.tolist(), place.tolist(), strict=True)
    ] == expected
    assert all(len(n) <= max(step, 9) for n, _ in pieces)


@settings(deadline=None)
@given(st.lists(st.integers(0, 5)))
def test_equal_hashes_stand_in_one_group_and_pair_up_inside_it(values: list[int]) -> None:
    rows, distinct, start = grouped(np.array(values, np.uint64))
    groups = [rows[a:b].tolist() for a, b in pairwise(start.tolist())]
    assert groups == [[n for n, v in enumerate(values) if v == kind] for kind in distinct]
    pairs = [pair for i, j in inside(start) for pair in zip(rows[i], rows[j], strict=True)]
    expected = {(a, b) for b in range(len(values)) for a in range(b) if values[a] == values[b]}
    assert len(pairs) == len(expected)
    assert set(pairs) == expected
