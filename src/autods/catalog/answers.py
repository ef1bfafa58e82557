"""What a database's complaints mean: try again, or mend the place; each one clear sentence."""

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa

from autods.errors import PlaceError, UnreachableError

_AGAIN = ("08", "40", "53300", "55P03", "57P0")
"""SQLSTATE classes where trying again may help: connections lost, deadlocks, a server that starts
or stops, too many clients (PostgreSQL's appendix A)."""

_NEVER = (
    "authentication",
    "no password",
    "does not exist",
    "permission",
    "not permitted",
    "pg_hba.conf",
    "SSL",
)
"""What a server says to a connection that will be refused tomorrow, too."""


@contextlib.contextmanager
def places_errors(url: str) -> Iterator[None]:
    """Turn the database being out of reach into one clear sentence; `url` shows no secret.

    Raises UnreachableError where trying again may help, else PlaceError. A broken constraint is
    left as it is: that is a bug of ours, or a race that the database has just decided.
    """
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except sa.exc.DBAPIError as error:
        said = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no reason"
        if error.connection_invalidated or may_pass(error):
            raise UnreachableError(f"the catalog {url} does not answer: {said}") from error
        raise PlaceError(f"the catalog {url} {_complaint(error, said)}") from error


def _complaint(error: sa.exc.DBAPIError, said: str) -> str:
    """Say what a place that answers complains of, and what to do about it."""
    if "authentication" in said or "no password" in said:
        return f"lets nobody in: {said}; set POSTGRES_USER and POSTGRES_PASSWORD"
    if "does not exist" in said and "database" in said:
        return f"is not there: {said}; make it (createdb), or name another"
    known = isinstance(error, sa.exc.OperationalError)
    return f"{'cannot be used' if known else 'cannot be read'}: {said}"


def may_pass(error: sa.exc.DBAPIError) -> bool:
    """Tell whether it may be over in a while."""
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return str(state).startswith(_AGAIN)
    if not isinstance(error, sa.exc.OperationalError):
        return False
    said = str(error.orig)
    if type(error.orig).__module__.startswith("sqlite3"):
        return "locked" in said
    # libpq gives no state for a connection that did not come about, only the server's words.
    return not any(word in said for word in _NEVER)
