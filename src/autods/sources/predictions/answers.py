"""What a database of predictions complains of: who must do what, in one clear sentence."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from autods.catalog.answers import may_pass
from autods.errors import BarredSourceError, SourceError, UnreachableError

_INDEX = "an index on (updated_at, id)"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is read, how much of it at a time, and the rows that could not be read."""

    url: str
    table: str
    page: int
    statement_timeout: float
    unreadable: dict[str, str]

    @property
    def place(self) -> str:
        """The table and where it is, for a sentence."""
        return f"table {self.table} in {self.url}"

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the database's errors into ours."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            said = (str(error.orig).strip() or "no reason").splitlines()[0]
            raise self._ours(error, str(getattr(error.orig, "sqlstate", None) or ""), said) from (
                error
            )

    def _ours(self, error: sa.exc.DBAPIError, state: str, said: str) -> Exception:
        if state == "57014" and "user request" not in said:
            return SourceError(
                f"{self.place} did not answer within {self.statement_timeout:g} s: "
                f"it needs {_INDEX}, or a longer `statement_timeout`"
            )
        if state == "55P03":
            return SourceError(
                f"{self.place} is locked by somebody else, and we wait no longer than a second: "
                "try again when that is over"
            )
        if error.connection_invalidated or state == "57014" or may_pass(error):
            return UnreachableError(f"the database {self.url} does not answer: {said}")
        return self._barred(state, said)

    def _barred(self, state: str, said: str) -> Exception:
        if state == "42501":
            why = f"may not be read: {said}; GRANT SELECT (and USAGE on its schema) to its user"
            return BarredSourceError(f"{self.place} {why}")
        if state in {"42P01", "42703", "3F000"}:
            return BarredSourceError(f"{self.place} is not as it was: {said}")
        if "authentication" in said or "no password" in said:
            return BarredSourceError(
                f"the database {self.url} lets nobody in: {said}; set DB_USER and DB_PASSWORD"
            )
        if "does not exist" in said and not state:
            return BarredSourceError(f"the database {self.url} is not there: {said}")
        return SourceError(f"{self.place} cannot be read: {said}")
