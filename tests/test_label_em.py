"""EM: it finds the truth where the truth is known, and bears every odd shape of votes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from autods.label.em import fit
from autods.label.models import MajorityLabelVoter
from autods.label.votes import Votes, check_votes


def votes_of(truth: NDArray[np.int64], accuracies: list[float], coverage: float) -> Votes:
    """Functions of known accuracy that vote every class, independent given the truth."""
    rng = np.random.default_rng(1)
    k = int(truth.max()) + 1
    columns = []
    for accuracy in accuracies:
        wrong = (truth + rng.integers(1, k, len(truth))) % k
        said = np.where(rng.random(len(truth)) < accuracy, truth, wrong)
        columns.append(np.where(rng.random(len(truth)) < coverage, said, -1))
    return check_votes(np.stack(columns, axis=1), k)


def one_class_votes(truth: NDArray[np.int64], hits: list[float], misses: list[float]) -> Votes:
    """Functions that only ever vote class j % k: often where it is true, rarely elsewhere."""
    rng = np.random.default_rng(2)
    k = int(truth.max()) + 1
    columns = []
    for j, (hit, miss) in enumerate(zip(hits, misses, strict=True)):
        votes = rng.random(len(truth)) < np.where(truth == j % k, hit, miss)
        columns.append(np.where(votes, j % k, -1))
    return check_votes(np.stack(columns, axis=1), k)


def test_it_learns_whom_to_believe() -> None:
    truth = np.random.default_rng(0).integers(0, 3, 4000)
    accuracies = [0.9, 0.5, 0.5, 0.5, 0.9]
    votes = votes_of(truth, accuracies, coverage=0.8)
    table = np.exp(fit(votes, 3).table)
    spoken = 1 - table[:, 0].mean(axis=1)
    learned = np.array([np.trace(t[1:]) / 3 for t in table]) / spoken
    assert np.abs(learned - accuracies).max() < 0.06


@pytest.mark.parametrize("k", [2, 3, 15])
def test_it_beats_the_majority_on_functions_of_unequal_accuracy(k: int) -> None:
    truth = np.random.default_rng(0).integers(0, k, 3000)
    votes = votes_of(truth, [0.9, 0.85, 0.5, 0.5, 0.45, 0.45, 0.4], coverage=0.7)
    ours = fit(votes, k).predict_proba(votes).argmax(axis=1) == truth
    majority = MajorityLabelVoter(k).predict(votes, tie_policy="first") == truth
    assert ours.mean() > majority.mean() + 0.02


def test_it_does_not_collapse_on_functions_of_one_class_and_rare_classes() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 4000, p=[0.7, 0.2, 0.1])
    votes = one_class_votes(truth, [0.5, 0.5, 0.5] * 3, [0.05, 0.05, 0.05] * 3)
    model = fit(votes, 3)
    covered = (votes >= 0).any(axis=1)
    ours = model.predict_proba(votes).argmax(axis=1) == truth
    keys = [str(i) for i in range(len(votes))]
    majority = MajorityLabelVoter(3).predict(votes, "random", keys) == truth
    assert ours[covered].mean() > majority[covered].mean() + 0.02
    shares = np.bincount(truth[covered], minlength=3) / covered.sum()
    assert np.abs(model.prior - shares).max() < 0.05


def test_a_silent_function_speaks_against_its_class() -> None:
    truth = np.random.default_rng(0).integers(0, 2, 2000)
    votes = one_class_votes(truth, [0.95, 0.6], [0.02, 0.1])
    both, only_second = fit(votes, 2).predict_proba(np.array([[0, 1], [-1, 1]], dtype=np.int8))
    assert only_second[1] > both[1]
    assert only_second[1] > 0.9


@given(
    arrays(np.int8, st.tuples(st.integers(0, 40), st.integers(1, 6)), elements=st.integers(-1, 3))
)
def test_any_votes_give_finite_probabilities_that_sum_to_one(votes: NDArray[np.int8]) -> None:
    shares = fit(votes, 4).predict_proba(votes)
    assert np.isfinite(shares).all()
    assert np.allclose(shares.sum(axis=1), 1)


def test_a_class_that_nobody_votes_is_never_the_answer() -> None:
    truth = np.random.default_rng(0).integers(0, 2, 500)
    votes = votes_of(truth, [0.8, 0.8, 0.8], coverage=0.9)
    said = fit(votes, 5).predict_proba(votes).argmax(axis=1)
    assert said.max() == 1
    assert (said == truth).mean() > 0.8


def test_no_rows_and_silence_leave_the_classes_alike() -> None:
    none = fit(np.zeros((0, 3), dtype=np.int8), 4)
    assert np.allclose(none.prior, 0.25)
    unseen = none.predict_proba(np.array([[0, 1, 2], [-1, -1, -1]], dtype=np.int8))
    assert np.allclose(unseen, 0.25)
    silent = fit(np.full((9, 3), -1, dtype=np.int8), 4)
    assert np.allclose(silent.prior, 0.25)


def test_one_function_is_followed() -> None:
    votes = check_votes([[0]] * 30 + [[1]] * 20 + [[-1]] * 5, 2)
    shares = fit(votes, 2).predict_proba(votes)
    assert (shares[:50].argmax(axis=1) == votes[:50, 0]).all()


def test_the_balance_given_is_the_balance_used() -> None:
    votes = check_votes([[0, 1], [1, 1], [0, 0], [-1, -1]], 2)
    model = fit(votes, 2, np.array([0.9, 0.1]))
    assert model.prior.tolist() == [0.9, 0.1]
    assert model.predict_proba(votes)[3].tolist() == [0.9, 0.1]


def test_150_functions_do_not_overflow() -> None:
    truth = np.random.default_rng(0).integers(0, 2, 400)
    votes = votes_of(truth, [0.7] * 150, coverage=0.9)
    shares = fit(votes, 2).predict_proba(votes)
    assert (shares.argmax(axis=1) == truth).mean() > 0.99


def test_above_127_classes_nothing_wraps_around() -> None:
    truth = np.arange(900) % 300
    votes = votes_of(truth, [0.9, 0.9, 0.9], coverage=1.0)
    shares = fit(votes, 300).predict_proba(votes)
    assert (shares.argmax(axis=1) == truth).mean() > 0.9
