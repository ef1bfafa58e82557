"""Applying labeling functions: one matrix of votes, faults counted, wrong votes refused."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from autods.errors import UsageError
from autods.label import ABSTAIN, Fault, apply_functions, labeling_function

CLASSES = ["thing", "animal"]
ROWS = [{"caption": "a dog", "size": 3}, {"caption": "a car", "size": 9}]


@labeling_function()
def lf_dog(row: Any) -> str | None:
    return "animal" if "dog" in row.caption else None


@labeling_function()
def lf_big(row: Any) -> int:
    return 0 if row["size"] > 5 else ABSTAIN


@labeling_function(vectorized=True)
def lf_dog_columns(columns: Any) -> Any:
    return np.where(np.strings.find(columns["caption"], "dog") >= 0, 1, ABSTAIN)


def answers(value: Any, classes: Any = 2, vectorized: bool = False) -> Any:
    function = labeling_function("lf_fixed", vectorized=vectorized)(lambda row: value)
    return apply_functions([function], [{"a": 1}], classes=classes).L.tolist()


def test_names_indices_and_abstentions_become_a_matrix() -> None:
    result = apply_functions([lf_dog, lf_big, lf_dog_columns], ROWS, classes=CLASSES)
    assert result.L.tolist() == [[1, -1, 1], [-1, 0, -1]]
    assert result.L.dtype == np.int8
    assert result.names == ("lf_dog", "lf_big", "lf_dog_columns")
    assert result.cardinality == 2
    assert result.faults == ()


def test_rows_may_be_objects_a_stream_columns_or_a_data_frame() -> None:
    import pandas as pd

    expected = apply_functions([lf_dog, lf_big], ROWS, classes=CLASSES).L
    columns = {"caption": ["a dog", "a car"], "size": [3, 9]}

    def stream() -> Iterator[dict[str, Any]]:
        yield from ROWS

    kinds: list[Any] = [stream(), [SimpleNamespace(**row) for row in ROWS], columns]
    for rows in (*kinds, pd.DataFrame(columns)):
        assert np.array_equal(apply_functions([lf_dog, lf_big], rows, classes=CLASSES).L, expected)
    mixed = apply_functions([lf_dog_columns, lf_big], stream(), classes=CLASSES).L
    assert np.array_equal(mixed, expected)


def test_no_rows_give_an_empty_matrix_of_the_right_width() -> None:
    kinds: list[Any] = [[], {}, {"caption": [], "size": []}]
    for rows in kinds:
        assert apply_functions([lf_dog, lf_dog_columns], rows, classes=2).L.shape == (0, 2)


def test_many_rows_keep_their_order() -> None:
    @labeling_function()
    def lf_parity(row: Any) -> int:
        return int(row.i % 2)

    rows = ({"i": i} for i in range(20_000))
    votes = apply_functions([lf_parity], rows, classes=2).L[:, 0]
    assert np.array_equal(votes, np.arange(20_000) % 2)


def test_a_fault_abstains_and_is_counted_with_its_first_message() -> None:
    @labeling_function()
    def lf_faulty(row: Any) -> int:
        return 1 if row.caption.startswith("a") else int(row.missing)

    rows = [{"caption": "a"}, {"caption": "b"}, {"caption": None}, {"caption": "a"}]
    result = apply_functions([lf_dog, lf_faulty], rows, classes=CLASSES)
    assert result.L[:, 1].tolist() == [1, -1, -1, 1]
    dog, faulty = result.faults
    assert (dog.function, dog.count, dog.row) == ("lf_dog", 1, 2)
    assert faulty == Fault(
        function="lf_faulty",
        count=2,
        row=1,
        message="AttributeError: the row has no 'missing'; it has 'caption'",
    )


def test_a_fault_of_a_vectorized_function_costs_it_all_rows() -> None:
    result = apply_functions([lf_dog_columns], [{"text": "a"}] * 3, classes=2)
    assert result.L.tolist() == [[-1]] * 3
    assert (result.faults[0].count, result.faults[0].message) == (3, "KeyError: 'caption'")


def test_every_way_to_say_a_vote_is_understood() -> None:
    assert answers(None) == answers(-1) == answers(ABSTAIN) == [[-1]]
    assert answers(1) == answers(np.int64(1)) == answers(True) == answers("b", ["a", "b"]) == [[1]]
    assert answers(np.array([1]), vectorized=True) == answers([1], vectorized=True) == [[1]]
    assert answers(["b"], ["a", "b"], vectorized=True) == [[1]]
    assert answers(np.array(["b"]), ["a", "b"], vectorized=True) == [[1]]
    assert answers(np.array([True]), vectorized=True) == [[1]]


@pytest.mark.parametrize(
    ("value", "classes", "complaint"),
    [
        (2, 2, r"'lf_fixed' voted 2; a vote is 0\.\.1, or ABSTAIN \(-1\) or None"),
        (-2, 2, "voted -2"),
        (0.5, 2, "voted 0.5"),
        ("dog", ["a", "b"], r"voted 'dog'; a vote is 0\.\.1, one of \['a', 'b'\]"),
        ("a", 2, "voted 'a'"),
        ([1], 2, r"voted \[1\]"),
    ],
)
def test_a_vote_that_cannot_be_names_function_value_and_choices(
    value: Any, classes: Any, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        answers(value, classes)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (np.array([5]), r"voted 5"),
        (np.array([0, 1]), r"shape \(2,\); they must be \(1,\)"),
        (np.array([[0]]), r"shape \(1, 1\); they must be \(1,\)"),
        (np.array(["x"]), r"voted 'x'"),
        (3, r"voted 3"),
    ],
)
def test_a_vectorized_answer_that_cannot_be_is_refused(value: Any, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        answers(value, vectorized=True)


def test_above_127_classes_votes_are_wider() -> None:
    function = labeling_function("last")(lambda row: 299)
    votes = apply_functions([function], [{}], classes=300).L
    assert (votes.dtype, votes.tolist()) == (np.dtype(np.int16), [[299]])


def test_functions_and_classes_are_checked_before_anything_runs() -> None:
    bare: Any = lambda row: 1  # noqa: E731
    with pytest.raises(UsageError, match="no labeling function to apply"):
        apply_functions([], ROWS, classes=2)
    with pytest.raises(UsageError, match="several labeling functions are named 'lf_dog'"):
        apply_functions([lf_dog, lf_dog], ROWS, classes=2)
    with pytest.raises(UsageError, match="is no labeling function"):
        apply_functions([bare], ROWS, classes=2)
    with pytest.raises(UsageError, match="holds a name twice"):
        apply_functions([lf_dog], ROWS, classes=["a", "a"])
    with pytest.raises(UsageError, match=r"cardinality is 1; it must lie in 2\.\."):
        apply_functions([lf_dog], ROWS, classes=["a"])
    with pytest.raises(UsageError, match="a row is 'a dog'"):
        apply_functions([lf_dog], ["a dog"], classes=2)
