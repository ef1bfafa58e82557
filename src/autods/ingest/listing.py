"""Making the catalog's refs what the sources list today; only changes are written."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import now, refs
from autods.errors import AutodsError, SourceError
from autods.records import Ref
from autods.run import batched
from autods.storable import printable, storable

_SAID = ("location", "license", "label", "caption", "meta")

_KEY = {"source": 300, "uri": 1800, "stamp": 300}
"""What names an input, and so many bytes of it as an index of PostgreSQL takes (2,704 in all)."""

_listed = sa.Table(
    "autods_listed",
    sa.MetaData(),
    sa.Column("position", sa.BigInteger, nullable=False),
    *(sa.Column(name, sa.Text) for name in (*_KEY, *_SAID[:-1])),
    sa.Column("meta", sa.JSON),
    prefixes=["TEMPORARY"],
)
_by_key = sa.Index("ix_autods_listed", *(_listed.c[name] for name in _KEY))


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
    with catalog.session() as db:
        inputs = _fill(catalog, db, found)
        repeated = _drop_repeated(db)
        db.commit()
        db.execution_options(write=True)
        with db.begin():
            listing = Listing(
                inputs=inputs,
                repeated=repeated,
                changed=_update_descriptions(db, dataset_id),
                new=_insert_new(db, dataset_id),
                gone=_mark_gone(db, dataset_id),
            )
            _listed.drop(db, checkfirst=False)
    return listing


def _fill(catalog: Catalog, db: sa.Connection, found: Iterable[Ref]) -> int:
    db.execute(sa.text(f"DROP TABLE IF EXISTS {_listed.name}"))
    _listed.create(db, checkfirst=False)
    inputs = 0
    for batch in batched(found, 5000):
        catalog.load(db, _listed, [_row(ref, inputs + offset) for offset, ref in enumerate(batch)])
        db.commit()  # A transaction left open would hold up the server's own cleaning.
        inputs += len(batch)
    return inputs


def _drop_repeated(db: sa.Connection) -> int:
    """Keep the first of what is listed twice; returns how many were said again."""
    count = sa.func.row_number().over(
        partition_by=[_listed.c[name] for name in _KEY], order_by=_listed.c.position
    )
    numbered = sa.select(_listed.c.position, count.label("n")).subquery()
    again = sa.select(numbered.c.position).where(numbered.c.n > 1)
    repeated = db.execute(sa.delete(_listed).where(_listed.c.position.in_(again))).rowcount
    if db.dialect.name == "postgresql":
        db.execute(sa.text(f"ANALYZE {_listed.name}"))  # Nobody else counts a temporary table.
    return repeated


def refs_of(source: Callable[[], Iterator[Ref]]) -> Iterator[Ref]:
    """List a source; whatever a user's own function raises is one sentence."""
    try:
        yield from source()
    except (AutodsError, OSError):
        raise
    except (Exception, SystemExit) as error:
        raise SourceError(f"a source failed: {type(error).__name__}: {error}") from error


def listing_lock(dataset: str) -> str:
    """Name the lock of whoever lists: arrival order is the order of one listing after another."""
    return f"{dataset}.list"


def try_again(catalog: Catalog, dataset_id: int, reason: str) -> None:
    """Have those that failed for a reason tried again, at once."""
    failed = (refs.c.dataset_id == dataset_id, refs.c.status == "failed", refs.c.reason == reason)
    with catalog.begin() as db:
        db.execute(sa.update(refs).where(*failed).values(fingerprint=None, tries=0))


def note_refs(catalog: Catalog, db: sa.Connection, dataset_id: int, wanted: Sequence[Ref]) -> None:
    """Note inputs beside those there are, in the caller's transaction."""
    catalog.insert_new(db, refs, _new_rows(dataset_id, wanted))


def add_refs(
    catalog: Catalog, dataset_id: int, wanted: Sequence[Ref], *, again: bool = True
) -> list[int]:
    """Note inputs beside those there are, and give their ids; a known one keeps its id.

    With `again` one that failed before is tried once more.
    """
    ids = list[int]()
    for some in batched(wanted, 5000):
        ids += _added(catalog, dataset_id, _new_rows(dataset_id, some), again)
    return ids


def _new_rows(dataset_id: int, wanted: Sequence[Ref]) -> list[dict[str, object]]:
    at = now()
    rows = [{"dataset_id": dataset_id, "first_seen": at, **_row(ref, 0)} for ref in wanted]
    for row in rows:
        del row["position"]
    return rows


def _added(
    catalog: Catalog, dataset_id: int, rows: list[dict[str, object]], again: bool
) -> list[int]:
    uris = sorted({str(row["uri"]) for row in rows})
    with catalog.begin() as db:
        catalog.insert_new(db, refs, rows)
        here = (refs.c.dataset_id == dataset_id, refs.c.uri.in_(uris))
        if again:
            failed = sa.update(refs).where(*here, refs.c.status == "failed")
            db.execute(failed.values(fingerprint=None))
        query = sa.select(refs.c.id, refs.c.source, refs.c.uri, refs.c.stamp).where(*here)
        ids = {_key_of(row): row["id"] for row in db.execute(query).mappings()}
    return [ids[_key_of(row)] for row in rows]


def _key_of(row: Any) -> tuple[object, ...]:
    return tuple(row[name] for name in _KEY)


def count_refs(catalog: Catalog, dataset_id: int) -> int:
    """Count the live inputs of a dataset."""
    query = sa.select(sa.func.count()).select_from(refs)
    with catalog.read() as db:
        live = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None))
        return db.scalar(query.where(*live)) or 0


def _row(ref: Ref, position: int) -> dict[str, object]:
    said = {name: storable(getattr(ref, name)) for name in _SAID}
    return {"position": position, **key_of(ref), **said}


def key_of(ref: Ref) -> dict[str, str]:
    """Give what names an input, as it is kept."""
    return {name: short(printable(getattr(ref, name)), most) for name, most in _KEY.items()}


def short(name: str, most: int) -> str:
    """Cut a name that is longer than `most` bytes, and let its hash tell it from others.

    >>> short("x" * 100, 80)
    'xxxxxxxxxxxxxxx~09ecb6ebc8bcefc733f6f2ec44f791abeed6a99edf0cc31519637898aebd52d8'
    """
    data = name.encode()
    if len(data) <= most:
        return name
    return f"{data[: most - 65].decode(errors='ignore')}~{hashlib.sha256(data).hexdigest()}"


def _same(dataset_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        refs.c.dataset_id == dataset_id,
        *(refs.c[name] == _listed.c[name] for name in _KEY),
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
    columns = [*_KEY, *_SAID]
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
    insert = sa.insert(refs).from_select(names, new)
    return db.execute(insert.execution_options(preserve_rowcount=True)).rowcount


def _mark_gone(db: sa.Connection, dataset_id: int) -> int:
    listed = sa.exists(sa.select(1).select_from(_listed).where(_same(dataset_id)))
    gone = sa.update(refs).values(gone_at=now())
    live = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None))
    return db.execute(gone.where(*live, ~listed)).rowcount
