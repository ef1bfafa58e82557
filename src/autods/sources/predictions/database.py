"""The door to a table of predictions: what has changed since, and what is so now."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from autods.errors import UsageError
from autods.settings import shown_url, without_password
from autods.settings.databases import Login, completed, is_postgres
from autods.sources.predictions.answers import Asked
from autods.sources.predictions.postgres import PostgresTable
from autods.sources.predictions.prediction import Mark, Prediction, utc
from autods.sources.predictions.sqlite import SqliteTable

MANY = 1000
"""Ids a question asks for."""

_HERE = Login("", 5432, None, None, None, "it in the URL")


class Predictions(AbstractContextManager["Predictions"]):
    """A table `TABLE` or `SCHEMA.TABLE`, in PostgreSQL or in a SQLite file; we never write there.

    `url` is kept as it may be shown. A question takes one short transaction, over before its
    answer is given: while the caller works we hold no lock and no snapshot. On PostgreSQL it ends
    after `statement_timeout` seconds at the latest, and waits one for a lock.

    Questions raise UnreachableError where the database does not answer just now,
    BarredSourceError where the table, a column or the right to read it is missing, and SourceError
    where it took too long. Raises SourceError at once if there is no such file.
    """

    def __init__(
        self,
        url: str,
        table: str = "user_styles",
        *,
        statement_timeout: float = 30.0,
        page: int = 2000,
    ) -> None:
        if page < 1 or statement_timeout <= 0:
            raise UsageError(
                f"page={page}, statement_timeout={statement_timeout}: both must be more than 0"
            )
        self.unreadable: dict[str, str] = {}
        """Rows that were met and are left out, by id, and why."""
        full = _full(url)
        self.url = shown_url(without_password(full))
        asked = Asked(self.url, table, page, statement_timeout, self.unreadable)
        self._table = (PostgresTable if is_postgres(full) else SqliteTable)(full, asked)

    def changed(
        self, after: dt.datetime | Mark, until: dt.datetime | None = None
    ) -> Iterator[list[Prediction]]:
        """Yield pages of the rows updated since, in the order of (updated_at, id).

        From a time on that time itself is in, after a Mark its row is not; `until` is out. A time
        without a zone is UTC. A row that is updated meanwhile may come twice. Where the connection
        was lost, call it again with the `mark` of the last row.
        """
        start = Mark(utc(after.updated_at), after.id) if isinstance(after, Mark) else utc(after)
        return self._table.changed(start, None if until is None else utc(until))

    def now(self, ids: Sequence[str]) -> dict[str, Prediction]:
        """Give rows as they are now, by id; an id without a row is not among them.

        Nor is one whose row cannot be read: it stands in `unreadable`.
        """
        distinct = list(dict.fromkeys(ids))
        chunks = (distinct[at : at + MANY] for at in range(0, len(distinct), MANY))
        return {row.id: row for chunk in chunks for row in self._table.now(chunk)}

    def close(self) -> None:
        """Give the connections back."""
        self._table.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _full(url: str) -> str:
    """Give a URL that SQLAlchemy takes, a password that nobody encoded included."""
    if is_postgres(url):
        try:
            return completed(url, _HERE)
        except ValueError as error:
            raise UsageError(f"not a database URL: {shown_url(url)}: {error}") from error
    if "://" in url and not url.startswith("sqlite:///"):
        raise UsageError(
            f"no predictions can be read from {shown_url(url)} "
            "(valid: postgresql://USER@HOST:PORT/NAME, sqlite:///FILE, or a path)"
        )
    return url
