"""Many rows at once: COPY into PostgreSQL, and columns out of either database."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
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
    if not db.in_transaction():
        db.begin()  # The driver would begin one that a commit of SQLAlchemy's does not know of.
    names = list(rows[0])
    columns = ", ".join(f'"{name}"' for name in names)
    if db.dialect.name == "postgresql":
        statement, write = f'COPY "{table.name}" ({columns}) FROM STDIN', _copy
    else:
        marks = ", ".join("?" * len(names))
        statement, write = f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})', _insert  # noqa: S608
    with _as_sqlalchemy_says(db, statement):
        write(db.connection.driver_connection, statement, _values(db.dialect, table, rows))


def _copy(connection: Any, statement: str, values: Iterator[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in values:
            copy.write_row(row)


def _insert(connection: Any, statement: str, values: Iterator[tuple[Any, ...]]) -> None:
    """Hand rows to the driver as it asks for them: SQLAlchemy would make a list of them all."""
    connection.executemany(statement, values)


def _values(
    dialect: sa.Dialect, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[Any, ...]]:
    """Turn rows into what the driver takes, column by column of a page."""
    names = list(rows[0])
    kinds = [table.c[name].type.dialect_impl(dialect) for name in names]
    write = [kind.bind_processor(dialect) for kind in kinds]
    for start in range(0, len(rows), PAGE):
        page = rows[start : start + PAGE]
        columns = [[row[name] for row in page] for name in names]
        written = [map(w, c) if w else c for w, c in zip(write, columns, strict=True)]
        yield from zip(*written, strict=True)


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
