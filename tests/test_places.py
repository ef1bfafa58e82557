"""One recipe, four pairs of places: one digest, the same shard bytes, whatever comes between."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autods.settings import S3Access
from autods.store import Store, open_store
from conftest import EVERYWHERE
from services.fixtures import S3Place

Build = Callable[..., dict[str, Any]]
Autods = Callable[..., "subprocess.CompletedProcess[str]"]
Tree = Callable[..., dict[str, str]]

FILES = ("**/*.tar", "**/*.idx", "images/**/*.*", "data.parquet")


def store_of(place: S3Place) -> Store:
    access = S3Access(place.endpoint, place.access_key, place.secret_key, region=place.region)
    return open_store(place.url, access)


@pytest.fixture(scope="session")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The version as SQLite and a folder make it."""
    root = tmp_path_factory.mktemp("undisturbed")
    command = [sys.executable, "-m", "autods", "build", str(data / "images"), "--json"]
    done = subprocess.run([*command, "-w", str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "root": root}


@pytest.mark.slow
@pytest.mark.parametrize("places", EVERYWHERE, indirect=True)
def test_the_version_is_the_same_everywhere(
    build: Build, autods: Autods, tree: Tree, data: Path, tmp_path: Path,
    undisturbed: dict[str, Any], places: dict[str, str],
) -> None:  # fmt: skip
    built = build(data / "images", "-w", tmp_path)
    assert built["digest"] == undisturbed["digest"]
    there = Path("datasets", "images", "v1")
    assert tree(tmp_path / there, *FILES) == tree(undisturbed["root"] / there, *FILES)
    again = build(data / "images", "-w", tmp_path)
    assert (again["version"], again["new"]) == ("images@v1", False)
    for command in (("log",), ("show", "images"), ("show", "--refused", "images"), ("doctor",)):
        done = autods(*command, "-w", tmp_path, "--json")
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert_no_secret(done.stdout + done.stderr, places)
    written = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".db"]
    for path in written:
        assert_no_secret(path.read_bytes().decode(errors="ignore"), places)


def assert_no_secret(text: str, places: dict[str, str]) -> None:
    """No password and no key of a place is in what is shown or written."""
    secrets = [places.get("AWS_SECRET_ACCESS_KEY")]
    if "AUTODS_CATALOG" in places:
        secrets.append(places["AUTODS_CATALOG"].split("@")[0].split(":")[2])
    for secret in filter(None, secrets):
        assert secret not in text


@pytest.mark.slow
@pytest.mark.parametrize("near", ["on", "off"])
@pytest.mark.parametrize("places", ["sqlite-s3"], indirect=True)
def test_what_a_version_consists_of_is_in_the_bucket(
    build: Build, tree: Tree, data: Path, tmp_path: Path, s3_place: S3Place,
    places: dict[str, str], undisturbed: dict[str, Any], near: str,
) -> None:  # fmt: skip
    places["AUTODS_NEAR_COPY"] = near
    built = build(data / "images", "-w", tmp_path)
    assert built["digest"] == undisturbed["digest"]
    assert (tmp_path / ".autods" / "near").exists() == (near == "on")
    store = store_of(s3_place)
    folder = Path(built["folder"])
    for name, digest in tree(folder, "**/*").items():
        if not name.startswith(("images/", ".")):
            published = store.get(f"shards/images/v1/{name}")
            assert hashlib.sha256(published).hexdigest() == digest, name
    members = tree(folder, "images/**/*.*")
    held = {key.rsplit("/", 1)[1] for key in store.keys("raw/")}
    assert {d for name, d in members.items() if not name.endswith((".jsonl", ".json"))} <= held
