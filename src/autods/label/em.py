"""The default label model: expectation-maximisation that knows which classes a function votes for.

Every function j is a table P(vote | Y): a function that only ever votes one class gets two answers,
that class or nothing, and its silence then speaks for the other classes. That is what keeps the
model from the collapse of Dawid and Skene (1979) on such functions, who read the votes alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from autods.label.votes import Codes, Floats, Grid, Votes, count_evidence, distinct, posterior

ROUNDS = 5
"""Rounds of EM: stopping early keeps the posteriors near the votes (measured; 30 are no better)."""

PRIOR_VOTES = 10.0
PRIOR_PRECISION = 0.7
"""Each kind of vote starts as if ten of it had been seen, 70 % right (Snorkel's `prec_init`)."""

_MIN_ABSTAIN = 0.01  # of any class, so that one unseen silence never decides a row alone
_TINY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """A fitted model: prior (k,) of the classes, and log evidence (m, k + 1, k) of each vote.

    Row 0 of a function's table is what its abstaining says, row v + 1 what its vote v says.
    """

    prior: Floats
    table: Floats

    def predict_proba(self, votes: Votes) -> Floats:
        """Give P(Y | votes) as (n, k); a row without any vote gets the prior."""
        k = len(self.prior)
        grid = Grid(functions=len(self.table), cardinality=k)
        tables = _with_prior(grid, self.table, self.prior)
        out = np.empty((len(votes), k))
        for part in grid.chunks(len(votes)):
            out[part] = posterior(grid.score(tables, grid.codes(votes[part]))).T
        out[~(votes >= 0).any(axis=1)] = self.prior
        return out


def fit(
    votes: Votes, cardinality: int, balance: Floats | None = None, rounds: int = ROUNDS
) -> Evidence:
    """Fit by EM from the majority vote; `balance` None estimates the classes' shares as well.

    The shares are those of the rows that some function votes on: about the others nothing is known.

    >>> votes = np.array([[0, 0, -1], [1, 1, -1], [1, 1, 1], [0, 0, -1]], dtype=np.int8)
    >>> fit(votes, 2).predict_proba(votes).argmax(axis=1).tolist()
    [0, 1, 1, 0]
    """
    rows, counts = distinct(votes, cardinality)
    grid = Grid(functions=votes.shape[1], cardinality=cardinality)
    prior = np.full(cardinality, 1 / cardinality) if balance is None else balance
    table = count_evidence(grid.functions, cardinality)
    guess = partial(_vote_shares, grid, grid.tables(table))
    for _ in range(rounds):
        joint, covered = _expect(grid, rows, counts, guess)
        prior = (covered + 1) / (covered + 1).sum() if balance is None else balance
        table = _maximise(joint)
        guess = partial(_beliefs, grid, _with_prior(grid, table, prior))
    return Evidence(prior=prior, table=table)


def _with_prior(grid: Grid, table: Floats, prior: Floats) -> list[Floats]:
    tables = grid.tables(table)
    tables[0] = tables[0] + np.log(prior)[:, None]
    return tables


def _vote_shares(grid: Grid, tables: list[Floats], codes: Codes) -> Floats:
    """Start EM: each class's share of a row's votes; all alike where there are none."""
    scores = grid.score(tables, codes)
    total = scores.sum(axis=0)
    return np.where(total > 0, scores / np.maximum(total, 1), 1 / len(scores))


def _beliefs(grid: Grid, tables: list[Floats], codes: Codes) -> Floats:
    return posterior(grid.score(tables, codes))


def _expect(
    grid: Grid, rows: Votes, counts: NDArray[np.int64], guess: Callable[[Codes], Floats]
) -> tuple[Floats, Floats]:
    """Weigh every vote by the guessed classes of its rows.

    Returns the joint weight (m, k + 1, k) of vote and class, and the weight (k,) of each class over
    the rows that some function votes on.
    """
    k = grid.cardinality
    tallies = [np.zeros((k, (k + 1) ** len(group))) for group in grid.groups]
    for part in grid.chunks(len(rows)):
        codes = grid.codes(rows[part])
        weights = guess(codes)
        weights *= counts[part]
        for total, more in zip(tallies, grid.tally(weights, codes), strict=True):
            np.add(total, more, out=total)
    joint = grid.unfold(tallies)
    bare = slice(0, 1 if len(rows) and not (rows[0] >= 0).any() else 0)
    uncovered = (guess(grid.codes(rows[bare])) * counts[bare]).sum(axis=1)
    return joint, joint[0].sum(axis=0) - uncovered


def _maximise(joint: Floats) -> Floats:
    """Turn joint weights (m, k + 1, k) into log P(vote | Y), abstaining first.

    A vote is known by its precision, P(Y | vote), which the prior votes pull towards 70 %; Bayes'
    rule turns it. A class a function never voted for says as much as its abstaining.
    """
    total = joint[0].sum(axis=0) + _TINY
    cast = joint[:, 1:].sum(axis=2)
    share = total / total.sum()
    believed = (1 - PRIOR_PRECISION) * share / np.maximum(1 - share, _TINY)[:, None]
    np.fill_diagonal(believed, PRIOR_PRECISION)
    precision = (joint[:, 1:] + PRIOR_VOTES * believed) / (cast + PRIOR_VOTES)[:, :, None]
    speak = precision * cast[:, :, None] / total
    most = np.maximum(speak.sum(axis=1, keepdims=True), _TINY)
    speak *= np.minimum(1, (1 - _MIN_ABSTAIN) / most)
    silence = np.log(1 - speak.sum(axis=1, keepdims=True))
    said = np.where(cast[:, :, None] > 0, np.log(np.maximum(speak, _TINY)), silence)
    return np.concatenate([silence, said], axis=1)
