"""Small sites for the tests of the crawl, and what a crawl has decided, as tables."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.crawl_tables import images, pages
from autods.crawl.crawl import Crawl
from autods.crawl.rounds import Round
from autods.crawl.scope import Scope
from autods.web.http import HttpPolicy
from loopback import Loopback, Page

OPEN = HttpPolicy(allow_private=True, backoff=0.01, timeout=5.0, concurrency=16)


def html(*links: str, shows: str = "", css: str = "", **headers: str) -> Page:
    """A page that links there and shows `<name>.jpg`s; `headers` with `_` for `-`."""
    text = "".join(f'<p><a href="{link}">to</a>' for link in links)
    text += "".join(f'<img src="/{name}.jpg" alt="{name}">' for name in shows.split())
    text += f'<link rel="stylesheet" href="{css}">' if css else ""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    body = f"<!doctype html><title>t</title>{text}".encode()
    return Page(body=body, headers={"Content-Type": "text/html; charset=utf-8", **said})


def job(catalog: Catalog, site: Loopback | str, spool: Path, **more: Any) -> Crawl:
    """A crawl of a site from its root; `more` is said of the scope, or is its `http`."""
    root = site if isinstance(site, str) else site.url("/")
    http = more.pop("http", OPEN)
    scope = Scope(**{"seeds": (root,), "sitemaps": False, **more})
    dataset_id = catalog.dataset_id("cats")
    return Crawl(catalog=catalog, dataset_id=dataset_id, source="site", scope=scope, http=http,
                 spool=spool)  # fmt: skip


def endings(catalog: Catalog, site: Loopback) -> dict[str, str]:
    """How each page of the newest round ended, by its path."""
    return {
        row.url.removeprefix(site.url("")): f"{row.status} {row.reason or ''}".strip()
        for row in decided(catalog, newest=True)[0]
    }


def shown(catalog: Catalog) -> list[str]:
    """The names of the images of the newest round, in their order."""
    return [Path(row.url).stem for row in decided(catalog, newest=True)[1]]


def decided(catalog: Catalog, *, newest: bool = False) -> tuple[Any, ...]:
    """All that the crawl `site` has decided, without times, row numbers and costs."""
    round_ = Round.newest(catalog, catalog.dataset_id("cats"), "site")
    assert round_ is not None
    said = ("ordinal", "url", "round", "reason", "detail")
    found: list[Any] = []
    for table, more in (
        (pages, ("depth", "hops", "kind", "status", "etag", "found", "reader")),
        (images, ("stamp", "caption", "license", "meta", "first_round")),
    ):
        rows = round_.of(table) if newest else round_.ours(table)
        query = sa.select(*(table.c[name] for name in said + more)).where(*rows)
        with catalog.read() as db:
            found.append(db.execute(query.order_by(table.c.round, table.c.ordinal)).all())
    counts = {name: round_.stats[name] for name in ("joined", "skipped")}
    return (*found, round_.queued, round_.expanded, round_.imaged, round_.cleared, counts)


def nothing() -> None:
    """A wave that takes nothing in."""
