"""The jobs of `places.py` as one would write them without autods, in the peers' environment."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from _places_data import FINGERPRINT, READ, SOME, Verbs, keys, objects, tell
from _places_data import rows as made_rows

WIDTH = 16
QUERY = f"SELECT {', '.join(READ)} FROM %s"


def to_sql(url: str, count: int, method: Literal["multi"] | None = None) -> Verbs:
    """Append a ready frame to the very table, with its constraints and indexes.

    Several rows a statement (`multi`): 100, which did best of 20, 100, 500 and 2,500.
    """
    import pandas as pd
    import sqlalchemy as sa

    engine, schema = _engine(url)
    frame = pd.DataFrame(made_rows(count))
    many = 100 if method else None

    def work() -> int:
        with engine.begin() as db:
            frame.to_sql(
                "refs", db, schema=schema, if_exists="append", index=False,
                method=method, chunksize=many, dtype={"meta": sa.JSON},
            )  # fmt: skip
        with engine.connect() as db:
            held = sa.text(f"SELECT count(*) FROM {_table(url)}")
            return int(db.scalar(held) or 0)

    yield "load", work
    engine.dispose()


def difference(url: str, fingerprint: str = FINGERPRINT) -> Verbs:
    """Select all ids, and all that are done, and subtract; then look up what the page needs."""
    with _connected(url) as ask:
        yield "count", lambda: len(_undone(ask, url, fingerprint))
        yield "first page", lambda: _page(ask, url, fingerprint)


def _undone(ask: Callable[..., Iterable[Any]], url: str, fingerprint: str) -> set[int]:
    every = f"SELECT id FROM {_table(url)} WHERE dataset_id = 1 AND gone_at IS NULL"
    done = f"{every} AND fingerprint = {_mark(url)}"
    there = {row[0] for row in ask(every)}
    return there - {row[0] for row in ask(done, (fingerprint,))}


def _page(ask: Callable[..., Iterable[Any]], url: str, fingerprint: str) -> int:
    page = list(islice(sorted(_undone(ask, url, fingerprint)), SOME))
    marks = ", ".join([_mark(url)] * len(page))
    query = f"SELECT id, location, asset_id FROM {_table(url)} WHERE id IN ({marks})"
    return sum(1 for _ in ask(query, page))


def read_sql(url: str) -> Verbs:
    import pandas as pd

    engine, _ = _engine(url)
    with engine.connect() as db:
        yield "read", lambda: len(pd.read_sql(QUERY % _table(url), db))
    engine.dispose()


def adbc(url: str) -> Verbs:
    if url.startswith("sqlite"):
        driver, place = "sqlite", url.removeprefix("sqlite:///")
    else:
        driver, place = "postgresql", url
    dbapi: Any = import_module(f"adbc_driver_{driver}.dbapi")
    with closing(dbapi.connect(place)) as db, db.cursor() as cursor:

        def work() -> int:
            cursor.execute(QUERY % _table(url))
            return int(cursor.fetch_arrow_table().num_rows)

        yield "read", work


def files(url: str, count: int) -> Verbs:
    root, twins = Path(url), Path(url, "twins")
    names, blobs = keys(count), objects(count)

    def put() -> int:
        for key, data in blobs:
            path = root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return count

    def copy() -> int:
        for key in names:
            path = twins / key
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / key, path)
        return count

    def delete() -> int:
        for key in names:
            (root / key).unlink()
            (twins / key).unlink()
        return 2 * count

    yield "put", put
    yield "list", lambda: len(sorted(p for p in (root / "raw").rglob("*") if p.is_file()))
    yield "read", lambda: sum(len((root / key).read_bytes()) for key in names)
    yield "copy", copy
    yield "delete", delete


def boto3(url: str, count: int, access: dict[str, Any], threads: int = 1) -> Verbs:
    pool = import_module("botocore.config").Config(max_pool_connections=WIDTH)
    client: Any = import_module("boto3").client("s3", config=pool, **_boto(access))
    bucket, names = url.removeprefix("s3://"), keys(count)
    put = partial(_put, client, bucket)
    copy = partial(_copy, client, bucket)
    each = partial(_each, threads)
    blobs, twins = objects(count), keys(count, "twins")
    yield "put", lambda: sum(1 for _ in each(put, blobs))
    yield "list", lambda: sum(1 for _ in sorted(_listed(client, bucket)))
    yield "read", lambda: sum(map(len, each(partial(_get, client, bucket), names)))
    yield "copy", lambda: sum(1 for _ in each(copy, list(zip(names, twins, strict=True))))
    yield "delete", lambda: sum(each(partial(_delete, client, bucket), _thousands(names + twins)))


def _each(threads: int, work: Callable[[Any], Any], items: list[Any]) -> Iterator[Any]:
    if threads == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, items)


def _put(client: Any, bucket: str, blob: tuple[str, bytes]) -> None:
    client.put_object(Bucket=bucket, Key=blob[0], Body=blob[1])


def _get(client: Any, bucket: str, key: str) -> bytes:
    return bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())


def _copy(client: Any, bucket: str, pair: tuple[str, str]) -> None:
    source = {"Bucket": bucket, "Key": pair[0]}
    client.copy_object(Bucket=bucket, Key=pair[1], CopySource=source)


def _delete(client: Any, bucket: str, some: list[str]) -> int:
    wanted = {"Objects": [{"Key": key} for key in some], "Quiet": True}
    failed = client.delete_objects(Bucket=bucket, Delete=wanted).get("Errors", [])
    return len(some) - len(failed)


def _listed(client: Any, bucket: str) -> Iterator[str]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="raw/"):
        yield from (entry["Key"] for entry in page["Contents"])


def _thousands(names: list[str]) -> list[list[str]]:
    return [names[start : start + 1000] for start in range(0, len(names), 1000)]


def s3fs(url: str, count: int, access: dict[str, Any]) -> Verbs:
    fs: Any = import_module("s3fs").S3FileSystem(
        key=access["access_key"],
        secret=access["secret_key"],
        endpoint_url=access["endpoint"],
        client_kwargs={"region_name": access["region"]},
        use_listings_cache=False,
    )
    root = url.removeprefix("s3://")
    names = [f"{root}/{key}" for key in keys(count)]
    twins = [f"{root}/{key}" for key in keys(count, "twins")]
    blobs = {f"{root}/{key}": data for key, data in objects(count)}
    yield "put", lambda: _then(fs.pipe(blobs), count)
    yield "list", lambda: len(fs.find(f"{root}/raw"))
    yield "read", lambda: sum(map(len, fs.cat(names).values()))
    yield "copy", lambda: _then(fs.copy(names, twins), count)
    yield "delete", lambda: _then(fs.rm(names + twins), 2 * count)


def _then(_: Any, count: int) -> int:
    return count


def _boto(access: dict[str, Any]) -> dict[str, Any]:
    return {
        "endpoint_url": access["endpoint"],
        "aws_access_key_id": access["access_key"],
        "aws_secret_access_key": access["secret_key"],
        "region_name": access["region"],
    }


def _engine(url: str) -> tuple[Any, str | None]:
    import sqlalchemy as sa

    if url.startswith("sqlite"):
        return sa.create_engine(url), None
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1)), "autods"


def _table(url: str) -> str:
    return "refs" if url.startswith("sqlite") else "autods.refs"


def _mark(url: str) -> str:
    return "?" if url.startswith("sqlite") else "%s"


@contextmanager
def _connected(url: str) -> Iterator[Callable[..., Iterable[Any]]]:
    """Give what asks a query by the plain driver."""
    db: Any
    if url.startswith("sqlite"):
        import sqlite3

        db = sqlite3.connect(url.removeprefix("sqlite:///"))
    else:
        import psycopg

        db = psycopg.connect(url)
    with closing(db):
        yield db.execute


JOBS = (to_sql, difference, read_sql, adbc, files, boto3, s3fs)

if __name__ == "__main__":
    tell({job.__name__: job for job in JOBS})
