"""Two stores behind one door: reads find a blob wherever it is, and moving one loses none."""

import os
import pickle
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from autods.errors import PlaceError, UsageError
from autods.settings import S3Access
from autods.store import (
    LocalStore,
    MissingError,
    S3Store,
    Store,
    TieredStore,
    asset_key,
    open_store,
    put_assets,
    sha256_of,
)
from autods.store.ahead import SMALL
from autods.store.tiered import Tier
from services.faults import FaultyProxy
from services.fixtures import S3Place
from services.swift import S3Server

PAIRS = ("local-local", "local-s3", "s3-local", "s3-s3")
DATA = [f"asset {i}".encode() for i in range(12)]
ASSETS = [asset_key(sha256_of(data)) for data in DATA]


def access(place: S3Place, endpoint: str | None = None) -> S3Access:
    return S3Access(endpoint or place.endpoint, place.access_key, place.secret_key)


@pytest.fixture(params=PAIRS)
def tiers(request: pytest.FixtureRequest, tmp_path: Path) -> TieredStore:
    def opened(kind: str, name: str) -> Store:
        if kind == "local":
            return LocalStore(tmp_path / name)
        place = request.getfixturevalue("s3_place")
        return S3Store(f"{place.url}/{name}", access(place))

    hot, cold = request.param.split("-")
    return TieredStore(opened(hot, "hot"), opened(cold, "cold"))


@pytest.fixture
def folders(tmp_path: Path) -> TieredStore:
    return TieredStore(LocalStore(tmp_path / "hot"), LocalStore(tmp_path / "cold"))


def test_what_is_put_is_hot(tiers: TieredStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"3")
    tiers.put("raw/a", b"1")
    tiers.put_many([("raw/b", b"2")])
    tiers.put_file("raw/c", tmp_path / "file")
    assert list(tiers.hot.keys("")) == ["raw/a", "raw/b", "raw/c"]
    assert list(tiers.cold.keys("")) == []
    assert [tiers.tier_of(key) for key in ("raw/a", "raw/none")] == ["hot", None]


def test_what_is_cold_is_read_all_the_same(tiers: TieredStore, tmp_path: Path) -> None:
    tiers.put("raw/a", b"1")
    tiers.cold.put("raw/b", b"22")
    tiers.cold.put("raw/large", bytes(SMALL + 1))
    assert (tiers.tier_of("raw/b"), tiers.has("raw/b"), tiers.size("raw/b")) == ("cold", True, 2)
    assert (tiers.get("raw/b"), b"".join(tiers.stream("raw/b"))) == (b"22", b"22")
    asked = ["raw/b", "raw/a", "raw/large", "raw/b"]
    assert list(tiers.get_many(asked)) == [b"22", b"1", bytes(SMALL + 1), b"22"]
    tiers.fetch("raw/b", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"22"
    tiers.copy("raw/b", "raw/c")
    assert tiers.tier_of("raw/c") == "cold"


def test_keys_of_both_come_sorted_and_once(tiers: TieredStore) -> None:
    tiers.hot.put_many([(key, b"") for key in ("raw/a-b", "raw/a/1", "raw/c", "shards/x")])
    tiers.cold.put_many([(key, b"") for key in ("raw/a", "raw/a0", "raw/c", "raw/é")])
    keys = ["raw/a", "raw/a-b", "raw/a/1", "raw/a0", "raw/c", "raw/é"]
    assert list(tiers.keys("raw/")) == keys
    assert list(tiers.keys("raw/a")) == keys[:4]


def test_removing_removes_from_both(tiers: TieredStore) -> None:
    for store in (tiers.hot, tiers.cold):
        store.put_many([("raw/a", b""), ("raw/b", b"")])
    tiers.cold.put("raw/c", b"")
    tiers.delete("raw/a")
    tiers.delete_many(iter(["raw/c", "raw/none"]))
    assert [list(store.keys("")) for store in (tiers.hot, tiers.cold)] == [["raw/b"]] * 2


@pytest.mark.slow
def test_moving_copies_and_forgetting_removes(tiers: TieredStore) -> None:
    tiers.put_many([*zip(ASSETS, DATA, strict=True), ("shards/x.tar", b"no asset")])
    moved = [*ASSETS[:5], "shards/x.tar"]
    assert tiers.move(moved, to="cold") == 6
    assert tiers.tier_of(ASSETS[0]) == "hot", "it is in both until it is forgotten"
    assert tiers.forget(moved, "hot") == 6
    assert [tiers.tier_of(key) for key in ASSETS] == ["cold"] * 5 + ["hot"] * 7
    assert list(tiers.get_many(ASSETS)) == DATA
    assert tiers.move(moved, to="cold") == 6, "a second move finds all of it done"
    assert tiers.forget(moved, "hot") == 6
    tiers.move(moved, to="hot")
    tiers.forget(moved, "cold")
    assert list(tiers.cold.keys("")) == []
    assert [*tiers.get_many(ASSETS), tiers.get("shards/x.tar")] == [*DATA, b"no asset"]


@pytest.mark.slow
def test_a_large_blob_moves_both_ways(tiers: TieredStore) -> None:
    data = os.urandom(SMALL + 1)
    put_assets(tiers, {sha256_of(data): data})
    key = asset_key(sha256_of(data))
    ways: list[tuple[Tier, Tier]] = [("cold", "hot"), ("hot", "cold")]
    for to, source in ways:
        tiers.move([key], to)
        tiers.forget([key], source)
        assert (tiers.tier_of(key), tiers.get(key)) == (to, data)


def test_nothing_is_forgotten_that_the_other_does_not_hold(tiers: TieredStore) -> None:
    tiers.put_many([("raw/a", b"1"), ("raw/b", b"22")])
    tiers.cold.put("raw/a", b"1")
    tiers.cold.put("raw/b", b"2")
    for keys in (["raw/a", "raw/b"], ["raw/b"], ["raw/none"]):
        with pytest.raises(PlaceError, match=f"{keys[-1]} stays in .* does not hold it; move it"):
            tiers.forget(keys, "hot")
    assert list(tiers.hot.keys("")) == ["raw/a", "raw/b"]


def test_what_is_damaged_there_is_copied_again(tiers: TieredStore) -> None:
    tiers.put(ASSETS[0], DATA[0])
    tiers.cold.put(ASSETS[0], b"x" * len(DATA[0]))
    tiers.move([ASSETS[0]], to="cold")
    assert tiers.cold.get(ASSETS[0]) == DATA[0]


def test_what_is_damaged_here_is_not_moved(tiers: TieredStore) -> None:
    tiers.put(ASSETS[0], b"damaged")
    sentence = f"^{ASSETS[0]} is damaged in {tiers.hot.url}: it was not moved; bring its bytes"
    with pytest.raises(PlaceError, match=sentence):
        tiers.move([ASSETS[0]], to="cold")
    assert not tiers.cold.has(ASSETS[0])
    assert tiers.hot.get(ASSETS[0]) == b"damaged", "it is all there is"


def test_what_neither_has_cannot_move(tiers: TieredStore, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="cannot move raw/none: neither"):
        tiers.move(["raw/none"], to="cold")
    for read in (tiers.get, lambda key: tiers.share(key, 60), lambda key: tiers.copy(key, "raw/b")):
        with pytest.raises(MissingError, match=r"cannot read raw/none in .* \(cold: .*not there"):
            read("raw/none")


@pytest.mark.parametrize("tier", ["warm", "", "HOT"])
def test_there_are_two_tiers(folders: TieredStore, tier: Tier) -> None:
    with pytest.raises(UsageError, match="there are 'hot' and 'cold'"):
        folders.move([], to=tier)
    with pytest.raises(UsageError, match="there are 'hot' and 'cold'"):
        folders.forget([], tier)


@pytest.mark.parametrize(
    ("hot", "cold"),
    [
        ("{}/a", "{}/a"), ("{}/a", "{}/a/b"), ("{}/a/b", "{}/a"), ("{}/a", "{}/link"),
        ("s3://bucket", "s3://bucket"), ("s3://bucket/a", "s3://bucket"), ("s3://", "s3://"),
        ("s3://bucket/a", "s3://bucket/a/b/"),
    ],
)  # fmt: skip
def test_tiers_may_not_overlap(tmp_path: Path, hot: str, cold: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(UsageError, match="overlap"):
        open_store(hot.format(tmp_path), cold=cold.format(tmp_path))


@pytest.mark.parametrize(
    ("hot", "cold"),
    [("{}/a", "{}/ab"), ("s3://bucket/a", "s3://bucket/ab"), ("s3://", "s3://cold"),
     ("{}/a", "s3://bucket")],
)  # fmt: skip
def test_tiers_may_be_neighbours(tmp_path: Path, hot: str, cold: str) -> None:
    assert isinstance(open_store(hot.format(tmp_path), cold=cold.format(tmp_path)), TieredStore)


def test_two_servers_may_use_one_name() -> None:
    one, other = (S3Store("s3://data", S3Access(f"http://{name}:9000")) for name in ("a", "b"))
    TieredStore(one, other)


def test_a_file_is_found_where_it_lies(tiers: TieredStore) -> None:
    tiers.put("raw/a", b"1")
    tiers.cold.put("raw/b", b"2")
    for key, store in (("raw/a", tiers.hot), ("raw/b", tiers.cold)):
        assert tiers.local_path(key) == store.local_path(key)
    assert tiers.local_path("raw/none") is None


def test_a_link_leads_to_where_the_blob_lies(s3_place: S3Place, tmp_path: Path) -> None:
    tiers = open_store(str(tmp_path / "hot"), access(s3_place), cold=s3_place.url)
    tiers.put("raw/a", b"1")
    assert isinstance(tiers, TieredStore)
    tiers.cold.put("raw/b", b"2")
    with urllib.request.urlopen(tiers.share("raw/b", 60)) as answer:
        assert answer.read() == b"2"
    with pytest.raises(UsageError, match="is a folder"):
        tiers.share("raw/a", 60)


def test_both_are_swept(folders: TieredStore) -> None:
    folders.put("raw/a", b"1")
    folders.move(["raw/a"], to="cold")
    for store in (folders.hot, folders.cold):
        path = store.local_path("raw/a")
        assert path
        leftover = path.with_name(".tmp-left")
        leftover.write_bytes(b"")
        os.utime(leftover, (0, 0))
    assert folders.sweep() == 2


def test_on_one_server_the_bytes_stay_there(s3_server: S3Server, s3_place: S3Place) -> None:
    with s3_server.bucket() as other, FaultyProxy("127.0.0.1", s3_server.port) as proxy:
        hot, cold = (
            S3Store(f"s3://{bucket}/x", access(s3_place, proxy.endpoint))
            for bucket in (s3_place.bucket, other)
        )
        tiers = TieredStore(hot, cold)
        tiers.put("shards/x.tar", os.urandom(1_000_000))
        proxy.cut_after(100_000, connections=100)  # What sends the bytes again is cut for ever.
        proxy.cut()
        tiers.move(["shards/x.tar"], to="cold")
        assert cold.size("shards/x.tar") == 1_000_000


def test_a_blob_on_its_way_back_is_found(folders: TieredStore) -> None:
    """It is looked for in hot, moves from cold to hot, and is looked for in cold."""
    folders.cold.put("raw/a", b"1")

    class Moving(LocalStore):
        def get(self, key: str) -> bytes:
            folders.move([key], to="hot")
            folders.forget([key], "cold")
            return super().get(key)

    cold = Path(folders.cold.url)
    assert TieredStore(folders.hot, Moving(cold)).get("raw/a") == b"1"


@pytest.mark.slow
def test_readers_never_miss_what_moves(tiers: TieredStore) -> None:
    assets, data = ASSETS[:4], DATA[:4]
    tiers.put_many(list(zip(assets, data, strict=True)))
    over = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not over.is_set():
            try:
                wrong.extend([] if list(tiers.get_many(assets)) == data else ["other bytes"])
            except PlaceError as error:
                wrong.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(2):
        tiers.move(assets, to="cold")
        tiers.forget(assets, "hot")
        tiers.move(assets, to="hot")
        tiers.forget(assets, "cold")
    over.set()
    reader.join()
    assert wrong == []


MOVER = """
import pickle, sys
tiers, keys = pickle.load(sys.stdin.buffer)
print("begun", flush=True)
tiers.move(keys, to="cold")
tiers.forget(keys, "hot")
"""


@pytest.mark.slow
@pytest.mark.parametrize("tiers", ["local-s3", "s3-s3"], indirect=True)
def test_a_killed_move_goes_on(tiers: TieredStore) -> None:
    data = [os.urandom(20_000) for _ in range(60)]
    keys = [asset_key(sha256_of(one)) for one in data]
    tiers.put_many(list(zip(keys, data, strict=True)))
    for delay in (0.05, 0.3):
        mover = subprocess.Popen(
            [sys.executable, "-c", MOVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert mover.stdin
        assert mover.stdout
        mover.stdin.write(pickle.dumps((tiers, keys)))
        mover.stdin.close()
        mover.stdout.readline()
        killer = threading.Timer(delay, mover.kill)
        killer.start()
        mover.wait()
        killer.cancel()
        mover.stdout.close()
        assert list(tiers.get_many(keys)) == data, "nothing is lost on the way"
    assert tiers.move(keys, to="cold") == len(keys)
    assert tiers.forget(keys, "hot") == len(keys)
    assert (list(tiers.hot.keys("raw/")), list(tiers.cold.keys("raw/"))) == ([], sorted(keys))
    assert list(tiers.get_many(keys)) == data
