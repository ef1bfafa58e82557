"""Places that fail during a build: nothing lost, nothing twice, or one clear sentence."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
from PIL import Image

from autods.catalog import Catalog
from autods.catalog.tables import blobs, claims, refs, versions
from services.faults import FaultyProxy
from services.fixtures import S3Place
from services.postgres import Postgres
from services.swift import S3Server

pytestmark = pytest.mark.slow

COUNT = 240
FILES = ("datasets/**/*.tar", "datasets/**/data.parquet")
Tree = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that all differ, in a folder, and five that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(COUNT):
        noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        image = Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)
        image.save(folder / f"{seed:03}.jpg", quality=90)
    for n in range(5):
        (folder / f"none-{n}.jpg").write_bytes(b"no picture %d" % n)
    (folder / "recipe.yaml").write_text("name: noise\nsources: [{folder: .}]\nworkers: 2\n")
    return folder


@pytest.fixture(scope="module")
def truth(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an undisturbed build makes, with SQLite and a folder."""
    root = tmp_path_factory.mktemp("undisturbed")
    done = Running(pictures, root, {}).wait()
    return {**done, "root": root}


class Running:
    """A build in a process of its own."""

    def __init__(self, pictures: Path, root: Path, places: dict[str, str]) -> None:
        command = [sys.executable, "-m", "autods", "build", str(pictures / "recipe.yaml"), "--json"]
        self.process = subprocess.Popen(
            [*command, "-w", str(root)], env=os.environ | places, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait(self) -> dict[str, Any]:
        """Wait for success and give what `--json` said."""
        out, err = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, err
        return dict(json.loads(out))

    def fail(self) -> str:
        """Wait for a failure and give its one sentence."""
        _, err = self.process.communicate(timeout=300)
        assert self.process.returncode == 4, err
        assert "Traceback" not in err
        assert len(err.strip().splitlines()) == 1, err
        return err


@pytest.fixture
def catalog_proxy(postgres: Postgres) -> Iterator[FaultyProxy]:
    postgres.start()
    with FaultyProxy("127.0.0.1", postgres.port) as proxy:
        yield proxy


@pytest.fixture
def store_proxy(s3_place: S3Place) -> Iterator[FaultyProxy]:
    host, _, port = s3_place.endpoint.removeprefix("http://").partition(":")
    with FaultyProxy(host, int(port)) as proxy:
        yield proxy


def through(url: str, port: int) -> str:
    """The URL of a database as seen through a proxy."""
    return sa.make_url(url).set(port=port).render_as_string(hide_password=False)


@pytest.fixture
def far(
    catalog_proxy: FaultyProxy, store_proxy: FaultyProxy, postgres_url: str, s3_place: S3Place
) -> dict[str, str]:
    """Both places, each seen through its proxy."""
    return {
        "AUTODS_CATALOG": through(postgres_url, catalog_proxy.port),
        "AUTODS_STORE": s3_place.url,
        **s3_place.environment(),
        "AWS_ENDPOINT_URL": store_proxy.endpoint,
    }


def taken_in(url: str) -> int:
    """How many inputs have their outcome by now; 0 while the catalog is not there."""
    try:
        with closing(Catalog(url)) as catalog, catalog.read() as db:
            query = sa.select(sa.func.count()).where(refs.c.status.is_not(None))
            return db.scalar(query.select_from(refs)) or 0
    except Exception:  # noqa: BLE001 - whatever it is, nothing is there yet
        return 0


def until_taken_in(url: str, count: int, running: Running) -> None:
    """Wait until a build is in the middle of it."""
    while taken_in(url) < count:
        assert running.alive, running.process.communicate()
        time.sleep(0.02)


def assert_same(
    built: dict[str, Any], root: Path, truth: dict[str, Any], tree: Tree, url: str
) -> None:
    """Nothing lost and nothing twice: the version, its bytes, and what the catalog knows."""
    assert (built["version"], built["digest"]) == ("noise@v1", truth["digest"])
    assert tree(root, *FILES) == tree(truth["root"], *FILES)
    with closing(Catalog(url)) as catalog, catalog.read() as db:
        statuses = Counter(db.scalars(sa.select(refs.c.status)))
        assert statuses == {"asset": COUNT, "rejected": 5}
        assert db.scalar(sa.select(sa.func.count()).select_from(blobs)) == COUNT
        assert db.scalar(sa.select(sa.func.count()).select_from(versions)) == 1
        # Killed after its last outcome, a run leaves a claim that nobody comes across any more;
        # it counts for nothing, since its run is dead, and the next run that takes any frees it.
        left = db.scalars(sa.select(claims.c.claimant))
        assert not [claimant for claimant in left if catalog.is_held(claimant)]


def test_a_build_killed_at_any_moment_goes_on_to_the_same_bytes(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    postgres_url: str,
) -> None:  # fmt: skip
    draw = random.Random(0)
    duration = 6.0
    for trial in range(6):
        with psycopg.connect(postgres_url) as connection:
            connection.execute("DROP SCHEMA IF EXISTS autods CASCADE")
        root = tmp_path / str(trial)
        root.mkdir()
        places = far | {"AUTODS_STORE": f"{far['AUTODS_STORE']}/{trial}"}
        started = time.monotonic()
        running = Running(pictures, root, places)
        if trial:
            time.sleep(draw.uniform(0.2, 1) * duration)
            running.process.kill()
        running.process.communicate()
        duration = min(duration, time.monotonic() - started) if trial == 0 else duration
        assert_same(Running(pictures, root, places).wait(), root, truth, tree, postgres_url)


def test_postgres_killed_and_started_again(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    postgres: Postgres, postgres_url: str,
) -> None:  # fmt: skip
    running = Running(pictures, tmp_path, far)
    for count in (10, 100):
        until_taken_in(postgres_url, count, running)
        postgres.kill()
        time.sleep(1)
        postgres.start()
    assert_same(running.wait(), tmp_path, truth, tree, postgres_url)


def test_connections_to_the_catalog_cut_again_and_again(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    catalog_proxy: FaultyProxy, postgres_url: str,
) -> None:  # fmt: skip
    running = Running(pictures, tmp_path, far)
    for count in (1, 40, 80, 120, 160, 200):
        until_taken_in(postgres_url, count, running)
        catalog_proxy.cut()
    assert_same(running.wait(), tmp_path, truth, tree, postgres_url)


def test_a_commit_whose_answer_is_lost_is_not_done_twice(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    catalog_proxy: FaultyProxy, postgres_url: str,
) -> None:  # fmt: skip
    running = Running(pictures, tmp_path, far)
    for count in (1, 60, 120, 180):
        until_taken_in(postgres_url, count, running)
        catalog_proxy.lose_answer_to(b"COMMIT")
    assert_same(running.wait(), tmp_path, truth, tree, postgres_url)


def test_the_s3_server_killed_in_the_middle_of_uploads(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    s3_server: S3Server, postgres_url: str,
) -> None:  # fmt: skip
    running = Running(pictures, tmp_path, far)
    for count in (1, 100):
        until_taken_in(postgres_url, count, running)
        s3_server.kill()
        time.sleep(1)
        s3_server.start()
    assert_same(running.wait(), tmp_path, truth, tree, postgres_url)


@pytest.mark.parametrize("status", [500, 503])
def test_an_s3_server_that_fails_a_tenth_of_its_requests(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    store_proxy: FaultyProxy, postgres_url: str, status: int,
) -> None:  # fmt: skip
    store_proxy.errors = (10, status)
    assert_same(Running(pictures, tmp_path, far).wait(), tmp_path, truth, tree, postgres_url)
    assert store_proxy.failed >= COUNT // 10


def test_slow_places(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    store_proxy: FaultyProxy, catalog_proxy: FaultyProxy, postgres_url: str,
) -> None:  # fmt: skip
    store_proxy.delay, catalog_proxy.delay = 0.05, 0.005
    assert_same(Running(pictures, tmp_path, far).wait(), tmp_path, truth, tree, postgres_url)


def test_connections_to_the_store_cut_in_the_middle(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    store_proxy: FaultyProxy, postgres_url: str,
) -> None:  # fmt: skip
    store_proxy.cut_after(20_000, 30)
    running = Running(pictures, tmp_path, far)
    for count in (20, 120, 200):
        until_taken_in(postgres_url, count, running)
        store_proxy.cut()
    assert_same(running.wait(), tmp_path, truth, tree, postgres_url)


def test_a_bucket_that_vanishes_is_told_and_what_it_held_is_brought_back(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    s3_place: S3Place, s3_server: S3Server, store_proxy: FaultyProxy, postgres_url: str,
) -> None:  # fmt: skip
    store_proxy.delay = 0.05
    running = Running(pictures, tmp_path, far)
    until_taken_in(postgres_url, 20, running)
    # Nothing may be on its way: Swift takes a bucket for alive in which an object still arrives.
    store_proxy.errors = (1, 503)
    time.sleep(1)
    while True:
        try:
            s3_server.delete_bucket(s3_place.bucket)
            break
        except RuntimeError:  # The build has put something in between.
            assert running.alive
    store_proxy.delay, store_proxy.errors = 0, None
    said = running.fail()
    assert s3_place.bucket in said
    assert s3_place.secret_key not in said
    s3_server.create_bucket(s3_place.bucket)
    mended = subprocess.run(
        [sys.executable, "-m", "autods", "doctor", "--repair", "--new-store", "-w", str(tmp_path)],
        env=os.environ | far, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert_same(Running(pictures, tmp_path, far).wait(), tmp_path, truth, tree, postgres_url)


def test_keys_that_expire_are_told_and_with_new_ones_the_build_goes_on(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    s3_place: S3Place, s3_server: S3Server, postgres_url: str,
) -> None:  # fmt: skip
    guest = {
        "AWS_ACCESS_KEY_ID": s3_server.guest.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.guest.secret_key,
    }
    running = Running(pictures, tmp_path, far | guest)
    until_taken_in(postgres_url, 1, running)
    s3_server.revoke()
    said = running.fail()
    assert "AWS_ACCESS_KEY_ID" in said
    assert s3_server.guest.secret_key not in said
    assert_same(Running(pictures, tmp_path, far).wait(), tmp_path, truth, tree, postgres_url)


def test_a_catalog_that_stays_away_ends_the_build_with_one_sentence(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    catalog_proxy: FaultyProxy, postgres_url: str,
) -> None:  # fmt: skip
    running = Running(pictures, tmp_path, far | {"AUTODS_PATIENCE": "3"})
    until_taken_in(postgres_url, 1, running)
    catalog_proxy.refuse = True
    catalog_proxy.cut()
    assert "does not answer" in running.fail()
    catalog_proxy.refuse = False
    assert_same(Running(pictures, tmp_path, far).wait(), tmp_path, truth, tree, postgres_url)


def test_two_builds_at_once_on_two_machines_share_the_work_and_make_one_version(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    postgres_url: str,
) -> None:  # fmt: skip
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        root.mkdir()
    running = [Running(pictures, root, far) for root in roots]
    built = [one.wait() for one in running]
    assert sorted(b["new"] for b in built) == [False, True]
    first = next(r for r, b in zip(roots, built, strict=True) if b["new"])
    assert_same(built[0], first, truth, tree, postgres_url)
    assert built[0]["digest"] == built[1]["digest"]
    with closing(Catalog(postgres_url)) as catalog, catalog.read() as db:
        assert set(db.scalars(sa.select(refs.c.tries))) == {1}


def test_one_of_two_builds_is_killed_and_the_other_does_all(
    pictures: Path, truth: dict[str, Any], far: dict[str, str], tree: Tree, tmp_path: Path,
    postgres_url: str, store_proxy: FaultyProxy,
) -> None:  # fmt: skip
    store_proxy.delay = 0.05
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        root.mkdir()
    running = [Running(pictures, root, far) for root in roots]
    until_taken_in(postgres_url, 50, running[0])
    running[0].process.send_signal(signal.SIGKILL)
    running[0].process.communicate()
    store_proxy.delay = 0
    assert_same(running[1].wait(), roots[1], truth, tree, postgres_url)
