"""The members of the next version: what is kept, in its split, under the label in force."""

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, measures, placements, refs, splits

if TYPE_CHECKING:
    import pyarrow as pa

_FROM_FEATURES = (
    "format", "width", "height", "mode", "frames", "file_size",
    "brightness", "contrast", "sharpness", "entropy",
)  # fmt: skip


def read_members(
    catalog: Catalog, dataset_id: int, policy: str, in_force: sa.Subquery
) -> "pa.Table":
    """Read one row a member, sorted by sha256, as an Arrow table.

    `in_force` selects the label that counts for each asset: asset_id, label, kind, probability.
    The column `asset_id` is this catalog's own number; what is frozen leaves it out.
    """
    import pyarrow as pa

    with catalog.read() as db:
        if not catalog.is_local:  # All of a dataset is joined: never one row after the other.
            db.execute(sa.text("SET LOCAL enable_nestloop = off"))
        result = db.execute(_query(dataset_id, policy, in_force))
        pages = [_page(rows) for rows in result.partitions(10_000)]
    return pa.Table.from_batches(pages, member_schema())


def member_schema() -> "pa.Schema":
    """Give the columns of the members of every version, and this catalog's number first."""
    import pyarrow as pa

    text, real, whole = pa.string(), pa.float64(), pa.int64()
    fields = {
        "asset_id": whole, "sha256": text, "split": text, "label": text, "label_kind": text,
        "probability": real, "weight": real, "caption": text, "license": text, "source": text,
        "uri": text,
        "format": text, "width": whole, "height": whole, "mode": text, "frames": whole,
        "file_size": whole, "brightness": real, "contrast": real, "sharpness": real,
        "entropy": real, "phash": text, "group_sha256": text, "near_of": text, "meta": text,
    }  # fmt: skip
    return pa.schema(list(fields.items()))


def _query(dataset_id: int, policy: str, in_force: sa.Subquery) -> "sa.Select[Any]":
    first = (
        sa.select(refs.c.asset_id, sa.func.min(refs.c.id).label("ref_id"))
        .where(refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None))
        .group_by(refs.c.asset_id)
        .subquery("first_sightings")
    )
    original, held = placements.alias("original"), blobs.alias("held")
    return (
        sa.select(
            placements.c.asset_id,
            blobs.c.sha256,
            splits.c.split,
            in_force.c.label,
            in_force.c.kind.label("label_kind"),
            in_force.c.probability,
            sa.literal(1.0).label("weight"),
            *(refs.c[name] for name in ("caption", "license", "source", "uri", "meta")),
            *(measures.c[name] for name in (*_FROM_FEATURES, "phash")),
            splits.c.group_sha256,
            held.c.sha256.label("near_of"),
        )
        .select_from(placements)
        .join(blobs, blobs.c.id == placements.c.asset_id)
        .join(first, first.c.asset_id == placements.c.asset_id)
        .join(refs, refs.c.id == first.c.ref_id)
        .join(
            splits,
            sa.and_(splits.c.dataset_id == dataset_id, splits.c.asset_id == placements.c.asset_id),
        )
        .outerjoin(measures, measures.c.asset_id == placements.c.asset_id)
        .outerjoin(in_force, in_force.c.asset_id == placements.c.asset_id)
        .outerjoin(
            original,
            sa.and_(
                original.c.dataset_id == placements.c.dataset_id,
                original.c.policy == placements.c.policy,
                original.c.seq == placements.c.of_seq,
            ),
        )
        .outerjoin(held, held.c.id == original.c.asset_id)
        .where(
            placements.c.dataset_id == dataset_id,
            placements.c.policy == policy,
            placements.c.verdict == "kept",
        )
        .order_by(blobs.c.sha256)
    )


def _page(rows: Any) -> "pa.RecordBatch":
    import json

    import pyarrow as pa

    columns = {name: [] for name in member_schema().names}  # type: dict[str, list[Any]]
    for row in rows:
        for name, value in row._mapping.items():
            columns[name].append(value)
    columns["phash"] = [
        None if h is None else f"{h & (1 << 64) - 1:016x}" for h in columns["phash"]
    ]
    columns["meta"] = [json.dumps(m, sort_keys=True, ensure_ascii=False) for m in columns["meta"]]
    return pa.RecordBatch.from_pydict(columns, member_schema())
