"""A table of predictions as both databases ask it: its columns, its pages, its rows by id."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from autods.errors import BarredSourceError
from autods.settings import did_you_mean
from autods.sources.predictions.answers import Asked
from autods.sources.predictions.prediction import COLUMNS, Prediction, prediction_of

Row = Mapping[str, Any]


def named(name: str, types: Mapping[str, Any]) -> sa.TableClause:
    """Give `TABLE` or `SCHEMA.TABLE` with the columns we read; SQLAlchemy quotes what it must."""
    schema, _, table = name.rpartition(".")
    columns = [sa.column(column, types.get(column)) for column in COLUMNS]
    return sa.table(table, *columns, schema=schema or None)


def checked_columns(asked: Asked, columns: Iterable[str], tables: Iterable[str]) -> None:
    """Raise BarredSourceError unless the columns are all there; no column at all is no table."""
    there = list(columns)
    if not there:
        valid = list(tables)[:40]
        hint = did_you_mean(asked.table.rpartition(".")[2], valid) if valid else "it has no tables"
        raise BarredSourceError(f"no table {asked.table} in {asked.url}; {hint}")
    missing = [column for column in COLUMNS if column not in there]
    if missing:
        raise BarredSourceError(
            f"{asked.place} has no column {', '.join(missing)} (there: {', '.join(there)})"
        )


def after_row(table: sa.TableClause, updated_at: Any, key: Any) -> sa.ColumnElement[bool]:
    """Compare with a row in the order of (updated_at, id), as one index does."""
    columns = table.c.updated_at, table.c.id
    values = (
        sa.literal(value, column.type)
        for column, value in zip(columns, (updated_at, key), strict=True)
    )
    return sa.tuple_(*columns) > sa.tuple_(*values)


def in_order(
    table: sa.TableClause, columns: Iterable[Any], limit: int, *where: Any
) -> "sa.Select[Any]":
    """Ask for the first rows, `limit` at most, in the order of (updated_at, id)."""
    order = table.c.updated_at, table.c.id
    return sa.select(*columns).where(*where).order_by(*order).limit(limit)


def readable(rows: Iterable[Row], unreadable: dict[str, str]) -> Iterator[Prediction]:
    """Read rows; those that cannot be are noted by their id."""
    for row in rows:
        try:
            yield prediction_of(row)
        except ValueError as error:
            unreadable[str(row["id"])] = str(error)
