"""The parquet table beside shards: where each sample lies, and what its json says of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autods.errors import UsageError
from autods.export.encode import utf8
from autods.export.place import replacing

if TYPE_CHECKING:
    import pyarrow as pa

MAX_COLUMNS = 256
"""Fields beyond are left out: json whose keys are data would make a column of every one."""


class Sidecar:
    """Gathers rows shard by shard in `folder` and joins them to one parquet file at the end.

    No schema is asked for: a column holds whole numbers, floats, truth values or text, as its
    values do, and text where they disagree; the first `MAX_COLUMNS` are kept. One shard's rows are
    in memory at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pieces: list[Path] = []
        self._types: dict[str, pa.DataType] = {}
        self._columns: dict[str, list[Any]] = {}
        self._names: set[str] = set()
        self._rows = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row; columns it lacks are null, columns new with it are null before."""
        for name, value in row.items():
            if name not in self._columns:
                if len(self._names | {name}) > MAX_COLUMNS:
                    continue
                self._names.add(name)
                self._columns[name] = [None] * self._rows
            self._columns[name].append(value)
        self._rows += 1
        for column in self._columns.values():
            if len(column) < self._rows:
                column.append(None)

    def flush(self) -> None:
        """Set the rows gathered so far aside as one piece, the later row group."""
        import pyarrow as pa

        table = pa.table({name: _array(values) for name, values in self._columns.items()})
        for field in table.schema:
            self._types[field.name] = _wider(self._types.get(field.name, pa.null()), field.type)
        piece = self._folder / f"rows-{len(self._pieces):06d}.arrow"
        with pa.ipc.new_stream(piece, table.schema) as file:
            file.write_table(table)
        self._pieces.append(piece)
        self._columns, self._rows = {}, 0

    def finish(self, path: Path) -> None:
        """Write all pieces to `path`; the first row decides the order of the columns."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema(list(self._types.items()))
        with (
            replacing(path) as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd") as file,
        ):
            for piece in self._pieces:
                with pa.ipc.open_stream(piece) as rows:
                    file.write_table(_fitted(rows.read_all(), schema))
                piece.unlink()


def json_scalars(key: str, data: bytes) -> dict[str, Any]:
    """Return the scalar fields of a json component; `UsageError` if it is not JSON.

    >>> json_scalars("0001", b'{"label": "cat", "box": [1, 2]}')
    {'label': 'cat'}
    """
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"sample {key!r}: its json component is not JSON: {error}") from error
    if not isinstance(fields, dict):
        return {}
    return {name: value for name, value in fields.items() if not isinstance(value, dict | list)}


def _array(values: Sequence[Any]) -> "pa.Array":
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeError):
        return pa.array([None if value is None else _text(value) for value in values])


def _text(value: Any) -> str:
    return utf8(value if isinstance(value, str) else json.dumps(value)).decode()


def _wider(one: "pa.DataType", other: "pa.DataType") -> "pa.DataType":
    import pyarrow as pa

    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    return pa.float64() if {one, other} == {pa.int64(), pa.float64()} else pa.string()


def _fitted(table: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa

    columns = [
        table[field.name].cast(field.type, safe=False)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
