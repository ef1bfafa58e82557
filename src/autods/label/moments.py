"""Snorkel's own label model in numpy, for results that must compare with Snorkel's.

Ratner et al., "Training Complex Models with Multi-Task Weak Supervision" (AAAI 2019), as Snorkel
0.10 runs it: mu[(j, v), y] = P(function j votes v | Y = y) is found by gradient descent so that
mu P mu^T meets the observed overlaps of different functions and mu p meets how often each vote is
cast. Functions are taken as independent given Y. The arithmetic is float32, as there.
"""

import numpy as np
from numpy.typing import NDArray

from autods.errors import UsageError
from autods.label.em import Evidence
from autods.label.votes import Floats, Votes, distinct

Singles = NDArray[np.float32]

MIN_FUNCTIONS = 3
"""Fewer than three functions leave their accuracies undetermined."""

# Snorkel's training settings: precision at the start, learning rate, momentum, least of epsilons.
_PRECISION, _RATE, _MOMENTUM, _EPSILON = 0.7, 0.01, 0.9, 0.01
_CHUNK = 1 << 16


def fit(
    votes: Votes,
    cardinality: int,
    balance: Floats | None = None,
    n_epochs: int = 100,
    seed: int = 0,
) -> Evidence:
    """Match the moments by `n_epochs` steps of descent; `balance` None takes all classes alike.

    `seed` draws the scale of the start, as it does in Snorkel. Raises UsageError for fewer than
    three functions, and where the descent runs away (Snorkel: "Loss is NaN"), which many functions
    with large coverage bring about.

    >>> votes = np.array([[0, 0, -1], [1, 1, 1], [1, -1, 1]], dtype=np.int8)
    >>> fit(votes, 2, seed=123).predict_proba(votes).round(2).tolist()
    [[1.0, 0.0], [0.01, 0.99], [0.04, 0.96]]
    """
    m = votes.shape[1]
    if m < MIN_FUNCTIONS:
        raise UsageError(f"method 'moments' needs at least {MIN_FUNCTIONS} functions and got {m}")
    prior = np.full(cardinality, 1 / cardinality) if balance is None else balance
    overlaps = _overlaps(votes, cardinality)
    scale = np.random.RandomState(seed).random_sample()
    mu = _descend(_start(overlaps, prior) * np.float32(scale), overlaps, prior, n_epochs)
    if not np.isfinite(mu).all():
        raise UsageError(f"method 'moments' runs away on these {m} functions; method 'em' does not")
    mu = _aligned(_clamped(mu, len(votes)), prior)
    table = np.zeros((m, cardinality + 1, cardinality))
    table[:, 1:] = np.log(mu).reshape(m, cardinality, cardinality)
    return Evidence(prior=prior, table=table)


def _overlaps(votes: Votes, cardinality: int) -> Singles:
    """Share of the rows on which each two votes are cast together, (m * k, m * k)."""
    rows, counts = distinct(votes, cardinality)
    m, size = rows.shape[1], cardinality + 1
    pairs = np.zeros((m, m, size, size))
    for start in range(0, len(rows), _CHUNK):
        columns = rows[start : start + _CHUNK].T.astype(np.intp) + 1
        weights = counts[start : start + _CHUNK]
        for i, j in zip(*np.triu_indices(m), strict=True):
            tally = np.bincount(columns[i] * size + columns[j], weights, size * size)
            pairs[i, j] += tally.reshape(size, size)
    low = np.tril_indices(m, -1)
    pairs[low] = pairs.transpose(1, 0, 3, 2)[low]
    square = pairs[:, :, 1:, 1:].transpose(0, 2, 1, 3).reshape(m * cardinality, -1)
    return (square / max(len(votes), 1)).astype(np.float32)


def _start(overlaps: Singles, prior: Floats) -> Singles:
    """P(vote = y | Y = y) from the share of that vote, were 70 % of its votes right."""
    d, k = len(overlaps), len(prior)
    rows, own = np.arange(d), np.arange(d) % k
    mu = np.zeros((d, k), dtype=np.float32)
    mu[rows, own] = np.clip(np.diag(overlaps) * np.float32(_PRECISION) / prior[own], 0, 1)
    return mu


def _descend(mu: Singles, overlaps: Singles, prior: Floats, n_epochs: int) -> Singles:
    """Minimise |O - mu P mu^T|^2 off the functions' own blocks, plus |mu p - diag O|^2."""
    owner = np.arange(len(mu)) // len(prior)
    others = owner[:, None] != owner[None, :]
    p, cast = prior.astype(np.float32), np.diag(overlaps)
    velocity = np.zeros_like(mu)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(n_epochs):
            gap = ((mu * p) @ mu.T - overlaps) * others
            slope = 4 * (gap @ mu) * p + 2 * np.outer(mu @ p - cast, p)
            velocity = np.float32(_MOMENTUM) * velocity + slope
            mu = mu - np.float32(_RATE) * velocity
    return mu


def _clamped(mu: Singles, rows: int) -> Singles:
    epsilon = min(_EPSILON, 1 / 10 ** np.ceil(np.log10(max(rows, 1))))
    return np.clip(mu, np.float32(epsilon), np.float32(1 - epsilon))


def _aligned(mu: Singles, prior: Floats) -> Singles:
    """Of the solutions that differ by swapping classes of one prior, take the most trusting one."""
    k = len(prior)
    trust = mu.reshape(-1, k, k).sum(axis=0) * prior
    order = np.arange(k)
    rounded = np.around(prior.astype(np.float32), 3)
    for share in np.unique(rounded):
        group = np.flatnonzero(rounded == share)
        order[group] = group[best_assignment(trust[np.ix_(group, group)])]
    return mu[:, order]


def best_assignment(gain: NDArray[np.floating]) -> NDArray[np.intp]:
    """Give each row of a square matrix its own column so that the sum of gains is greatest.

    The Hungarian method by shortest augmenting paths (Jonker and Volgenant 1987), O(k^3).

    >>> best_assignment(np.array([[1.0, 9.0], [2.0, 8.0]])).tolist()
    [1, 0]
    """
    cost = -np.asarray(gain, dtype=np.float64)
    k = len(cost)
    row_of = np.full(k + 1, -1)
    u, v = np.zeros(k), np.zeros(k + 1)
    for row in range(k):
        row_of[k] = row
        back, done = np.full(k, k), np.zeros(k + 1, dtype=bool)
        reach, column = np.full(k, np.inf), k
        while row_of[column] >= 0:
            done[column] = True
            i = row_of[column]
            open_ = np.flatnonzero(~done[:k])
            slack = cost[i, open_] - u[i] - v[open_]
            nearer = slack < reach[open_]
            reach[open_[nearer]], back[open_[nearer]] = slack[nearer], column
            nearest = open_[reach[open_].argmin()]
            step = reach[nearest]
            u[row_of[done]] += step
            v[done] -= step
            reach[open_] -= step
            column = int(nearest)
        while column != k:
            row_of[column] = row_of[back[column]]
            column = int(back[column])
    out = np.empty(k, dtype=np.intp)
    out[row_of[:k]] = np.arange(k)
    return out
