"""Making the schema, bringing an older one forward, and refusing one from the future."""

from pathlib import Path

import sqlalchemy as sa

from autods.catalog import (  # noqa: F401 - the others join the last
    candidate_tables,
    crawl_tables,
    tables,
)
from autods.catalog.views import create_views, drop_views
from autods.errors import PlaceError

SCHEMA = "0004"
"""The newest migration this code knows; a test holds it against `migrations/`."""

NAMESPACE = "autods"
"""The schema, in PostgreSQL's sense, that all of ours lies in."""

OLDEST_POSTGRES = 150000


def migrate(engine: sa.Engine, url: str) -> None:
    """Bring a database to today's schema, whatever it holds; one process at a time does.

    Raises PlaceError if it is newer than this code, or a server too old.
    """
    with engine.connect() as db:
        _check_server(db, url)
        found = found_schema(db)
    if found == SCHEMA:
        return
    if found is not None and found > SCHEMA:
        raise PlaceError(
            f"the catalog {url} has schema {found}, this autods knows {SCHEMA}: "
            "install a newer autods"
        )
    with engine.execution_options(write=True).begin() as db:
        _alone(db)
        found = found_schema(db)  # Asked again: another process may have been quicker.
        if found is None:
            create(db)
        elif found < SCHEMA:
            upgrade(db)


def found_schema(db: sa.Connection) -> str | None:
    """Tell which schema a database has, None if it has none yet."""
    if not db.dialect.has_table(db, "alembic_version", schema=_namespace(db)):
        return None
    found = db.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def create(db: sa.Connection) -> None:
    """Make a new schema in one step, without alembic's half second; a test holds both equal."""
    ours = [table for table in tables.metadata.sorted_tables if table is not tables.embeddings]
    tables.metadata.create_all(db, tables=ours, checkfirst=False)
    db.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
    db.execute(sa.text("INSERT INTO alembic_version VALUES (:head)"), {"head": SCHEMA})
    _derive(db)


def upgrade(db: sa.Connection) -> None:
    """Run the migrations this database has not seen, in the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    if found_schema(db) not in {None, "0001"}:
        drop_views(db)  # They would hold their columns fast.
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = db
    config.attributes["namespace"] = _namespace(db)
    command.upgrade(config, "head")
    _derive(db)


def ensure_embeddings(db: sa.Connection) -> bool:
    """Make the table of embeddings if the database can hold one; tells whether it is there."""
    if db.dialect.has_table(db, "embeddings", schema=_namespace(db)):
        return True
    if db.dialect.name == "postgresql" and not _has_pgvector(db):
        return False
    tables.embeddings.create(db, checkfirst=False)
    if db.dialect.name == "postgresql":
        index = "ON embeddings USING hnsw (vector vector_cosine_ops)"
        db.execute(sa.text(f"CREATE INDEX ix_embeddings_vector {index}"))
    return True


def _derive(db: sa.Connection) -> None:
    """Make what follows from the tables."""
    create_views(db, embeddings=ensure_embeddings(db))


def _has_pgvector(db: sa.Connection) -> bool:
    """Switch the extension on where the server has it and we may; without it, no embeddings."""
    query = "SELECT installed_version FROM pg_available_extensions WHERE name = 'vector'"
    row = db.execute(sa.text(query)).one_or_none()
    if row is None or row.installed_version:
        return row is not None
    try:
        with db.begin_nested():
            db.execute(sa.text("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public"))
    except sa.exc.DBAPIError:
        return False
    return True


def _namespace(db: sa.Connection) -> str | None:
    return NAMESPACE if db.dialect.name == "postgresql" else None


def _alone(db: sa.Connection) -> None:
    """Let nobody else migrate meanwhile; SQLite's write transaction does so by itself."""
    if db.dialect.name == "postgresql":
        db.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('autods schema'))"))
        db.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {NAMESPACE}"))


def _check_server(db: sa.Connection, url: str) -> None:
    if db.dialect.name != "postgresql":
        return
    row = db.execute(
        sa.text(
            "SELECT current_setting('server_version_num')::int AS number, "
            "current_setting('server_version') AS version, current_setting('server_encoding') AS "
            "encoding"
        )
    ).one()
    if row.number < OLDEST_POSTGRES:
        raise PlaceError(f"{url} is PostgreSQL {row.version}: autods needs 15 or newer")
    if row.encoding != "UTF8":
        message = "make the database anew with ENCODING 'UTF8'"
        raise PlaceError(f"{url} keeps text as {row.encoding}, which cannot hold all: {message}")
