"""The store keeps bytes under their names, whole or not at all."""

import os
from pathlib import Path

import pytest

from autods.errors import PlaceError, UsageError
from autods.store import LocalStore, asset_key, open_store, sha256_of


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def test_what_is_put_is_got(store: LocalStore) -> None:
    key = asset_key(sha256_of(b"bytes"))
    assert not store.has(key)
    store.put(key, b"bytes")
    assert store.has(key)
    assert store.get(key) == b"bytes"
    assert list(store.keys("raw/")) == [key]


def test_a_second_put_changes_nothing(store: LocalStore) -> None:
    store.put("raw/a", b"1")
    before = store.local_path("raw/a").stat()
    store.put("raw/a", b"1")
    assert store.local_path("raw/a").stat() == before


def test_a_blob_is_read_only(store: LocalStore) -> None:
    store.put("raw/a", b"1")
    assert store.local_path("raw/a").stat().st_mode & 0o222 == 0


def test_a_missing_blob_is_one_sentence(store: LocalStore) -> None:
    with pytest.raises(PlaceError, match="cannot read"):
        store.get("raw/none")
    store.delete("raw/none")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "raw/../../x", "raw//x", "raw/.", ".."])
def test_a_key_never_leaves_the_store(store: LocalStore, key: str) -> None:
    with pytest.raises(UsageError, match="not a key"):
        store.put(key, b"")


def test_keys_come_sorted_and_only_those_asked_for(store: LocalStore) -> None:
    for key in ("raw/b/2", "raw/a/1", "raw/ab", "shards/x"):
        store.put(key, b"")
    assert list(store.keys("raw/a")) == ["raw/a/1", "raw/ab"]
    assert list(store.keys("")) == ["raw/a/1", "raw/ab", "raw/b/2", "shards/x"]
    assert list(store.keys("nothing/")) == []


def test_what_a_kill_left_is_swept(store: LocalStore) -> None:
    store.put("raw/a", b"1")
    leftover = store.root / "raw" / ".tmp-left"
    leftover.write_bytes(b"half")
    assert list(store.keys("")) == ["raw/a"]
    assert store.sweep() == 0, "another process may be writing it"
    os.utime(leftover, (0, 0))
    assert store.sweep() == 1
    assert not leftover.exists()


def test_an_unwritable_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PlaceError, match="cannot make the folder"):
        LocalStore(tmp_path / "file").put("raw/a", b"1")


def test_a_store_is_opened_by_its_url(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}").url == str(tmp_path)
    assert open_store(str(tmp_path)).url == str(tmp_path)
    with pytest.raises(UsageError, match="no store for 'ftp://x'"):
        open_store("ftp://x")
