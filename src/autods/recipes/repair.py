"""Bringing back what a store has lost: its inputs are asked of their sources again."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, refs
from autods.recipes.bond import bind, places_of
from autods.run import batched
from autods.store import Store, asset_key, sha256_in
from autods.workspace import Workspace

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Repaired:
    """How many assets were looked at, and how many are not there, or not what their name says."""

    assets: int
    missing: int
    damaged: int


def repair(workspace: Workspace, *, thorough: bool = False, new_store: bool = False) -> Repaired:
    """Find the assets whose bytes are gone, and let the next build ask their sources again.

    One listing of the store is held against the catalog. With `thorough` every blob is read and
    checked against its SHA-256, too, and one that is damaged is removed. The assets themselves,
    their labels, splits and verdicts stay: the same bytes will be the same assets. A store that
    is not the one the catalog knows is refused with PlaceError unless `new_store` is set.
    """
    catalog, store = workspace.catalog, workspace.store
    bind(catalog, store, anew=new_store)
    assets = missing = damaged = 0
    for batch in batched(_states(catalog, store, thorough), BATCH):
        gone = [name for name, state in batch if state == "missing"]
        bad = [name for name, state in batch if state == "damaged"]
        _ask_again(catalog, gone + bad)
        assets += len(batch)
        missing += len(gone)
        damaged += len(bad)
    return Repaired(assets, missing, damaged)


def _states(catalog: Catalog, store: Store, thorough: bool) -> Iterator[tuple[str, str]]:
    """Yield each asset with `there`, `missing` or `damaged`; a damaged copy is removed.

    Where there are two tiers, a copy that is sound in either is enough.
    """
    shelves = [_Shelf(place) for _, place in places_of(store)]
    for name in _names(catalog):
        holding = [shelf.place for shelf in shelves if shelf.holds(name)]
        bad = [place for place in holding if thorough and not _is_sound(place, name)]
        for place in bad:
            place.delete(asset_key(name))
        whole = len(holding) > len(bad)
        yield name, "there" if whole else "damaged" if bad else "missing"


class _Shelf:
    """One place and what it lists, asked for in the order of the names."""

    def __init__(self, place: Store) -> None:
        self.place = place
        self._names = (key.rpartition("/")[2] for key in place.keys("raw/"))
        self._next = next(self._names, None)

    def holds(self, name: str) -> bool:
        """Tell whether the place lists an asset; each is asked for after those before it."""
        while self._next is not None and self._next < name:
            self._next = next(self._names, None)
        return self._next == name


def _is_sound(place: Store, name: str) -> bool:
    return sha256_in(place, asset_key(name)) == name


def _names(catalog: Catalog) -> Iterator[str]:
    last = ""
    query = sa.select(blobs.c.sha256).order_by(blobs.c.sha256).limit(10_000)
    while True:
        with catalog.read() as db:
            page = list(db.scalars(query.where(blobs.c.sha256 > last)))
        if not page:
            return
        yield from page
        last = page[-1]


def _ask_again(catalog: Catalog, names: list[str]) -> None:
    """Take the outcome of these assets' sightings back, so that they are pending."""
    if not names:
        return
    lost = sa.select(blobs.c.id).where(blobs.c.sha256.in_(names))
    undone = {"fingerprint": None, "status": None, "asset_id": None}
    with catalog.begin() as db:
        db.execute(sa.update(refs).where(refs.c.asset_id.in_(lost)).values(undone))
