"""Which store a catalog's bytes are in: a word that both hold, so that no other is taken for it."""

import uuid
from collections.abc import Iterator

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, marks
from autods.errors import PlaceError
from autods.store import MissingError, Store, TieredStore, far_of

KEY = "processed/store-id"
"""Where a store keeps the word; whoever copies the bucket copies it, too."""


def bind(catalog: Catalog, store: Store, *, anew: bool = False) -> None:
    """See that the store is the one this catalog knows, or make it so the first time.

    Several catalogs may share one store. `anew` takes another store for the catalog's from now
    on. Raises PlaceError if it is not the one, which a typing error in its URL, say, may cause.
    """
    for name, place in places_of(store):
        there, known = _word_in(place), _known(catalog, name)
        if known is not None and there != known and not anew:
            raise PlaceError(_stranger(catalog, place, there))
        word = there or (None if anew else known) or uuid.uuid4().hex
        if word != known:
            with catalog.begin() as db:
                keep = catalog.replace if anew else catalog.insert_new
                keep(db, marks, [{"name": name, "value": word}])
            word = _known(catalog, name) or word  # Another process may have been quicker.
        if there is None:
            place.put(KEY, word.encode())


def is_bound(catalog: Catalog, store: Store) -> str | None:
    """Tell what is wrong if the store is not the one this catalog knows, else None."""
    for name, place in places_of(store):
        there, known = _word_in(place), _known(catalog, name)
        if known is not None and there != known:
            return _stranger(catalog, place, there)
    return None


def places_of(store: Store) -> Iterator[tuple[str, Store]]:
    """Name the places that a store consists of."""
    place = far_of(store)
    if isinstance(place, TieredStore):
        yield "store", place.hot
        yield "cold_store", place.cold
    else:
        yield "store", place


def _word_in(place: Store) -> str | None:
    try:
        return place.get(KEY).decode()
    except MissingError:
        return None


def _known(catalog: Catalog, name: str) -> str | None:
    with catalog.read() as db:
        return db.scalar(sa.select(marks.c.value).where(marks.c.name == name))


def _stranger(catalog: Catalog, place: Store, there: str | None) -> str:
    with catalog.read() as db:
        held = db.scalar(sa.select(sa.func.count()).select_from(blobs)) or 0
    why = "another catalog's" if there else "a new one"
    return (
        f"{place.url} is not the store of this catalog, which holds {held:,} assets: it is {why}. "
        "Check its URL; `autods move --store URL` takes the bytes along, and `autods doctor "
        "--repair --new-store` has the next build ask the sources for all of them again"
    )
