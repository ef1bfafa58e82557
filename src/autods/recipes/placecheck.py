"""What the doctor looks at in a catalog and a store: reach, rights, versions, clocks, room.

Each look gives (well, what was found, what to do where it is not well); one that raises an
AutodsError says so by itself.
"""

import datetime as dt
import uuid
from collections.abc import Iterator

import sqlalchemy as sa

from autods.catalog import SCHEMA, Catalog
from autods.catalog.tables import datasets
from autods.store import Store

Look = tuple[bool, str, str]

SKEW = 60.0
"""Seconds by which clocks may differ; S3 refuses requests that are 15 minutes off."""


def look_at_catalog(catalog: Catalog) -> Iterator[Look]:
    """Look whether the catalog answers, may be written, and what it is."""
    yield True, f"{catalog.url}, schema {SCHEMA}", ""
    with catalog.begin() as db:
        db.execute(sa.text("CREATE TEMPORARY TABLE autods_probe (n INTEGER)"))
        db.execute(sa.text("DROP TABLE autods_probe"))
        row = {"name": "-probe-", "created_at": dt.datetime(2000, 1, 1)}  # noqa: DTZ001
        catalog.insert_new(db, datasets, [row])
        db.rollback()
    yield from _sqlite(catalog) if catalog.is_local else _postgres(catalog)


def _sqlite(catalog: Catalog) -> Iterator[Look]:
    with catalog.read() as db:
        well = db.scalar(sa.text("PRAGMA quick_check")) == "ok"
        version = db.scalar(sa.text("SELECT sqlite_version()"))
    yield well, f"SQLite {version}, its pages are whole", "restore the catalog from a backup"


def _postgres(catalog: Catalog) -> Iterator[Look]:
    with catalog.read() as db:
        version, size, theirs = db.execute(
            sa.text(
                "SELECT current_setting('server_version'), "
                "pg_size_pretty(pg_database_size(current_database())), clock_timestamp()"
            )
        ).one()
        ours = dt.datetime.now(dt.UTC)
        vector = sa.text(
            "SELECT installed_version FROM pg_available_extensions WHERE name = 'vector'"
        )
        pgvector = db.execute(vector).one_or_none()
    yield True, f"PostgreSQL {version}, {size}", ""
    yield _clock(theirs, ours)
    found = pgvector and pgvector[0]
    advice = (
        "have the server's owner run CREATE EXTENSION vector"
        if pgvector
        else "install pgvector on the server; without it there are no embeddings"
    )
    yield bool(found), f"pgvector {found}" if found else "no pgvector", advice


def look_at_store(store: Store) -> Iterator[Look]:
    """Look whether a store answers, and lets us write, read, list and remove."""
    key = f"raw/probe/{uuid.uuid4().hex}"
    store.put(key, b"probe")
    ours = dt.datetime.now(dt.UTC)
    try:
        same = store.get(key) == b"probe"
        yield same, f"{store.url}: written and read", "it gives back other bytes: trust it no more"
        listed = key in store.keys("raw/probe/")
        yield listed, "listed", "allow listing (s3:ListBucket)"
        yield _clock(store.written_at(key), ours)
    finally:
        store.delete(key)
    yield not store.has(key), "removed", "allow removing (s3:DeleteObject)"


def _clock(theirs: dt.datetime, ours: dt.datetime) -> Look:
    seconds = abs((theirs - ours).total_seconds())
    found = f"its clock differs by {seconds:.0f} s"
    return seconds < SKEW, found, "set the clock of this machine or of the server (NTP)"
