"""Taking a workspace's catalog and bytes along to other places: every row, every blob."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from autods.catalog import Catalog, tables
from autods.catalog.schema import NAMESPACE, ensure_embeddings
from autods.errors import UsageError
from autods.ingest.listing import listing_lock
from autods.recipes.bond import bind
from autods.run import Progress
from autods.store import carry, far_of
from autods.workspace import Workspace

PAGE = 10_000
LEFT = {"claims"}
"""What regards runs under way: nothing of it is taken along."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How many rows and blobs are at their new places."""

    rows: int
    blobs: int


def move(source: Workspace, target: Workspace, progress: Progress) -> Moved:
    """Copy what `source` has to where `target` is, and check it; the old places stay as they are.

    Both are one folder with other places. Blobs that are there already are not copied again, and
    rows come in one transaction: killed and run again it goes on. Nobody builds meanwhile. Raises
    UsageError if the other catalog knows datasets already.
    """
    with contextlib.ExitStack() as stack:
        for name in _datasets(source.catalog):
            for lock in (listing_lock(name), name):
                stack.enter_context(source.catalog.lock(lock, waiting=lambda: None))
        blobs = _move_blobs(source, target, progress)
        rows = _move_rows(source.catalog, target.catalog, progress)
    bind(target.catalog, target.store, anew=True)
    return Moved(rows, blobs)


def _datasets(catalog: Catalog) -> list[str]:
    with catalog.read() as db:
        return list(db.scalars(sa.select(tables.datasets.c.name).order_by(tables.datasets.c.name)))


def _move_blobs(source: Workspace, target: Workspace, progress: Progress) -> int:
    here, there = far_of(source.store), far_of(target.store)
    if here.url == there.url:
        return 0
    progress.step("blobs")

    def counted() -> Iterator[str]:
        for prefix in ("raw/", "processed/", "shards/"):
            for key in here.keys(prefix):
                progress.advance()
                yield key

    return carry(here, there, counted())


def _move_rows(source: Catalog, target: Catalog, progress: Progress) -> int:
    if source.url == target.url:
        return 0
    if known := _datasets(target):
        raise UsageError(
            f"{target.url} knows datasets already ({', '.join(known[:5])}): move into an empty one"
        )
    progress.step("rows")
    with source.read() as old, target.begin() as new:
        there = {table.name for table in tables.metadata.sorted_tables} - LEFT
        if not (ensure_embeddings(new) and sa.inspect(old).has_table("embeddings")):
            there.discard("embeddings")
        moved = 0
        for table in tables.metadata.sorted_tables:
            if table.name in there:
                moved += _copy(old, new, target, table, progress.advance)
        return moved


def _copy(
    old: sa.Connection,
    new: sa.Connection,
    target: Catalog,
    table: sa.Table,
    advance: Callable[[int], None],
) -> int:
    copied = 0
    rows = old.execution_options(yield_per=PAGE).execute(sa.select(table))
    for page in rows.mappings().partitions():
        found = [dict(row) for row in page]
        if table is tables.embeddings:
            new.execute(sa.insert(table), found)
        else:
            target.load(new, table, found)
        advance(len(found))
        copied += len(found)
    if new.dialect.name == "postgresql" and "id" in table.c:
        _count_on(new, table)
    return copied


def _count_on(db: sa.Connection, table: sa.Table) -> None:
    """Let the server number new rows after those that came with their numbers."""
    sequence = sa.func.pg_get_serial_sequence(f"{NAMESPACE}.{table.name}", "id")
    following = sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0) + 1).scalar_subquery()
    db.execute(sa.select(sa.func.setval(sequence, following, False)))
