"""Making the catalog's refs what the sources list today; only changes are written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import now, refs
from autods.records import Ref
from autods.run import batched

_SAID = ("location", "license", "label", "caption", "meta")

_listed = sa.Table(
    "listed",
    sa.MetaData(),
    sa.Column("position", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.Text) for name in ("source", "uri", "stamp", *_SAID[:-1])),
    sa.Column("meta", sa.JSON),
    sa.UniqueConstraint("source", "uri", "stamp"),
    prefixes=["TEMPORARY"],
)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a listing found: all inputs, those said twice, and what is not as it was."""

    inputs: int
    repeated: int
    changed: int
    new: int
    gone: int


def list_refs(catalog: Catalog, dataset_id: int, found: Iterable[Ref]) -> Listing:
    """Make the dataset's live refs equal to `found`, in one transaction at its end.

    The listing itself is kept in a temporary table, so that a slow source holds no lock.

    New refs get ids in the order of `found`: that is their arrival order, for ever. A ref that
    is no longer listed is marked gone, not deleted; one whose description changed is updated.
    """
    with catalog.read() as db:
        inputs = _fill(catalog, db, found)
        kept = db.scalar(sa.select(sa.func.count()).select_from(_listed)) or 0
        db.commit()
        db.execution_options(write=True)
        with db.begin():
            listing = Listing(
                inputs=inputs,
                repeated=inputs - kept,
                changed=_update_descriptions(db, dataset_id),
                new=_insert_new(db, dataset_id),
                gone=_mark_gone(db, dataset_id),
            )
            _listed.drop(db)
    return listing


def _fill(catalog: Catalog, db: sa.Connection, found: Iterable[Ref]) -> int:
    _listed.drop(db, checkfirst=True)
    _listed.create(db)
    inputs = 0
    for batch in batched(found, 2000):
        rows = [_row(ref, inputs + offset) for offset, ref in enumerate(batch)]
        catalog.insert_new(db, _listed, rows)
        inputs += len(batch)
    return inputs


def add_refs(catalog: Catalog, dataset_id: int, wanted: Sequence[Ref]) -> list[int]:
    """Note inputs beside those there are, and give their ids; a known one keeps its id.

    One that failed before is tried again.
    """
    at = now()
    rows = [{"dataset_id": dataset_id, "first_seen": at, **_row(ref, 0)} for ref in wanted]
    for row in rows:
        del row["position"]
    uris = sorted({ref.uri for ref in wanted})
    with catalog.begin() as db:
        catalog.insert_new(db, refs, rows)
        here = (refs.c.dataset_id == dataset_id, refs.c.uri.in_(uris))
        again = sa.update(refs).where(*here, refs.c.status == "failed")
        db.execute(again.values(fingerprint=None))
        query = sa.select(refs.c.id, refs.c.source, refs.c.uri, refs.c.stamp).where(*here)
        ids = {(row.source, row.uri, row.stamp): row.id for row in db.execute(query)}
    return [ids[ref.source, ref.uri, ref.stamp] for ref in wanted]


def count_refs(catalog: Catalog, dataset_id: int) -> int:
    """Count the live inputs of a dataset."""
    query = sa.select(sa.func.count()).select_from(refs)
    with catalog.read() as db:
        live = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None))
        return db.scalar(query.where(*live)) or 0


def _row(ref: Ref, position: int) -> dict[str, object]:
    said = {name: getattr(ref, name) for name in _SAID}
    key = {"source": ref.source, "uri": ref.uri, "stamp": ref.stamp}
    return {"position": position, **key, **said, "meta": dict(ref.meta)}


def _same(dataset_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        refs.c.dataset_id == dataset_id,
        *(refs.c[name] == _listed.c[name] for name in ("source", "uri", "stamp")),
    )


def _update_descriptions(db: sa.Connection, dataset_id: int) -> int:
    changed = sa.or_(
        refs.c.gone_at.is_not(None),
        *(
            sa.cast(refs.c[name], sa.Text).is_distinct_from(sa.cast(_listed.c[name], sa.Text))
            for name in _SAID
        ),
    )
    said = {refs.c[name]: _listed.c[name] for name in _SAID}
    # What was refused where it lay before is tried where it lies now.
    moved = sa.and_(refs.c.asset_id.is_(None), refs.c.location != _listed.c.location)
    again = sa.case((moved, None), else_=refs.c.fingerprint)
    fresh = {refs.c.gone_at: None, refs.c.changed_at: now(), refs.c.fingerprint: again}
    update = sa.update(refs).values({**said, **fresh})
    return db.execute(update.where(_same(dataset_id), changed)).rowcount


def _insert_new(db: sa.Connection, dataset_id: int) -> int:
    there = sa.exists(sa.select(1).select_from(refs).where(_same(dataset_id)))
    columns = ["source", "uri", "stamp", *_SAID]
    new = (
        sa.select(
            sa.literal(dataset_id),
            *(_listed.c[name] for name in columns),
            sa.literal(now(), sa.DateTime),
            sa.literal(0),
        )
        .where(~there)
        .order_by(_listed.c.position)
    )
    names = ["dataset_id", *columns, "first_seen", "tries"]
    return db.execute(sa.insert(refs).from_select(names, new)).rowcount


def _mark_gone(db: sa.Connection, dataset_id: int) -> int:
    listed = sa.exists(sa.select(1).select_from(_listed).where(_same(dataset_id)))
    gone = sa.update(refs).values(gone_at=now())
    live = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None))
    return db.execute(gone.where(*live, ~listed)).rowcount
