from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autods.errors import UsageError
from autods.export.sidecar import MAX_COLUMNS, Sidecar, json_scalars


def joined(folder: Path, *shards: list[dict[str, Any]]) -> pa.Table:
    sidecar = Sidecar(folder)
    for rows in shards:
        for row in rows:
            sidecar.add(row)
        sidecar.flush()
    sidecar.finish(folder / "data.parquet")
    assert [path.name for path in folder.iterdir()] == ["data.parquet"]
    return pq.read_table(folder / "data.parquet")


def test_a_column_takes_the_type_of_its_values(tmp_path: Path) -> None:
    table = joined(tmp_path, [{"a": 1, "b": "x", "c": True, "d": 1.5, "e": None}])
    types = [pa.int64(), pa.string(), pa.bool_(), pa.float64(), pa.null()]
    assert table.schema.types == types


def test_columns_that_come_late_or_stay_away_are_null_there(tmp_path: Path) -> None:
    table = joined(tmp_path, [{"a": 1}, {"b": 2}], [{"c": 3}], [{"a": None, "c": None}])
    assert table.to_pydict() == {
        "a": [1, None, None, None],
        "b": [None, 2, None, None],
        "c": [None, None, 3, None],
    }
    assert pq.ParquetFile(tmp_path / "data.parquet").num_row_groups == 3


def test_types_that_disagree_meet_in_a_wider_one(tmp_path: Path) -> None:
    table = joined(
        tmp_path,
        [{"number": 1, "mixed": 1, "inside": 1}],
        [{"number": 1.5, "mixed": "x", "inside": True}, {"inside": "x\ud800"}],
    )
    assert table.to_pydict() == {
        "number": [1.0, 1.5, None],
        "mixed": ["1", "x", None],
        "inside": ["1", "true", "x?"],
    }


def test_a_number_too_large_for_a_column_is_text(tmp_path: Path) -> None:
    assert joined(tmp_path, [{"a": 2**70}, {"a": 1}])["a"].to_pylist() == [str(2**70), "1"]


def test_fields_that_are_data_do_not_all_become_columns(tmp_path: Path) -> None:
    rows = [{"key": i, f"field {i}": i} for i in range(MAX_COLUMNS + 50)]
    assert joined(tmp_path, rows).num_columns == MAX_COLUMNS


def test_only_scalars_of_an_object_are_taken() -> None:
    assert json_scalars("k", b'{"a": 1, "b": [1], "c": {"d": 1}, "e": null}') == {"a": 1, "e": None}
    assert json_scalars("k", b"[1, 2]") == {}
    for data in (b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(UsageError, match="'k': its json component is not JSON"):
            json_scalars("k", data)
