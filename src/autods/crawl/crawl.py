"""A crawl: from seeds and sitemaps, page by page, to the images of a site; killed, it goes on."""

import datetime as dt
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.crawl_tables import pages
from autods.crawl.frontier import Frontier
from autods.crawl.pictures import clear_images, crawl_refs
from autods.crawl.rounds import Round
from autods.crawl.rules import UNASKED, Robots
from autods.crawl.scope import Scope
from autods.crawl.urls import normalise, origin_of
from autods.crawl.visit import Visit
from autods.errors import BarredSourceError, SourceError
from autods.run import Progress
from autods.web.http import HttpPolicy, Manners

__all__ = ["UNASKED", "Crawl", "Crawled", "crawl", "crawl_refs", "rules_of"]


@dataclass(frozen=True, kw_only=True)
class Crawl:
    """What is crawled, for which dataset, and how; `spool` is a folder for what comes in.

    `manners` keep the distance that robots.txt asks for: whoever fetches the images that were
    found shares them.
    """

    catalog: Catalog
    dataset_id: int
    source: str
    scope: Scope
    http: HttpPolicy
    spool: Path
    manners: Manners = field(default_factory=Manners)

    @property
    def name(self) -> str:
        """Name it in a few plain letters, for a lock and a folder."""
        return f"crawl-{self.dataset_id}-{hashlib.sha256(self.source.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Crawled:
    """What a round came to: pages by status, places given to images, and what was not followed.

    `skipped` counts links, as often as they were found, by the reason not to follow them.
    """

    round: int
    pages: dict[str, int]
    images: int
    skipped: dict[str, int]
    requests: int
    unchanged: int
    bytes: int


def crawl(
    job: Crawl,
    progress: Progress,
    *,
    wave: Callable[[], None],
    since: dt.datetime | None = None,
) -> Crawled:
    """Run a round of a crawl to its end, or go on with the one that was not finished.

    `wave` is called outside any transaction, every 256 pages or ten seconds if there are new
    images, and once at the end: `crawl_refs` gives them. With `since`, a round that has been
    finished and was begun after that time (UTC, without a zone) is not run again. Pages, images,
    their order and their outcomes depend on the site alone, not on timing, nor on kills.
    Raises SourceError if not one page could be read, PlaceError if another process crawls this.
    """
    with job.catalog.lock(job.name):
        round_ = Round.newest(job.catalog, job.dataset_id, job.source)
        finished = round_ and round_.finished_at and since and round_.started_at >= since
        if not (round_ and finished):
            round_ = Round.begin(job.catalog, job.dataset_id, job.source, job.scope)
            _run(job, round_, progress, wave)
    _check(job.catalog, round_)
    return _crawled(job.catalog, round_)


def rules_of(job: Crawl) -> Robots | None:
    """Give the rules of the newest round, for where its images redirect; None if there are none.

    An image that waits for rules not asked for yet fails with `UNASKED`: `ask` for those that are
    `wanted`, and fetch it again.
    """
    round_ = Round.newest(job.catalog, job.dataset_id, job.source)
    if round_ is None or not job.scope.robots:
        return None
    return _robots(job, round_, job.spool / f"{job.name}-robots")


def _run(job: Crawl, round_: Round, progress: Progress, wave: Callable[[], None]) -> None:
    progress.step("crawl")
    with _spool(job) as spool:
        _go_round(job, round_, spool, progress, wave)
    wave()
    round_.finish(job.catalog)


def _go_round(
    job: Crawl, round_: Round, spool: Path, progress: Progress, wave: Callable[[], None]
) -> None:
    robots = _robots(job, round_, spool)
    frontier = Frontier(job.catalog, round_, job.scope)
    _open(frontier, robots, job.scope)
    visit = Visit(frontier, robots, job.http, job.scope, spool, progress)
    while not round_.is_done:
        unknown = visit.run()
        unknown |= clear_images(job.catalog, round_, robots)
        if visit.is_due():
            visit.waved()
            wave()
        round_.stats["requests"] += robots.ask(unknown)


def _open(frontier: Frontier, robots: Robots, scope: Scope) -> None:
    """Begin with the sitemaps that are given or that robots.txt names, and with the seeds."""
    if frontier.round.queued:
        return
    seeds = [url for url in map(normalise, scope.seeds) if url]
    sitemaps = [url for url in map(normalise, scope.sitemap_urls) if url]
    asked = robots.ask(robots.unknown([*seeds, *sitemaps]))
    frontier.round.stats["requests"] += asked
    for origin in dict.fromkeys(map(origin_of, seeds)) if scope.sitemaps else ():
        named = robots.sitemaps(origin) or (f"{origin}/sitemap.xml",)
        sitemaps += [url for url in map(normalise, named) if url]
    frontier.open(sitemaps, seeds)


def _robots(job: Crawl, round_: Round, spool: Path) -> Robots:
    return Robots(
        job.catalog, round_, job.http, spool, manners=job.manners, obeyed=job.scope.robots
    )


@contextmanager
def _spool(job: Crawl) -> Iterator[Path]:
    """Give a folder for what comes in; what a killed crawl left in it is removed."""
    spool = job.spool / job.name
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir(parents=True)
    try:
        yield spool
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def _check(catalog: Catalog, round_: Round) -> None:
    """Raise SourceError if no page could be read: that is no empty site but a wrong address."""
    names = ("url", "status", "reason", "detail")
    query = sa.select(*(pages.c[name] for name in names)).where(*round_.of(pages))
    readable = query.where(
        pages.c.kind == "page", pages.c.status.in_(["read", "unchanged", "image"])
    )
    with catalog.read() as db:
        if round_.imaged or db.execute(readable.limit(1)).first():
            return
        first = (pages.c.kind != "page", pages.c.ordinal)
        row = db.execute(query.order_by(*first).limit(1)).one()
    said = f"the crawl {round_.source!r} could not read one page: {_ending(row)}"
    raise (BarredSourceError if _is_final(row) else SourceError)(said)


def _is_final(row: Any) -> bool:
    """Tell whether asking again would end in the same."""
    gone = row.reason in {"http-401", "http-403", "http-404", "http-410"}
    # robots.txt cannot be had, but that of a private address never will be.
    waits = row.reason == "robots-unreachable" and "private-address" not in (row.detail or "")
    return gone or (row.status == "rejected" and not waits)


def _ending(row: Any) -> str:
    """Say how a page ended, and what helps."""
    if row.status == "redirect":
        return f"{row.url} redirects to {row.detail}, where it may not go or nothing could be read"
    if row.status in {"read", "unchanged"}:
        return f"the sitemap {row.url} names no page that it may read"
    if "private-address" in f"{row.reason} {row.detail}":
        cure = "give --allow-private, or http.allow_private in a recipe, to crawl it all the same"
        return f"{row.url} lies at a private address: {cure}"
    ended = "could not be had" if row.status == "failed" else "is not to be read"
    return f"{row.url} {ended}: {row.reason}: {row.detail}"


def _crawled(catalog: Catalog, round_: Round) -> Crawled:
    count = sa.select(pages.c.status, sa.func.count()).where(*round_.of(pages))
    with catalog.read() as db:
        by_status = {row[0]: row[1] for row in db.execute(count.group_by(pages.c.status))}
    return Crawled(
        round=round_.number,
        pages=by_status,
        images=round_.imaged,
        skipped=dict(round_.stats["skipped"]),
        requests=round_.stats["requests"],
        unchanged=by_status.get("unchanged", 0),
        bytes=round_.stats["bytes"],
    )
