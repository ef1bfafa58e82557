"""A listing tells what changed since the last one; what does change is written anew at a stroke."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from autods.settings import S3Access
from autods.store import LocalStore, NearStore, Store, TieredStore, open_store
from services.fixtures import S3Place
from services.swift import S3Server

KINDS = ("local", "s3", "tiered", "near")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return open_store(str(tmp_path / "store"))
    place = request.getfixturevalue("s3_place")
    access = S3Access(place.endpoint, place.access_key, place.secret_key)
    if request.param == "s3":
        return open_store(place.url, access)
    if request.param == "near":
        return NearStore(open_store(place.url, access), LocalStore(tmp_path / "near"))
    return open_store(str(tmp_path / "hot"), access, cold=place.url)


def test_entries_are_the_keys_with_their_sizes(store: Store) -> None:
    keys = ["raw/a-b", "raw/a/1", "raw/a/2/3", "raw/ab", "raw/é", "shards/x"]
    store.put_many([(key, key.encode()) for key in reversed(keys)])
    for prefix in ("", "raw", "raw/", "raw/a", "raw/a/", "raw/ab", "x/"):
        found = list(store.entries(prefix))
        assert [entry.key for entry in found] == list(store.keys(prefix))
        assert [entry.size for entry in found] == [len(entry.key.encode()) for entry in found]
    assert list(store.entries("")) == list(store.entries("")), "nothing has changed"


def test_a_stamp_changes_with_the_bytes(store: Store) -> None:
    store.put_many([("gold/a", b"1"), ("gold/b", b"2")])
    before = {entry.key: entry for entry in store.entries("gold/")}
    store.replace("gold/a", b"3")
    after = {entry.key: entry for entry in store.entries("gold/")}
    assert after["gold/a"].stamp != before["gold/a"].stamp
    assert after["gold/b"] == before["gold/b"]
    assert all(entry.stamp and '"' not in entry.stamp for entry in after.values())


def test_what_is_replaced_is_read_anew(store: Store) -> None:
    for data in (b"first", b"second, and longer", b"3rd"):
        store.replace("datasets/manifest.json", data)
        assert store.get("datasets/manifest.json") == data
        assert store.size("datasets/manifest.json") == len(data)
    assert list(store.keys("")) == ["datasets/manifest.json"]


def test_what_was_put_may_be_replaced(store: Store) -> None:
    store.put("raw/a", b"1")
    assert store.get("raw/a") == b"1", "and is kept near now"
    store.replace("raw/a", b"2")
    assert store.get("raw/a") == b"2"


def test_in_two_tiers_a_blob_is_listed_once_as_the_hot_one_has_it(tmp_path: Path) -> None:
    tiers = TieredStore(LocalStore(tmp_path / "hot"), LocalStore(tmp_path / "cold"))
    for key, hot, cold in (("a", b"1", b""), ("b", b"", b"22"), ("c", b"333", b"333")):
        tiers.hot.put(f"raw/{key}", hot) if hot else None
        tiers.cold.put(f"raw/{key}", cold) if cold else None
    assert [(entry.key, entry.size) for entry in tiers.entries("")] == [
        ("raw/a", 1), ("raw/b", 2), ("raw/c", 3),
    ]  # fmt: skip
    assert list(tiers.entries("raw/c")) == list(tiers.hot.entries("raw/c"))


def test_what_is_replaced_in_two_tiers_is_nowhere_as_it_was(tmp_path: Path) -> None:
    tiers = TieredStore(LocalStore(tmp_path / "hot"), LocalStore(tmp_path / "cold"))
    tiers.cold.put("raw/a", b"old")
    tiers.replace("raw/a", b"new")
    assert (tiers.get("raw/a"), tiers.cold.has("raw/a")) == (b"new", False)


def test_a_link_that_shares_the_file_keeps_what_it_had(tmp_path: Path) -> None:
    folder = LocalStore(tmp_path)
    folder.put("raw/a", b"before")
    folder.copy("raw/a", "raw/b")
    folder.replace("raw/a", b"after")
    assert (folder.get("raw/a"), folder.get("raw/b")) == (b"after", b"before")
    assert folder.local_path("raw/a").stat().st_mode & 0o222 == 0


def test_only_whole_files_are_listed(tmp_path: Path) -> None:
    folder = LocalStore(tmp_path)
    folder.put("raw/a", b"1")
    (tmp_path / "raw" / ".tmp-left").write_bytes(b"half")
    (tmp_path / "raw" / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "raw" / "pipe")
    assert [entry.key for entry in folder.entries("")] == ["raw/a"]


@pytest.mark.slow
@pytest.mark.parametrize("store", ["local", "s3"], indirect=True)
def test_readers_get_the_old_bytes_or_the_new(store: Store) -> None:
    versions = [bytes([n]) * 100_000 for n in range(20)]
    store.replace("x/manifest", versions[0])
    over, seen = threading.Event(), set[bytes]()

    def read() -> None:
        while not over.is_set():
            seen.add(store.get("x/manifest"))

    reader = threading.Thread(target=read)
    reader.start()
    for version in versions:
        store.replace("x/manifest", version)
    over.set()
    reader.join()
    assert seen <= set(versions)


LISTING = """
import resource, sys
from pathlib import Path
from autods.store import LocalStore
store = LocalStore(Path(sys.argv[1]))
next(store.entries("few/"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(sum(1 for _ in store.entries("")))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_a_long_listing_is_never_in_memory_whole(tmp_path: Path) -> None:
    for number in range(200):
        folder = tmp_path / "raw" / f"{number:03}"
        folder.mkdir(parents=True)
        for name in range(200):
            (folder / f"{name:03}").touch()
    LocalStore(tmp_path).put("few/a", b"")
    said = subprocess.check_output([sys.executable, "-c", LISTING, tmp_path], text=True)
    count, kib = map(int, said.split())
    assert count == 40_001
    assert kib < 5_000


def test_another_bucket_is_listed_through_a_store_of_all(
    s3_server: S3Server, s3_place: S3Place
) -> None:
    access = S3Access(s3_place.endpoint, s3_place.access_key, s3_place.secret_key)
    every = open_store("s3://", access)
    every.put(f"{s3_place.bucket}/users/1/a #1.jpg", b"1")
    (entry,) = every.entries(f"{s3_place.bucket}/users/")
    assert (entry.key, entry.size) == (f"{s3_place.bucket}/users/1/a #1.jpg", 1)
