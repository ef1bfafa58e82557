"""Which assets lie in the hot store and which in the cold one: seed 3's storage tiering."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, placements
from autods.run import Progress, batched
from autods.store import Store, Tier, TieredStore, asset_key, far_of

BATCH = 256


def settle_tiers(
    catalog: Catalog,
    store: Store,
    dataset_id: int,
    policy: str,
    threshold: int,
    progress: Progress,
) -> int:
    """Keep the first `threshold` kept images of a dataset hot, and move the others to the cold.

    First in order of arrival, as in seed 3. What another dataset keeps, too, is not sent away.
    One build of a catalog does this at a time: an asset may be in many datasets.
    Returns how many were moved; with one store alone there is nothing to do.

    Each batch is copied and checked, then noted in the catalog, then removed where it came from.
    Killed anywhere and run again it goes on: the note `leaving` says what is still to be removed.
    """
    store = far_of(store)
    if not isinstance(store, TieredStore):
        return 0
    with catalog.lock("-tiers-", waiting=lambda: progress.step("waiting for others' tiers")):
        return _settle(catalog, store, dataset_id, policy, threshold, progress)


def _settle(
    catalog: Catalog,
    store: TieredStore,
    dataset_id: int,
    policy: str,
    threshold: int,
    progress: Progress,
) -> int:
    _finish(catalog, store)
    moved = 0
    wanted: dict[Tier, sa.Select[tuple[int]]] = {
        "hot": _first(dataset_id, policy, threshold),
        "cold": _rest(dataset_id, policy, threshold),
    }
    for tier, choice in wanted.items():
        for batch in batched(_elsewhere(catalog, choice, tier), BATCH):
            _move(catalog, store, batch, tier)
            progress.advance(len(batch))
            moved += len(batch)
    return moved


def _move(catalog: Catalog, store: TieredStore, names: Sequence[str], to: Tier) -> None:
    store.move(map(asset_key, names), to)
    source = "cold" if to == "hot" else "hot"
    with catalog.begin() as db:
        mine = sa.update(blobs).where(blobs.c.sha256.in_(names))
        db.execute(mine.values(tier=to, leaving=source))
    _finish(catalog, store)


def _finish(catalog: Catalog, store: TieredStore) -> None:
    """Remove what was copied and noted from where it came, and note that, too."""
    query = sa.select(blobs.c.sha256, blobs.c.leaving).where(blobs.c.leaving.is_not(None))
    with catalog.read() as db:
        rows = db.execute(query).all()
    tiers: tuple[Tier, ...] = ("hot", "cold")
    for tier in tiers:
        for batch in batched((row.sha256 for row in rows if row.leaving == tier), BATCH):
            store.forget(map(asset_key, batch), tier)
            with catalog.begin() as db:
                gone = sa.update(blobs).where(blobs.c.sha256.in_(batch))
                db.execute(gone.values(leaving=None))


def _kept(dataset_id: int, policy: str) -> "sa.Select[tuple[int]]":
    """Select the kept assets of a dataset, in order of arrival."""
    mine = (placements.c.dataset_id == dataset_id, placements.c.policy == policy)
    kept = sa.select(placements.c.asset_id).where(*mine, placements.c.verdict == "kept")
    return kept.order_by(placements.c.seq)


def _first(dataset_id: int, policy: str, threshold: int) -> "sa.Select[tuple[int]]":
    return _kept(dataset_id, policy).limit(threshold)


def _rest(dataset_id: int, policy: str, threshold: int) -> "sa.Select[tuple[int]]":
    others = placements.alias("others")
    shared = sa.exists().where(
        others.c.asset_id == placements.c.asset_id,
        others.c.dataset_id != dataset_id,
        others.c.verdict == "kept",
    )
    first = _first(dataset_id, policy, threshold).subquery()
    mine = (placements.c.dataset_id == dataset_id, placements.c.policy == policy)
    return sa.select(placements.c.asset_id).where(
        *mine, ~shared, placements.c.asset_id.not_in(sa.select(first.c.asset_id))
    )


def _elsewhere(catalog: Catalog, choice: "sa.Select[tuple[int]]", tier: str) -> Iterator[str]:
    """Yield the chosen assets that do not lie in a tier."""
    ids = choice.subquery()
    query = sa.select(blobs.c.sha256).join(ids, ids.c.asset_id == blobs.c.id)
    with catalog.read() as db:
        names = list(db.scalars(query.where(blobs.c.tier != tier).order_by(blobs.c.id)))
    return iter(names)
