"""From probabilities to labels: what to answer when no class stands above the others."""

import zlib
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from autods.errors import UsageError
from autods.label.votes import Floats, Votes
from autods.records import ABSTAIN

TiePolicy = Literal["abstain", "random", "first"]

_TOLERANCE = 1e-5  # Snorkel's: probabilities this close are a tie


def decide(
    probabilities: Floats,
    votes: Votes,
    *,
    policy: TiePolicy,
    seed: int,
    keys: Sequence[str] | None = None,
) -> NDArray[np.int64]:
    """Choose a label for each row of (n, k) probabilities; returns (n,).

    Classes tie where their probabilities do, and all of them where no function voted: there the
    model knows nothing of the row but its prior. `abstain` then answers -1; `first` takes the
    lowest of the tied classes; `random` takes one of them by a hash of the row's votes and the
    seed, so that neither the order nor the number of rows matters. Rows with the same votes then
    fall alike, all uncovered rows on one class: give `keys`, one name per row, to have each row
    fall by its name.
    Raises UsageError for another policy and for a wrong number of keys.

    >>> one = np.array([[0.5, 0.5], [0.2, 0.8]])
    >>> decide(one, np.array([[0, 1], [1, 1]]), policy="abstain", seed=0).tolist()
    [-1, 1]
    """
    if policy not in get_args(TiePolicy):
        raise UsageError(f"tie_policy is {policy!r}; it must be one of {get_args(TiePolicy)}")
    if keys is not None and len(keys) != len(votes):
        raise UsageError(f"{len(keys)} keys for {len(votes)} rows; there must be one for each")
    labels: NDArray[np.int64] = probabilities.argmax(axis=1).astype(np.int64)
    tied = probabilities >= probabilities.max(axis=1, keepdims=True) - _TOLERANCE
    tied |= ~(votes >= 0).any(axis=1, keepdims=True)
    if policy == "abstain":
        labels[tied.sum(axis=1) > 1] = ABSTAIN
    elif policy == "first":
        labels[:] = tied.argmax(axis=1)
    else:
        rows = np.flatnonzero(tied.sum(axis=1) > 1)
        labels[rows] = _drawn(tied[rows], _hashes(votes[rows], _names(keys, rows), seed))
    return labels


def _drawn(tied: NDArray[np.bool_], hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    choice = hashes % tied.sum(axis=1).astype(np.uint64)
    nth = tied.cumsum(axis=1) == (choice[:, None] + np.uint64(1))
    drawn: NDArray[np.int64] = nth.argmax(axis=1).astype(np.int64)
    return drawn


def _names(keys: Sequence[str] | None, rows: NDArray[np.intp]) -> NDArray[np.uint64]:
    if keys is None:
        return np.zeros(len(rows), dtype=np.uint64)
    return np.array([zlib.crc32(str(keys[i]).encode()) for i in rows], dtype=np.uint64)


def _hashes(votes: Votes, names: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    state = _mixed(names ^ _mixed(np.array([seed % (1 << 64)], dtype=np.uint64)))
    for column in votes.T:
        state = _mixed(state ^ (column.astype(np.int64) + 2).astype(np.uint64))
    return state


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64 bits: the finaliser of SplitMix64 (Steele, Lea, Flood 2014), plus its step."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed
