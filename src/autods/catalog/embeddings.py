"""Keeping embeddings and finding the nearest: by pgvector's index, or exactly, block by block."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from autods.catalog.schema import ensure_embeddings
from autods.catalog.tables import DIMENSIONS, embeddings, now
from autods.catalog.vectors import checked
from autods.errors import PlaceError

if TYPE_CHECKING:
    from autods.catalog import Catalog

Array = np.ndarray[Any, np.dtype[np.float32]]
BLOCK = 8192
"""Vectors in memory at a time while an exact search goes through them: 16 MB."""


def keep_embeddings(catalog: "Catalog", model: str, vectors: Iterable[tuple[int, Any]]) -> None:
    """Keep (asset id, vector) pairs of one model, in one transaction; a second one replaces.

    A vector has 512 numbers and a direction, else UsageError is raised. PlaceError is raised where
    the server has no pgvector.
    """
    at = now()
    rows = [
        {"asset_id": i, "model": model, "vector": checked(v, DIMENSIONS), "extracted_at": at}
        for i, v in vectors
    ]
    with catalog.begin() as db:
        _need(db, catalog.url)
        catalog.replace(db, embeddings, rows)


def nearest(
    catalog: "Catalog", vector: Any, *, model: str, count: int = 10, exact: bool = False
) -> list[tuple[int, float]]:
    """Give the assets nearest to a vector: (asset id, cosine distance), the nearest first.

    On SQLite every vector is compared. On PostgreSQL the HNSW index finds them, which is quick and
    nearly always right; `exact` has every vector compared there, too. The distance is one minus
    the cosine of the angle, 0 to 2. Raises UsageError for a vector of another shape.
    """
    wanted = checked(vector, DIMENSIONS)
    with catalog.read() as db:
        if catalog.is_local:
            return _compare_all(db, wanted, model, count)
        _need(db, catalog.url)
        return _ask_pgvector(db, wanted, model, count, exact=exact)


def _need(db: sa.Connection, url: str) -> None:
    if not ensure_embeddings(db):
        raise PlaceError(
            f"{url} cannot hold embeddings: it has no pgvector; install it on the server and have "
            "its owner run CREATE EXTENSION vector"
        )


def _ask_pgvector(
    db: sa.Connection, wanted: Array, model: str, count: int, *, exact: bool
) -> list[tuple[int, float]]:
    """Let the index look wide enough, and go on where the other models' vectors crowd it."""
    if exact:
        db.execute(sa.text("SET LOCAL enable_indexscan = off"))
    db.execute(sa.text(f"SET LOCAL hnsw.ef_search = {min(1000, max(200, 10 * count))}"))
    db.execute(sa.text("SET LOCAL hnsw.iterative_scan = strict_order"))
    distance = embeddings.c.vector.op("<=>", return_type=sa.Float)(
        sa.bindparam("wanted", wanted, embeddings.c.vector.type)
    )
    query = (
        sa.select(embeddings.c.asset_id, distance.label("distance"))
        .where(embeddings.c.model == model)
        .order_by(distance)
        .limit(count)
    )
    found = [(int(row.asset_id), float(row.distance)) for row in db.execute(query)]
    return sorted(found, key=lambda pair: (pair[1], pair[0]))


def _compare_all(
    db: sa.Connection, wanted: Array, model: str, count: int
) -> list[tuple[int, float]]:
    best: list[tuple[int, float]] = []
    query = sa.select(embeddings.c.asset_id, embeddings.c.vector).where(embeddings.c.model == model)
    direction = wanted / np.linalg.norm(wanted)
    for rows in db.execute(query).partitions(BLOCK):
        ids, vectors = zip(*rows, strict=True)
        block = np.stack(vectors)
        distances = 1 - block @ direction / np.linalg.norm(block, axis=1)
        some = np.argsort(distances, kind="stable")[:count]
        best += [(int(ids[i]), float(distances[i])) for i in some]
        best = sorted(best, key=lambda pair: (pair[1], pair[0]))[:count]
    return best
