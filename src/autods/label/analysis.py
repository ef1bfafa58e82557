"""What the functions' votes look like: coverage, overlaps, conflicts, polarity, accuracy.

Snorkel's definitions (`snorkel.labeling.LFAnalysis`). All measures are shares of the rows, 0 where
there are none; a row is *covered* when a function votes on it, *overlapped* when two or more do,
and in *conflict* when two of them disagree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autods.errors import UsageError
from autods.label.votes import Floats, Votes, check_votes

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class LFSummary:
    """One labeling function: the classes it votes for, and its shares of the rows.

    `coverage` are the rows it votes on, `overlaps` those of them on which another function votes
    too, `conflicts` those on which another one votes differently. `accuracy` is the share of its
    votes that equal the gold label, None where no vote of its meets one.
    """

    name: str
    polarity: tuple[int, ...]
    coverage: float
    overlaps: float
    conflicts: float
    accuracy: float | None = None


def lf_summary(
    votes: ArrayLike, names: Sequence[str] | None = None, gold: ArrayLike | None = None
) -> list[LFSummary]:
    """Describe each of the m functions of a vote matrix (n, m), given (n,) gold labels or none.

    Rows whose gold label is -1 do not count towards accuracy. Raises UsageError where names or gold
    labels do not fit the matrix.

    >>> lf_summary([[0, -1], [0, 1]], ["greets", "sells"], gold=[0, 1])[0]
    LFSummary(name='greets', polarity=(0,), coverage=1.0, overlaps=0.5, conflicts=0.5, accuracy=0.5)
    """
    matrix = check_votes(votes)
    titles = [str(j) for j in range(matrix.shape[1])] if names is None else list(names)
    if len(titles) != matrix.shape[1]:
        raise UsageError(f"{len(titles)} names for {matrix.shape[1]} functions")
    shares = (lf_coverages(matrix), lf_overlaps(matrix), lf_conflicts(matrix))
    right = None if gold is None else lf_accuracies(matrix, gold)
    tested = np.zeros(matrix.shape[1]) if gold is None else _tested(matrix, gold)
    return [
        LFSummary(
            name=title,
            polarity=polarity,
            coverage=float(shares[0][j]),
            overlaps=float(shares[1][j]),
            conflicts=float(shares[2][j]),
            accuracy=None if right is None or not tested[j] else float(right[j]),
        )
        for j, (title, polarity) in enumerate(zip(titles, lf_polarities(matrix), strict=True))
    ]


def label_coverage(votes: ArrayLike) -> float:
    """Share of the rows that at least one function votes on.

    >>> label_coverage([[-1, -1], [0, -1], [0, 1], [1, 1]])
    0.75
    """
    return _share(_voters(check_votes(votes)) > 0)


def label_overlap(votes: ArrayLike) -> float:
    """Share of the rows that at least two functions vote on.

    >>> label_overlap([[-1, -1], [0, -1], [0, 1], [1, 1]])
    0.5
    """
    return _share(_voters(check_votes(votes)) > 1)


def label_conflict(votes: ArrayLike) -> float:
    """Share of the rows on which two functions disagree.

    >>> label_conflict([[-1, -1], [0, -1], [0, 1], [1, 1]])
    0.25
    """
    return _share(_conflicted(check_votes(votes)))


def lf_polarities(votes: ArrayLike) -> list[tuple[int, ...]]:
    """List the classes that each function votes for at least once, ascending."""
    matrix = check_votes(votes)
    return [tuple(int(v) for v in np.unique(column) if v >= 0) for column in matrix.T]


def lf_coverages(votes: ArrayLike) -> Floats:
    """Share of the rows that each function votes on, (m,)."""
    matrix = check_votes(votes)
    return _shares_where(matrix, np.ones(len(matrix), dtype=bool))


def lf_overlaps(votes: ArrayLike) -> Floats:
    """Share of the rows that each function and some other vote on, (m,)."""
    matrix = check_votes(votes)
    return _shares_where(matrix, _voters(matrix) > 1)


def lf_conflicts(votes: ArrayLike) -> Floats:
    """Share of the rows that each function votes on and some other votes differently on, (m,)."""
    matrix = check_votes(votes)
    return _shares_where(matrix, _conflicted(matrix))


def lf_accuracies(votes: ArrayLike, gold: ArrayLike) -> Floats:
    """Share of each function's votes that equal the (n,) gold labels, (m,); 0 without votes."""
    matrix = check_votes(votes)
    truth = np.asarray(gold)
    if truth.shape != (len(matrix),):
        raise UsageError(f"gold labels of shape {truth.shape}; they must be ({len(matrix)},)")
    voted = (matrix >= 0) & (truth >= 0)[:, None]
    right = voted & (matrix == truth[:, None])
    accuracies: Floats = right.sum(axis=0) / np.maximum(voted.sum(axis=0), 1)
    return accuracies


def _tested(matrix: Votes, gold: ArrayLike) -> NDArray[np.int64]:
    """Count each function's votes on rows that have a gold label."""
    voted: NDArray[np.int64] = (matrix[np.asarray(gold) >= 0] >= 0).sum(axis=0)
    return voted


def _voters(matrix: Votes) -> NDArray[np.int64]:
    voters: NDArray[np.int64] = (matrix >= 0).sum(axis=1)
    return voters


def _conflicted(matrix: Votes) -> Mask:
    highest = matrix.max(axis=1)
    lowest = np.where(matrix >= 0, matrix, highest[:, None]).min(axis=1)
    conflicted: Mask = lowest < highest
    return conflicted


def _shares_where(matrix: Votes, rows: Mask) -> Floats:
    shares: Floats = (matrix[rows] >= 0).sum(axis=0) / max(len(matrix), 1)
    return shares


def _share(rows: Mask) -> float:
    return float(rows.sum() / max(len(rows), 1))
