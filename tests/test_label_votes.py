"""The vote matrix: what is let in, how it is folded, and that the tables only add up."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from autods.errors import UsageError
from autods.label.votes import Grid, check_cardinality, check_votes, distinct


@st.composite
def vote_matrices(draw: st.DrawFn) -> tuple[NDArray[np.int8], int]:
    k = draw(st.integers(2, 15))
    shape = draw(st.tuples(st.integers(0, 30), st.integers(1, 12)))
    return draw(arrays(np.int8, shape, elements=st.integers(-1, k - 1))), k


def test_votes_become_as_narrow_as_their_classes_allow() -> None:
    assert check_votes([[0, -1]], 2).dtype == np.int8
    assert check_votes([[126.0, -1.0]], 200).dtype == np.int8
    assert check_votes([[127, -1]], 200).dtype == np.int16
    assert check_votes(np.zeros((0, 3)), 2).shape == (0, 3)


@pytest.mark.parametrize(
    ("votes", "complaint"),
    [
        ([0, 1], r"shape \(2,\).*\(n rows, m functions\)"),
        (np.zeros((3, 0), dtype=int), r"m >= 1"),
        ([[0, 2]], r"a vote is 2; votes must lie in -1\.\.1"),
        ([[-2, 0]], r"a vote is -2"),
        ([[0.5, 0]], "a fraction or NaN"),
        ([[np.nan, 0]], "a fraction or NaN"),
        ([["a", "b"]], "whole numbers"),
        (np.zeros((0, 2), dtype=object), "whole numbers"),
    ],
)
def test_other_votes_are_refused_with_what_would_be_valid(votes: Any, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        check_votes(votes, 2)


@pytest.mark.parametrize("cardinality", [-1, 0, 1, 32768])
def test_a_model_needs_two_classes_and_has_a_most(cardinality: int) -> None:
    with pytest.raises(UsageError, match=r"2\.\.32767"):
        check_cardinality(cardinality)


@settings(max_examples=50)
@given(vote_matrices(), st.randoms(use_true_random=False))
def test_folding_keeps_every_row_and_forgets_their_order(
    drawn: tuple[NDArray[np.int8], int], random: Any
) -> None:
    votes, k = drawn
    rows, counts = distinct(votes, k)
    assert sorted(np.repeat(rows, counts, axis=0).tolist()) == sorted(votes.tolist())
    order = random.sample(range(len(votes)), len(votes))
    again, counted = distinct(votes[order], k)
    assert np.array_equal(rows, again)
    assert np.array_equal(counts, counted)


def test_folding_tells_rows_of_150_functions_apart_by_the_last_vote() -> None:
    votes = np.full((3, 150), -1, dtype=np.int8)
    votes[2, 149] = 1
    rows, counts = distinct(votes, 2)
    assert counts.tolist() == [2, 1]
    assert rows[:, 149].tolist() == [-1, 1]


@settings(max_examples=50)
@given(vote_matrices(), st.integers(0, 2**32 - 1))
def test_scores_by_table_equal_the_sum_over_functions(
    drawn: tuple[NDArray[np.int8], int], seed: int
) -> None:
    votes, k = drawn
    evidence = np.random.default_rng(seed).normal(size=(votes.shape[1], k + 1, k))
    grid = Grid(functions=votes.shape[1], cardinality=k)
    scores = grid.score(grid.tables(evidence), grid.codes(votes))
    plain = sum((evidence[j, votes[:, j] + 1] for j in range(votes.shape[1])), np.zeros((1, k)))
    assert np.allclose(scores.T, plain)


@settings(max_examples=50)
@given(vote_matrices(), st.integers(0, 2**32 - 1))
def test_tallies_taken_apart_equal_a_count_by_function(
    drawn: tuple[NDArray[np.int8], int], seed: int
) -> None:
    votes, k = drawn
    weights = np.random.default_rng(seed).random((k, len(votes)))
    grid = Grid(functions=votes.shape[1], cardinality=k)
    joint = grid.unfold(grid.tally(weights, grid.codes(votes)))
    plain = [
        [weights[:, votes[:, j] == v].sum(axis=1) for v in range(-1, k)]
        for j in range(votes.shape[1])
    ]
    assert np.allclose(joint, plain)


def test_chunks_cover_every_row_once() -> None:
    rows = np.arange(1_000_000)
    parts = [rows[part] for part in Grid(functions=1, cardinality=15).chunks(len(rows))]
    assert len(parts) > 1
    assert np.array_equal(np.concatenate(parts), rows)
