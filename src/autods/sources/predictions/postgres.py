"""A table of predictions in PostgreSQL: read-only, a page a transaction, no lock for long."""

import contextlib
import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from autods.errors import BarredSourceError
from autods.sources.predictions.answers import Asked
from autods.sources.predictions.prediction import Mark, Prediction
from autods.sources.predictions.session import open_engine
from autods.sources.predictions.table import (
    Row,
    after_row,
    checked_columns,
    in_order,
    named,
    readable,
)
from autods.storable import printable


class _Blank(sa.types.UserDefinedType[str]):
    """CHAR(n), whose length the server knows: a value is sent as it is, without a type."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Name it as PostgreSQL does."""
        return "bpchar"


_TYPES: dict[str, Any] = {
    "timestamp": sa.TIMESTAMP(timezone=False),
    "timestamptz": sa.TIMESTAMP(timezone=True),
    "uuid": sa.UUID(as_uuid=False),
    "text": sa.Text(),
    "varchar": sa.Text(),
    "bpchar": _Blank(),
    "int2": sa.BigInteger(),
    "int4": sa.BigInteger(),
    "int8": sa.BigInteger(),
}
_TIMES = ("timestamp", "timestamptz")
_IDS = tuple(name for name in _TYPES if name not in _TIMES)

_COLUMNS = sa.text(
    "SELECT a.attname, CASE t.typbasetype WHEN 0 THEN t.typname ELSE b.typname END"
    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
    " LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype"
    " WHERE a.attrelid = to_regclass(:table) AND a.attnum > 0 AND NOT a.attisdropped"
    " ORDER BY a.attnum"
)
_TABLES = sa.text(
    "SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN '' ELSE n.nspname || '.' END"
    " || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
    " ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')"
    " AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1 LIMIT 40"
)

_FIRST, _LAST = dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)  # noqa: DTZ001 - UTC all of it
"""What Python can hold in any zone; PostgreSQL knows infinity, and years before Christ."""


class PostgresTable:
    """The table; it is looked at with the first question."""

    def __init__(self, url: str, asked: Asked) -> None:
        self._asked = asked
        self._engine = open_engine(url, asked)

    def changed(
        self, after: dt.datetime | Mark, until: dt.datetime | None
    ) -> Iterator[list[Prediction]]:
        """Yield pages, the next one asked for by the last row of the one before."""
        where = self._since(after)
        until = min(until or _LAST, _LAST)
        while rows := self._page(where, self._time(until)):
            if page := list(readable(rows, self._asked.unreadable)):
                yield page
            if len(rows) < self._asked.page:
                return
            where = after_row(self._table, rows[-1]["updated_at"], rows[-1]["id"])

    def now(self, ids: Sequence[str]) -> list[Prediction]:
        """Read the rows with these ids."""
        table = self._table
        known = [key for key in map(self._key, ids) if key is not None]
        query = sa.select(*self._read).where(table.c.id.in_(known))
        # When it was updated is of no account here, and may be no time at all.
        rows = [{**row, "updated_at": row["updated_at"] or row["created_at"]}
                for row in self._rows(query)]  # fmt: skip
        return list(readable(rows, self._asked.unreadable))

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _since(self, after: dt.datetime | Mark) -> sa.ColumnElement[bool]:
        """Begin at a time, or after a row: at its time, where no id of this table can be its."""
        time, key = after if isinstance(after, Mark) else (after, None)
        start = self._time(max(time, _FIRST))
        if key is not None and (known := self._key(key)) is not None:
            return after_row(self._table, start, known)
        return self._table.c.updated_at >= start

    def _page(self, where: sa.ColumnElement[bool], until: dt.datetime) -> list[Row]:
        before = self._table.c.updated_at < until
        return self._rows(in_order(self._table, self._read, self._asked.page, where, before))

    def _rows(self, query: "sa.Select[Any]") -> list[Row]:
        """Read an answer through a cursor on the server; the transaction is over on return."""
        streamed = query.execution_options(stream_results=True, yield_per=self._asked.page)
        with self._asked.errors(), self._engine.connect() as db:
            return [dict(row) for row in db.execute(streamed).mappings()]

    @cached_property
    def _types(self) -> dict[str, str]:
        """The type of each column that the table has."""
        quote = self._engine.dialect.identifier_preparer.quote_identifier
        table = ".".join(map(quote, self._asked.table.split(".")))
        with self._asked.errors(), self._engine.connect() as db:
            types: dict[str, str] = dict(db.execute(_COLUMNS, {"table": table}).all())
            tables = () if types else db.scalars(_TABLES).all()
        checked_columns(self._asked, types, tables)
        _want(self._asked, types, _TIMES, "created_at", "updated_at")
        _want(self._asked, types, _IDS, "id")
        return types

    @cached_property
    def _table(self) -> sa.TableClause:
        return named(self._asked.table, {name: _TYPES.get(of) for name, of in self._types.items()})

    @cached_property
    def _read(self) -> list[Any]:
        return [_read(column, self._types) for column in self._table.c]

    def _time(self, time: dt.datetime) -> dt.datetime:
        zoned = self._types["updated_at"] == "timestamptz"
        return time.replace(tzinfo=dt.UTC) if zoned else time

    def _key(self, text: str) -> Any:
        """Give an id as the column has it, or None where it can have no such value."""
        kind = self._types["id"]
        if kind == "uuid":
            return _uuid(text)
        if kind.startswith("int"):
            return int(text) if _is_whole(text) else None
        return text if printable(text) == text else None


def _want(asked: Asked, types: Mapping[str, str], valid: Sequence[str], *columns: str) -> None:
    for column in columns:
        if types[column] not in valid:
            raise BarredSourceError(
                f"{asked.place}: its {column} is {types[column]} (valid: {', '.join(valid)})"
            )


def _read(column: Any, types: Mapping[str, str]) -> Any:
    """Ask for what Python can hold: text without its padding, no time beyond the calendar."""
    kind = types[column.name]
    if kind in {"json", "jsonb", "bpchar"}:
        return sa.cast(column, sa.Text).label(column.name)
    if kind in _TIMES:
        between = column.between(sa.literal(_FIRST, column.type), sa.literal(_LAST, column.type))
        return sa.case((between, column)).label(column.name)
    return column


def _uuid(text: str) -> str | None:
    with contextlib.suppress(ValueError):
        if (known := str(uuid.UUID(text))) == text.lower():
            return known
    return None


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) < 19
