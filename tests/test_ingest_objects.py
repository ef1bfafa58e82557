"""Objects of the recipe's own buckets come in as files do; whatever is wrong stays with one."""

import io
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from autods.assemble.checks import Checks
from autods.catalog.tables import blobs, refs
from autods.engine import Engine, LocalEngine
from autods.errors import PlaceError, UnreachableError, UsageError
from autods.ingest.listing import list_refs, refs_of
from autods.ingest.objects import read_objects
from autods.ingest.work import Arrival, Input, input_of, object_at, object_location, take_in
from autods.recipes.intake import Intake, take
from autods.recipes.passing import PRELOAD
from autods.records import Ref
from autods.run import Silent
from autods.settings import S3Access
from autods.store import LocalStore, S3Store, asset_key, read_asset, sha256_of
from autods.store.ahead import SMALL, WIDTH
from autods.web.policy import HttpPolicy
from autods.workspace import Workspace, init
from loopback import Loopback, Page
from services.fixtures import S3Place
from services.swift import S3Server

STRANGE = [
    "a b",
    "#1",
    "a?x=1&y",
    "100%",
    "%41",
    "ü/é",
    "照片",
    "a+b",
    "~x",
    "a\\b",
    "{}*|<>'\"",
    "...",
]


def photo(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC).save(file, "jpeg")
    return file.getvalue()


def entered(place: S3Place, endpoint: str | None = None) -> S3Access:
    return S3Access(endpoint or place.endpoint, place.access_key, place.secret_key)


def at(place: S3Place, key: str) -> str:
    return object_location(place.bucket, key)


@pytest.fixture
def objects(s3_place: S3Place) -> S3Store:
    return S3Store("s3://", entered(s3_place), patience=1)


@pytest.fixture
def bucket(s3_place: S3Place) -> S3Store:
    return S3Store(f"s3://{s3_place.bucket}", entered(s3_place))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = LocalEngine(2, preload=PRELOAD)
    yield engine
    engine.close()


@pytest.fixture
def workspace(
    catalog_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    monkeypatch.setenv("AUTODS_CATALOG", catalog_url)
    workspace = init(tmp_path)
    yield workspace
    workspace.close()


def taken(
    locations: Sequence[str], store: LocalStore, objects: S3Store, **more: Any
) -> list[Arrival]:
    allowed = {object_at(where)[0] for where in locations if where.startswith("s3://")}
    inputs = [input_of(number, where, allowed) for number, where in enumerate(locations)]
    options = {"max_bytes": 1 << 20, **more}
    return take_in(inputs, store=store, inspect=len, objects=objects, **options)


# What an object is called.


@given(st.text(min_size=1, max_size=40))
def test_a_location_names_one_object_whatever_its_key(key: str) -> None:
    try:
        location = object_location("photos", key)
    except UsageError as error:
        assert "not a key" in str(error)  # noqa: PT017
        return
    assert object_at(location) == ("photos", key)
    assert location.isascii()
    assert location.isprintable()
    assert input_of(1, location, {"photos"}).object == f"photos/{key}"


@pytest.mark.parametrize(
    "key", ["", "/a", "a//b", "../a", "a/..", "a\n", "a\0", "\udc80", "x" * 251]
)
def test_what_is_no_key_has_no_location(key: str) -> None:
    with pytest.raises(UsageError, match="not a key"):
        object_location("photos", key)


# Whose objects are read.


@pytest.mark.parametrize(
    "location",
    ["s3://mine/a.jpg", "s3://mine", "s3://", "s3:mine/a.jpg", "s3:///mine/a.jpg", "S3://photos/a",
     "s3://photos.mine/a.jpg", "s3://photos%2Fx/a.jpg", "s3://photos@mine/a", "s3://../photos/a"],
)  # fmt: skip
@pytest.mark.parametrize("buckets", [frozenset(), frozenset({"photos"})])
def test_no_other_bucket_is_read(location: str, buckets: frozenset[str]) -> None:
    found = input_of(1, location, buckets)
    assert found.object == ""
    assert found.refusal or found.path == location, "a plain path, which is no file"
    if "://" in location:
        assert found.refusal
        assert (found.refusal.status, found.refusal.reason) == ("rejected", "unsupported-scheme")


def test_a_bucket_is_read_if_the_recipe_names_it() -> None:
    assert input_of(1, "s3://photos/a.jpg", {"photos"}) == Input(1, None, object="photos/a.jpg")
    assert input_of(1, "s3://photos/a.jpg").refusal


# Reading.


def test_objects_files_and_refusals_each_end_in_their_place(
    s3_place: S3Place, objects: S3Store, bucket: S3Store, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path / "store")
    (tmp_path / "file.jpg").write_bytes(b"a file")
    bucket.put_many([(f"users/{n}", b"%d" % n) for n in range(40)])
    locations = [at(s3_place, f"users/{n}") for n in range(40)]
    locations[7:7] = [str(tmp_path / "file.jpg"), "ftp://x/y", at(s3_place, "users/none")]
    arrivals = taken(locations, store, objects)
    assert [arrival.ref_id for arrival in arrivals] == list(range(43))
    texts = [str(n) for n in range(40)]
    texts[7:7] = ["a file", "unsupported-scheme", "missing-object"]
    said = [a.refusal.reason if a.refusal else store.get(asset_key(a.sha256)).decode()
            for a in arrivals]  # fmt: skip
    assert said == texts
    missing = arrivals[9].refusal
    assert missing
    assert missing.status == "failed"
    assert missing.detail == f"no object s3://{s3_place.bucket}/users/none"


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_name_survives(
    s3_place: S3Place, objects: S3Store, bucket: S3Store, tmp_path: Path, name: str
) -> None:
    key = f"users/{name}"
    bucket.put(key, key.encode())
    (arrival,) = taken([at(s3_place, key)], LocalStore(tmp_path), objects)
    assert arrival.sha256 == sha256_of(key.encode())


@pytest.mark.parametrize("limit", [10, SMALL + 10])
def test_what_is_too_large_is_refused_as_a_file_is(
    s3_place: S3Place, objects: S3Store, bucket: S3Store, tmp_path: Path, limit: int
) -> None:
    bucket.put_many([("just", bytes(limit)), ("over", bytes(limit + 1)), ("small", b"1")])
    (tmp_path / "over").write_bytes(bytes(limit + 1))
    locations = [*(at(s3_place, key) for key in ("just", "over", "small")), str(tmp_path / "over")]
    just, over, small, file = taken(
        locations, LocalStore(tmp_path / "store"), objects, max_bytes=limit
    )
    assert (just.size, just.refusal, small.size) == (limit, None, 1)
    assert over.refusal == file.refusal
    assert over.refusal
    assert (over.refusal.status, over.refusal.reason) == ("rejected", "too-large")
    assert over.refusal.detail == f"{limit + 1:,} bytes, {limit:,} allowed"


def test_what_is_no_key_is_refused(
    s3_place: S3Place, objects: S3Store, bucket: S3Store, tmp_path: Path
) -> None:
    bucket.put("users/a", b"1")
    keys = ["users//a", "users/%2e%2e/a", "a%00", "a%ff", "/".join(["x" * 240] * 5), "users/a"]
    locations = [f"s3://{s3_place.bucket}/{key}" for key in keys]
    *wrong, right = taken(locations, LocalStore(tmp_path), objects)
    assert {(a.refusal.status, a.refusal.reason) for a in wrong if a.refusal} == {
        ("rejected", "unsupported-key")
    }
    assert len(wrong) == 5
    assert right.sha256 == sha256_of(b"1")


def test_what_is_not_ours_to_read_is_failed_and_may_be_had_another_time(tmp_path: Path) -> None:
    denied = b"<Error><Code>AccessDenied</Code></Error>"
    with Loopback() as server:
        server.serve("/photos/private", Page(status=403, body=denied))
        server.serve(
            "/photos/open", Page(body=b"1", headers={"ETag": '"1"', "Last-Modified": DATE})
        )
        access = S3Access(server.url("").rstrip("/"), "key", "secret")
        objects = S3Store("s3://", access, patience=1)
        locations = ["s3://photos/private", "s3://photos/open"]
        private, public = taken(locations, LocalStore(tmp_path), objects)
    assert private.refusal
    assert (private.refusal.status, private.refusal.reason) == ("failed", "unreadable-object")
    assert "does not allow it" in private.refusal.detail
    assert public.sha256 == sha256_of(b"1")


DATE = "Wed, 06 Nov 2024 00:00:00 GMT"


def test_a_server_that_does_not_answer_is_nobodys_fault(s3_place: S3Place, tmp_path: Path) -> None:
    gone = S3Store("s3://", entered(s3_place, "http://127.0.0.1:1"), patience=0.3)
    with pytest.raises(UnreachableError, match="does not answer"):
        taken([at(s3_place, "a")], LocalStore(tmp_path), gone)


def test_a_bucket_that_is_not_there_or_a_wrong_key_ends_the_run(
    s3_server: S3Server, s3_place: S3Place, objects: S3Store, tmp_path: Path
) -> None:
    with pytest.raises(PlaceError, match="the bucket 't-nowhere' does not exist"):
        taken(["s3://t-nowhere/a"], LocalStore(tmp_path), objects)
    guest = S3Access(s3_place.endpoint, s3_server.guest.access_key, s3_server.guest.secret_key)
    s3_server.revoke()
    with pytest.raises(PlaceError, match="AWS_ACCESS_KEY_ID"):
        taken([at(s3_place, "a")], LocalStore(tmp_path), S3Store("s3://", guest))


def test_reading_goes_only_so_far_ahead(
    s3_place: S3Place, objects: S3Store, bucket: S3Store
) -> None:
    bucket.put("a", b"1")
    asked: list[str] = []

    def keys() -> Iterator[str]:
        while True:
            asked.append("a")
            yield f"{s3_place.bucket}/a"

    found = read_objects(objects, keys(), 100)
    assert [next(found) for _ in range(3)] == [b"1"] * 3
    assert len(asked) == WIDTH + 2
    found.close()


# All of it, in a run.


@pytest.mark.slow
def test_a_dataset_takes_in_what_lies_in_its_buckets_and_in_no_other(
    s3_server: S3Server,
    s3_place: S3Place,
    bucket: S3Store,
    engine: Engine,
    workspace: Workspace,
) -> None:  # fmt: skip
    photos = {f"users/{n}/a #{n}.jpg": photo(n) for n in range(50)}
    photos |= {"users/cut.jpg": photo(0)[:300], "users/text.jpg": b"no image"}
    bucket.put_many(list(photos.items()))
    with s3_server.bucket() as other:
        S3Store(f"s3://{other}", bucket.access).put("private.jpg", photo(99))
        locations = {key: at(s3_place, key) for key in [*photos, "users/none.jpg"]}
        locations["outside"] = f"s3://{other}/private.jpg"
        wanted = [Ref(uri, "predictions", where) for uri, where in locations.items()]
        dataset_id = workspace.catalog.dataset_id("d")
        list_refs(workspace.catalog, dataset_id, refs_of(partial(iter, wanted)))
        intake = Intake(
            workspace=workspace, dataset_id=dataset_id, checks=Checks(), http=HttpPolicy(),
            inputs=len(wanted), objects=S3Store("s3://", bucket.access),
            buckets=frozenset({s3_place.bucket}),
        )  # fmt: skip
        assert take(intake, lambda: engine, Silent()) == len(wanted)
    query = sa.select(refs.c.uri, refs.c.status, refs.c.reason, blobs.c.sha256).outerjoin(
        blobs, blobs.c.id == refs.c.asset_id
    )
    with workspace.catalog.read() as db:
        rows = {row.uri: row for row in db.execute(query)}
    assets = {uri: row.sha256 for uri, row in rows.items() if row.status == "asset"}
    assert len(assets) == 50
    for uri, sha256 in assets.items():
        assert read_asset(workspace.store, sha256) == photos[uri]
    assert {uri: (row.status, row.reason) for uri, row in rows.items() if uri not in assets} == {
        "users/cut.jpg": ("rejected", "truncated"),
        "users/text.jpg": ("rejected", "unknown-format"),
        "users/none.jpg": ("failed", "missing-object"),
        "outside": ("rejected", "unsupported-scheme"),
    }


@pytest.mark.slow
def test_an_item_that_takes_its_worker_down_is_the_one_that_is_lost(
    s3_place: S3Place, bucket: S3Store, engine: Engine, tmp_path: Path
) -> None:
    bucket.put_many([(f"{n:02}", b"kill" if n == 9 else b"%d" % n) for n in range(30)])
    inputs = [input_of(n, at(s3_place, f"{n:02}"), {s3_place.bucket}) for n in range(30)]
    work = partial(
        take_in, store=LocalStore(tmp_path), inspect=_die_of_kill, max_bytes=100,
        objects=S3Store("s3://", bucket.access),
    )  # fmt: skip
    ((_, results),) = engine.map(work, [inputs])
    lost = [n for n, result in enumerate(results) if not isinstance(result, Arrival)]
    assert lost == [9]


def _die_of_kill(data: bytes) -> int:
    if data == b"kill":
        os.abort()
    return len(data)
