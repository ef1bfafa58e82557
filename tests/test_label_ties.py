"""Ties: each policy keeps its word, and no draw depends on the order of the rows."""

from typing import Any

import numpy as np
import pytest

from autods.errors import UsageError
from autods.label.ties import TiePolicy, decide

TIED = np.array([[0.4, 0.4, 0.2], [0.1, 0.8, 0.1], [0.2, 0.4, 0.4], [1 / 3, 1 / 3, 1 / 3]])
VOTES = np.array([[0, 1], [1, 1], [1, 2], [-1, -1]])


def labels(policy: TiePolicy, seed: int = 0, keys: list[str] | None = None) -> list[int]:
    chosen: list[int] = decide(TIED, VOTES, policy=policy, seed=seed, keys=keys).tolist()
    return chosen


def test_abstain_answers_only_where_one_class_leads() -> None:
    assert labels("abstain") == [-1, 1, -1, -1]


def test_abstain_is_the_answer_where_no_function_voted_even_if_the_prior_leans() -> None:
    assert decide(np.array([[0.9, 0.1]]), VOTES[3:], policy="abstain", seed=0).tolist() == [-1]


def test_first_takes_the_lowest_of_the_tied() -> None:
    assert labels("first") == [0, 1, 1, 0]


def test_random_takes_one_of_the_tied_and_the_same_again() -> None:
    for seed in range(20):
        drawn = labels("random", seed)
        assert drawn == labels("random", seed)
        assert drawn[0] in (0, 1)
        assert drawn[1] == 1
        assert drawn[2] in (1, 2)
    assert len({tuple(labels("random", seed)) for seed in range(20)}) > 5


def test_random_goes_with_the_row_and_not_with_its_place() -> None:
    order = [3, 1, 0, 2]
    moved = decide(TIED[order], VOTES[order], policy="random", seed=7)
    assert moved.tolist() == [labels("random", 7)[i] for i in order]
    alone = decide(TIED[2:3], VOTES[2:3], policy="random", seed=7)
    assert alone.tolist() == labels("random", 7)[2:3]


def test_keys_let_rows_with_the_same_votes_fall_apart_evenly() -> None:
    even = np.full((3000, 3), 1 / 3)
    silent = np.full((3000, 4), -1)
    by_votes = decide(even, silent, policy="random", seed=0)
    assert len(set(by_votes.tolist())) == 1
    keys = [f"asset-{i}" for i in range(3000)]
    by_key = decide(even, silent, policy="random", seed=0, keys=keys)
    assert np.bincount(by_key).min() > 900
    back = decide(even, silent, policy="random", seed=0, keys=keys[::-1])
    assert np.array_equal(by_key, back[::-1])


def test_rounding_does_not_hide_a_tie() -> None:
    nearly = np.array([[0.5 - 1e-12, 0.5 + 1e-12]])
    assert decide(nearly, np.array([[0, 1]]), policy="abstain", seed=0).tolist() == [-1]
    assert decide(nearly, np.array([[0, 1]]), policy="first", seed=0).tolist() == [0]


def test_an_unknown_policy_or_a_missing_key_is_refused() -> None:
    unknown: Any = "coin"
    with pytest.raises(UsageError, match=r"'coin'.*'abstain', 'random', 'first'"):
        labels(unknown)
    with pytest.raises(UsageError, match="3 keys for 4 rows"):
        labels("random", keys=["a", "b", "c"])


def test_no_rows_give_no_labels() -> None:
    for policy in ("abstain", "random", "first"):
        none = decide(np.zeros((0, 2)), np.zeros((0, 3), dtype=int), policy=policy, seed=0)
        assert none.shape == (0,)
