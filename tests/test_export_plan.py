import hashlib

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autods.errors import UsageError
from autods.export.plan import plan_shards

# Four-byte keys with long common prefixes, which a hash would hardly give.
KEYS = st.sets(
    st.one_of(
        st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(2**31 - 20, 2**31 + 20)
    ).map("{:08x}".format),
    min_size=1,
    max_size=80,
)


def shards(keys: list[str], max_count: int) -> list[frozenset[str]]:
    numbers = plan_shards(keys, max_count).tolist()
    return [
        frozenset(key for key, n in zip(keys, numbers, strict=True) if n == number)
        for number in range(max(numbers, default=-1) + 1)
    ]


@given(keys=KEYS, max_count=st.integers(1, 9), data=st.data())
def test_the_plan_is_a_function_of_the_set(
    keys: set[str], max_count: int, data: st.DataObject
) -> None:
    mixed = data.draw(st.permutations(sorted(keys)))
    assert shards(mixed, max_count) == shards(sorted(keys), max_count)


@given(keys=KEYS, max_count=st.integers(1, 9))
def test_no_shard_is_empty_or_over_full_and_numbers_follow_the_keys(
    keys: set[str], max_count: int
) -> None:
    numbers = plan_shards(sorted(keys), max_count)
    sizes = np.bincount(numbers)
    assert sizes.min() >= 1
    assert sizes.max() <= max_count
    assert (np.diff(numbers) >= 0).all()


@given(keys=KEYS, new=st.integers(0, 2**32 - 1).map("{:08x}".format), max_count=st.integers(1, 9))
def test_one_more_member_changes_one_shard_or_splits_one(
    keys: set[str], new: str, max_count: int
) -> None:
    assume(new not in keys)
    before = set(shards(sorted(keys), max_count))
    after = set(shards(sorted(keys | {new}), max_count))
    gone, come = before - after, after - before
    assert len(gone) <= 1
    assert frozenset[str]().union(*come) == frozenset[str]({new}).union(*gone)


@given(keys=KEYS, max_count=st.integers(1, 9))
def test_the_plan_is_the_trie_that_a_page_of_python_draws(keys: set[str], max_count: int) -> None:
    def draw(members: list[str], depth: int) -> list[frozenset[str]]:
        if len(members) <= max_count:
            return [frozenset(members)] if members else []
        bit = 31 - depth
        halves: list[list[str]] = [[], []]
        for key in members:
            halves[int(key, 16) >> bit & 1].append(key)
        return draw(halves[0], depth + 1) + draw(halves[1], depth + 1)

    assert shards(sorted(keys), max_count) == draw(sorted(keys), 0)


def test_keys_that_share_words_are_told_apart_by_the_last_bits() -> None:
    keys = [f"{i:064x}" for i in range(8)]
    assert plan_shards(keys, 2).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    raw = np.frombuffer(bytes.fromhex("".join(keys)), dtype=np.uint8).reshape(8, 32)
    assert plan_shards(raw, 2).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_hashed_keys_fill_shards_from_one_half_to_the_whole() -> None:
    keys = [hashlib.sha256(b"%d" % i).hexdigest() for i in range(20_000)]
    sizes = np.bincount(plan_shards(keys, 100))
    assert sizes.max() <= 100
    assert np.quantile(sizes, 0.05) >= 40


def test_no_members_need_no_shards() -> None:
    assert plan_shards([], 10).tolist() == []
    assert plan_shards(np.empty((0, 32), dtype=np.uint8), 10).tolist() == []


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(UsageError, match="max_count is 0"):
        plan_shards(["00"], 0)
    with pytest.raises(UsageError, match="given twice"):
        plan_shards(["00", "01", "00"], 1)
    with pytest.raises(UsageError, match="hexadecimal"):
        plan_shards(["0g"], 1)
    with pytest.raises(UsageError, match="'012' has 3 characters, the first key has 2"):
        plan_shards(["01", "012"], 1)
    with pytest.raises(UsageError, match="must be \\(n, bytes\\) of uint8"):
        plan_shards(np.zeros(3, dtype=np.uint8), 1)
