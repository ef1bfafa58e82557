"""What only an S3 store does: buckets, links, parts, and what it says when the server will not."""

import logging
import os
import pickle
import subprocess
import sys
import threading
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from autods.errors import PlaceError, UnreachableError, UsageError
from autods.settings import S3Access
from autods.store import DeniedError, MissingError, S3Store, open_store
from autods.store.ahead import SMALL, WIDTH
from autods.store.s3_errors import Asked, OvertakenError, meaning
from autods.store.s3_listing import sorted_objects
from services.faults import FaultyProxy
from services.fixtures import S3Place
from services.swift import S3Server

USES: dict[str, Callable[[S3Store], object]] = {
    "put": lambda store: store.put("raw/b", b"1"),
    "put_many": lambda store: store.put_many([("raw/b", b"1"), ("raw/c", b"1")]),
    "get": lambda store: store.get("raw/a"),
    "get_many": lambda store: list(store.get_many(["raw/a", "raw/b"])),
    "stream": lambda store: list(store.stream("raw/a")),
    "size": lambda store: store.size("raw/a"),
    "has": lambda store: store.has("raw/none"),
    "copy": lambda store: store.copy("raw/a", "raw/b"),
    "delete": lambda store: store.delete("raw/b"),
    "keys": lambda store: list(store.keys("raw/")),
    "keys within": lambda store: list(store.keys("raw/a")),
}


def entered(place: S3Place, endpoint: str | None = None, secret: str | None = None) -> S3Access:
    secret = secret or place.secret_key
    return S3Access(endpoint or place.endpoint, place.access_key, secret, region=place.region)


@pytest.fixture
def store(s3_place: S3Place) -> S3Store:
    store = S3Store(s3_place.url, entered(s3_place))
    store.put("raw/a", b"bytes")
    return store


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    with FaultyProxy("127.0.0.1", s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def shaky(s3_place: S3Place, proxy: FaultyProxy, store: S3Store) -> S3Store:
    """The store behind a proxy that fails when told to."""
    return S3Store(s3_place.url, entered(s3_place, proxy.endpoint))


# Where things lie.


def test_keys_lie_beneath_the_prefix(s3_place: S3Place, store: S3Store) -> None:
    root = S3Store(f"s3://{s3_place.bucket}", store.access)
    assert list(root.keys("")) == ["some/prefix/raw/a"]
    root.put("some/prefixes", b"")
    root.put("other", b"")
    assert list(store.keys("")) == ["raw/a"]


def test_without_a_bucket_a_key_begins_with_one(s3_server: S3Server, s3_place: S3Place) -> None:
    store = open_store("s3://", entered(s3_place))
    assert store.url == "s3://"
    with s3_server.bucket() as other:
        keys = [f"{s3_place.bucket}/ab/1", f"{s3_place.bucket}/ab/2", f"{other}/x"]
        store.put_many([(key, key.encode()) for key in keys])
        assert list(store.get_many(keys)) == [key.encode() for key in keys]
        assert list(store.keys(f"{s3_place.bucket}/a")) == keys[:2]
        assert list(store.keys(f"{other}/")) == keys[2:]
        store.copy(keys[0], f"{other}/deep/copy")
        assert store.get(f"{other}/deep/copy") == keys[0].encode()
        store.delete_many([*keys, f"{other}/deep/copy"])
        assert [*store.keys(f"{s3_place.bucket}/"), *store.keys(f"{other}/")] == []


@pytest.mark.parametrize("prefix", ["", "ra", "raw"])
def test_without_a_bucket_nothing_is_listed(prefix: str) -> None:
    with pytest.raises(UsageError, match="listed bucket by bucket"):
        list(S3Store("s3://").keys(prefix))


@pytest.mark.parametrize("key", ["raw", "Raw/a", "a/b", "-raw/a"])
def test_without_a_bucket_a_key_must_name_one(key: str) -> None:
    with pytest.raises(UsageError, match=r"not a (key|bucket)"):
        S3Store("s3://").get(key)


def test_a_name_is_only_so_long(store: S3Store) -> None:
    with pytest.raises(UsageError, match="1024 bytes at the most"):
        store.put("/".join(["x" * 200] * 6), b"")


@pytest.mark.parametrize("endpoint", ["minio:9000", "ftp://minio", "minio"])
def test_an_endpoint_says_http_or_https(endpoint: str) -> None:
    with pytest.raises(UsageError, match="not an S3 endpoint"):
        S3Store("s3://bucket", S3Access(endpoint))


def test_a_server_copies_from_store_to_store(s3_server: S3Server, s3_place: S3Place) -> None:
    with s3_server.bucket() as other:
        here, there = (S3Store(f"s3://{b}/x", entered(s3_place)) for b in (s3_place.bucket, other))
        here.put("raw/a b", b"1")
        assert there.copy_from(here, "raw/a b")
        assert there.get("raw/a b") == b"1"
        stranger = S3Store(f"s3://{other}/x", entered(s3_place, secret="another"))
        assert not stranger.copy_from(here, "raw/a b")
        with pytest.raises(MissingError, match=r"cannot copy raw/none in s3://\S+/x: it is not"):
            there.copy_from(here, "raw/none")


# Links.


def test_a_link_is_read_by_anyone_until_it_ends(store: S3Store) -> None:
    store.put("raw/a b", b"shared")
    link = store.share("raw/a b", 60)
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"shared"
    for wrong in (link[:-1] + ("0" if link[-1] != "0" else "1"), link.partition("?")[0]):
        with pytest.raises(urllib.error.HTTPError, match=r"40[03]") as caught:
            urllib.request.urlopen(wrong)
        caught.value.close()


@pytest.mark.parametrize("seconds", [0, -1, 7 * 24 * 3600 + 1])
def test_a_link_lasts_between_a_second_and_a_week(store: S3Store, seconds: int) -> None:
    with pytest.raises(UsageError, match=f"1 to 604800 seconds, not {seconds}"):
        store.share("raw/a", seconds)


# Many and large.


@pytest.mark.slow
def test_thousands_are_listed_in_order_and_removed_in_batches(
    shaky: S3Store, proxy: FaultyProxy
) -> None:
    keys = sorted(f"many/{i * 7919 % 1300:04x}" for i in range(1300))
    shaky.put_many([(key, b"") for key in reversed(keys)])
    shaky.put("other/a", b"")
    before = proxy.requests
    assert list(shaky.keys("many/")) == keys
    assert proxy.requests - before <= 3
    before = proxy.requests
    assert list(shaky.keys("many/0a")) == [key for key in keys if key.startswith("many/0a")]
    assert proxy.requests - before == 2, "what comes before and after is not asked for"
    before = proxy.requests
    shaky.delete_many(iter([*keys, "many/none"]))
    assert proxy.requests - before == 14
    assert list(shaky.keys("")) == ["other/a", "raw/a"]


def test_a_large_file_goes_in_parts(shaky: S3Store, proxy: FaultyProxy, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(20_000_000))
    before = proxy.requests
    shaky.put_file("raw/large", tmp_path / "file")
    assert proxy.requests - before == 5, "begun, three parts, completed"
    assert shaky.get("raw/large") == (tmp_path / "file").read_bytes()


def test_reading_goes_only_so_far_ahead(store: S3Store) -> None:
    taken: list[str] = []

    def keys() -> Iterator[str]:
        while True:
            taken.append("raw/a")
            yield "raw/a"

    found = store.get_many(keys())
    assert taken == []
    assert next(found) == b"bytes"
    assert len(taken) == WIDTH
    store.put("raw/large", bytes(SMALL + 1))
    assert store.get_within("raw/large", SMALL) is None, "it waits for its turn"


def test_what_others_keep_in_the_bucket_is_told_or_passed_over(s3_place: S3Place) -> None:
    def page(*names: tuple[str, int]) -> list[dict[str, object]]:
        return [{"path": path, "size": size} for path, size in names]

    marked = [page(("raw", 0), ("raw/a-b", 1)), page(("raw/a", 0), ("raw/a/1", 1), ("raw0", 1))]
    found = sorted_objects(iter(marked), "raw/")  # type: ignore[arg-type]
    assert [entry["path"] for entry in found] == ["raw/a-b", "raw/a/1"]
    unsorted = [page(("raw/b", 1), ("raw/a", 1))]
    with pytest.raises(PlaceError, match="lists raw/a after raw/b"):
        list(sorted_objects(iter(unsorted), "raw/"))  # type: ignore[arg-type]


def test_a_store_that_came_over_a_pipe_uses_the_connections_there_are(
    shaky: S3Store, proxy: FaultyProxy
) -> None:
    for _ in range(20):
        assert pickle.loads(pickle.dumps(shaky)).get("raw/a") == b"bytes"
    assert proxy.connections < 5


# Refusals, each one sentence.


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_missing_bucket_is_one_sentence(
    s3_place: S3Place, use: Callable[[S3Store], object]
) -> None:
    gone = S3Store("s3://t-nowhere/x", entered(s3_place))
    with pytest.raises(PlaceError) as caught:
        use(gone)
    assert str(caught.value) == (
        f"the bucket 't-nowhere' does not exist at {s3_place.endpoint}: make it, or name another"
    )
    assert not isinstance(caught.value, MissingError)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_wrong_secret_is_one_sentence_without_it(
    s3_place: S3Place, use: Callable[[S3Store], object], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stranger = S3Store(s3_place.url, entered(s3_place, secret="not-the-secret"))
    with pytest.raises(PlaceError, match=r"MINIO_ROOT_USER.*AWS_ACCESS_KEY_ID") as caught:
        use(stranger)
    shown = "".join(traceback.format_exception(caught.value)) + repr(stranger) + caplog.text
    for secret in ("not-the-secret", s3_place.access_key, "Signature=", "StringToSign"):
        assert secret not in shown
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.slow
def test_a_server_that_is_gone_is_unreachable(
    s3_place: S3Place, use: Callable[[S3Store], object]
) -> None:
    gone = S3Store(s3_place.url, entered(s3_place, "http://127.0.0.1:1"), patience=0.3)
    with pytest.raises(UnreachableError, match=r"^cannot .*http://127.0.0.1:1 does not answer"):
        use(gone)


@pytest.mark.slow
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_server_that_hangs_is_unreachable(
    s3_place: S3Place, proxy: FaultyProxy, use: Callable[[S3Store], object]
) -> None:
    hung = S3Store(s3_place.url, entered(s3_place, proxy.endpoint), patience=0.5)
    proxy.delay = 60
    with pytest.raises(UnreachableError, match="does not answer"):
        use(hung)


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_only_fails_is_unreachable(
    s3_place: S3Place, proxy: FaultyProxy, status: int
) -> None:
    store = S3Store(s3_place.url, entered(s3_place, proxy.endpoint), patience=0.5)
    proxy.errors = (1, status)
    with pytest.raises(UnreachableError, match=f"keeps answering {status}"):
        store.get("raw/a")


def test_a_revoked_key_is_one_sentence_and_works_once_restored(
    s3_server: S3Server, s3_place: S3Place
) -> None:
    guest = s3_server.guest
    access = S3Access(s3_place.endpoint, guest.access_key, guest.secret_key)
    store = S3Store(s3_place.url, access)
    store.put("raw/a", b"1")
    s3_server.revoke()
    with pytest.raises(PlaceError, match="MINIO_ROOT_USER"):
        store.get("raw/a")
    s3_server.restore()
    assert store.get("raw/a") == b"1"


AWS = "<Code>{}</Code> status: {}"


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        (AWS.format("ExpiredToken", 400), PlaceError, "have expired: renew"),
        (AWS.format("InvalidAccessKeyId", 403), PlaceError, "does not know the access key"),
        (AWS.format("AccessDenied", 403), DeniedError, "does not allow it"),
        (AWS.format("RequestTimeTooSkewed", 403), PlaceError, "this machine's clock"),
        (AWS.format("PermanentRedirect", 301), PlaceError, "set AWS_REGION"),
        (AWS.format("SlowDown", 503), UnreachableError, "keeps answering 503"),
        (AWS.format("QuotaExceeded", 400), PlaceError, r"refuses it \(QuotaExceeded\)"),
        (AWS.format("OperationAborted", 409), OvertakenError, "another writer"),
        ("PUT http://169.254.169.254/latest/api/token", PlaceError, "no credentials for http://s"),
        ("Encountered object with invalid path: //", PlaceError, "a prefix of its own"),
        ("something new", PlaceError, "no reason"),
    ],
)
def test_a_refusal_says_what_to_do(text: str, kind: type[PlaceError], sentence: str) -> None:
    told = meaning(Asked("read raw/a in s3://b", "b", "http://s"), text)
    assert type(told) is kind
    assert str(told).startswith("cannot read raw/a in s3://b: ")
    with pytest.raises(kind, match=sentence):
        raise told


def test_a_token_of_the_environment_is_not_mixed_with_our_keys(
    s3_place: S3Place, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-someone-else")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    store = S3Store(s3_place.url, entered(s3_place, proxy.endpoint), patience=1)
    store.put("raw/a", b"1")
    assert "of-someone-else" not in store.share("raw/a", 60)
    assert proxy.requests == 1


def test_without_keys_those_of_the_environment_are_used(
    s3_place: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_place.environment().items():
        monkeypatch.setenv(name, value)
    S3Store(s3_place.url, S3Access(s3_place.endpoint)).put("raw/a", b"1")


ALONE = """
import sys
sys.modules["obstore"] = None
from autods.errors import PlaceError
from autods.store import open_store
try:
    open_store("s3://bucket/x").get("raw/a")
except PlaceError as error:
    print(error)
"""


def test_without_obstore_the_package_to_install_is_named() -> None:
    said = subprocess.check_output([sys.executable, "-c", ALONE], text=True)
    assert said == "the store s3://bucket needs obstore: pip install obstore\n"


FORK = """
import os, pickle, sys
from autods.errors import PlaceError
store = pickle.load(sys.stdin.buffer)
store.get("raw/a")
if os.fork() == 0:
    try:
        store.get("raw/a")
    except PlaceError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""


def test_a_forked_process_is_told_instead_of_hanging(store: S3Store) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    said = subprocess.check_output(command, input=pickle.dumps(store))
    assert b"forkserver" in said


# Faults that pass.


def test_a_tenth_of_requests_may_fail(shaky: S3Store, proxy: FaultyProxy) -> None:
    blobs = [(f"raw/{i:03}", os.urandom(3000)) for i in range(60)]
    proxy.errors = (10, 503)
    shaky.put_many(blobs)
    proxy.errors = (10, 500)
    assert list(shaky.get_many(key for key, _ in blobs)) == [data for _, data in blobs]
    shaky.delete_many(key for key, _ in blobs)
    assert list(shaky.keys("raw/")) == ["raw/a"]
    assert proxy.failed >= 12


@pytest.mark.parametrize("lost", [b"PUT", b"POST"])
def test_a_lost_answer_is_asked_for_again(shaky: S3Store, proxy: FaultyProxy, lost: bytes) -> None:
    proxy.lose_answer_to(lost)
    shaky.put("raw/b", b"1")
    shaky.delete_many(["raw/a"])
    assert list(shaky.keys("raw/")) == ["raw/b"]


@pytest.mark.slow
def test_a_cut_upload_and_a_cut_download_go_on(
    shaky: S3Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(os.urandom(24_000_000))
    proxy.cut_after(10_000_000, connections=2)
    shaky.put_file("raw/large", tmp_path / "file")
    proxy.delay = 0.005
    cut = threading.Timer(0.4, proxy.cut)
    cut.start()
    shaky.fetch("raw/large", tmp_path / "out")
    cut.cancel()
    assert (tmp_path / "out").read_bytes() == (tmp_path / "file").read_bytes()


@pytest.mark.slow
def test_a_server_killed_and_started_again_loses_nothing(
    store: S3Store, s3_server: S3Server
) -> None:
    blobs = [(f"raw/{i:03}", os.urandom(20_000)) for i in range(200)]
    again = threading.Timer(0.3, partial(_kill_and_start, s3_server))
    again.start()
    store.put_many(blobs)
    again.join()
    assert list(store.get_many(key for key, _ in blobs)) == [data for _, data in blobs]


def _kill_and_start(server: S3Server) -> None:
    server.kill()
    server.start()


def test_a_bucket_that_vanishes_is_told(s3_server: S3Server, s3_place: S3Place) -> None:
    name = s3_server.bucket_name()
    s3_server.create_bucket(name)
    store = S3Store(f"s3://{name}", entered(s3_place))
    store.put("raw/a", b"1")
    s3_server.delete_bucket(name)
    for use in (store.get, store.has, store.delete, lambda key: store.put(key, b"1")):
        with pytest.raises(PlaceError, match=f"the bucket '{name}' does not exist"):
            use("raw/a")
