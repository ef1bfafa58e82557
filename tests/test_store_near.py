"""A near copy spares the way, and is never trusted more than the place itself."""

from pathlib import Path

import pytest

from autods.errors import PlaceError
from autods.settings import S3Access
from autods.store import LocalStore, MissingError, NearStore, asset_key, open_store, sha256_of
from services.faults import FaultyProxy
from services.fixtures import S3Place

BLOBS = {asset_key(sha256_of(b"%d" % n)): b"%d" % n for n in range(40)}


def nearby(place: S3Place, proxy: FaultyProxy, folder: Path) -> NearStore:
    access = S3Access(proxy.endpoint, place.access_key, place.secret_key, region=place.region)
    return NearStore(open_store(place.url, access), LocalStore(folder))


@pytest.fixture
def proxied(s3_place: S3Place) -> FaultyProxy:
    host, _, port = s3_place.endpoint.removeprefix("http://").partition(":")
    return FaultyProxy(host, int(port))


def test_what_was_written_or_read_once_is_not_fetched_again(
    s3_place: S3Place, proxied: FaultyProxy, tmp_path: Path
) -> None:
    with proxied as proxy:
        writer = nearby(s3_place, proxy, tmp_path / "writer")
        writer.put_many(list(BLOBS.items()))
        asked = proxy.requests
        assert list(writer.get_many(BLOBS)) == list(BLOBS.values())
        assert proxy.requests == asked
        reader = nearby(s3_place, proxy, tmp_path / "reader")
        assert list(reader.get_many(BLOBS)) == list(BLOBS.values())
        asked = proxy.requests
        assert [reader.get(key) for key in BLOBS] == list(BLOBS.values())
        path = reader.local_path(next(iter(BLOBS)))
        assert path is not None
        assert path.read_bytes() == b"0"
        assert proxy.requests == asked


def test_a_damaged_copy_is_dropped_and_fetched_again(
    s3_place: S3Place, proxied: FaultyProxy, tmp_path: Path
) -> None:
    with proxied as proxy:
        store = nearby(s3_place, proxy, tmp_path)
        key, data = next(iter(BLOBS.items()))
        store.put(key, data)
        path = store.near.local_path(key)
        path.unlink()
        path.write_bytes(b"rotten")
        assert store.local_path(key) is None
        assert store.get(key) == data
        assert path.read_bytes() == data


def test_a_copy_of_what_is_gone_there_is_not_there(
    s3_place: S3Place, proxied: FaultyProxy, tmp_path: Path
) -> None:
    with proxied as proxy:
        store = nearby(s3_place, proxy, tmp_path)
        key, data = next(iter(BLOBS.items()))
        store.put(key, data)
        store.far.delete(key)
        assert not store.has(key)
        assert list(store.keys("raw/")) == []
        store.delete(key)
        with pytest.raises(MissingError):
            store.get(key)


def test_a_near_copy_that_cannot_be_written_is_done_without(
    s3_place: S3Place, proxied: FaultyProxy, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with proxied as proxy:
        store = nearby(s3_place, proxy, tmp_path / "file" / "below")
        key, data = next(iter(BLOBS.items()))
        store.put(key, data)
        assert store.get(key) == data
        with pytest.raises(PlaceError):
            store.near.put(key, data)
