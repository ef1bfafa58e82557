"""The jobs of `places.py` as autods does them, one job a process."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from _places_data import FINGERPRINT, READ, SIZE, SOME, Verbs, described, ended, keys, objects, tell
from _places_data import rows as made_rows

from autods.catalog import Catalog, tables
from autods.ingest.claims import Claims
from autods.ingest.listing import list_refs
from autods.ingest.pending import count_pending
from autods.records import Ref
from autods.settings import S3Access
from autods.store.ahead import in_order
from autods.store.opening import open_store

CHUNK = 50_000


def load(url: str, count: int) -> Verbs:
    with closing(Catalog(url)) as catalog:
        rows = made_rows(count)

        def work() -> int:
            with catalog.begin() as db:
                catalog.load(db, tables.refs, rows)
            return _held(catalog)

        yield "load", work


def insert_new(url: str, count: int) -> Verbs:
    with closing(Catalog(url)) as catalog:
        rows = made_rows(count)

        def work() -> int:
            with catalog.begin() as db:
                catalog.insert_new(db, tables.refs, rows)
            return _held(catalog)

        yield "load", work


def listing(url: str, count: int) -> Verbs:
    with closing(Catalog(url)) as catalog:
        found = [Ref(**described(number)) for number in range(count)]
        for verb in ("load", "again, no change"):
            yield verb, lambda: _listed(catalog, found)


def _listed(catalog: Catalog, found: list[Ref]) -> int:
    list_refs(catalog, 1, found)
    return _held(catalog)


def _held(catalog: Catalog) -> int:
    with catalog.read() as db:
        return db.scalar(sa.select(sa.func.count()).select_from(tables.refs)) or 0


def fill(url: str, count: int) -> Verbs:
    """Make the tables that `pending` and `reads` are asked of."""
    with closing(Catalog(url)) as catalog:
        yield "fill", partial(_fill, catalog, count)


def _fill(catalog: Catalog, count: int) -> int:
    at = tables.now()
    for start in range(0, count, CHUNK):
        numbers = range(start, min(start + CHUNK, count))
        more = {"dataset_id": 1, "first_seen": at, "tries": 1}
        blobs = [
            {"id": n + 1, "sha256": f"{n:064x}", "modality": "image", "size": SIZE, "tier": "hot"}
            | {"created_at": at}
            for n in numbers
        ]
        with catalog.begin() as db:
            catalog.load(db, tables.blobs, blobs)
            refs = [{**described(n), **more, **ended(n)} for n in numbers]
            catalog.load(db, tables.refs, refs)
    return _held(catalog)


def pending(url: str, fingerprint: str = FINGERPRINT) -> Verbs:
    with closing(Catalog(url)) as catalog:
        yield "count", lambda: count_pending(catalog, 1, fingerprint)
        with Claims(catalog, 1, fingerprint) as claims:
            yield "first page", lambda: _taken(claims)


def _taken(claims: Claims) -> int:
    return len(list(islice(claims.take(remote=False), SOME)))


def read(url: str) -> Verbs:
    kinds = {"uri": pa.string(), "label": pa.string()}
    schema = pa.schema([(name, kinds.get(name, pa.int64())) for name in READ])
    query = sa.select(*(tables.refs.c[name] for name in READ))
    with closing(Catalog(url)) as catalog:
        yield "read", lambda: int(catalog.arrow(query, schema).num_rows)


def store(url: str, count: int, access: dict[str, Any] | None = None) -> Verbs:
    place = open_store(url, S3Access(**access) if access else None)
    blobs, names = objects(count), keys(count)
    twins = keys(count, "twins")
    yield "put", partial(_done, place.put_many, blobs)
    yield "list", lambda: sum(1 for _ in place.keys("raw/"))
    yield "read", lambda: sum(map(len, place.get_many(names)))
    pairs = list(zip(names, twins, strict=True))
    yield "copy", lambda: _all(in_order(lambda pair: place.copy(*pair), pairs))
    yield "delete", partial(_done, place.delete_many, [*names, *twins])


def _all(done: Iterator[None]) -> int:
    return sum(1 for _ in done)


def _done(work: Callable[[list[Any]], None], items: list[Any]) -> int:
    work(items)
    return len(items)


JOBS = (load, insert_new, listing, fill, pending, read, store)

if __name__ == "__main__":
    tell({job.__name__: job for job in JOBS})
