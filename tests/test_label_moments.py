"""The moment match gives Snorkel's probabilities; the numbers here were made by Snorkel 0.10.0."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from autods.errors import UsageError
from autods.label.moments import best_assignment, fit

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "weak"
real = pytest.mark.skipif(
    not DATA.exists() and not os.environ.get("CI"), reason="the real vote matrices are not here"
)

VOTES = np.array(
    [
        [0, 0, -1, 0],
        [1, 1, 1, -1],
        [2, -1, 2, 2],
        [2, 0, 2, -1],
        [-1, 1, 0, 1],
        [0, 0, 1, 0],
        [2, 2, 2, 2],
        [-1, -1, -1, -1],
    ],
    dtype=np.int8,
)
# What Snorkel makes of VOTES with seed=3.
UNIFORM = [
    [9.9991452e-01, 5.4248165e-05, 3.1234603e-05],
    [1.1249817e-03, 9.9886810e-01, 6.9173448e-06],
    [2.6327476e-04, 5.9884306e-06, 9.9973074e-01],
    [7.9309773e-02, 1.7592695e-05, 9.2067263e-01],
    [6.6994505e-06, 9.9997921e-01, 1.4094073e-05],
    [9.9993941e-01, 5.9828659e-05, 7.6026633e-07],
    [1.6603517e-05, 1.5715831e-07, 9.9998324e-01],
    [3.3333333e-01, 3.3333333e-01, 3.3333333e-01],
]
# The same with class_balance=[0.5, 0.3, 0.2] and n_epochs=300.
BALANCED = [
    [9.9999023e-01, 1.7659775e-06, 8.0078661e-06],
    [4.8719882e-03, 9.9512342e-01, 4.5920439e-06],
    [1.0769239e-02, 8.1268995e-05, 9.8914949e-01],
    [6.4010178e-01, 5.2879738e-05, 3.5984534e-01],
    [1.8522141e-05, 9.9997741e-01, 4.0656656e-06],
    [9.9999770e-01, 2.0756798e-06, 2.2546310e-07],
    [1.6516178e-03, 1.7063343e-06, 9.9834668e-01],
    [5.0000000e-01, 3.0000000e-01, 2.0000000e-01],
]
# fit(train, seed=0), then predict_proba(test)[:6, 1], and the sum of its squares over all rows
REAL = {
    "youtube": ([0.85532296, 0.12835901, 0.989897, 0.30384468, 0.24550109, 0.16494986], 84.8549298),
    "sms": ([0.5, 0.5, 0.5, 0.5, 0.29203988, 0.5], 104.4953591),
}


def votes_of(name: str, part: str) -> NDArray[np.int8]:
    rows = json.loads((DATA / name / f"{part}.json").read_text(encoding="utf-8")).values()
    return np.array([row["weak_labels"] for row in rows], dtype=np.int8)


def test_small_votes_give_snorkels_probabilities() -> None:
    assert np.allclose(fit(VOTES, 3, seed=3).predict_proba(VOTES), UNIFORM, atol=1e-6, rtol=0)


def test_a_class_balance_and_more_steps_still_give_snorkels_probabilities() -> None:
    model = fit(VOTES, 3, np.array([0.5, 0.3, 0.2]), n_epochs=300, seed=3)
    assert np.allclose(model.predict_proba(VOTES), BALANCED, atol=1e-5, rtol=0)


@real
@pytest.mark.parametrize("name", REAL)
def test_real_votes_give_snorkels_probabilities(name: str) -> None:
    first, squares = REAL[name]
    shares = fit(votes_of(name, "train"), 2).predict_proba(votes_of(name, "test"))[:, 1]
    assert np.allclose(shares[:6], first, atol=1e-6, rtol=0)
    assert (shares**2).sum() == pytest.approx(squares, abs=1e-4)


@given(arrays(np.float64, st.integers(1, 5).map(lambda k: (k, k)), elements=st.integers(-5, 5)))
def test_the_assignment_found_is_as_good_as_any(gain: NDArray[np.float64]) -> None:
    k = len(gain)
    found = best_assignment(gain)
    assert sorted(found.tolist()) == list(range(k))
    every = (gain[np.arange(k), list(order)].sum() for order in itertools.permutations(range(k)))
    assert gain[np.arange(k), found].sum() == max(every)


def test_two_functions_are_too_few() -> None:
    with pytest.raises(UsageError, match="at least 3 functions and got 2"):
        fit(VOTES[:, :2], 3)


def test_a_descent_that_runs_away_says_what_to_use_instead() -> None:
    votes = np.tile(np.array([[0], [1]], dtype=np.int8), (50, 200))
    with pytest.raises(UsageError, match="method 'em' does not"):
        fit(votes, 2)


def test_no_rows_leave_the_classes_alike() -> None:
    shares = fit(np.zeros((0, 3), dtype=np.int8), 3).predict_proba(VOTES[:, :3])
    assert np.allclose(shares, 1 / 3)
