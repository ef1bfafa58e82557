"""What we know: one database behind one door, migrated on opening, written in transactions."""

import contextlib
import fcntl
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from autods.catalog import tables
from autods.errors import PlaceError, UsageError

SCHEMA = "0001"
"""The newest migration this code knows; a test holds it against `migrations/`."""

__all__ = ["SCHEMA", "Catalog", "tables", "upgrade"]


class Catalog:
    """A database of SQLAlchemy URL `url`; a path means SQLite, made if missing.

    Readers use `read()`, the driver alone writes through `begin()`: one transaction a batch.
    Raises PlaceError if the database cannot be opened or is newer than this code.
    """

    def __init__(self, url: str) -> None:
        self.url = url if "://" in url else f"sqlite:///{Path(url).absolute()}"
        try:
            self._engine = sa.create_engine(self.url)
        except sa.exc.ArgumentError as error:
            raise UsageError(f"not a database URL: {url!r} (try sqlite:///FILE)") from error
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _tune_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        self._migrate()

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open one transaction: all of it is kept, or none."""
        with _places_errors(self.url), self._engine.execution_options(write=True).begin() as db:
            yield db

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a connection for reading."""
        with _places_errors(self.url), self._engine.connect() as db:
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

    def dataset_id(self, name: str) -> int:
        """Give the id of a dataset, making its row at the first call."""
        with self.begin() as db:
            row = {"name": name, "created_at": tables.now()}
            self.insert_new(db, tables.datasets, [row])
            query = sa.select(tables.datasets.c.id).where(tables.datasets.c.name == name)
            return int(db.scalar(query) or 0)

    def find_dataset(self, name: str) -> int:
        """Give the id of a dataset; raises UsageError that names those there are."""
        with self.read() as db:
            known = {row.name: row.id for row in db.execute(sa.select(tables.datasets))}
        if name not in known:
            there = ", ".join(sorted(known)) or "none yet"
            raise UsageError(f"no dataset {name!r} in {self.url} (there: {there})")
        return int(known[name])

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a name for oneself: global operators of one dataset run one at a time.

        Raises PlaceError if another process holds it. The lock goes with its process.
        """
        if not self.url.startswith("sqlite:///"):
            yield
            return
        path = Path(self.url.removeprefix("sqlite:///") + f".{name}.lock")
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PlaceError(f"another process is building {name!r}: wait for it") from None
            yield

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _migrate(self) -> None:
        with _places_errors(self.url):
            found = self._schema()
            if found == SCHEMA:
                return
            if found is not None and found > SCHEMA:
                raise PlaceError(
                    f"the catalog {self.url} has schema {found}, this autods knows {SCHEMA}: "
                    "install a newer autods"
                )
            create(self._engine) if found is None else upgrade(self._engine)

    def _schema(self) -> str | None:
        with self._engine.connect() as db:
            if not db.dialect.has_table(db, "alembic_version"):
                return None
            found = db.scalar(sa.text("SELECT version_num FROM alembic_version"))
            return None if found is None else str(found)


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


def create(engine: sa.Engine) -> None:
    """Make a new schema in one step, without alembic's half second; a test holds both equal."""
    with engine.execution_options(write=True).begin() as db:
        tables.metadata.create_all(db)
        db.execute(
            sa.text(
                "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) PRIMARY KEY)"
            )
        )
        row = {"head": SCHEMA}
        db.execute(sa.text("INSERT INTO alembic_version VALUES (:head)"), row)


def upgrade(engine: sa.Engine) -> None:
    """Run the migrations this database has not seen, in one transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.execution_options(write=True).begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, "head")


def _tune_sqlite(connection: Any, _record: Any) -> None:
    """WAL lets readers go on beside the writer; NORMAL still survives a kill at any moment."""
    connection.isolation_level = None  # We say BEGIN ourselves, see below.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=60000",
                   "foreign_keys=ON", "cache_size=-65536", "temp_store=MEMORY"):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at once where we mean to write: a later upgrade could deadlock."""
    write = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextlib.contextmanager
def _places_errors(url: str) -> Iterator[None]:
    """Turn the database being out of reach into one clear sentence."""
    try:
        yield
    except sa.exc.OperationalError as error:
        raise PlaceError(f"the catalog {url} does not answer: {error.orig}") from error
    except sa.exc.DatabaseError as error:
        if isinstance(error, sa.exc.IntegrityError):
            raise
        raise PlaceError(f"the catalog {url} cannot be read: {error.orig}") from error
