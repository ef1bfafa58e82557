"""What is still to be ingested, and keeping what has come in."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, measures, now, refs, thumbs
from autods.engine import Lost
from autods.ingest.work import Arrival, Input
from autods.records import Refusal

RUNS_PER_FAILURE = 3
"""A failed input (a dead link) is tried again by so many runs, then left alone."""

LONGEST_VALIDATOR = 1_000
"""Characters of an ETag or a Last-Modified date that are kept; a longer one is not kept at all."""


def count_pending(catalog: Catalog, dataset_id: int, fingerprint: str) -> int:
    """Count the refs without an outcome for today's fingerprint."""
    query = sa.select(sa.func.count()).select_from(refs)
    with catalog.read() as db:
        return db.scalar(query.where(*pending(dataset_id, fingerprint))) or 0


def pending(dataset_id: int, fingerprint: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Select the refs that have no outcome for a fingerprint, or failed and are to be tried again.

    Each run tries what failed once more.
    """
    again = sa.and_(refs.c.status == "failed", refs.c.tries < RUNS_PER_FAILURE)
    return (*live(dataset_id), sa.or_(undone(fingerprint), again))


def undone(fingerprint: str) -> sa.ColumnElement[bool]:
    """Select the refs that no run has tried with a fingerprint."""
    return refs.c.fingerprint.is_distinct_from(fingerprint)


def live(dataset_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Select what the sources of a dataset list today."""
    return (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None))


def keep_arrivals(
    catalog: Catalog,
    db: sa.Connection,
    inputs: Sequence[Input],
    arrivals: Sequence[Arrival | Lost],
    *,
    fingerprint: str,
) -> None:
    """Write a batch's outcomes: assets, what is known of them, and how each ref ended."""
    ended = [_ended(i, a) for i, a in zip(inputs, arrivals, strict=True)]
    held = [arrival for arrival in ended if arrival.sha256]
    ids = _keep_assets(catalog, db, held)
    known = sorted(
        (ids[sha256], found) for sha256, found in {a.sha256: a.found for a in held}.items()
    )
    at = now()
    catalog.replace(db, measures, [_features(i, f, at, fingerprint) for i, f in known if f])
    catalog.replace(db, thumbs, [{"asset_id": i, "thumb": f.thumb} for i, f in known if f])
    done = [
        _outcome(arrival, ids, fingerprint, at) | _validators(item)
        for item, arrival in zip(inputs, ended, strict=True)
    ]
    if done:
        statement = sa.update(refs).where(refs.c.id == sa.bindparam("ref_id"))
        said = {column.name: _said(column) for column in (refs.c.etag, refs.c.last_modified)}
        db.execute(statement.values(tries=refs.c.tries + 1, **said), done)


def _ended(item: Input, arrival: Arrival | Lost) -> Arrival:
    """An item that killed its worker is a rejected one: nothing about it will be better later."""
    if isinstance(arrival, Lost):
        return Arrival(item.ref_id, refusal=Refusal("rejected", arrival.reason, arrival.detail))
    return arrival


def _keep_assets(catalog: Catalog, db: sa.Connection, held: Sequence[Arrival]) -> dict[str, int]:
    """Make sure of an asset row for each name; the unique constraint decides who was first."""
    at = now()
    # In one order everywhere: two drivers with the same new assets must not wait for each other.
    ordered = sorted(held, key=lambda arrival: arrival.sha256)
    rows = [{"sha256": a.sha256, "size": a.size, "created_at": at} for a in ordered]
    catalog.insert_new(db, blobs, rows)
    names = [a.sha256 for a in held]
    # Taken in again, the bytes went to the hot store: there they are one too many.
    again = (blobs.c.sha256.in_(names), blobs.c.tier == "cold", blobs.c.leaving.is_(None))
    db.execute(sa.update(blobs).where(*again).values(leaving="hot"))
    query = sa.select(blobs.c.sha256, blobs.c.id).where(blobs.c.sha256.in_(names))
    return {row.sha256: row.id for row in db.execute(query)}


def _outcome(arrival: Arrival, ids: dict[str, int], fingerprint: str, at: Any) -> dict[str, Any]:
    refusal = arrival.refusal
    return {
        "ref_id": arrival.ref_id,
        "fingerprint": fingerprint,
        "status": "asset" if arrival.sha256 or not refusal else refusal.status,
        "reason": refusal.reason if refusal else None,
        "detail": refusal.detail[:1000] if refusal else None,
        "asset_id": ids.get(arrival.sha256),
        "finished_at": at,
    }


def _said(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Take what a server said now; what it said before stays where none was asked."""
    said = sa.bindparam(f"said_{column.name}", type_=column.type)
    return sa.case((sa.bindparam("downloaded", type_=sa.Boolean()), said), else_=column)


def _validators(item: Input) -> dict[str, Any]:
    return {
        "downloaded": item.spooled,
        "said_etag": _kept(item.etag),
        "said_last_modified": _kept(item.last_modified),
    }


def _kept(value: str | None) -> str | None:
    """Pass what a server said, unless it is too long, or has what no header line may have."""
    fit = value and len(value) <= LONGEST_VALIDATOR and value.isprintable()
    return value if fit else None


def _features(asset_id: int, found: Any, at: Any, fingerprint: str) -> dict[str, Any]:
    """Turn what the inspection found into a row; SQL numbers are signed, the hash is not."""
    row = {name: getattr(found, name) for name in _FEATURES}
    row["phash"] = row["phash"] - (1 << 64) if row["phash"] >> 63 else row["phash"]
    return {"asset_id": asset_id, "fingerprint": fingerprint, "extracted_at": at, **row}


_FEATURES = [
    column.name
    for column in measures.columns
    if column.name not in {"asset_id", "fingerprint", "extracted_at"}
]
