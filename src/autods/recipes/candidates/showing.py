"""Showing a release: where it lies, and what it has left out."""

from typing import Any

import sqlalchemy as sa

from autods.catalog.candidate_tables import releases
from autods.versions import Version, find_version
from autods.workspace import Workspace


def folder_of(place: Workspace, version: Version) -> str | None:
    """Give the folder of the newest release that is a version; None if it is none."""
    found = _newest(place, version)
    return found.folder if found else None


def left_out(place: Workspace, name: str) -> list[dict[str, Any]] | None:
    """List what the release of that name has left out, with its reason; None if it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    dataset_id = place.catalog.find_dataset(name.partition("@")[0])
    if not _has_releases(place, dataset_id):
        return None
    found = _newest(place, find_version(place.catalog, name))
    if found is None:
        return None
    with pq.ParquetFile(pa.BufferReader(place.store.get(found.excluded))) as file:
        rows = file.read(["uri", "status", "reason", "detail"], use_threads=False).to_pylist()
    return [{"dataset": name, "source": "candidates", **row} for row in rows]


def _has_releases(place: Workspace, dataset_id: int) -> bool:
    query = sa.select(releases.c.id).where(releases.c.dataset_id == dataset_id).limit(1)
    with place.catalog.read() as db:
        return db.scalar(query) is not None


def _newest(place: Workspace, version: Version) -> Any:
    mine = (releases.c.dataset_id == version.dataset_id, releases.c.number == version.number)
    query = sa.select(releases).where(*mine).order_by(releases.c.id.desc()).limit(1)
    with place.catalog.read() as db:
        return db.execute(query).first()
