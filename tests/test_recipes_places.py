"""What recipes do with places: tiers, publishing, repair, ingest alone, and where it all is."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

from autods.catalog.tables import blobs
from autods.recipes import tiers
from autods.run import Silent
from autods.settings import S3Access
from autods.store import LocalStore, TieredStore, asset_key, open_store
from autods.workspace import Workspace
from autods.workspace import open as open_workspace
from services.fixtures import S3Place

Build = Callable[..., dict[str, Any]]
Autods = Callable[..., "subprocess.CompletedProcess[str]"]
Tree = Callable[..., dict[str, str]]

pytestmark = pytest.mark.slow


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Twelve pictures that all differ, and a recipe."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(12):
        noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        image = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
        image.save(folder / f"{seed:03}.jpg")
    path = tmp_path / "recipe.yaml"
    path.write_text("name: noise\nsources: [{folder: pictures}]\ndedup: {near: off}\n")
    return path


def tiers_of(root: Path) -> dict[str, str]:
    place = open_workspace(root)
    with place.catalog.read() as db:
        rows = db.execute(sa.select(blobs.c.sha256, blobs.c.tier, blobs.c.leaving)).all()
    place.close()
    assert {row.leaving for row in rows} == {None}
    return {row.sha256: row.tier for row in rows}


def where(root: Path, cold: Path) -> dict[str, str]:
    """Where the bytes really are."""
    hot_keys = set(LocalStore(root / ".autods" / "store").keys("raw/"))
    cold_keys = set(LocalStore(cold).keys("raw/"))
    assert not hot_keys & cold_keys
    names = dict.fromkeys(hot_keys, "hot") | dict.fromkeys(cold_keys, "cold")
    return {key.rpartition("/")[2]: tier for key, tier in names.items() if "probe" not in key}


def test_the_first_stay_hot_and_the_others_go_cold_and_back(
    recipe: Path, build: Build, tree: Tree, tmp_path: Path
) -> None:
    written = recipe.read_text()
    plain = build(recipe, "-w", tmp_path / "plain")
    recipe.write_text(written + "cold_store: cold\nhot_storage_threshold: 5\n")
    tiered = build(recipe, "-w", tmp_path)
    assert tiered["digest"] == plain["digest"]
    found = where(tmp_path, tmp_path / "cold")
    assert sorted(found.values()) == ["cold"] * 7 + ["hot"] * 5
    assert tiers_of(tmp_path) == found
    order = [path.read_bytes() for path in sorted((tmp_path / "pictures").iterdir())]
    store = LocalStore(tmp_path / ".autods" / "store")
    hot = {store.get(asset_key(name)) for name, tier in found.items() if tier == "hot"}
    assert hot == set(order[:5])
    recipe.write_text(written + "cold_store: cold\nhot_storage_threshold: 9\n")
    again = build(recipe, "-w", tmp_path)
    assert again["digest"] == plain["digest"]
    found = where(tmp_path, tmp_path / "cold")
    assert sorted(found.values()) == ["cold"] * 3 + ["hot"] * 9
    assert tiers_of(tmp_path) == found


@pytest.fixture
def tiered(recipe: Path, build: Build, tmp_path: Path) -> Iterator[Workspace]:
    recipe.write_text(recipe.read_text() + "cold_store: cold\nhot_storage_threshold: 100\n")
    build(recipe, "-w", tmp_path)
    place = open_workspace(tmp_path)
    yield place
    place.close()


@pytest.mark.parametrize("stage", ["move", "note", "forget"])
def test_a_move_that_was_cut_short_goes_on(
    tiered: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Stops at each point where a kill could come, then runs again."""
    store = tiered.store
    assert isinstance(store, TieredStore)
    with tiered.catalog.read() as db:
        policy = db.scalar(sa.text("SELECT policy FROM placements"))

    def settle() -> int:
        return tiers.settle_tiers(tiered.catalog, store, 1, str(policy), 2, Silent())

    class CutError(Exception):
        pass

    def cut(*_: object, **__: object) -> None:
        raise CutError

    with monkeypatch.context() as patched:
        if stage == "move":
            calls, put = iter(range(3)), store.cold.put
            patched.setattr(
                store.cold, "put", lambda k, d: cut() if next(calls, None) is None else put(k, d)
            )
        elif stage == "note":
            patched.setattr(tiered.catalog, "begin", cut)
        else:
            patched.setattr(store, "forget", cut)
        with pytest.raises(CutError):
            settle()
    settle()
    found = where(tmp_path, tmp_path / "cold")
    assert sorted(found.values()) == ["cold"] * 10 + ["hot"] * 2
    assert tiers_of(tmp_path) == found


@pytest.mark.parametrize("loss", ["removed", "damaged"])
def test_what_the_store_lost_is_brought_back_from_its_source(
    recipe: Path, build: Build, autods: Autods, tree: Tree, tmp_path: Path, loss: str
) -> None:
    first = build(recipe, "-w", tmp_path)
    before = tree(tmp_path, ".autods/store/raw/??/*")
    victims = sorted(before)[::5]
    for name in victims:
        (tmp_path / name).unlink()
        if loss == "damaged":
            (tmp_path / name).write_bytes(b"rotten")
    sick = autods("doctor", "-w", tmp_path)
    assert (sick.returncode, "--repair" in sick.stdout) == (4, True)
    extra = ["--thorough"] if loss == "damaged" else []
    repaired = autods("doctor", "--repair", *extra, "-w", tmp_path)
    assert f"{len(victims)} {'missing' if loss == 'removed' else 'damaged'}" in repaired.stdout
    again = build(recipe, "-w", tmp_path)
    assert (again["digest"], again["new"]) == (first["digest"], False)
    assert tree(tmp_path, ".autods/store/raw/??/*") == before
    assert autods("doctor", "-w", tmp_path).returncode == 0


def test_ingest_alone_makes_no_version_and_build_takes_it_from_there(
    recipe: Path, build: Build, autods: Autods, tmp_path: Path
) -> None:
    done = autods("ingest", recipe, "-w", tmp_path, "--json")
    assert json.loads(done.stdout) == {"dataset": "noise", "taken_in": 12}
    again = autods("ingest", recipe, "-w", tmp_path, "--no-list")
    assert "0 inputs of noise were taken in here" in again.stdout
    assert not (tmp_path / "datasets").exists()
    (tmp_path / "pictures" / "000.jpg").rename(tmp_path / "pictures" / "new.jpg")
    assert (
        json.loads(autods("ingest", recipe, "-w", tmp_path, "--no-list", "--json").stdout)[
            "taken_in"
        ]
        == 0
    )
    assert build(recipe, "-w", tmp_path)["facts"]["counts"]["inputs"] == 12


def test_a_workspace_remembers_where_its_places_are_but_no_password(
    autods: Autods, postgres_url: str, s3_place: S3Place, tmp_path: Path
) -> None:
    keys = os.environ | s3_place.environment()
    url = sa.make_url(postgres_url)
    password = quote(str(url.password), safe="")
    told = autods("init", tmp_path, "--catalog", postgres_url, env=keys)
    assert (told.returncode, "leave the password out" in told.stderr) == (2, True)
    open_url = url._replace(password=None).render_as_string()
    keys_and_password = keys | {"POSTGRES_PASSWORD": str(url.password)}
    said = autods(
        "init", tmp_path, "--catalog", open_url, "--store", s3_place.url, env=keys_and_password
    )
    assert said.returncode == 0, said.stderr
    note = (tmp_path / ".autods" / "places.json").read_text()
    assert "postgresql" in note
    assert password not in note + said.stdout
    told = autods("log", "-w", tmp_path, env=keys_and_password)
    assert told.returncode == 0, told.stderr
    assert not (tmp_path / ".autods" / "catalog.db").exists()
    silent = autods("log", "-w", tmp_path, env=keys)
    assert silent.returncode == 4
    assert password not in silent.stderr


def test_a_recipe_holds_no_password(recipe: Path, autods: Autods, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text() + "catalog: postgresql://me:hush@127.0.0.1/x\n")
    refused = autods("build", recipe, "-w", tmp_path)
    assert refused.returncode == 2
    assert "hush" not in refused.stderr + refused.stdout


def test_the_doctor_says_what_is_wrong_with_each_place(
    autods: Autods, s3_place: S3Place, tmp_path: Path
) -> None:
    autods("init", tmp_path)
    for wrong, word in (
        ({"AUTODS_STORE": "s3://no-such-bucket-here/x"}, "no-such-bucket-here"),
        ({"AUTODS_STORE": s3_place.url, "AWS_SECRET_ACCESS_KEY": "hush"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AUTODS_CATALOG": "postgresql://me@127.0.0.1:1/x"}, "does not answer"),
    ):
        done = autods("doctor", "-w", tmp_path, env=os.environ | s3_place.environment() | wrong)
        assert done.returncode == 4, done.stdout
        assert word in done.stdout
        assert "hush" not in done.stdout
        assert "Traceback" not in done.stderr


def far(postgres_url: str, s3_place: S3Place) -> tuple[dict[str, str], dict[str, str]]:
    """The two URLs without secrets, and the variables that fill them in."""
    url = sa.make_url(postgres_url)
    keys = os.environ | s3_place.environment() | {"POSTGRES_PASSWORD": str(url.password)}
    places = {
        "--catalog": url._replace(password=None).render_as_string(),
        "--store": s3_place.url,
    }
    return places, keys


def test_a_workspace_is_moved_with_all_that_it_holds(
    recipe: Path, build: Build, autods: Autods, tmp_path: Path, postgres_url: str, s3_place: S3Place
) -> None:
    first = build(recipe, "-w", tmp_path)
    places, keys = far(postgres_url, s3_place)
    flags = [word for pair in places.items() for word in pair]
    moved = autods("move", *flags, "-w", tmp_path, "--json", env=keys)
    assert moved.returncode == 0, moved.stderr
    assert json.loads(moved.stdout)["blobs"] >= 13
    (tmp_path / ".autods" / "catalog.db").unlink()
    for folder in ("store", "near"):
        shutil.rmtree(tmp_path / ".autods" / folder, ignore_errors=True)
    shown = json.loads(autods("show", "noise@v1", "-w", tmp_path, "--json", env=keys).stdout)
    assert shown["digest"] == first["digest"]
    assert autods("doctor", "-w", tmp_path, env=keys).returncode == 0
    same = json.loads(autods("build", recipe, "-w", tmp_path, "--json", env=keys).stdout)
    assert (same["version"], same["new"]) == ("noise@v1", False)
    (tmp_path / "pictures" / "000.jpg").unlink()
    second = json.loads(autods("build", recipe, "-w", tmp_path, "--json", env=keys).stdout)
    assert (second["version"], second["facts"]["changes"]["removed"]) == ("noise@v2", 1)
    again = autods("move", *flags, "-w", tmp_path, env=keys)
    assert again.returncode == 0, again.stderr
    assert build(recipe, "-w", tmp_path / "fresh")["digest"] == second["digest"]
    back = autods("move", "--catalog", "c.db", "--store", "s", "-w", tmp_path, env=keys,
                  cwd=tmp_path)  # fmt: skip
    assert back.returncode == 0, back.stderr
    assert build(recipe, "-w", tmp_path)["version"] == "noise@v2"


def test_another_store_is_not_taken_for_the_catalog_s_own(
    recipe: Path, build: Build, autods: Autods, tmp_path: Path
) -> None:
    first = build(recipe, "-w", tmp_path)
    wrong = os.environ | {"AUTODS_STORE": str(tmp_path / "typo")}
    for command in (("build", recipe), ("ingest", recipe), ("doctor", "--repair"), ("doctor",)):
        done = autods(*command, "-w", tmp_path, env=wrong)
        assert done.returncode == 4, (command, done.stdout)
        assert "is not the store of this catalog" in done.stdout + done.stderr
    assert build(recipe, "-w", tmp_path)["new"] is False
    taken = autods("doctor", "--repair", "--new-store", "-w", tmp_path, env=wrong)
    assert taken.returncode == 0, taken.stdout
    again = json.loads(autods("build", recipe, "-w", tmp_path, "--json", env=wrong).stdout)
    assert (again["digest"], again["new"]) == (first["digest"], False)


def test_what_lies_in_the_folder_of_another_catalog_s_version_is_moved_aside(
    recipe: Path, build: Build, tree: Tree, tmp_path: Path
) -> None:
    old = build(recipe, "-w", tmp_path)
    before = tree(Path(old["folder"]))
    shutil.rmtree(tmp_path / ".autods")
    (tmp_path / "pictures" / "000.jpg").unlink()
    new = build(recipe, "-w", tmp_path)
    assert new["version"] == old["version"]
    assert new["digest"] in (Path(new["folder"]) / "version.txt").read_text()
    assert len(list(Path(new["folder"], "images").rglob("*.jpg"))) == 11
    aside = Path(old["folder"]).with_name(f"v1-{old['digest'][:8]}")
    assert tree(aside) == before


def test_two_catalogs_do_not_publish_into_one_prefix(
    recipe: Path, autods: Autods, tmp_path: Path, s3_place: S3Place
) -> None:
    keys = os.environ | s3_place.environment() | {"AUTODS_STORE": s3_place.url}
    assert autods("build", recipe, "-w", tmp_path / "one", env=keys).returncode == 0
    (tmp_path / "pictures" / "000.jpg").unlink()
    other = autods("build", recipe, "-w", tmp_path / "two", env=keys)
    assert (other.returncode, "another PREFIX" in other.stderr) == (4, True)


def test_what_the_environment_says_is_not_remembered_and_not_overruled(
    autods: Autods, tmp_path: Path
) -> None:
    elsewhere = os.environ | {"AUTODS_STORE": str(tmp_path / "elsewhere")}
    assert autods("init", tmp_path, env=elsewhere).returncode == 0
    assert not (tmp_path / ".autods" / "places.json").exists()
    told = autods("init", tmp_path, "--store", "here", env=elsewhere)
    assert (told.returncode, "AUTODS_STORE" in told.stderr) == (2, True)


def test_an_init_that_fails_leaves_nothing_behind(autods: Autods, tmp_path: Path) -> None:
    failed = autods("init", tmp_path, "--catalog", "postgresql://me@127.0.0.1:1/x")
    assert failed.returncode == 4
    assert not (tmp_path / ".autods").exists()


def test_a_damaged_copy_in_one_tier_is_removed_and_the_whole_one_kept(
    tiered: Workspace, autods: Autods, tmp_path: Path
) -> None:
    store = tiered.store
    assert isinstance(store, TieredStore)
    key = next(iter(store.hot.keys("raw/")))
    data = store.hot.get(key)
    store.cold.put(key, data)
    store.hot.delete(key)
    store.hot.put(key, b"rotten")
    done = autods("doctor", "--repair", "--thorough", "-w", tmp_path)
    assert "0 missing, 0 damaged" in done.stdout
    assert not store.hot.has(key)
    assert store.get(key) == data


def test_what_is_taken_in_again_does_not_stay_in_both_tiers(
    recipe: Path, build: Build, tmp_path: Path
) -> None:
    written = recipe.read_text()
    recipe.write_text(written + "cold_store: cold\nhot_storage_threshold: 2\n")
    build(recipe, "-w", tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text(recipe.read_text().replace("name: noise", "name: other"))
    build(other, "-w", tmp_path)
    found = where(tmp_path, tmp_path / "cold")
    assert sorted(found.values()) == ["cold"] * 10 + ["hot"] * 2
    assert tiers_of(tmp_path) == found


def test_tiers_of_one_catalog_are_settled_one_after_the_other(tiered: Workspace) -> None:
    said: list[str] = []

    class Told(Silent):
        def step(self, name: str, total: int | None = None) -> None:
            said.append(name)
            released.set()

    released = threading.Event()

    def hold() -> None:
        with tiered.catalog.lock("-tiers-"):
            ready.set()
            released.wait(30)

    ready = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    assert ready.wait(30)
    tiers.settle_tiers(tiered.catalog, tiered.store, 1, "policy", 2, Told())
    holder.join()
    assert said == ["waiting for others' tiers"]


def test_what_another_left_half_published_is_written_anew(
    recipe: Path, autods: Autods, tree: Tree, tmp_path: Path, s3_place: S3Place
) -> None:
    keys = os.environ | s3_place.environment() | {"AUTODS_STORE": s3_place.url}
    done = json.loads(autods("build", recipe, "-w", tmp_path / "one", "--json", env=keys).stdout)
    access = S3Access(s3_place.endpoint, s3_place.access_key, s3_place.secret_key)
    store = open_store(s3_place.url, access)
    key = next(key for key in store.keys("shards/noise/v1/") if key.endswith(".tar"))
    whole = store.get(key)
    store.delete("shards/noise/v1/version.txt")
    for name, data in ((key, b"x" * len(whole)), ("shards/noise/v1/digest.txt", b"0" * 64)):
        store.delete(name)
        store.put(name, data)
    again = autods("build", recipe, "-w", tmp_path / "two", env=keys)
    assert again.returncode == 0, again.stderr
    assert store.get(key) == whole
    assert done["digest"] in store.get("shards/noise/v1/version.txt").decode()


@pytest.mark.parametrize("note", ["null", "[]", "{", '"x"'])
def test_a_note_of_places_that_is_none_is_one_sentence(
    autods: Autods, tmp_path: Path, note: str
) -> None:
    autods("init", tmp_path)
    (tmp_path / ".autods" / "places.json").write_text(note)
    done = autods("log", "-w", tmp_path)
    assert (done.returncode, "places.json" in done.stderr) == (4, True)
    assert len(done.stderr.splitlines()) == 1


def test_no_secret_of_a_bad_url_is_shown(build: Build, autods: Autods, tmp_path: Path) -> None:
    urls = ["http://u:hush@h/a\tb.jpg", "http//h/a.jpg?token=hush", "file:///x?sig=hush"]
    rows = "\n".join(urls)
    (tmp_path / "list.txt").write_text(rows)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: bad\nsources: [{urls: list.txt}]\nvalidate: {error_budget: 1.0}\n")
    autods("build", recipe, "-w", tmp_path)
    told = autods("show", "--refused", "-w", tmp_path, "--json")
    assert len(json.loads(told.stdout)) == 3
    assert "hush" not in told.stdout
