"""What the catalog knows of photos: how each ended, what its bytes are, whose prediction it is."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from autods.catalog.candidate_tables import predictions
from autods.catalog.tables import blobs, measures, placements, refs, splits
from autods.export.member import extension
from autods.recipes.candidates.work import GOLD, PHOTOS, Work
from autods.run import batched
from autods.store import asset_key

Row = dict[str, Any]


def photos_of(work: Work, beginning: str) -> Iterator[Row]:
    """Read the photos whose names begin so, in the order of day, prediction and position.

    Each row has what is known of its bytes (NULL where there are none) and of its prediction.
    """
    owners = _predictions(work, beginning)
    for row in _read(work, PHOTOS, beginning):
        day, prediction_id, position = row["uri"].split("/")
        yield _named(row | owners[day, prediction_id] | {"position": int(position)})


def gold_of(work: Work) -> Iterator[Row]:
    """Read the images of gold, by path; their class is the folder they lie in."""
    for row in _read(work, GOLD, ""):
        path = row["uri"].partition("/")[2]
        yield row | {"origin": "gold", "file": path, "source_uri": row["uri"], "confidence": None}


def predictions_of(work: Work, beginning: str) -> list[Row]:
    """Read the predictions of the days that begin so."""
    query = sa.select(predictions).where(
        predictions.c.dataset_id == work.dataset_id, predictions.c.day.startswith(beginning)
    )
    with work.stages.catalog.read() as db:
        return [dict(row) for row in db.execute(query).mappings()]


def sightings_of(work: Work, asset_ids: Sequence[int]) -> list[Row]:
    """Read in which photos of which predictions some images were seen, in the order of names."""
    seen: list[Row] = []
    for some in batched(sorted(asset_ids), 1000):
        query = sa.select(refs.c.asset_id, refs.c.uri).where(
            *work.live(PHOTOS), refs.c.asset_id.in_(some)
        )
        with work.stages.catalog.read() as db:
            found = db.execute(query).mappings().all()
            ids = sorted({row["uri"].split("/")[1] for row in found})
            owners = {
                row.prediction_id: dict(row._mapping) for row in db.execute(_named_so(work, ids))
            }
        seen += [owners[row["uri"].split("/")[1]] | dict(row) for row in found]
    return sorted(seen, key=lambda row: str(row["uri"]))


def _named_so(work: Work, ids: Sequence[str]) -> "sa.Select[Any]":
    mine = predictions.c.dataset_id == work.dataset_id
    return sa.select(predictions).where(mine, predictions.c.prediction_id.in_(ids))


def _predictions(work: Work, beginning: str) -> dict[tuple[str, str], Row]:
    keep = (
        "prediction_id", "user_id", "day", "collected_as", "initial_prediction", "style",
        "confidence", "is_verified", "verified_by", "verified_at", "withdrawn_at",
    )  # fmt: skip
    return {
        (row["day"], row["prediction_id"]): {name: row[name] for name in keep}
        for row in predictions_of(work, beginning[:10])
    }


def _read(work: Work, source: str, beginning: str) -> Iterator[Row]:
    placed = sa.and_(
        placements.c.dataset_id == refs.c.dataset_id,
        placements.c.policy == work.stages.policy,
        placements.c.asset_id == refs.c.asset_id,
    )
    split = sa.and_(splits.c.dataset_id == refs.c.dataset_id, splits.c.asset_id == refs.c.asset_id)
    query = (
        sa.select(
            *(refs.c[name] for name in ("uri", "label", "asset_id", "status", "meta")),
            sa.func.coalesce(refs.c.reason, "").label("ended"),
            sa.func.coalesce(refs.c.detail, "").label("why"),
            blobs.c.sha256,
            blobs.c.size,
            *(measures.c[name] for name in (
                "format", "width", "height", "mode", "frames", "file_size", "brightness",
                "contrast", "sharpness", "entropy", "phash", "pixel_checksum",
            )),
            placements.c.verdict,
            placements.c.reason,
            placements.c.detail,
            splits.c.split,
            splits.c.group_sha256,
        )
        .select_from(refs)
        .outerjoin(blobs, blobs.c.id == refs.c.asset_id)
        .outerjoin(measures, measures.c.asset_id == refs.c.asset_id)
        .outerjoin(placements, placed)
        .outerjoin(splits, split)
        .where(*work.live(source, beginning))
        .order_by(refs.c.uri)
    )  # fmt: skip
    with work.stages.catalog.read() as db:
        rows = [dict(row) for row in db.execute(query).mappings()]
    for row in rows:
        row["asset"] = asset_key(row["sha256"]) if row["sha256"] else None
        row["hash"], row["phash"] = row["phash"], _hex(row["phash"])
        yield row


def _named(row: Row) -> Row:
    """Name a photo's object: seed 1's name, with the extension of what it really is."""
    name = f"user_{row['user_id']}_pred_{row['prediction_id']}_img_{row['position']}"
    return row | {"file": f"{name}.{extension(row['format'])}", "source_uri": row["meta"]["photo"]}


def _hex(phash: int | None) -> str | None:
    """Write a hash as people read it; SQL numbers are signed, the hash is not."""
    return None if phash is None else f"{phash & (1 << 64) - 1:016x}"
