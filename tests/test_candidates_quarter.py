"""A quarter of a made-up service, day by day: every folder is what its generator says it must be.

Runs are killed, run twice, missed and run again for days long past; rows are verified late,
relabelled, deleted, committed late, dated by wrong clocks. The truth shares no code with us.
"""

import datetime as dt
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from autods.recipes.candidates.config import read_candidates
from autods.recipes.candidates.running import daily, monthly
from autods.recipes.candidates.world.shapes import Look
from autods.recipes.candidates.world.truth import DayTruth, SetTruth, group_of
from autods.recipes.candidates.world.world import Put, World
from autods.store import LocalStore, S3Store, Store
from services.fixtures import S3Place

pytestmark = pytest.mark.slow

_DAY = dt.timedelta(days=1)
KILLS = int(os.environ.get("TEST_KILLS", "8"))


class Service:
    """A world, the places it is in, and autods beside it."""

    def __init__(
        self, world: World, root: Path, database: str, photos: Store, artifacts: Store,
        environment: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.world, self.root, self.database = world, root, database
        self.photos, self.artifacts = photos, artifacts
        self.environment = environment
        self.recipe = root / "candidates.yaml"
        self.looks: list[Look] = []
        world.create(database)

    def until(self, moment: dt.datetime) -> None:
        """Let the world go on."""
        self.world.advance(self.database, put_into(self.photos), put_into(self.artifacts), moment)

    def look(self, look: Look) -> dict[str, Any]:
        """Run what is due, in this process."""
        self.looks.append(look)
        given = read_candidates(self.recipe)
        if look.date:
            return daily(self.root, given, look.date)
        assert look.month
        return monthly(self.root, given, *look.month)

    def killed(self, look: Look, seconds: float) -> None:
        """Run what is due in a process of its own, and kill that after a while."""
        running = subprocess.Popen(
            [sys.executable, "-m", "autods", "run", "candidates", *_words(look), "--json",
             str(self.recipe), "-w", str(self.root)],
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(seconds)
        running.kill()
        running.wait()

    def files(self, prefix: str) -> dict[str, bytes]:
        """Read a folder of the artifacts."""
        return {
            entry.key.removeprefix(prefix): self.artifacts.get(entry.key)
            for entry in self.artifacts.entries(prefix)
        }


def _words(look: Look) -> list[str]:
    if look.date:
        return ["daily", "--date", str(look.date)]
    assert look.month
    return ["monthly", "--year", str(look.month[0]), "--month", str(look.month[1])]


def put_into(store: Store) -> Put:
    def put(key: str, data: bytes | None) -> None:
        if data is None:
            store.delete(key)
        else:
            store.replace(key, data)

    return put


def rows(data: bytes) -> list[dict[str, Any]]:
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        return list(file.read(use_threads=False).to_pylist())


def images(files: Mapping[str, bytes]) -> dict[str, str]:
    return {n: hashlib.sha256(data).hexdigest() for n, data in files.items() if "/" in n}


def assert_sound(files: Mapping[str, bytes]) -> dict[str, Any]:
    """What a folder says of itself is what lies in it."""
    told: dict[str, Any] = json.loads(files["manifest.json"])
    samples = rows(files["samples.parquet"])
    assert {row["path"]: row["sha256"] for row in samples} == images(files)
    assert told["total_images"] == len(samples) == sum(told["class_distribution"].values())
    return told


def assert_day(service: Service, day: dt.date, truth: DayTruth) -> None:
    files = service.files(f"datasets/candidates/{day}/")
    if not files:  # Nobody ran for that day, and nothing came.
        assert (truth.objects, truth.excluded) == ({}, {})
        return
    told = assert_sound(files)
    assert images(files) == truth.objects, day
    assert told["class_distribution"] == truth.class_distribution
    found = {
        (row["prediction_id"], row["position"]): (row["status"],
                                                  group_of(row["status"], row["reason"]))
        for row in rows(files["excluded.parquet"])
    }  # fmt: skip
    assert found == {key: (out.status, out.reason) for key, out in truth.excluded.items()}, day


def assert_set(service: Service, prefix: str, truth: SetTruth, dates: list[str]) -> None:
    files = service.files(prefix)
    told = assert_sound(files)
    samples = {row["path"]: row for row in rows(files["samples.parquet"])}
    assert {p: (r["sha256"], r["label"], r["origin"]) for p, r in samples.items()} == truth.members
    assert (told["gold_images"], told["new_images"]) == (truth.gold_images, truth.new_images)
    assert told["class_distribution"] == truth.class_distribution
    assert told["collection_dates"] == dates
    found = {}
    for row in rows(files["excluded.parquet"]):
        key = (row["prediction_id"], row["position"]) if row["prediction_id"] else row["uri"]
        reason = row["kind"] or group_of(row["status"], row["reason"])
        found[key] = (row["status"], reason, row["duplicate_of"], row["conflict"])
    assert found == truth.left_out


def assert_month(service: Service, look: Look, revision: int = 1) -> None:
    assert look.month
    year, month = look.month
    truth = service.world.month_truth(year, month, look.at, service.looks)
    name = f"{year}-{month:02}" + (f"-v{revision}" if revision > 1 else "")
    for kind, wanted in (("verified", truth.verified), ("full", truth.full)):
        assert_set(service, f"datasets/{kind}/{name}/", wanted, truth.collection_dates)
        assert service.artifacts.get(f"datasets/{kind}/{name}/version.txt").decode() == (
            f"{year}-{month:02}-v{revision}\n"
        )


def live(service: Service, *, kills: int, longest: float) -> None:
    """Run what is due, and what goes wrong: kills, runs twice, missed ones, ones for the past."""
    draw = random.Random(11)
    last = dt.datetime.combine(service.world.setting.end, dt.time(2))
    due = service.world.usual_looks(last)
    mortal = set(draw.sample(range(len(due)), min(kills, len(due))))
    mortal |= {number for number, look in enumerate(due) if look.month}
    missed = {n for n, look in enumerate(due) if look.date and look.date.day in {9, 10, 23}}
    for number, look in enumerate(due):
        service.until(look.at)
        if number in missed - mortal:
            continue
        if number in mortal and kills:
            service.killed(look, draw.uniform(0.3, longest))
        service.look(look)
        if number % 10 == 3 and look.date:  # Run twice, and for a day that is long over.
            service.look(Look(look.at, look.date))
            service.look(Look(look.at, max(service.world.setting.start, look.date - 4 * _DAY)))
        if look.month:
            assert_month(service, look)


def test_a_quarter_ends_as_its_generator_says(tmp_path: Path) -> None:
    world = World(dt.date(2024, 10, 1), 92, per_day=5)
    root = tmp_path / "team"
    root.mkdir()
    (root / "candidates.yaml").write_text(
        "database: predictions.db\nphotos: photos\nworkers: 2\n"
    )  # fmt: skip
    database = str(root / "predictions.db")
    service = Service(world, root, database, LocalStore(root / "photos"), LocalStore(root), {})
    live(service, kills=KILLS, longest=1.6)
    end = service.looks[-1].at
    for number in range(world.setting.days):
        day = world.setting.start + number * _DAY
        assert_day(service, day, world.day_truth(day, end, service.looks))
    # What has been verified, relabelled and deleted since is the first month's next version.
    before = service.files("datasets/full/2024-10/")
    again = Look(end + dt.timedelta(hours=1), month=(2024, 10))
    service.until(again.at)
    assert service.look(again)["full"]["version"] == "2024-10-v2"
    assert_month(service, again, revision=2)
    assert service.files("datasets/full/2024-10/") == before


def test_a_month_on_postgres_and_s3_ends_the_same(
    tmp_path: Path, postgres_url: str, s3_place: S3Place, monkeypatch: pytest.MonkeyPatch,
    second_bucket: S3Place,
) -> None:  # fmt: skip
    url = sa.make_url(postgres_url)
    environment = {
        "DB_HOST": str(url.host), "DB_PORT": str(url.port), "DB_USER": str(url.username),
        "DB_PASSWORD": str(url.password), "DB_NAME": str(url.database),
        "AUTODS_CATALOG": postgres_url, "STYLE_PHOTO_BUCKET": s3_place.bucket,
        "ML_ARTIFACTS_BUCKET": second_bucket.bucket, **s3_place.environment(),
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    world = World(dt.date(2024, 11, 1), 30, per_day=3, bucket=s3_place.bucket)
    (tmp_path / "candidates.yaml").write_text("workers: 2\n")
    photos, artifacts = (
        S3Store(f"s3://{place.bucket}", place.access()) for place in (s3_place, second_bucket)
    )
    database = url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    service = Service(world, tmp_path, database, photos, artifacts, environment)
    live(service, kills=3, longest=4.0)
    end = service.looks[-1].at
    for number in range(world.setting.days):
        day = world.setting.start + number * _DAY
        assert_day(service, day, world.day_truth(day, end, service.looks))
