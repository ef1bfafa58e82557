"""A blob goes from any store to any other under another name, by the shortest way there is."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from autods.errors import PlaceError
from autods.settings import S3Access
from autods.store import (
    LocalStore,
    MissingError,
    NearStore,
    S3Store,
    Store,
    TieredStore,
    copy_between,
    copy_many,
)
from autods.store.ahead import SMALL
from services.faults import FaultyProxy
from services.fixtures import S3Place
from services.swift import S3Server

SOURCES = ("local", "s3", "near", "local over s3", "s3 over local")
TARGETS = ("local", "s3", "near", "local over s3")
STRANGE = "raw/a #1?&=%41+ ü.jpg"


def entered(place: S3Place, endpoint: str | None = None) -> S3Access:
    return S3Access(endpoint or place.endpoint, place.access_key, place.secret_key)


def opened(kind: str, folder: Path, place: S3Place, name: str) -> Store:
    here, there = LocalStore(folder / name), S3Store(f"{place.url}/{name}", entered(place))
    kinds: dict[str, Store] = {
        "local": here,
        "s3": there,
        "near": NearStore(there, LocalStore(folder / f"{name}-near")),
        "local over s3": TieredStore(here, there),
        "s3 over local": TieredStore(there, here),
    }
    return kinds[kind]


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path, s3_place: S3Place) -> Store:
    return opened(request.param, tmp_path, s3_place, "source")


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path: Path, s3_place: S3Place) -> Store:
    return opened(request.param, tmp_path, s3_place, "target")


def test_a_blob_is_copied_under_another_key(source: Store, target: Store) -> None:
    for store in filter(None, (source, getattr(source, "cold", None))):
        key = "raw/a" if store is source else "raw/cold"
        store.put(key, key.encode())
        for _ in range(2):
            copy_between(source, key, target, f"datasets/{key}")
        assert target.get(f"datasets/{key}") == key.encode()
        assert source.get(key) == key.encode()


@pytest.mark.slow
def test_a_large_blob_and_a_strange_name_are_copied_too(source: Store, target: Store) -> None:
    data = os.urandom(SMALL + 1)
    source.put("raw/large", data)
    source.put(STRANGE, b"strange")
    copied = list(copy_many([("raw/large", "x/large"), (STRANGE, STRANGE)], source, target))
    assert (target.get("x/large"), target.get(STRANGE)) == (data, b"strange")
    assert copied in ([0, 0], [SMALL + 1, 7])


def test_what_is_not_there_is_missing(source: Store, target: Store) -> None:
    with pytest.raises(MissingError, match=r"raw/none.*(not there|No such file)"):
        copy_between(source, "raw/none", target, "raw/b")
    assert not target.has("raw/b")


def test_on_one_disk_an_edited_copy_leaves_the_original_alone(tmp_path: Path) -> None:
    source, target = LocalStore(tmp_path / "a"), LocalStore(tmp_path / "b")
    source.put("raw/a", b"1")
    assert copy_between(source, "raw/a", target, "raw/b") == 1
    target.local_path("raw/b").chmod(0o644)
    target.local_path("raw/b").write_bytes(b"edited")
    assert source.get("raw/a") == b"1"


def test_a_file_that_can_still_be_written_is_never_shared(tmp_path: Path) -> None:
    source, target = LocalStore(tmp_path / "a"), LocalStore(tmp_path / "b")
    (tmp_path / "a" / "raw").mkdir(parents=True)
    source.local_path("raw/a").write_bytes(b"before")
    assert copy_between(source, "raw/a", target, "raw/b") == 6
    source.local_path("raw/a").write_bytes(b"after!")
    assert target.get("raw/b") == b"before"


def test_what_was_kept_near_is_not_fetched(tmp_path: Path, s3_place: S3Place) -> None:
    source = opened("near", tmp_path, s3_place, "source")
    target = LocalStore(tmp_path / "target")
    source.put("raw/a", b"1")
    source.far.delete("raw/a")  # type: ignore[attr-defined]
    assert copy_between(source, "raw/a", target, "raw/b") == 1
    assert target.get("raw/b") == b"1"


@pytest.mark.parametrize("kind", ["s3", "near", "local over s3"])
def test_from_bucket_to_bucket_the_bytes_stay_on_the_server(
    kind: str, tmp_path: Path, s3_server: S3Server, s3_place: S3Place
) -> None:
    with s3_server.bucket() as other, FaultyProxy("127.0.0.1", s3_server.port) as proxy:
        access = entered(s3_place, proxy.endpoint)
        there = S3Store(f"s3://{s3_place.bucket}/in", access)
        there.put(STRANGE, os.urandom(1_000_000))
        sources: dict[str, Store] = {
            "s3": there,
            "near": NearStore(there, LocalStore(tmp_path / "near")),
            "local over s3": TieredStore(LocalStore(tmp_path / "hot"), there),
        }
        target = S3Store(f"s3://{other}/some/where", access)
        proxy.cut_after(100_000, connections=100)  # What sends the bytes again is cut for ever.
        proxy.cut()
        assert copy_between(sources[kind], STRANGE, target, "x/b") == 0
        assert target.size("x/b") == 1_000_000


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_many_come_in_order_and_are_taken_as_results_are_asked_for(
    kind: str, tmp_path: Path, s3_place: S3Place
) -> None:
    source, target = (opened(kind, tmp_path, s3_place, name) for name in ("source", "target"))
    source.put_many([(f"raw/{n:02}", b"%d" % n) for n in range(40)])
    taken = []

    def pairs() -> Iterator[tuple[str, str]]:
        for n in range(40):
            taken.append(n)
            yield f"raw/{n:02}", f"x/{39 - n:02}"

    copied = copy_many(pairs(), source, target, width=2)
    first = next(copied)
    assert len(taken) <= 16
    came = [0] * 40 if kind == "s3" else [len(b"%d" % n) for n in range(40)]
    assert [first, *copied] == came
    assert list(target.get_many(target.keys("x/"))) == [b"%d" % n for n in reversed(range(40))]


def test_a_missing_one_among_many_ends_it(tmp_path: Path) -> None:
    source, target = LocalStore(tmp_path / "a"), LocalStore(tmp_path / "b")
    source.put("raw/a", b"1")
    copied = copy_many([("raw/a", "x/a"), ("raw/none", "x/b")], source, target)
    assert next(copied) == 1
    with pytest.raises(MissingError):
        next(copied)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    source, target = LocalStore(tmp_path / "a"), LocalStore(tmp_path / "file")
    source.put("raw/a", b"1")
    with pytest.raises(PlaceError, match="cannot make the folder"):
        copy_between(source, "raw/a", target, "raw/b")
