"""The analysis of votes equals Snorkel's on two real sets and on its own worked example."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autods.errors import UsageError
from autods.label import label_conflict, label_coverage, label_overlap, lf_summary
from autods.label.analysis import lf_accuracies, lf_conflicts, lf_coverages, lf_overlaps

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "weak"
real = pytest.mark.skipif(
    not DATA.exists() and not os.environ.get("CI"), reason="the real vote matrices are not here"
)

# From the docstrings of snorkel.labeling.LFAnalysis.
EXAMPLE = np.array([[-1, 0, 0], [-1, -1, -1], [1, 0, -1], [-1, 0, -1], [0, 0, 0]])


def votes_and_gold(name: str, part: str) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    rows = json.loads((DATA / name / f"{part}.json").read_text(encoding="utf-8")).values()
    votes = np.array([row["weak_labels"] for row in rows], dtype=np.int8)
    return votes, np.array([row["label"] for row in rows])


@real
@pytest.mark.parametrize("part", ["train", "valid", "test"])
@pytest.mark.parametrize("name", ["youtube", "sms"])
def test_real_sets_have_the_expected_statistics(name: str, part: str) -> None:
    expected: dict[str, Any] = json.loads((DATA / name / "EXPECTED.json").read_text())[part]
    votes, gold = votes_and_gold(name, part)
    assert votes.shape == (expected["rows"], expected["lfs"])
    assert label_coverage(votes) == expected["label_coverage"]
    assert label_overlap(votes) == expected["label_overlap"]
    assert label_conflict(votes) == expected["label_conflict"]
    assert lf_coverages(votes).round(6).tolist() == expected["lf_coverages"]
    assert lf_overlaps(votes).round(6).tolist() == expected["lf_overlaps"]
    assert lf_conflicts(votes).round(6).tolist() == expected["lf_conflicts"]
    assert lf_accuracies(votes, gold).round(6).tolist() == expected["lf_emp_acc"]
    assert np.bincount(gold).tolist() == expected["gold"]


def test_snorkels_own_example_comes_out_as_in_its_documentation() -> None:
    assert (label_coverage(EXAMPLE), label_overlap(EXAMPLE)) == (0.8, 0.6)
    assert label_conflict(EXAMPLE) == 0.2
    first, second, third = lf_summary(EXAMPLE, ["a", "b", "c"])
    assert (first.polarity, second.polarity, third.polarity) == ((0, 1), (0,), (0,))
    assert [lf.coverage for lf in (first, second, third)] == [0.4, 0.8, 0.4]
    assert [lf.overlaps for lf in (first, second, third)] == [0.4, 0.6, 0.4]
    assert [lf.conflicts for lf in (first, second, third)] == [0.2, 0.2, 0.0]
    assert first.accuracy is None


def test_rows_without_a_gold_label_do_not_count_towards_accuracy() -> None:
    assert lf_accuracies([[0], [1], [1], [-1]], [0, 0, -1, 1]).tolist() == [0.5]


def test_a_function_that_never_votes_has_no_share_in_anything() -> None:
    silent = lf_summary([[-1, 0], [-1, 1]], gold=[0, 0])[0]
    assert (silent.name, silent.polarity, silent.coverage, silent.accuracy) == ("0", (), 0.0, None)


def test_no_rows_give_zero_and_no_warning() -> None:
    none = np.zeros((0, 2), dtype=np.int8)
    assert (label_coverage(none), label_overlap(none), label_conflict(none)) == (0.0, 0.0, 0.0)
    assert [lf.coverage for lf in lf_summary(none, gold=np.zeros(0))] == [0.0, 0.0]


def test_names_and_gold_labels_must_fit() -> None:
    with pytest.raises(UsageError, match="2 names for 3 functions"):
        lf_summary(EXAMPLE, ["a", "b"])
    with pytest.raises(UsageError, match=r"shape \(2,\); they must be \(5,\)"):
        lf_summary(EXAMPLE, gold=[0, 1])
