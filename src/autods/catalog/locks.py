"""Names that one process holds at a time; a lock goes with its process, however that ends."""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol

import sqlalchemy as sa

from autods.errors import PlaceError

POLL = 0.25


class Locks(Protocol):
    """What can hold names."""

    def take(self, name: str) -> Callable[[], None] | None:
        """Take a name and give what lets go of it; None if another holds it."""
        ...


@contextlib.contextmanager
def hold(locks: Locks, name: str, waiting: Callable[[], None] | None) -> Iterator[None]:
    """Hold a name; where another holds it, call `waiting` once and wait, or refuse if it is None.

    Raises PlaceError.
    """
    release = locks.take(name)
    if release is None and waiting is None:
        raise PlaceError(f"another process is at work on {name!r}: wait for it")
    if release is None and waiting is not None:
        waiting()
    while release is None:
        time.sleep(POLL)
        release = locks.take(name)
    try:
        yield
    finally:
        release()


class FileLocks:
    """Locks beside a SQLite file, as the operating system keeps them."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def take(self, name: str) -> Callable[[], None] | None:
        """Take a name and give what lets go of it; None if another holds it."""
        path = self._database.with_name(f"{self._database.name}.{name}.lock")
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        if not _is_still(path, file):  # Its holder removed it between our two calls.
            file.close()
            return self.take(name)
        return lambda: _let_go(path, file)


def _is_still(path: Path, file: IO[str]) -> bool:
    import os

    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _let_go(path: Path, file: IO[str]) -> None:
    path.unlink(missing_ok=True)
    file.close()


class AdvisoryLocks:
    """PostgreSQL's advisory locks, each held by a connection of its own."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    def take(self, name: str) -> Callable[[], None] | None:
        """Take a name and give what lets go of it; None if another holds it."""
        db = self._engine.connect()
        try:
            # A machine that loses its power says no goodbye: the server has to notice.
            for setting, seconds in (("idle", 30), ("interval", 10), ("count", 3)):
                db.execute(sa.text(f"SET tcp_keepalives_{setting} = {seconds}"))
            if db.scalar(_said("pg_try_advisory_lock", name)):
                return lambda: _end(db, name)
        except BaseException:
            db.invalidate()
            db.close()
            raise
        db.close()
        return None


def _said(function: str, name: str) -> sa.TextClause:
    call = sa.text(f"SELECT {function}(hashtextextended(:name, 0))")
    return call.bindparams(name=f"autods {name}")


def _end(db: sa.Connection, name: str) -> None:
    """Let go of a name; if the connection is lost already, so is the lock."""
    with contextlib.suppress(sa.exc.DBAPIError):
        db.execute(_said("pg_advisory_unlock", name))
    db.close()
