"""Label models: from the votes of labeling functions to the probability of each class.

    majority   the class with most votes; knows nothing of the functions
    em         expectation-maximisation, the default (see `em`)
    moments    Snorkel's LabelModel, to the sixth digit (see `moments`)

None of them needs a gold label; all take the functions as independent given the class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autods.errors import UsageError
from autods.label import em, moments
from autods.label.ties import TiePolicy, decide
from autods.label.votes import Floats, Grid, Votes, check_cardinality, check_votes, count_evidence

Method = Literal["em", "moments", "majority"]


class Fitted(Protocol):
    """What every method's fit gives: votes (n, m) in, probabilities (n, k) out."""

    def predict_proba(self, votes: Votes) -> Floats: ...  # noqa: D102


@dataclass(frozen=True, slots=True, eq=False)
class _Majority:
    """Classes with most votes share a row's probability; a row without votes gets the prior."""

    prior: Floats

    def predict_proba(self, votes: Votes) -> Floats:
        k = len(self.prior)
        grid = Grid(functions=votes.shape[1], cardinality=k)
        tables = grid.tables(count_evidence(grid.functions, k))
        out = np.empty((len(votes), k))
        for part in grid.chunks(len(votes)):
            scores = grid.score(tables, grid.codes(votes[part]))
            top = scores == scores.max(axis=0)
            out[part] = (top / top.sum(axis=0)).T
        out[~(votes >= 0).any(axis=1)] = self.prior
        return out


class MajorityLabelVoter:
    """The class with most votes; classes that tie share the row's probability.

    `predict_proba` equals Snorkel's `MajorityLabelVoter`; nothing has to be fitted. Where no
    function votes all classes are alike.

    >>> voter = MajorityLabelVoter()
    >>> voter.predict_proba([[0, 0, -1], [-1, 0, 1]]).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    >>> voter.predict([[0, 0, -1], [-1, 0, 1]]).tolist()
    [0, -1]
    """

    def __init__(self, cardinality: int = 2, seed: int = 0) -> None:
        self.cardinality = check_cardinality(cardinality)
        self.seed = seed

    def fit(self, L: ArrayLike) -> "MajorityLabelVoter":  # noqa: N803
        """Check the votes; there is nothing to learn."""
        check_votes(L, self.cardinality)
        return self

    def predict_proba(self, L: ArrayLike) -> Floats:  # noqa: N803
        """Give (n, k) probabilities for votes (n, m)."""
        votes = check_votes(L, self.cardinality)
        return _Majority(_uniform(self.cardinality)).predict_proba(votes)

    def predict(
        self,
        L: ArrayLike,  # noqa: N803
        tie_policy: TiePolicy = "abstain",
        keys: Sequence[str] | None = None,
    ) -> NDArray[np.int64]:
        """Give (n,) labels for votes (n, m); see `ties.decide` for the policies and `keys`."""
        votes = check_votes(L, self.cardinality)
        shares = self.predict_proba(votes)
        return decide(shares, votes, policy=tie_policy, seed=self.seed, keys=keys)


class LabelModel:
    """Weigh labeling functions by how they agree, without any gold label, and join their votes.

    The same votes give the same probabilities, whatever the order of the rows. `seed` breaks ties
    under tie_policy="random" and draws the start of `moments`; nothing else is random.

    >>> L = np.array([[0, 0, -1], [1, 1, 1], [-1, 0, 0], [-1, -1, -1]])
    >>> model = LabelModel(cardinality=2).fit(L)
    >>> model.predict(L).tolist()
    [0, 1, 0, -1]
    >>> model.predict_proba(L).shape
    (4, 2)
    """

    def __init__(self, cardinality: int = 2, method: Method = "em", seed: int = 0) -> None:
        if method not in get_args(Method):
            raise UsageError(f"method is {method!r}; it must be one of {get_args(Method)}")
        self.cardinality = check_cardinality(cardinality)
        self.method = method
        self.seed = seed
        self._functions = 0
        self._fitted: Fitted | None = None

    def fit(
        self,
        L: ArrayLike,  # noqa: N803
        n_epochs: int = 100,
        class_balance: Sequence[float] | None = None,
    ) -> "LabelModel":
        """Learn from votes (n, m) in -1..cardinality-1.

        `class_balance` is the share of each class; None has `em` estimate it from the rows that
        some function votes on, and the others take all classes as alike (as Snorkel does).
        `n_epochs` counts the descent steps of `moments` and is of no account to the others: `em`
        always stops after its five rounds. Raises UsageError for votes or shares that cannot be.
        """
        votes = check_votes(L, self.cardinality)
        balance = None if class_balance is None else self._checked(class_balance)
        if n_epochs < 1:
            raise UsageError(f"n_epochs is {n_epochs}; it must be at least 1")
        self._fitted = self._fit(votes, n_epochs, balance)
        self._functions = votes.shape[1]
        return self

    def _fit(self, votes: Votes, n_epochs: int, balance: Floats | None) -> Fitted:
        if self.method == "em":
            return em.fit(votes, self.cardinality, balance)
        if self.method == "moments":
            return moments.fit(votes, self.cardinality, balance, n_epochs, self.seed)
        return _Majority(_uniform(self.cardinality) if balance is None else balance)

    def predict_proba(self, L: ArrayLike) -> Floats:  # noqa: N803
        """Give (n, k) probabilities for votes (n, m); a row without any vote gets the prior."""
        return self._proba(check_votes(L, self.cardinality))

    def predict(
        self,
        L: ArrayLike,  # noqa: N803
        tie_policy: TiePolicy = "abstain",
        keys: Sequence[str] | None = None,
    ) -> NDArray[np.int64]:
        """Give (n,) labels for votes (n, m); see `ties.decide` for the policies and `keys`."""
        votes = check_votes(L, self.cardinality)
        return decide(self._proba(votes), votes, policy=tie_policy, seed=self.seed, keys=keys)

    def _proba(self, votes: Votes) -> Floats:
        if self._fitted is None:
            raise UsageError("this LabelModel has not been fitted; call fit(L) first")
        if votes.shape[1] != self._functions:
            raise UsageError(
                f"votes of {votes.shape[1]} functions; this model was fitted on {self._functions}"
            )
        return self._fitted.predict_proba(votes)

    def _checked(self, shares: Sequence[float]) -> Floats:
        balance = np.asarray(shares, dtype=np.float64)
        whole = balance.shape == (self.cardinality,) and abs(balance.sum() - 1) < 1e-3
        if not whole or not bool((balance > 0).all()):
            raise UsageError(
                f"class_balance is {shares!r}; it must hold {self.cardinality} shares above 0 that"
                " add up to 1"
            )
        exact: Floats = balance / balance.sum()
        return exact


def _uniform(cardinality: int) -> Floats:
    return np.full(cardinality, 1 / cardinality)
