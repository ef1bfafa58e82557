"""The label models as a user meets them, on known truth and on two real sets."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from autods.errors import UsageError
from autods.label import LabelModel, MajorityLabelVoter
from autods.label.models import Method

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "weak"
real = pytest.mark.skipif(
    not DATA.exists() and not os.environ.get("CI"), reason="the real vote matrices are not here"
)
METHODS: tuple[Method, ...] = ("em", "moments", "majority")
every_method = pytest.mark.parametrize("method", METHODS)
matrices = arrays(
    np.int8, st.tuples(st.integers(1, 60), st.integers(3, 8)), elements=st.integers(-1, 2)
)


def votes_and_gold(name: str, part: str) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    rows = json.loads((DATA / name / f"{part}.json").read_text(encoding="utf-8")).values()
    votes = np.array([row["weak_labels"] for row in rows], dtype=np.int8)
    return votes, np.array([row["label"] for row in rows])


def expected(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / name / "EXPECTED.json").read_text())["expected"]
    return found


def percent(right: NDArray[np.bool_]) -> float:
    return round(100 * float(right.mean()), 2)


def f1(said: NDArray[np.int64], gold: NDArray[np.int64]) -> float:
    both = ((said == 1) & (gold == 1)).sum()
    return round(100 * float(2 * both / ((said == 1).sum() + (gold == 1).sum())), 2)


def snorkels_random(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Snorkel's tie-break: by a hash of the row's place (snorkel.utils.probs_to_preds)."""
    said = []
    for i, row in enumerate(shares):
        tied = np.flatnonzero(row > row.max() - 1e-5)
        said.append(tied[int(hashlib.sha1(str(i).encode()).hexdigest(), 16) % len(tied)])
    return np.array(said)


def test_the_example_of_the_seed_runs_as_it_stands() -> None:
    L = np.array([[1, 1, -1], [0, 0, 0], [1, -1, 1], [0, 0, -1]])  # noqa: N806
    label_model = LabelModel(cardinality=2)
    label_model.fit(L, n_epochs=100)
    prob_labels = label_model.predict_proba(L)
    assert prob_labels.shape == (4, 2)
    assert prob_labels.argmax(axis=1).tolist() == [1, 0, 1, 0]


@real
@pytest.mark.parametrize("name", ["youtube", "sms"])
def test_the_majority_vote_scores_as_expected_on_real_sets(name: str) -> None:
    votes, gold = votes_and_gold(name, "test")
    figures = expected(name)
    voter = MajorityLabelVoter()
    shares = voter.predict_proba(votes)
    at_random = snorkels_random(shares)
    assert percent(at_random == gold) == figures["MV_snorkel_tiebreak"]["acc"]
    assert f1(at_random, gold) == figures["MV_snorkel_tiebreak"]["f1"]
    first = voter.predict(votes, tie_policy="first")
    assert percent(first == gold) == figures["MV_argmax_tiebreak"]["acc"]
    assert f1(first, gold) == figures["MV_argmax_tiebreak"]["f1"]
    fractions = shares[np.arange(len(gold)), gold].mean()
    assert round(100 * float(fractions), 2) == figures["MV_fractional_tie_acc"]
    sure = voter.predict(votes)
    assert (sure < 0).sum() == figures["ties_in_test"]
    assert (sure >= 0).sum() == figures["MV_untied_rows"]
    assert percent((sure == gold)[sure >= 0]) == figures["MV_untied_acc"]


@real
def test_the_default_model_is_on_average_no_worse_than_the_majority_on_real_sets() -> None:
    ours, majority, fractions = [], [], []
    for name in ("youtube", "sms"):
        train, _ = votes_and_gold(name, "train")
        votes, gold = votes_and_gold(name, "test")
        said = LabelModel().fit(train).predict(votes, tie_policy="first")
        ours.append(percent(said == gold))
        majority.append(expected(name)["MV_argmax_tiebreak"]["acc"])
        fractions.append(expected(name)["MV_fractional_tie_acc"])
    assert np.mean(ours) >= np.mean(majority) + 1
    assert np.mean(ours) >= np.mean(fractions) + 5


@real
def test_the_default_model_is_on_average_no_worse_with_ties_broken_at_random() -> None:
    """Accuracy on youtube and F1 on sms, as the sets are scored; over 20 draws of the ties."""
    scores: dict[str, list[float]] = {"em": [], "majority": []}
    for name in ("youtube", "sms"):
        train, _ = votes_and_gold(name, "train")
        votes, gold = votes_and_gold(name, "test")
        keys = [str(row) for row in range(len(gold))]
        for method, scored in scores.items():
            for seed in range(20):
                model = LabelModel(2, method, seed=seed).fit(train)  # type: ignore[arg-type]
                said = model.predict(votes, "random", keys)
                scored.append(percent(said == gold) if name == "youtube" else f1(said, gold))
    assert np.mean(scores["em"]) >= np.mean(scores["majority"])


@real
@pytest.mark.parametrize("name", ["youtube", "sms"])
def test_the_default_model_does_not_collapse_where_dawid_and_skene_do(name: str) -> None:
    train, truth = votes_and_gold(name, "train")
    covered = (train >= 0).any(axis=1)
    said = LabelModel().fit(train).predict(train, tie_policy="first")
    majority = MajorityLabelVoter().predict(train, tie_policy="first")
    assert percent((said == truth)[covered]) > 80
    assert percent((said == truth)[covered]) > percent((majority == truth)[covered]) - 2.5


@every_method
@settings(max_examples=30)
@given(votes=matrices, data=st.data())
def test_the_order_of_rows_does_not_matter(
    method: Method, votes: NDArray[np.int8], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(votes))))
    shares = LabelModel(3, method).fit(votes).predict_proba(votes)
    moved = LabelModel(3, method).fit(votes[order]).predict_proba(votes[order])
    assert np.array_equal(shares[order], moved)


@every_method
@settings(max_examples=30)
@given(votes=matrices)
def test_probabilities_are_probabilities(method: Method, votes: NDArray[np.int8]) -> None:
    shares = LabelModel(3, method).fit(votes).predict_proba(votes)
    assert shares.shape == (len(votes), 3)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert np.allclose(shares.sum(axis=1), 1)


@given(votes=matrices)
def test_the_majority_voter_gives_each_leading_class_its_part(votes: NDArray[np.int8]) -> None:
    counts = (votes[:, :, None] == np.arange(3)).sum(axis=1)
    leading = counts == counts.max(axis=1, keepdims=True)
    shares = MajorityLabelVoter(3).fit(votes).predict_proba(votes)
    assert np.array_equal(shares, leading / leading.sum(axis=1, keepdims=True))


@every_method
def test_rows_without_votes_get_the_prior_and_no_label(method: Method) -> None:
    votes = np.array([[0, 0, -1], [1, 1, 1], [-1, -1, -1], [0, 0, 0]])
    model = LabelModel(2, method).fit(votes, class_balance=[0.75, 0.25])
    assert model.predict_proba(votes)[2].tolist() == [0.75, 0.25]
    assert model.predict(votes)[2] == -1
    assert model.predict(votes, tie_policy="first")[2] == 0


@every_method
def test_no_rows_and_a_single_row_are_fine(method: Method) -> None:
    model = LabelModel(2, method).fit(np.zeros((0, 3), dtype=int))
    assert model.predict_proba(np.zeros((0, 3), dtype=int)).shape == (0, 2)
    assert model.predict(np.zeros((0, 3), dtype=int)).shape == (0,)
    assert model.fit([[1, 1, -1]]).predict([[1, 1, -1]]).tolist() == [1]


def test_known_truth_is_recovered_better_than_by_majority() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 5000)
    columns = []
    for accuracy in (0.95, 0.9, 0.5, 0.45, 0.4, 0.4):
        said = np.where(rng.random(5000) < accuracy, truth, rng.integers(0, 4, 5000))
        columns.append(np.where(rng.random(5000) < 0.6, said, -1))
    votes = np.stack(columns, axis=1)
    scores = {
        method: (LabelModel(4, method).fit(votes).predict(votes, "first") == truth).mean()
        for method in METHODS
    }
    assert scores["em"] > scores["majority"] + 0.02
    assert scores["moments"] > scores["majority"]


def test_random_ties_follow_the_seed_and_the_key() -> None:
    votes = np.array([[0, 1], [1, 0], [-1, -1]] * 50)
    keys = [str(i) for i in range(150)]
    one = MajorityLabelVoter(seed=1).predict(votes, "random", keys)
    assert np.array_equal(one, MajorityLabelVoter(seed=1).predict(votes, "random", keys))
    assert not np.array_equal(one, MajorityLabelVoter(seed=2).predict(votes, "random", keys))
    assert 40 < one.sum() < 110


def test_wrong_use_names_what_is_valid() -> None:
    unknown: Any = "snorkle"
    with pytest.raises(UsageError, match=r"'snorkle'.*'em', 'moments', 'majority'"):
        LabelModel(method=unknown)
    with pytest.raises(UsageError, match=r"cardinality is 1; .* 2\.\."):
        LabelModel(cardinality=1)
    with pytest.raises(UsageError, match=r"call fit\(L\) first"):
        LabelModel().predict([[0, 1]])
    with pytest.raises(UsageError, match="votes of 2 functions; this model was fitted on 3"):
        LabelModel().fit([[0, 1, 1]]).predict([[0, 1]])
    with pytest.raises(UsageError, match=r"a vote is 2; votes must lie in -1\.\.1"):
        LabelModel().fit([[0, 2, 1]])
    with pytest.raises(UsageError, match="n_epochs is 0"):
        LabelModel().fit([[0, 1, 1]], n_epochs=0)


@pytest.mark.parametrize("balance", [[1.0], [0.5, 0.6], [1.0, 0.0], [1.5, -0.5]])
def test_a_balance_that_is_none_is_refused(balance: list[float]) -> None:
    with pytest.raises(UsageError, match="2 shares above 0 that add up to 1"):
        LabelModel().fit([[0, 1, 1]], class_balance=balance)
