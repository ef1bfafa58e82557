"""A table of predictions in a SQLite file, where times are text of several forms."""

import datetime as dt
import heapq
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from autods.errors import BarredSourceError
from autods.sources.predictions.answers import Asked
from autods.sources.predictions.prediction import COLUMNS, Mark, Prediction
from autods.sources.predictions.table import (
    Row,
    after_row,
    checked_columns,
    in_order,
    named,
    readable,
)

_DAY = dt.timedelta(days=1)
"""No zone is as far from UTC: by so much a text's date may differ from the day it means."""

_DATED = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"

_NEVER = dt.datetime.max  # noqa: DTZ901 - UTC, as all of them

Key = tuple[dt.datetime, int, str]
Waiting = tuple[Key, int, Prediction]


class SqliteTable:
    """The table; it is looked at with the first question.

    Text is in the order of time but for a day (zones, `T` or a blank), so rows are read in the
    order of the text and wait in a heap until none can come that goes before them: about two days
    of them. An index on (updated_at, id) serves here, too.
    """

    def __init__(self, url: str, asked: Asked) -> None:
        path = Path(url.removeprefix("sqlite:///")).absolute()
        if not path.is_file():
            raise BarredSourceError(f"no database {path}: it is no file")
        self._asked = asked
        file, query = f"file:{quote(str(path))}", {"mode": "ro", "uri": "true"}
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=file, query=query),
            connect_args={"timeout": 10.0},
            hide_parameters=True,
        )
        sa.event.listen(self._engine, "connect", _tune)

    def changed(
        self, after: dt.datetime | Mark, until: dt.datetime | None
    ) -> Iterator[list[Prediction]]:
        """Yield pages in the order of time; what no time can be read from is noted."""
        self._note_undated()
        first, last = self._bound(after), until or _NEVER
        ready: list[Prediction] = []
        for rows in self._settled(_date(first[0], -1), _date(last, 2)):
            ready += (row for row in rows if self._key(row) > first and row.updated_at < last)
            while len(ready) >= self._asked.page:
                yield ready[: self._asked.page]
                ready = ready[self._asked.page :]
        if ready:
            yield ready

    def now(self, ids: Sequence[str]) -> list[Prediction]:
        """Read the rows with these ids."""
        query = sa.select(*self._table.c).where(self._table.c.id.in_(ids))
        return list(readable(self._rows(query), self._asked.unreadable))

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _settled(self, first: str, last: str) -> Iterator[list[Prediction]]:
        """Yield rows in the order of time, as soon as no later text can mean an earlier time."""
        waiting: list[Waiting] = []
        met = count()
        for rows in self._pages(first, last):
            for row in readable(rows, self._asked.unreadable):
                heapq.heappush(waiting, (self._key(row), next(met), row))
            yield _before(waiting, _reached(rows[-1]["updated_at"]))
        yield _before(waiting, _NEVER)

    def _pages(self, first: str, last: str) -> Iterator[list[Row]]:
        """Yield rows in the order of their text, each page a question of its own."""
        table, size = self._table, self._asked.page
        bounds = table.c.updated_at < last, table.c.id.is_not(None)
        where = table.c.updated_at >= first
        while rows := self._rows(in_order(table, table.c, size, where, *bounds)):
            yield rows
            if len(rows) < size:
                return
            where = after_row(table, rows[-1]["updated_at"], rows[-1]["id"])

    def _rows(self, query: "sa.Select[Any]") -> list[Row]:
        with self._asked.errors(), self._engine.connect() as db:
            return [dict(row) for row in db.execute(query).mappings()]

    def _note_undated(self) -> None:
        """Note the rows that no range of times finds; it takes a look at the whole table."""
        table = self._table
        undated = sa.or_(
            table.c.updated_at.is_(None),
            table.c.updated_at.op("NOT GLOB")(_DATED),
            table.c.id.is_(None),
        )
        list(readable(self._rows(sa.select(*table.c).where(undated)), self._asked.unreadable))

    def _bound(self, after: dt.datetime | Mark) -> Key:
        """Give the key that all rows wanted lie behind."""
        if isinstance(after, Mark):
            return after.updated_at, *self._rank(after.id)
        return after, -(2**63) - 1, ""

    def _key(self, row: Prediction) -> Key:
        return row.updated_at, *self._rank(row.id)

    def _rank(self, key: str) -> tuple[int, str]:
        """Put ids in order: as numbers where they are, else as text."""
        with suppress(ValueError):
            return (int(key), "") if self._has_numbers else (0, key)
        return 0, key

    @cached_property
    def _columns(self) -> dict[str, str]:
        """The declared type of each column."""
        schema, _, table = self._asked.table.rpartition(".")
        names = {"table": table, "schema": schema or "main"}
        with self._asked.errors(), self._engine.connect() as db:
            asked = sa.text("SELECT name, type FROM pragma_table_info(:table, :schema)")
            columns: dict[str, str] = dict(db.execute(asked, names).all())
            tables = () if columns else db.scalars(sa.text(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
            )).all()  # fmt: skip
        checked_columns(self._asked, columns, tables)
        return columns

    @cached_property
    def _has_numbers(self) -> bool:
        return "INT" in self._columns["id"].upper()

    @cached_property
    def _table(self) -> sa.TableClause:
        self._columns  # noqa: B018 - it raises where some are missing
        return named(self._asked.table, dict.fromkeys(COLUMNS))


def _before(waiting: list[Waiting], time: dt.datetime) -> list[Prediction]:
    rows = []
    while waiting and waiting[0][0][0] <= time:
        rows.append(heapq.heappop(waiting)[2])
    return rows


def _reached(text: Any) -> dt.datetime:
    """Tell up to which time all is read when rows have come up to this text."""
    date = dt.date.fromisoformat(text[:10]) if _is_date(text) else dt.date.min
    start = dt.datetime.combine(max(date, dt.date(1, 1, 3)), dt.time())
    return start - _DAY - dt.timedelta(microseconds=1)


def _is_date(text: Any) -> bool:
    if not isinstance(text, str) or not re.match(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        return False
    with suppress(ValueError):
        dt.date.fromisoformat(text[:10])
        return True
    return False


def _date(time: dt.datetime, days: int) -> str:
    """Give the date some days from a time, within the calendar, as text that sorts before it."""
    day = min(max(time.toordinal() + days, 1), dt.date.max.toordinal())
    return dt.date.fromordinal(day).isoformat()


def _tune(connection: Any, _record: Any) -> None:
    """Write nothing, and take text that is no UTF-8: a photo's name may be anything."""
    connection.execute("PRAGMA query_only=ON")
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
