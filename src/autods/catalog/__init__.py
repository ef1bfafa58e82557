"""What we know: one database behind one door, migrated on opening, written in transactions."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from autods.catalog import bulk, tables
from autods.catalog.answers import places_errors
from autods.catalog.locks import AdvisoryLocks, FileLocks, Held, Locks, hold
from autods.catalog.schema import NAMESPACE, SCHEMA, migrate
from autods.errors import PlaceError, UsageError
from autods.settings import shown_url

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SCHEMA", "Catalog", "tables"]


MANY = 1000
"""New rows that are worth a look at the tables."""


class Catalog:
    """A database of SQLAlchemy URL `url`; a path means SQLite, made if missing.

    Readers use `read()`, the driver alone writes through `begin()`: one transaction a batch.
    `url` is kept as it may be shown. Raises PlaceError if the database cannot be opened or is
    newer than this code, UnreachableError if it does not answer.
    """

    def __init__(self, url: str) -> None:
        full = _url(url)
        self.url = shown_url(full.render_as_string(hide_password=False))
        self.is_local = full.get_backend_name() == "sqlite"
        self._engine = _sqlite(full) if self.is_local else _postgres(full)
        self._held: list[Held] = []
        self._locks: Locks = (
            FileLocks(Path(full.database or "")) if self.is_local else AdvisoryLocks(self._engine)
        )
        try:
            with places_errors(self.url):
                migrate(self._engine, self.url)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open one transaction: all of it is kept, or none."""
        with places_errors(self.url), self._engine.execution_options(write=True).begin() as db:
            yield db
            for held in self._held:  # Whoever has lost what it held must not write as if it had it.
                held.check()

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a connection for reading: all that it reads is of one moment."""
        with places_errors(self.url), self._engine.connect() as db:
            yield db if self.is_local else db.execution_options(isolation_level="REPEATABLE READ")

    @contextlib.contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """Open a connection for temporary tables; its transactions are the caller's to end."""
        with places_errors(self.url), self._engine.connect() as db:
            yield db

    def insert_new(
        self, db: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Insert the rows whose unique keys are not there yet; the database decides."""
        if rows:
            db.execute(_insert_new(table, db.dialect.name), rows)

    def replace(
        self, db: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Insert rows, overwriting those with the same primary key."""
        if rows:
            db.execute(_replace(table, db.dialect.name), rows)

    def load(self, db: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows of the same keys, none of which is there yet: by COPY where it can be.

        On PostgreSQL about three times as fast as `INSERT` (`bench/places.py`).
        """
        bulk.load(db, table, rows)

    def arrow(self, query: "sa.Select[Any]", schema: "pa.Schema") -> "pa.Table":
        """Read a query's rows as an Arrow table of that schema, columns in the query's order."""
        with self.read() as db:
            return bulk.to_arrow(db, query, schema)

    def dataset_id(self, name: str) -> int:
        """Give the id of a dataset, making its row at the first call."""
        query = sa.select(tables.datasets.c.id).where(tables.datasets.c.name == name)
        with self.begin() as db:
            found = db.scalar(query)
            if found is None:
                self.insert_new(db, tables.datasets, [{"name": name, "created_at": tables.now()}])
                found = db.scalar(query)
            return int(found or 0)

    def find_dataset(self, name: str) -> int:
        """Give the id of a dataset; raises UsageError that names those there are."""
        with self.read() as db:
            known = {row.name: row.id for row in db.execute(sa.select(tables.datasets))}
        if name not in known:
            there = ", ".join(sorted(known)) or "none yet"
            raise UsageError(f"no dataset {name!r} in {self.url} (there: {there})")
        return int(known[name])

    @contextlib.contextmanager
    def lock(self, name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold a name for oneself: global operators of one dataset run one at a time.

        Where another process holds it, `waiting` is called once and its end waited for; without
        `waiting`, PlaceError is raised. The lock goes with its process, however that ends; where
        its connection is cut, no transaction is kept any more until it is let go of.
        """
        with places_errors(self.url), hold(self._locks, name, waiting) as held:
            self._held.append(held)
            try:
                yield
            finally:
                self._held.remove(held)

    @contextlib.contextmanager
    def sign_of_life(self, name: str) -> Iterator[None]:
        """Hold a name that tells others that we live, and nothing else; its loss is no matter."""
        with places_errors(self.url), hold(self._locks, name, None):
            yield

    def is_held(self, name: str) -> bool:
        """Tell whether a process that lives holds a name."""
        with places_errors(self.url):
            held = self._locks.take(name)
        if held is not None:
            held.release()
        return held is None

    def note_growth(self, rows: int) -> None:
        """Have the database look at its tables after `rows` new ones: its plans are for few.

        PostgreSQL does so by itself, within a minute or so; a build that goes on at once would run
        into nested loops over a million rows. It takes a tenth of a second or so.
        """
        if rows < MANY:
            return
        with self.begin() as db:
            names = "" if self.is_local else " " + ", ".join(
                f"{NAMESPACE}.{t.name}" for t in tables.metadata.sorted_tables
                if t is not tables.embeddings
            )  # fmt: skip
            db.execute(sa.text(f"ANALYZE{names}"))

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


@cache
def _insert_new(table: sa.Table, dialect: str) -> Any:
    return _DIALECTS[dialect].insert(table).on_conflict_do_nothing()


@cache
def _replace(table: sa.Table, dialect: str) -> Any:
    insert = _DIALECTS[dialect].insert(table)
    keys = [column.name for column in table.primary_key]
    fresh = {c.name: insert.excluded[c.name] for c in table.columns if c.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=fresh)


_DIALECTS: dict[str, Any] = {"postgresql": postgresql, "sqlite": sqlite}


def _url(url: str) -> sa.URL:
    if "://" not in url:
        return sa.make_url(f"sqlite:///{Path(url).absolute()}")
    # What other programs call PostgreSQL, too.
    scheme, _, rest = url.partition("://")
    name = "postgresql+psycopg" if scheme in {"postgres", "postgresql"} else scheme
    try:
        found = sa.make_url(f"{name}://{rest}")
    except (sa.exc.ArgumentError, ValueError) as error:
        raise UsageError("not a database URL (try sqlite:///FILE or postgresql://HOST/NAME)") from (
            error
        )
    if found.drivername not in {"sqlite", "postgresql+psycopg"}:
        raise UsageError(
            f"no catalog can be kept in {scheme!r} (valid: sqlite:///FILE, "
            "postgresql://USER@HOST:PORT/NAME, or a path)"
        )
    return found


def _sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _tune_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgres(url: sa.URL) -> sa.Engine:
    """Connect in ten seconds or not at all; a connection that died in the pool is replaced."""
    try:
        engine = sa.create_engine(
            url,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": 10,
                "application_name": "autods",
                "client_encoding": "utf8",
            },
        )
    except ModuleNotFoundError as error:
        needs = "needs psycopg: pip install 'psycopg[binary]'"
        raise PlaceError(f"the catalog {url.render_as_string()} {needs}") from error
    sa.event.listen(engine, "connect", _tune_postgres)
    # What it would print of a lost connection is in the error, too.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    return engine


def _tune_postgres(connection: Any, _record: Any) -> None:
    """Look for tables in our own namespace first; times are UTC on either side."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET search_path TO {NAMESPACE}, public")
        cursor.execute("SET timezone TO 'UTC'")
    connection.commit()


def _tune_sqlite(connection: Any, _record: Any) -> None:
    """WAL lets readers go on beside the writer; NORMAL still survives a kill at any moment."""
    connection.isolation_level = None  # We say BEGIN ourselves, see below.
    for pragma in ("busy_timeout=60000", "journal_mode=WAL", "synchronous=NORMAL",
                   "foreign_keys=ON", "cache_size=-65536", "temp_store=MEMORY"):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at once where we mean to write: a later upgrade could deadlock."""
    write = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
