"""The pipeline over a generated site whose truth is known: every figure and every URL's end."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, placements, refs
from autods.report.counts import UNREAD
from autods.workspace import Workspace
from services.site import Site

pytestmark = pytest.mark.slow

FILES = ("datasets/**/*.tar", "datasets/**/data.parquet")
Tree = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(pages=60, images=300, seed=7, drips=0, slow=0.2) as site:
        yield site


def write_recipe(folder: Path, site: Site, more: str = "") -> Path:
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"name: site\nsources: [{{crawl: '{site.url}', name: site, depth: {site.truth.depth}, "
        "per_shape: 20}]\nhttp: {allow_private: true, timeout: 5, backoff: 0.05}\n"
        f"hot_storage_threshold: 100\n{more}"
    )
    return recipe


def start(recipe: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "autods", "run", "crawl", str(recipe), "--json", *more]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=recipe.parent, start_new_session=True,
    )  # fmt: skip


def ended(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return dict(json.loads(out))


def run(recipe: Path, *more: str) -> dict[str, Any]:
    return ended(start(recipe, *more))


def ends(root: Path) -> dict[str, tuple[str, str]]:
    """How each image URL ended: an asset that is kept, a duplicate, or refused, and why."""
    query = (
        sa.select(refs.c.uri, refs.c.status, refs.c.reason, refs.c.id, refs.c.asset_id,
                  placements.c.verdict, placements.c.kind)
        .outerjoin(placements, placements.c.asset_id == refs.c.asset_id)
        .where(refs.c.gone_at.is_(None)).order_by(refs.c.id)
    )  # fmt: skip
    found, seen = dict[str, tuple[str, str]](), set[int]()
    with closing(Catalog(str(root / ".autods" / "catalog.db"))) as catalog, catalog.read() as db:
        for row in db.execute(query):
            if row.asset_id is None:
                found[row.uri] = (row.status, row.reason)
            elif row.asset_id in seen:
                found[row.uri] = ("duplicate", "bytes")
            elif row.verdict == "duplicate":
                found[row.uri] = ("duplicate", row.kind)
            else:
                found[row.uri] = ("asset", "")
            seen.add(row.asset_id)
    return found


def assert_true(root: Path, site: Site) -> None:
    """Every image the pages show has the end that the generator knows of."""
    truth, found = site.truth, ends(root)
    assert found.keys() == truth.images.keys()
    for url, image in truth.images.items():
        status, reason = found[url]
        if image.group is None:
            assert status == image.end, (url, image, found[url])
            assert reason in image.reasons, (url, image, found[url])
        else:  # Which one of a group comes first depends on the order of arrival.
            assert status in {"asset", "duplicate"}, (url, image, found[url])
    for group in truth.groups.values():
        assert [found[url][0] for url in group].count("asset") == 1
    assert Counter(end[0] for end in found.values()) == Counter(
        image.end for image in truth.images.values()
    )


def assert_measured(metrics: dict[str, Any], site: Site) -> None:
    """The metrics are the truth's figures."""
    counts: Counter[str] = Counter()
    for image in site.truth.images.values():
        counts["refused" if UNREAD.intersection(image.reasons) else image.end] += 1
    invalid = counts["rejected"]
    crawled = counts["asset"] + counts["duplicate"] + invalid
    assert metrics["images_crawled"] == metrics["images_validated"] == crawled
    assert (metrics["valid_images"], metrics["invalid_images"]) == (crawled - invalid, invalid)
    assert metrics["duplicates_found"] == metrics["duplicates_removed"] == counts["duplicate"]
    assert metrics["unique_images"] == site.truth.unique
    assert metrics["hot_storage_count"] == min(100, site.truth.unique)
    assert metrics["hot_storage_count"] + metrics["cold_storage_count"] == site.truth.unique


def assert_stored(root: Path, site: Site, metrics: dict[str, Any]) -> None:
    """What the metrics say lies in the store: the bytes of every asset, in its tier."""
    place = Workspace(root)
    with closing(place), place.catalog.read() as db:
        assert set(db.scalars(sa.select(blobs.c.sha256))) == site.truth.blobs
    tiers = {}
    for tier, folder in (("hot", "store"), ("cold", "cold")):
        tiers[tier] = {p.name for p in (root / ".autods" / folder / "raw").glob("??/*")}
    assert tiers["hot"] | tiers["cold"] == site.truth.blobs
    assert not tiers["hot"] & tiers["cold"]
    # Copies that are held, too, lie cold: nothing reads them.
    assert len(tiers["hot"]) == metrics["hot_storage_count"]


def test_figures_and_ends_are_the_site_s(site: Site, tmp_path: Path) -> None:
    site.reset_log()
    ran = run(write_recipe(tmp_path, site))
    assert_true(tmp_path, site)
    assert_measured(ran["metrics"], site)
    assert_stored(tmp_path, site, ran["metrics"])
    assert not site.violations()
    assert max(site.trapped().values()) <= 6 * 20  # Of each of its shapes so many.


def test_a_second_crawl_of_an_unchanged_site_transfers_no_image(site: Site, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, site)
    first = run(recipe)
    site.reset_log()
    second = run(recipe)
    images = {url for url, image in site.truth.images.items() if image.sha256}
    paths = {url.split("/", 3)[3] for url in images}
    sent = [q for q in site.requests if q.path.lstrip("/") in paths and q.status == 200]
    assert sent == []
    assert second["version"] == first["version"] == "site@v1"
    timeless = {k: v for k, v in second["metrics"].items() if not k.endswith(("time", "duration"))}
    assert timeless == {k: first["metrics"][k] for k in timeless}


def test_what_changed_is_fetched_and_what_is_gone_leaves(tmp_path: Path) -> None:
    with Site(pages=60, images=300, seed=11, drips=0, slow=0.1) as site:
        recipe = write_recipe(tmp_path, site)
        run(recipe)
        change = site.change(images=5, pages=2, gone=3)
        site.reset_log()
        assert run(recipe)["version"] == "site@v2"
        found = ends(tmp_path)
        assert not set(change.gone) & found.keys()
        assert all(found[url][0] in {"asset", "duplicate"} for url in change.changed)
        held = set(found) - {url for url, end in found.items() if end[0] in {"rejected", "failed"}}
        assert held == site.truth.held
        fetched = {q.path for q in site.requests if q.status == 200}
        assert {"/" + url.split("/", 3)[3] for url in change.changed} <= fetched


@pytest.mark.parametrize(
    ("mode", "invalid_are_members"), [("lenient", False), ("report-only", True)]
)
def test_the_other_modes_keep_what_strict_rejects(
    site: Site, tmp_path: Path, mode: str, invalid_are_members: bool
) -> None:
    ran = run(write_recipe(tmp_path, site, f"validate: {{mode: {mode}}}\n"))["metrics"]
    strict_invalid = sum(
        image.end == "rejected" and not UNREAD.intersection(image.reasons)
        for image in site.truth.images.values()
    )
    # A file cut short in transit of its bytes, or larger than allowed, is none in any mode.
    assert strict_invalid - 1 <= ran["invalid_images"] <= strict_invalid
    more = ran["unique_images"] - site.truth.unique
    assert (more > 0) == invalid_are_members
    assert more <= strict_invalid


KILLS = int(os.environ.get("TEST_KILLS", "12"))
"""How often a run is killed; TEST_KILLS=50 takes some four minutes."""


def test_kills_at_random_moments_change_nothing(site: Site, tmp_path: Path, tree: Tree) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    started = time.monotonic()
    truth = run(write_recipe(whole, site))
    duration = time.monotonic() - started
    draw, kills, trial = random.Random(4), 0, 0
    while kills < KILLS:
        trial += 1
        folder = tmp_path / f"killed-{trial}"
        folder.mkdir()
        recipe = write_recipe(folder, site)
        while True:
            process = start(recipe)
            try:
                process.communicate(timeout=draw.uniform(0.3, 0.9) * duration)
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                kills += 1
        assert process.returncode == 0
        assert_same(folder, whole, tree)
        assert_no_step_ran_again(folder)
    assert truth["version"] == "site@v1"


def assert_same(folder: Path, whole: Path, tree: Tree) -> None:
    assert ends(folder) == ends(whole)
    assert tree(folder, *FILES) == tree(whole, *FILES)


def assert_no_step_ran_again(folder: Path) -> None:
    """A step that has ended in one process is begun in no other."""
    with closing(sqlite3.connect(folder / ".autods" / "catalog.db")) as db:
        rows = db.execute(
            "SELECT kind, step FROM events WHERE kind LIKE 'step-%' AND run_id = 1 ORDER BY id"
        ).fetchall()
    over = set[int]()
    for kind, step in rows:
        assert step not in over, rows
        if kind in {"step-ended", "step-skipped"}:
            over.add(step)
    assert over == set(range(1, 9))
