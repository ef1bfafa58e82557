"""Rows and columns: one thing seen from two sides, and never the caller's own data."""

import sqlite3
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from autods.errors import UsageError
from autods.label.rows import Row, as_column, as_columns, as_row, columns_of, rows_of


@dataclass(frozen=True, slots=True)
class Asset:
    caption: str


@pytest.mark.parametrize(
    "item", [{"caption": "a dog"}, SimpleNamespace(caption="a dog"), Asset("a dog")]
)
def test_a_row_answers_by_attribute_and_by_key(item: Any) -> None:
    row = as_row(item)
    assert row.caption == row["caption"] == "a dog"
    assert as_row(row) is row


def test_a_database_row_is_a_row() -> None:
    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    row = as_row(db.execute("select 'a dog' as caption, 3 as size").fetchone())
    db.close()
    assert (row.caption, row["size"]) == ("a dog", 3)


def test_a_missing_name_is_told_with_those_there_are() -> None:
    row = Row({"caption": "a dog", "size": 3})
    with pytest.raises(AttributeError, match="no 'captoin'; it has 'caption', 'size'"):
        _ = row.captoin
    with pytest.raises(KeyError, match="no 'captoin'"):
        _ = row["captoin"]
    assert row.get("captoin", "none") == "none"
    assert "caption" in row
    assert len(row) == 2


def test_writing_to_a_row_leaves_the_data_alone() -> None:
    data = {"caption": "a dog"}
    row: Any = as_row(data)
    row.words = 2
    assert row["words"] == 2
    assert data == {"caption": "a dog"}


@pytest.mark.parametrize("bare", ["a dog", 3, None, [1], b""])
def test_a_bare_value_is_no_row(bare: Any) -> None:
    with pytest.raises(UsageError, match="must be a mapping or an object with attributes"):
        as_row(bare)


def test_columns_hold_what_numpy_can_search() -> None:
    assert as_column(["a dog", "a cat"]).dtype.kind == "U"
    assert as_column(["a", "b" * 1000, *[""] * 9]).dtype == np.dtypes.StringDType()
    assert as_column([1, 2]).dtype.kind == "i"
    assert as_column([1, 2.5]).dtype.kind == "f"
    assert as_column([True, False]).dtype.kind == "b"
    assert as_column(["a", None]).tolist() == ["a", None]
    assert as_column([]).shape == (0,)
    assert as_column([[1, 2], [3, 4]]).shape == (2,)
    ready = np.array([1, 2])
    assert as_column(ready) is ready


def test_rows_and_columns_are_the_same_data() -> None:
    rows = [{"caption": "a dog", "size": 3}, {"caption": "a cat" * 50, "size": 4}]
    columns = columns_of(rows)
    assert [dict(row) for row in rows_of(columns)] == rows
    assert columns_of([]) == {}


def test_a_data_frame_is_columns() -> None:
    import pandas as pd

    frame = pd.DataFrame({"caption": ["a dog", "a cat"], "size": [3, 4]})
    columns = as_columns(frame)
    assert columns["caption"].tolist() == ["a dog", "a cat"]
    assert columns["size"].dtype.kind == "i"


def test_uneven_data_is_refused() -> None:
    with pytest.raises(UsageError, match="differ in length"):
        as_columns({"a": [1], "b": [1, 2]})
    with pytest.raises(UsageError, match="do not all have"):
        columns_of([{"a": 1}, {"b": 1}])
    with pytest.raises(UsageError, match="rows that are mappings, or columns"):
        columns_of([Asset("a dog")])
