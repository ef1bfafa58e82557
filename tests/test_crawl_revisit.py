"""Images that are held are asked for with their validators: what has not changed is not sent."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.crawl_tables import images
from autods.catalog.tables import blobs, now, refs
from autods.crawl.crawl import Crawl, crawl, crawl_refs
from autods.crawl.revisit import Revisited, revisit
from autods.ingest.listing import list_refs
from autods.run import Silent
from crawling import html, job, nothing
from loopback import Loopback, Page


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    with closing(Catalog(catalog_url)) as catalog:
        yield catalog


def photo(text: str, **said: str) -> Page:
    return Page(body=text.encode(), headers={k.replace("_", "-"): v for k, v in said.items()})


def run(here: Crawl) -> None:
    crawl(here, Silent(), wave=nothing)


def take_in(here: Crawl, site: Loopback, *pages: tuple[str, Page]) -> None:
    """List what was found, and write what an ingest of it would have left in the catalog."""
    found = (ref for _, ref in crawl_refs(here.catalog, here.dataset_id, here.source))
    list_refs(here.catalog, here.dataset_id, found)
    for path, page in pages:
        sha256, at = hashlib.sha256(page.body).hexdigest(), now()
        row = {"sha256": sha256, "size": len(page.body), "created_at": at}
        with here.catalog.begin() as db:
            here.catalog.insert_new(db, blobs, [row])
            asset = db.scalar(sa.select(blobs.c.id).where(blobs.c.sha256 == sha256))
            said = {"etag": page.headers.get("ETag"), "asset_id": asset, "status": "asset"}
            said["last_modified"] = page.headers.get("Last-Modified")
            db.execute(sa.update(refs).where(refs.c.uri == site.url(path)).values(said))


def state(catalog: Catalog) -> dict[str, tuple[str, str | None]]:
    with catalog.read() as db:
        rows = db.execute(sa.select(images)).all()
    return {Path(row.url).stem: (row.stamp, row.reason) for row in rows}


def listed(here: Crawl) -> list[str]:
    refs = crawl_refs(here.catalog, here.dataset_id, here.source)
    return [Path(ref.uri).stem + ref.stamp[:4] for _, ref in refs]


def test_what_has_not_changed_is_not_sent_and_each_other_ending_is_told(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    before = {
        "/same.jpg": photo("same", ETag='"s"'),
        "/dated.jpg": photo("dated", Last_Modified="Monday"),
        "/touched.jpg": photo("touched", ETag='"1"'),
        "/new.jpg": photo("old", ETag='"1"'),
        "/gone.jpg": photo("gone", ETag='"1"'),
        "/lost.jpg": photo("lost", ETag='"1"'),
        "/shut.jpg": photo("shut", ETag='"1"'),
        "/mute.jpg": photo("mute"),
    }
    names = [Path(path).stem for path in before]
    site.serve("/", html(shows=" ".join(names), ETag='"root"'))
    for path, page in before.items():
        site.serve(path, page)
    here = job(catalog, site, tmp_path)
    run(here)
    take_in(here, site, *before.items())
    assert revisit(here, Silent()) == Revisited()
    site.serve("/touched.jpg", photo("touched", ETag='"2"'))
    site.serve("/new.jpg", photo("new", ETag='"2"'))
    site.serve("/gone.jpg", Page(status=410))
    site.serve("/lost.jpg", Page(status=403))
    site.serve("/shut.jpg", photo("shut", ETag='"2"', X_Robots_Tag="noai"))
    run(here)
    site.sent.clear()
    told = revisit(here, Silent())
    assert told == Revisited(
        unchanged=3, changed=1, gone=2, failed=1, no_validators=1, requests=7, bytes=10
    )
    assert {path for path in site.sent if site.sent[path] > 3} <= {"/touched.jpg", "/shut.jpg"}
    stamp = hashlib.sha256(b"new").hexdigest()[:16]
    assert state(catalog) == {
        **dict.fromkeys(("same", "dated", "touched", "lost", "mute"), ("", None)),
        "new": (stamp, None), "gone": ("", "gone"), "shut": ("", "x-robots-noai")}  # fmt: skip
    assert listed(here) == ["same", "dated", "touched", f"new{stamp[:4]}", "lost", "mute"]
    assert revisit(here, Silent()) == told  # Once a round.
    take_in(here, site, ("/new.jpg", photo("new", ETag='"2"')))
    run(here)
    site.sent.clear()
    assert revisit(here, Silent()).unchanged == 4  # By now with what the server said last.
    assert not set(site.sent) & {f"/{name}.jpg" for name in ("same", "dated", "touched", "new")}


def test_a_second_crawl_of_an_unchanged_site_transfers_no_image_bytes(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    photos = {f"/{n}.jpg": photo(f"photo {n}", ETag=f'"{n}"') for n in range(20)}
    site.serve("/", html(shows=" ".join(map(str, range(20))), ETag='"root"'))
    for path, page in photos.items():
        site.serve(path, page)
    here = job(catalog, site, tmp_path)
    run(here)
    take_in(here, site, *photos.items())
    site.sent.clear()
    run(here)
    assert revisit(here, Silent()).unchanged == 20
    assert set(site.sent) <= {"/robots.txt"}


def test_stopped_it_goes_on_and_asks_nothing_twice(
    catalog: Catalog, site: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Silent):
        def advance(self, count: int = 1) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("autods.crawl.revisit._KEPT_AT_ONCE", 5)
    photos = {f"/{n}.jpg": photo(f"photo {n}", ETag=f'"{n}"') for n in range(12)}
    site.serve("/", html(shows=" ".join(map(str, range(12)))))
    for path, page in photos.items():
        site.serve(path, page)
    here = job(catalog, site, tmp_path)
    run(here)
    take_in(here, site, *photos.items())
    run(here)
    with pytest.raises(KeyboardInterrupt):
        revisit(here, Stop())
    assert revisit(here, Silent()).unchanged == 12
    with catalog.read() as db:
        assert set(db.scalars(sa.select(images.c.checked))) == {2}
    assert not list(tmp_path.rglob("crawl-*/*"))


def test_images_are_not_asked_for_where_robots_txt_forbids_it_by_now(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    site.serve("/robots.txt", Page(body=b""), Page(body=b"User-agent: *\nDisallow: /1.jpg"))
    site.serve("/", html(shows="1"))
    page = photo("one", ETag='"1"')
    here = job(catalog, site, tmp_path)
    run(here)
    take_in(here, site, ("/1.jpg", page))
    run(here)
    assert revisit(here, Silent()) == Revisited()
    assert site.asked("/1.jpg") == 0
