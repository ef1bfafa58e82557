"""Every store keeps bytes under their names, whole or not at all: one suite for all of them."""

import datetime as dt
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autods.errors import PlaceError, UsageError
from autods.settings import S3Access
from autods.store import (
    LocalStore,
    MissingError,
    NearStore,
    S3Store,
    Store,
    TieredStore,
    asset_key,
    open_store,
    put_assets,
    read_asset,
    read_assets,
    sha256_of,
)
from autods.store.ahead import SMALL, WIDTH, in_order
from services.fixtures import S3Place

KINDS = ("local", "s3", "tiered", "near")


def entered(place: S3Place, *, endpoint: str | None = None) -> S3Access:
    return S3Access(
        endpoint or place.endpoint, place.access_key, place.secret_key, region=place.region
    )


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return open_store(str(tmp_path / "store"))
    place = request.getfixturevalue("s3_place")
    if request.param == "s3":
        return open_store(place.url, entered(place))
    if request.param == "near":
        return NearStore(open_store(place.url, entered(place)), LocalStore(tmp_path / "near"))
    return open_store(str(tmp_path / "hot"), entered(place), cold=place.url)


@pytest.fixture
def folder(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def test_what_is_put_is_got(store: Store) -> None:
    key = asset_key(sha256_of(b"bytes"))
    assert not store.has(key)
    assert store.size(key) is None
    store.put(key, b"bytes")
    assert store.has(key)
    assert store.size(key) == 5
    assert store.get(key) == b"bytes"
    assert b"".join(store.stream(key)) == b"bytes"
    assert list(store.keys("raw/")) == [key]


def test_a_blob_tells_when_it_was_written(store: Store) -> None:
    store.put("raw/a", b"1")
    written = store.written_at("raw/a")
    assert written.tzinfo is dt.UTC
    assert abs(written - dt.datetime.now(dt.UTC)) < dt.timedelta(hours=1)


def test_an_empty_blob_is_one(store: Store) -> None:
    store.put("raw/empty", b"")
    assert (store.has("raw/empty"), store.size("raw/empty")) == (True, 0)
    assert (store.get("raw/empty"), list(store.stream("raw/empty"))) == (b"", [])


def test_a_second_put_changes_nothing(store: Store) -> None:
    for _ in range(2):
        store.put("raw/a", b"1")
    assert (store.get("raw/a"), list(store.keys(""))) == (b"1", ["raw/a"])


def test_a_second_put_does_not_write(folder: LocalStore) -> None:
    folder.put("raw/a", b"1")
    before = folder.local_path("raw/a").stat()
    folder.put("raw/a", b"1")
    folder.copy("raw/a", "raw/a")
    assert folder.local_path("raw/a").stat() == before


def test_many_come_in_the_order_asked_for_large_ones_too(store: Store) -> None:
    blobs = [(f"raw/{i:02}", bytes([i]) * (SMALL + 1 if i == 3 else i)) for i in range(20)]
    store.put_many(blobs)
    asked = [*reversed(blobs), blobs[0], blobs[0]]
    assert list(store.get_many(key for key, _ in asked)) == [data for _, data in asked]
    assert list(store.get_many([])) == []
    assert store.get_within("raw/03", SMALL) is None
    assert store.get_within("raw/03", SMALL + 1) == blobs[3][1]


def test_a_blob_is_read_only(folder: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"2")
    folder.put("raw/a", b"1")
    folder.put_file("raw/b", tmp_path / "file")
    for key in ("raw/a", "raw/b"):
        assert folder.local_path(key).stat().st_mode & 0o222 == 0


def test_a_missing_blob_is_one_sentence(store: Store, tmp_path: Path) -> None:
    store.put("raw/a", b"1")
    for read in (
        store.get,
        lambda key: store.get_within(key, 10),
        lambda key: list(store.stream(key)),
        lambda key: store.fetch(key, tmp_path / "out"),
        lambda key: list(store.get_many(["raw/a", key])),
        lambda key: store.copy(key, "raw/b"),
        store.written_at,
    ):
        with pytest.raises(
            MissingError, match=r"^cannot (read|copy|look at) .*raw/none.*(there|No such)"
        ):
            read("raw/none")
    assert [path.name for path in tmp_path.glob("*out*")] == []
    assert list(store.keys("raw/")) == ["raw/a"]


def test_removing_is_for_those_that_are_there_and_those_that_are_not(store: Store) -> None:
    store.put_many([(f"raw/{i}", b"") for i in range(5)])
    store.delete("raw/0")
    store.delete("raw/0")
    store.delete_many(iter(["raw/1", "raw/none", "raw/4", "shards/none"]))
    store.delete_many([])
    assert list(store.keys("")) == ["raw/2", "raw/3"]


@pytest.mark.parametrize(
    "key",
    ["", "/", "/etc/passwd", "raw/../../x", "raw//x", "raw/", "raw/.", "..", "raw/a\nb", "raw/\0",
     "raw/\udc80", "raw/.tmp-a", "raw/" + "ü" * 126],
)  # fmt: skip
def test_a_key_never_leaves_the_store(store: Store, key: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for use in (
        lambda: store.put(key, b""),
        lambda: store.put_many([(key, b"")]),
        lambda: store.put_file(key, tmp_path / "file"),
        lambda: store.get(key),
        lambda: list(store.get_many([key])),
        lambda: store.fetch(key, tmp_path / "out"),
        lambda: store.size(key),
        lambda: store.has(key),
        lambda: store.copy("raw/a", key),
        lambda: store.copy(key, "raw/a"),
        lambda: store.delete(key),
        lambda: store.delete_many([key]),
    ):
        with pytest.raises(UsageError, match="not a key"):
            use()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "hot") == ["file"]


@pytest.mark.parametrize("prefix", ["/", "../", "raw//", "raw/../x", "raw/\n"])
def test_a_listing_never_leaves_the_store(store: Store, prefix: str) -> None:
    with pytest.raises(UsageError, match="not a key"):
        list(store.keys(prefix))


def test_keys_come_sorted_and_only_those_asked_for(store: Store) -> None:
    keys = ["raw/a-b", "raw/a/1", "raw/a/2/3", "raw/ab", "raw/b.c", "raw/b/2", "raw/é", "shards/x"]
    store.put_many([(key, b"") for key in reversed(keys)])
    for prefix in ("", "r", "raw", "raw/", "raw/a", "raw/a/", "raw/a/2", "raw/ab", "raw/b", "x/",
                   "raw/.", "raw/..", "raw/b.c", "raw/a/2/3/", "raw/z", "sh"):  # fmt: skip
        assert list(store.keys(prefix)) == [key for key in keys if key.startswith(prefix)], prefix


@pytest.mark.parametrize("name", ["a b", "%41", "#x?y&z=1", "a+b", "ü/é", "~x", "a\\b", "{}*|<>'"])
def test_a_name_is_kept_as_it_is(store: Store, name: str, tmp_path: Path) -> None:
    key = f"raw/{name}"
    store.put(key, name.encode())
    store.copy(key, f"copy/{name}")
    assert store.get(f"copy/{name}") == name.encode()
    assert list(store.keys("raw/")) == [key]
    store.delete_many([key])
    assert list(store.keys("")) == [f"copy/{name}"]


def test_a_copy_is_the_same_bytes_under_another_name(store: Store) -> None:
    store.put("raw/a", b"1")
    store.copy("raw/a", "shards/deep/b")
    store.copy("raw/a", "shards/deep/b")
    store.copy("raw/a", "raw/a")
    store.delete("raw/a")
    assert store.get("shards/deep/b") == b"1"


def test_a_file_goes_in_and_comes_out(store: Store, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(data)
    (tmp_path / "out").write_bytes(b"what was here before")
    store.put_file("raw/file", tmp_path / "file")
    store.fetch("raw/file", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    assert store.get("raw/file") == data
    assert list(tmp_path.glob(".tmp-*")) == []


def test_a_file_that_cannot_be_read_or_written_is_one_sentence(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(PlaceError, match=r"^cannot read .*none: No such file"):
        store.put_file("raw/a", tmp_path / "none")
    store.put("raw/a", b"1")
    with pytest.raises(PlaceError, match=r"^cannot write .*out: No such file"):
        store.fetch("raw/a", tmp_path / "no folder" / "out")


BOUNDED = """
import pickle, resource, sys
from pathlib import Path
store, file = pickle.load(sys.stdin.buffer)
store.put("raw/warm", b""), store.get("raw/warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.put_file("raw/large", file)
store.fetch("raw/large", file.with_name("out"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_a_large_file_is_never_in_memory_whole(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "file"
    with file.open("wb") as opened:
        for _ in range(160):
            opened.write(os.urandom(1_000_000))
    work = pickle.dumps((store, file))
    done = subprocess.check_output([sys.executable, "-c", BOUNDED], input=work)
    assert int(done) < 100_000, "KiB, of 160 MB"
    assert store.size("raw/large") == 160_000_000
    subprocess.check_call(["cmp", file, file.with_name("out")])


def test_threads_may_write_one_key_at_once(store: Store) -> None:
    data = os.urandom(50_000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.put("raw/a", data), range(24)))
    assert (store.get("raw/a"), list(store.keys(""))) == (data, ["raw/a"])


RACER = """
import pickle, sys
store, blobs = pickle.load(sys.stdin.buffer)
for key, data in blobs:
    store.put(key, data)
"""


@pytest.mark.slow
def test_two_processes_may_write_the_same_keys_at_once(store: Store) -> None:
    blobs = [(f"raw/{i:03}", os.urandom(2000)) for i in range(50)]
    work = pickle.dumps((store, blobs))
    writers = [
        subprocess.Popen([sys.executable, "-c", RACER], stdin=subprocess.PIPE) for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write(work)
        writer.stdin.close()
    assert [writer.wait() for writer in writers] == [0, 0]
    assert list(store.get_many(store.keys("raw/"))) == [data for _, data in blobs]


def test_a_store_goes_over_a_pipe_after_use(store: Store) -> None:
    store.put("raw/a", b"1")
    again = pickle.loads(pickle.dumps(store))
    assert (again.url, again.get("raw/a")) == (store.url, b"1")


def test_a_damaged_asset_is_found_when_it_is_read(store: Store) -> None:
    whole, hurt = (sha256_of(data) for data in (b"whole", b"as it was"))
    put_assets(store, {whole: b"whole", hurt: b"as it is now"})
    assert read_asset(store, whole) == b"whole"
    assert list(read_assets(store, (name for name in (whole, whole)))) == [b"whole", b"whole"]
    sentence = f"asset {hurt} is damaged in {store.url}: bring its bytes back"
    for read in (
        lambda: read_asset(store, hurt),
        lambda: list(read_assets(store, [whole, hurt, whole])),
    ):
        with pytest.raises(PlaceError) as caught:
            read()
        assert str(caught.value) == sentence
    with pytest.raises(MissingError):
        read_asset(store, sha256_of(b"nowhere"))


def test_a_folder_has_no_links_to_share(folder: LocalStore) -> None:
    folder.put("raw/a", b"1")
    with pytest.raises(UsageError, match="is a folder"):
        folder.share("raw/a", 60)


def test_what_a_kill_left_is_swept(folder: LocalStore) -> None:
    folder.put("raw/a", b"1")
    leftover = folder.root / "raw" / ".tmp-left"
    leftover.write_bytes(b"half")
    assert list(folder.keys("")) == ["raw/a"]
    assert folder.sweep() == 0, "another process may be writing it"
    os.utime(leftover, (0, 0))
    assert folder.sweep() == 1
    assert not leftover.exists()


def test_an_unwritable_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = LocalStore(tmp_path / "file")
    with pytest.raises(PlaceError, match="cannot make the folder"):
        store.put("raw/a", b"1")
    assert (store.has("raw/a"), list(store.keys(""))) == (False, [])


def test_a_folder_is_no_blob(folder: LocalStore) -> None:
    folder.put("raw/a/b", b"1")
    assert (folder.has("raw/a"), folder.size("raw/a")) == (False, None)
    for use in (
        lambda: folder.put("raw/a", b""), lambda: folder.get("raw/a"),
        lambda: folder.delete("raw/a"), lambda: folder.copy("raw/a", "raw/c"),
    ):  # fmt: skip
        with pytest.raises(PlaceError, match=r"^cannot (write|read|remove) "):
            use()
    assert list(folder.keys("")) == ["raw/a/b"]


def test_a_store_is_opened_by_its_url(tmp_path: Path) -> None:
    for url in (f"file://{tmp_path}", str(tmp_path)):
        store = open_store(url)
        assert isinstance(store, LocalStore)
        assert store.url == str(tmp_path)
    s3 = open_store("s3://bucket/some/prefix/")
    assert isinstance(s3, S3Store)
    assert s3.url == "s3://bucket/some/prefix"
    tiered = open_store(str(tmp_path), cold="s3://bucket")
    assert isinstance(tiered, TieredStore)
    assert tiered.url == f"{tmp_path} (cold: s3://bucket)"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://x", r"^no store for 'ftp://x': give a folder's path, file://PATH or s3://"),
        ("https://me:hush@host/x?token=hush", r"^no store for 'https://\*\*\*@host"),
        ("s3://key:hush@bucket", r"^no store for 's3://\*\*\*@bucket': keys have no place in"),
        ("s3://Bucket/x", "^not a bucket: 'Bucket'"),
        ("s3://b", "^not a bucket: 'b'"),
        ("s3:///x", "^not a bucket: ''"),
        ("s3://bucket/../x", "^not a key"),
        ("s3://bucket//x", "^not a key"),
    ],
)
def test_a_url_that_is_no_store_says_what_is(url: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        open_store(url)
    assert "hush" not in str(caught.value)


def test_work_goes_no_further_ahead_than_allowed() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(lambda number: number * 2, items())
    assert taken == []
    assert [next(results) for _ in range(10)] == list(range(0, 20, 2))
    assert len(taken) == 9 + WIDTH
    results.close()  # type: ignore[attr-defined]
    assert len(taken) == 9 + WIDTH


def test_the_first_error_ends_the_work() -> None:
    def work(number: int) -> int:
        if number == 5:
            raise PlaceError("five")
        return number

    with pytest.raises(PlaceError, match="five"):
        list(in_order(work, range(100), width=3))
    got = in_order(work, range(100), width=3)
    assert [next(got) for _ in range(5)] == [0, 1, 2, 3, 4]
