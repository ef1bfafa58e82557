"""Names that one process holds at a time; a lock goes with its process, however that ends."""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import sqlalchemy as sa

from autods.errors import PlaceError, UnreachableError

POLL = 0.25


class Held(Protocol):
    """A name that is held."""

    def check(self) -> None:
        """See that it is held still; raises what the database raises of a lost connection."""
        ...

    def release(self) -> None:
        """Let go of it."""
        ...


class Locks(Protocol):
    """What can hold names."""

    def take(self, name: str) -> Held | None:
        """Take a name; None if another holds it."""
        ...


@contextlib.contextmanager
def hold(locks: Locks, name: str, waiting: Callable[[], None] | None) -> Iterator[Held]:
    """Hold a name; where another holds it, call `waiting` once and wait, or refuse if it is None.

    Raises PlaceError.
    """
    held = locks.take(name)
    if held is None and waiting is None:
        raise PlaceError(f"another process is at work on {name!r}: wait for it")
    if held is None and waiting is not None:
        waiting()
    while held is None:
        time.sleep(POLL)
        held = locks.take(name)
    try:
        yield held
    finally:
        held.release()


class FileLocks:
    """Locks beside a SQLite file, as the operating system keeps them."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def take(self, name: str) -> Held | None:
        """Take a name; None if another holds it."""
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
        return _HeldFile(path, file)


def _is_still(path: Path, file: IO[str]) -> bool:
    import os

    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class _HeldFile:
    path: Path
    file: IO[str]

    def check(self) -> None:
        """Find it held: the system takes a lock from nobody."""

    def release(self) -> None:
        """Let go of it."""
        self.path.unlink(missing_ok=True)
        self.file.close()


class AdvisoryLocks:
    """PostgreSQL's advisory locks, each held by a connection of its own."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    def take(self, name: str) -> Held | None:
        """Take a name; None if another holds it."""
        db = self._engine.connect()
        try:
            # A machine that loses its power says no goodbye: the server has to notice.
            for setting, seconds in (("idle", 30), ("interval", 10), ("count", 3)):
                db.execute(sa.text(f"SET tcp_keepalives_{setting} = {seconds}"))
            db.execute(sa.text("SET idle_session_timeout = 0"))  # Holding is not idling.
            if db.scalar(_said("pg_try_advisory_lock", name)):
                return _HeldSession(db, name)
        except BaseException:
            db.invalidate()
            db.close()
            raise
        db.close()
        return None


def _said(function: str, name: str) -> sa.TextClause:
    call = sa.text(f"SELECT {function}(hashtextextended(:name, 0))")
    return call.bindparams(name=f"autods {name}")


@dataclass(frozen=True)
class _HeldSession:
    db: sa.Connection
    name: str

    def check(self) -> None:
        """See that the session lives: the lock goes with it."""
        try:
            self.db.execute(sa.text("SELECT 1"))
        except sa.exc.PendingRollbackError as error:  # It was found to be cut before.
            raise UnreachableError(f"the lock {self.name!r} went with its connection") from error

    def release(self) -> None:
        """Let go of it; if the connection is lost already, so is the lock."""
        with contextlib.suppress(sa.exc.DBAPIError, sa.exc.PendingRollbackError):
            self.db.execute(_said("pg_advisory_unlock", self.name))
        self.db.close()
