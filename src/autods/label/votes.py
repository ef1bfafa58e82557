"""The matrix of votes: checked on the way in, folded to its distinct rows, and read in chunks.

A row of votes is read a few columns at a time: the votes of some functions together make one code,
and one look-up in a table of all codes adds up what these functions say. With 10 functions of 15
classes that is 4 look-ups a row instead of 10, with 10 functions of 2 classes it is 2.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autods.errors import UsageError

Votes = NDArray[np.integer]
"""(n, m): what each of m functions said of each of n rows; -1 abstains."""

Codes = list[NDArray[np.intp]]
"""One (n,) array per table: which column of the table each row reads."""

Floats = NDArray[np.float64]

MAX_CARDINALITY = 32767
_TABLE = 4096  # codes in one table: with 15 classes in float64 it still fits a core's cache
_CHUNK = 1 << 18  # posterior cells worked on at a time (2 MB), for the same reason
# An odd factor moves 62-bit names about without joining any two (and leaves 0 first): neighbours in
# sorted order vote alike, and adding to one cell of a tally time and again is half as fast.
_SCATTER, _MASK = 0x1E3779B97F4A7C15, (1 << 62) - 1


def check_cardinality(cardinality: int) -> int:
    """Give back a number of classes, or raise UsageError outside 2..32767."""
    if not 2 <= cardinality <= MAX_CARDINALITY:
        raise UsageError(f"cardinality is {cardinality}; it must lie in 2..{MAX_CARDINALITY}")
    return int(cardinality)


def check_votes(votes: ArrayLike, cardinality: int | None = None) -> Votes:
    """Check a matrix of votes and give it back as int8, or int16 above 127 classes.

    `cardinality` None lets every class up to 32767 pass. Raises UsageError for another shape than
    (n, m) with m >= 1, for values that are not whole, and outside -1..cardinality-1.

    >>> check_votes([[0, -1], [1, 1]], 2).dtype.name
    'int8'
    """
    matrix = np.asarray(votes)
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise UsageError(
            f"votes of shape {matrix.shape}; they must be (n rows, m functions) with m >= 1"
            " (one row of votes alone is votes[None, :])"
        )
    top = (cardinality or MAX_CARDINALITY) - 1
    if matrix.size:
        _check_values(matrix, top)
    elif matrix.dtype.kind not in "biuf":
        raise UsageError(f"votes of type {matrix.dtype}; they must be whole numbers, -1 to abstain")
    narrow = matrix.size == 0 or top < 127 or matrix.max() < 127
    return matrix.astype(np.int8 if narrow else np.int16, copy=False)


def _check_values(matrix: NDArray[np.generic], top: int) -> None:
    if matrix.dtype.kind not in "biuf":
        raise UsageError(f"votes of type {matrix.dtype}; they must be whole numbers, -1 to abstain")
    if matrix.dtype.kind == "f" and not bool(np.all(np.mod(matrix, 1) == 0)):
        raise UsageError("votes hold a fraction or NaN; they must be whole numbers, -1 to abstain")
    for value in (int(matrix.min()), int(matrix.max())):
        if not -1 <= value <= top:
            raise UsageError(f"a vote is {value}; votes must lie in -1..{top}, -1 to abstain")


def distinct(votes: Votes, cardinality: int) -> tuple[Votes, NDArray[np.int64]]:
    """Fold a matrix to its distinct rows, in an order that owes nothing to the order of rows.

    Returns (u, m) rows and (u,) how often each stands in the matrix; a row in which every function
    abstains comes first.

    >>> rows, counts = distinct(np.array([[1, 0], [-1, 0], [1, 0]], dtype=np.int8), 2)
    >>> rows.tolist(), counts.tolist()
    ([[1, 0], [-1, 0]], [2, 1])
    """
    words = _words(votes, cardinality)
    ids = next(words)
    for word in words:
        ids = _ranks(ids) * (len(votes) + 1) + _ranks(word)
    _, first, counts = np.unique((ids * _SCATTER) & _MASK, return_index=True, return_counts=True)
    return votes[first], counts.astype(np.int64)


def _words(votes: Votes, cardinality: int) -> Iterator[NDArray[np.int64]]:
    bits = cardinality.bit_length()
    step = 62 // bits
    for start in range(0, votes.shape[1], step):
        word = np.zeros(len(votes), dtype=np.int64)
        for column in votes[:, start : start + step].T:
            word = (word << bits) | (column.astype(np.int64) + 1)
        yield word


def _ranks(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(ids, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How m functions of k classes are laid out in tables of codes.

    Tables and scores are class-major, (k, ...), because a class is then one contiguous run.
    """

    functions: int
    cardinality: int

    @property
    def span(self) -> int:
        """How many functions share a table."""
        return max(1, int(math.log(_TABLE) / math.log(self.cardinality + 1) + 1e-9))

    @property
    def groups(self) -> list[range]:
        """The functions of each table."""
        tables = -(-self.functions // self.span)
        bounds = [self.functions * i // tables for i in range(tables + 1)]
        return [range(start, stop) for start, stop in pairwise(bounds)]

    def chunks(self, rows: int) -> Iterator[slice]:
        """Slices over `rows` that keep the work of one chunk in a core's cache."""
        step = max(256, _CHUNK // self.cardinality)
        return (slice(start, start + step) for start in range(0, rows, step))

    def codes(self, votes: Votes) -> Codes:
        """Read (n, m) votes as one (n,) array of codes per table."""
        return [self._code(votes, group) for group in self.groups]

    def _code(self, votes: Votes, group: range) -> NDArray[np.intp]:
        code = votes[:, group[0]].astype(np.intp) + 1
        for j in group[1:]:
            code *= self.cardinality + 1
            code += votes[:, j]
            code += 1
        return code

    def tables(self, evidence: Floats) -> list[Floats]:
        """Add up evidence (m, k + 1, k), abstain first, into one (k, codes) table per group."""
        return [self._table(evidence, group) for group in self.groups]

    def _table(self, evidence: Floats, group: range) -> Floats:
        table = evidence[group[0]].T
        for j in group[1:]:
            table = (table[:, :, None] + evidence[j].T[:, None, :]).reshape(self.cardinality, -1)
        return np.ascontiguousarray(table)

    def score(self, tables: list[Floats], codes: Codes) -> Floats:
        """Sum over the tables: (k, n), what the votes say for each class."""
        total = np.take(tables[0], codes[0], axis=1)
        for table, code in zip(tables[1:], codes[1:], strict=True):
            total += np.take(table, code, axis=1)
        return total

    def tally(self, weights: Floats, codes: Codes) -> list[Floats]:
        """Sum (k, n) weights by code: the inverse of `score`, one (k, codes) table per group."""
        sizes = [(self.cardinality + 1) ** len(group) for group in self.groups]
        return [
            np.stack([np.bincount(code, row, size) for row in weights])
            for code, size in zip(codes, sizes, strict=True)
        ]

    def unfold(self, tallies: list[Floats]) -> Floats:
        """Take tallies apart by function: (m, k + 1, k), the weight of each vote and class."""
        k = self.cardinality
        parts = []
        for group, tally in zip(self.groups, tallies, strict=True):
            cube = tally.reshape(k, *(k + 1,) * len(group))
            axes = range(1, cube.ndim)
            parts += [cube.sum(axis=tuple(a for a in axes if a != axis)).T for axis in axes]
        return np.stack(parts)


def posterior(scores: Floats) -> Floats:
    """Turn log scores (k, n) into probabilities (k, n), in place."""
    scores -= scores.max(axis=0)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=0)
    return scores


def count_evidence(functions: int, cardinality: int) -> Floats:
    """Build the evidence (m, k + 1, k) by which a score is the number of votes for a class."""
    one = np.vstack([np.zeros(cardinality), np.eye(cardinality)])
    return np.repeat(one[None], functions, axis=0)
