"""The ledger of labels: who said what of which asset, when, how surely; no word is overwritten."""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import labels, now, refs
from autods.run import batched

PRECEDENCE = ("human", "source", "weak", "model")
"""Who is believed first; within one kind the newest entry counts."""


def in_force(dataset_id: int) -> sa.Subquery:
    """Select the one label that counts for each asset of a dataset.

    Columns: asset_id, label, kind, said_by, probability.
    """
    rank = sa.case({kind: i for i, kind in enumerate(PRECEDENCE)}, value=labels.c.kind)
    order = sa.func.row_number().over(
        partition_by=labels.c.asset_id, order_by=(rank, labels.c.id.desc())
    )
    names = ("asset_id", "label", "kind", "said_by", "probability")
    ranked = (
        sa.select(*(labels.c[name] for name in names), order.label("place"))
        .where(labels.c.dataset_id == dataset_id)
        .subquery()
    )
    first = sa.select(*(ranked.c[name] for name in names)).where(ranked.c.place == 1)
    return first.subquery("in_force")


def say(
    catalog: Catalog, dataset_id: int, kind: str, said_by: str, said: Iterable[Mapping[str, Any]]
) -> int:
    """Enter labels, one transaction a batch; returns how many were new.

    `said` yields asset_id, label and probability (or None). What a voice said last of an asset
    is not entered again, so a second run writes nothing.
    """
    entered = 0
    last = _last_words(catalog, dataset_id, kind, said_by)
    for batch in batched(said, 4096):
        at = now()
        rows = [
            {**row, "dataset_id": dataset_id, "kind": kind, "said_by": said_by, "said_at": at}
            for row in batch
            if last.get(row["asset_id"]) != (row["label"], row["probability"])
        ]
        if rows:
            with catalog.begin() as db:
                db.execute(sa.insert(labels), rows)
        entered += len(rows)
    return entered


def _last_words(
    catalog: Catalog, dataset_id: int, kind: str, said_by: str
) -> dict[int, tuple[str, float | None]]:
    query = (
        sa.select(labels.c.asset_id, labels.c.label, labels.c.probability)
        .where(
            labels.c.dataset_id == dataset_id, labels.c.kind == kind, labels.c.said_by == said_by
        )
        .order_by(labels.c.id)
    )
    with catalog.read() as db:
        return {row.asset_id: (row.label, row.probability) for row in db.execute(query)}


def enter_source_labels(catalog: Catalog, dataset_id: int) -> int:
    """Enter the labels that came with the refs; the first sighting of an asset speaks for it.

    Done in the database, by one statement: an asset whose source says today what it said last
    is left alone.
    """
    live = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None), refs.c.label.is_not(None))
    first = (
        sa.select(refs.c.asset_id, sa.func.min(refs.c.id).label("ref_id"))
        .where(*live, refs.c.asset_id.is_not(None))
        .group_by(refs.c.asset_id)
        .subquery()
    )
    newest = sa.func.row_number().over(partition_by=labels.c.asset_id, order_by=labels.c.id.desc())
    said = (labels.c.dataset_id == dataset_id, labels.c.kind == "source")
    ranked = sa.select(labels, newest.label("place")).where(*said).subquery()
    last = sa.select(ranked).where(ranked.c.place == 1).subquery()
    news = (
        sa.select(
            sa.literal(dataset_id), refs.c.asset_id, sa.literal("source"),
            refs.c.source, refs.c.label, sa.literal(now(), sa.DateTime),
        )
        .select_from(first)
        .join(refs, refs.c.id == first.c.ref_id)
        .outerjoin(last, last.c.asset_id == first.c.asset_id)
        .where(last.c.label.is_distinct_from(refs.c.label))
        .order_by(refs.c.id)
    )  # fmt: skip
    names = ["dataset_id", "asset_id", "kind", "said_by", "label", "said_at"]
    with catalog.begin() as db:
        return db.execute(sa.insert(labels).from_select(names, news)).rowcount


def count_conflicts(catalog: Catalog, dataset_id: int) -> int:
    """Count the assets whose live sightings carry different labels."""
    live = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None), refs.c.label.is_not(None))
    disputed = (
        sa.select(refs.c.asset_id)
        .where(*live, refs.c.asset_id.is_not(None))
        .group_by(refs.c.asset_id)
        .having(sa.func.count(refs.c.label.distinct()) > 1)
        .subquery()
    )
    with catalog.read() as db:
        return db.scalar(sa.select(sa.func.count()).select_from(disputed)) or 0
