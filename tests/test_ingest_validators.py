"""What a server said of the bytes is kept with their ref, on both databases, and not lost again."""

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

from autods.assemble.checks import Checks
from autods.catalog import Catalog
from autods.catalog.tables import refs
from autods.engine import LocalEngine
from autods.ingest.listing import list_refs
from autods.ingest.pending import LONGEST_VALIDATOR, keep_arrivals
from autods.ingest.work import Arrival, Input
from autods.recipes.intake import Intake, take
from autods.records import Ref, Refusal
from autods.run import Silent
from autods.web.manners import Manners
from autods.web.policy import HttpPolicy
from autods.workspace import Workspace
from loopback import Loopback, Page, redirect

OPEN = HttpPolicy(allow_private=True, backoff=0.01, timeout=5.0, retries=0)
SHA = "a" * 64
Said = list[tuple[str | None, str | None]]


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    with closing(Catalog(catalog_url)) as catalog:
        yield catalog


def listed(catalog: Catalog, *locations: str) -> int:
    dataset_id = catalog.dataset_id("cats")
    list_refs(catalog, dataset_id, [Ref(uri=at, source="s", location=at) for at in locations])
    return dataset_id


def keep(catalog: Catalog, inputs: Sequence[Input], arrivals: Sequence[Arrival]) -> None:
    with catalog.begin() as db:
        keep_arrivals(catalog, db, inputs, arrivals, fingerprint="today")


def said(catalog: Catalog) -> Said:
    """Return the validators of all refs in the order of arrival."""
    with catalog.read() as db:
        rows = db.execute(sa.select(refs.c.etag, refs.c.last_modified).order_by(refs.c.id))
        return [tuple(row) for row in rows]


def download(ref_id: int, etag: str | None = None, last_modified: str | None = None) -> Input:
    return Input(ref_id, "/spool/x", spooled=True, etag=etag, last_modified=last_modified)


def test_validators_come_with_a_download_and_stay_when_held_bytes_are_looked_at_again(
    catalog: Catalog,
) -> None:
    listed(catalog, "https://a.org/1", "https://a.org/2", "file:///3")
    first = [download(1, '"7é"', "Mon"), download(2, None, "Tue"), Input(3, "/3")]
    keep(catalog, first, [Arrival(n, SHA, 1) for n in (1, 2, 3)])
    kept: Said = [('"7é"', "Mon"), (None, "Tue"), (None, None)]
    assert said(catalog) == kept
    again = [Input(1, None, held=SHA), Input(2, "/store/aa"), Input(3, "/3")]
    keep(catalog, again, [Arrival(n, SHA, 1) for n in (1, 2, 3)])
    assert said(catalog) == kept


def test_validators_of_bytes_that_are_gone_are_gone(catalog: Catalog) -> None:
    listed(catalog, "https://a.org/1", "https://a.org/2")
    keep(catalog, [download(1, "e"), download(2, "f")], [Arrival(1, SHA, 1), Arrival(2, SHA, 1)])
    missing = Refusal("failed", "http-404")
    lost = Input(1, None, spooled=True, refusal=missing)
    keep(catalog, [lost, download(2, "g")], [Arrival(1, refusal=missing), Arrival(2, SHA, 1)])
    assert said(catalog) == [(None, None), ("g", None)]


@pytest.mark.parametrize("value", ["\0", "a\r\nX: 1", "\ud800", "\x85", "", "e" * 1_001])
def test_a_validator_that_cannot_be_sent_again_is_not_kept(catalog: Catalog, value: str) -> None:
    listed(catalog, "https://a.org/1", "https://a.org/2")
    longest = "e" * LONGEST_VALIDATOR
    both = [download(1, value, value), download(2, longest)]
    keep(catalog, both, [Arrival(1, SHA, 1), Arrival(2, SHA, 1)])
    assert said(catalog) == [(None, None), (longest, None)]


def jpeg(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def workspace(
    catalog_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    monkeypatch.setenv("AUTODS_CATALOG", catalog_url)
    (tmp_path / ".autods").mkdir()
    with closing(Workspace(tmp_path)) as workspace:
        yield workspace


def intake(workspace: Workspace, locations: Sequence[str]) -> Intake:
    dataset_id = listed(workspace.catalog, *locations)
    inputs = len(locations)
    return Intake(
        workspace=workspace, dataset_id=dataset_id, checks=Checks(), http=OPEN, inputs=inputs
    )


def run(wanted: Intake) -> int:
    with LocalEngine(workers=1) as engine:
        return take(wanted, lambda: engine, Silent())


@pytest.mark.slow
def test_what_servers_said_of_downloads_lies_in_the_catalog(workspace: Workspace) -> None:
    headers = {"ETag": 'W/"1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    with Loopback() as site:
        urls = [
            site.serve("/a.jpg", Page(body=jpeg(1), headers=headers)),
            site.serve("/b.jpg", Page(body=jpeg(2), headers={"ETag": "e" * 5_000})),
            site.serve("/c.jpg", Page(status=404, headers=headers)),
            site.serve("/d.jpg", Page(body=b"no image", headers=headers)),
            site.serve("/e.jpg", redirect("/a.jpg")),
        ]
        assert run(intake(workspace, urls)) == 5
    full = (headers["ETag"], headers["Last-Modified"])
    assert said(workspace.catalog) == [full, (None, None), (None, None), full, full]


@pytest.mark.slow
def test_downloads_keep_the_manners_of_the_run(workspace: Workspace) -> None:
    def allow(url: str) -> Refusal | None:
        return Refusal("rejected", "robots") if "private" in url else None

    manners = Manners()
    with Loopback() as site:
        open_to_us = [site.serve(f"/{n}.jpg", Page(body=jpeg(n), delay=0.02)) for n in range(3)]
        wanted = intake(workspace, [site.url("/private.jpg"), *open_to_us])
        manners.set_delay(site.url("/"), 0.01)
        assert run(replace(wanted, manners=manners, allow={"s": allow})) == 4
        assert (site.peak, site.asked("/private.jpg")) == (1, 0)
    with workspace.catalog.read() as db:
        ends = db.execute(sa.select(refs.c.status, refs.c.reason).order_by(refs.c.id)).all()
        assert ends == [("rejected", "robots"), *[("asset", None)] * 3]
