"""The nearest embeddings, on both databases: the same assets at the same distances."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
import sqlalchemy as sa

from autods.catalog import Catalog, tables
from autods.catalog.embeddings import keep_embeddings, nearest
from autods.errors import UsageError

COUNT = 800
MODEL = "ViT-B/32"


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    with closing(Catalog(catalog_url)) as catalog:
        yield catalog


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Clusters, as real embeddings are: neighbours that are near, and many that are not."""
    random = np.random.default_rng(7)
    centres = random.normal(size=(16, 512))
    return (centres[random.integers(16, size=COUNT)] + random.normal(size=(COUNT, 512))).astype(
        np.float32
    )


def fill(catalog: Catalog, vectors: np.ndarray, model: str = MODEL) -> None:
    at = tables.now()
    with catalog.begin() as db:
        rows = [
            {"sha256": f"{i:064x}", "modality": "image", "size": 1, "created_at": at}
            for i in range(len(vectors))
        ]
        catalog.insert_new(db, tables.blobs, rows)
    keep_embeddings(catalog, model, zip(range(1, len(vectors) + 1), vectors, strict=True))


def truth(vectors: np.ndarray, wanted: np.ndarray, count: int) -> list[int]:
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = 1 - unit @ (wanted / np.linalg.norm(wanted))
    return [int(i) + 1 for i in np.argsort(distances)[:count]]


@pytest.mark.slow
@pytest.mark.parametrize("exact", [False, True])
def test_the_nearest_are_found_on_either_database(
    catalog: Catalog, vectors: np.ndarray, exact: bool
) -> None:
    fill(catalog, vectors)
    fill(catalog, -vectors, "another model")
    for wanted in vectors[:5] + 0.3:
        found = nearest(catalog, wanted, model=MODEL, count=10, exact=exact)
        assert [asset_id for asset_id, _ in found] == truth(vectors, wanted, 10)
        distances = [distance for _, distance in found]
        assert distances == sorted(distances)
        assert 0 <= distances[0] <= 2


def test_a_vector_comes_back_as_it_went_in_and_a_second_one_replaces_it(
    catalog: Catalog, vectors: np.ndarray
) -> None:
    fill(catalog, vectors[:2])
    keep_embeddings(catalog, MODEL, [(1, vectors[2])])
    with catalog.read() as db:
        kept = list(
            db.scalars(sa.select(tables.embeddings.c.vector).order_by(tables.embeddings.c.asset_id))
        )
        shown = db.scalar(sa.text("SELECT count(clip_embedding) FROM features"))
    np.testing.assert_array_equal(np.stack(kept), vectors[[2, 1]])
    assert shown == 0  # Nothing was measured of these assets.


@pytest.mark.parametrize("vector", [np.zeros(512), np.ones(511), np.full(512, np.nan)])
def test_what_has_no_direction_is_refused(catalog: Catalog, vector: np.ndarray) -> None:
    with pytest.raises(UsageError, match="embedding"):
        nearest(catalog, vector, model=MODEL)
    with pytest.raises(UsageError, match="embedding"):
        keep_embeddings(catalog, MODEL, [(1, vector)])


def test_nothing_is_near_in_an_empty_catalog(catalog: Catalog) -> None:
    assert nearest(catalog, np.ones(512), model=MODEL) == []
