"""Many rows at once: COPY into PostgreSQL, and columns out of either database."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    import pyarrow as pa

PAGE = 16_384
"""Rows in memory as Python values while a query is read."""


def load(db: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the keys of the first, in the caller's transaction."""
    if not rows:
        return
    if db.dialect.name == "postgresql":
        _copy(db, table, rows)
    else:
        db.execute(sa.insert(table), rows)


def _copy(db: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    names = list(rows[0])
    write = [_writer(table.c[name].type) for name in names]
    columns = ", ".join(f'"{name}"' for name in names)
    statement = f'COPY "{table.name}" ({columns}) FROM STDIN'
    connection: Any = db.connection.driver_connection
    with (
        _as_sqlalchemy_says(db, statement),
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for row in rows:
            copy.write_row([w(row[n]) if w else row[n] for w, n in zip(write, names, strict=True)])


@contextlib.contextmanager
def _as_sqlalchemy_says(db: sa.Connection, statement: str) -> Iterator[None]:
    """Raise what the driver raises under SQLAlchemy's names, as every other statement does."""
    dialect = db.dialect
    base = dialect.loaded_dbapi.Error
    try:
        yield
    except base as error:
        lost = dialect.is_disconnect(error, db.connection.dbapi_connection, None)
        if lost:
            db.invalidate(error)
        raise sa.exc.DBAPIError.instance(
            statement, None, error, base, connection_invalidated=lost, dialect=dialect
        ) from error


def _writer(kind: Any) -> Callable[[Any], Any] | None:
    return json.dumps if isinstance(kind, sa.JSON) else None


def to_arrow(db: sa.Connection, query: "sa.Select[Any]", schema: "pa.Schema") -> "pa.Table":
    """Read a query as columns, a page of rows at a time; values are taken as the schema says."""
    import pyarrow as pa

    result = db.execution_options(stream_results=True).execute(query)
    pages = []
    for rows in result.partitions(PAGE):
        columns = zip(*rows, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        pages.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return pa.Table.from_batches(pages, schema)
