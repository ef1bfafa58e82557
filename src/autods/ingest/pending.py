"""What is still to be ingested, and keeping what has come in."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import assets, features, now, refs, thumbs
from autods.engine import Lost
from autods.ingest.work import Arrival, Input
from autods.records import Refusal

RUNS_PER_FAILURE = 3
"""A failed input (a dead link) is tried again by so many runs, then left alone."""


class PendingRef(NamedTuple):
    """A ref without an outcome for today's fingerprint; `sha256` if its bytes are held already."""

    id: int
    location: str
    sha256: str | None


def _pending(dataset_id: int, fingerprint: str) -> tuple[sa.ColumnElement[bool], ...]:
    undone = refs.c.fingerprint.is_distinct_from(fingerprint)
    again = sa.and_(refs.c.status == "failed", refs.c.tries < RUNS_PER_FAILURE)
    return (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None), sa.or_(undone, again))


def count_pending(catalog: Catalog, dataset_id: int, fingerprint: str) -> int:
    """Count what `pending_refs` would give."""
    query = sa.select(sa.func.count()).select_from(refs)
    with catalog.read() as db:
        return db.scalar(query.where(*_pending(dataset_id, fingerprint))) or 0


def pending_refs(catalog: Catalog, dataset_id: int, fingerprint: str) -> Iterator[PendingRef]:
    """Yield the refs to take in, in arrival order, each once however long the run takes."""
    query = (
        sa.select(refs.c.id, refs.c.location, assets.c.sha256)
        .outerjoin(assets, assets.c.id == refs.c.asset_id)
        .where(*_pending(dataset_id, fingerprint))
        .order_by(refs.c.id)
        .limit(4096)
    )
    last = 0
    while True:
        with catalog.read() as db:
            page = db.execute(query.where(refs.c.id > last)).all()
        if not page:
            return
        yield from (PendingRef(*row) for row in page)
        last = page[-1].id


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
    known = [
        (ids[arrival.sha256], arrival.found)
        for arrival in {arrival.sha256: arrival for arrival in held}.values()
    ]
    at = now()
    catalog.replace(db, features, [_features(i, f, at, fingerprint) for i, f in known if f])
    catalog.replace(db, thumbs, [{"asset_id": i, "thumb": f.thumb} for i, f in known if f])
    done = [_outcome(arrival, ids, fingerprint, at) for arrival in ended]
    if done:
        statement = sa.update(refs).where(refs.c.id == sa.bindparam("ref_id"))
        db.execute(statement.values(tries=refs.c.tries + 1), done)


def _ended(item: Input, arrival: Arrival | Lost) -> Arrival:
    """An item that killed its worker is a rejected one: nothing about it will be better later."""
    if isinstance(arrival, Lost):
        return Arrival(item.ref_id, refusal=Refusal("rejected", arrival.reason, arrival.detail))
    return arrival


def _keep_assets(catalog: Catalog, db: sa.Connection, held: Sequence[Arrival]) -> dict[str, int]:
    """Make sure of an asset row for each name; the unique constraint decides who was first."""
    at = now()
    rows = [{"sha256": a.sha256, "size": a.size, "created_at": at} for a in held]
    catalog.insert_new(db, assets, rows)
    names = [a.sha256 for a in held]
    query = sa.select(assets.c.sha256, assets.c.id).where(assets.c.sha256.in_(names))
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


def _features(asset_id: int, found: Any, at: Any, fingerprint: str) -> dict[str, Any]:
    """Turn what the inspection found into a row; SQL numbers are signed, the hash is not."""
    row = {name: getattr(found, name) for name in _FEATURES}
    row["phash"] = row["phash"] - (1 << 64) if row["phash"] >> 63 else row["phash"]
    return {"asset_id": asset_id, "fingerprint": fingerprint, "extracted_at": at, **row}


_FEATURES = [
    column.name
    for column in features.columns
    if column.name not in {"asset_id", "fingerprint", "extracted_at"}
]
