"""The queue of a crawl: links join it in its own order, whatever the order of the answers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.crawl_tables import images, pages
from autods.catalog.tables import now
from autods.crawl.found import FoundImage
from autods.crawl.leads import Leads, Outcome, Pending
from autods.crawl.rounds import Round
from autods.crawl.scope import Scope
from autods.crawl.traps import shape
from autods.crawl.urls import normalise, origin_of
from autods.run import batched
from autods.storable import printable

STYLESHEETS = 2000
"""So many stylesheets are read in a round; beyond, they are counted only."""

SITEMAPS = 1000
"""So many sitemaps are read in a round."""

HOPS = 5
"""So many redirects in a row are gone after, as a browser goes after twenty."""

PAGE = 128
_MOST_LEADS = 20_000


@dataclass(frozen=True, slots=True)
class _Link:
    url: str
    kind: str
    depth: int
    hops: int = 0


@dataclass(frozen=True, slots=True)
class _Expanding:
    """A page that leads on: the links and the images on it that belong to the crawl."""

    page: Any
    links: Sequence[_Link]
    found: Sequence[FoundImage]


_There = dict[str, tuple[int | None, int]]
"""By URL: the id of its row, and the last round that has seen it."""

_Row = tuple[int | None, dict[str, Any]]
"""The id of the row it is to be written over, if there is one, and what is to be written."""


class Frontier:
    """The pages of a round in their order, breadth first; one process at a time works on it.

    Outcomes come in any order. What a page leads to joins the queue when all pages before it have
    led on, in one transaction with the note that it has: so places, budgets and counts are the
    same whatever the servers' speed, and after any kill.
    """

    def __init__(self, catalog: Catalog, round_: Round, scope: Scope) -> None:
        self._catalog, self.round, self._scope = catalog, round_, scope
        self._shapes = self._count_shapes()
        self._seeds = frozenset(map(normalise, scope.seeds))
        self._lax = replace(scope, include=())
        # The menu of a site is on all of its pages.
        self._page_reason = lru_cache(4096)(scope.page_reason)
        self._noted = 0

    def open(self, sitemaps: Sequence[str], seeds: Sequence[str]) -> None:
        """Give the first places, to lists of pages and then to the seeds, unless they have them."""
        if self.round.queued:
            return
        first = [_Link(url, "sitemap", -1) for url in sitemaps]
        with self._catalog.begin() as db:
            first += [_Link(url, "page", 0) for url in seeds]
            self._join(db, [_Expanding(None, first, ())])
            self.round.save(db)

    def pending(self, after: int) -> list[Pending]:
        """Read the next pages without an outcome, in the queue's order."""
        names = ("id", "ordinal", "url", "kind", "etag", "last_modified", "reader")
        query = sa.select(*(pages.c[name] for name in names)).where(
            *self.round.of(pages), pages.c.ordinal > after, pages.c.status.is_(None)
        )
        with self._catalog.read() as db:
            rows = db.execute(query.order_by(pages.c.ordinal).limit(PAGE)).mappings()
            return [Pending(**row) for row in rows]

    def keep(self, outcomes: Sequence[Outcome]) -> bool:
        """Write outcomes, and let what can join the queue; tells whether any page did."""
        before = self.round.queued
        with self._catalog.begin() as db:
            self._write(db, outcomes)
            more = self._expand(db)
            self.round.save(db)
        while more:
            with self._catalog.begin() as db:
                more = self._expand(db)
                self.round.save(db)
        self._note_growth()
        return self.round.queued > before

    def _write(self, db: sa.Connection, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self.round.stats["requests"] += outcome.requests
            self.round.stats["bytes"] += outcome.bytes
        at, ended = now(), sa.update(pages).where(pages.c.id == sa.bindparam("page_id"))
        some = [_outcome_row(o, at) for o in outcomes if o.leads is not None]
        if some:
            db.execute(ended, some)
        same = [_kept_row(o, at) for o in outcomes if o.leads is None]
        if same:
            db.execute(ended, same)

    def _expand(self, db: sa.Connection) -> bool:
        """Let the next pages that have an outcome lead on; tells whether any had."""
        ready = [
            _Expanding(page, list(self._links(page, leads)), list(self._pictured(leads)))
            for page, leads in self._ready(db)
        ]
        if ready:
            self.round.expanded += len(ready)
            self._join(db, ready)
        return bool(ready)

    def _ready(self, db: sa.Connection) -> Iterator[tuple[Any, Leads]]:
        """Read the pages with an outcome that come next, up to the first that has none."""
        names = ("ordinal", "url", "kind", "depth", "hops", "status", "found")
        query = sa.select(*(pages.c[name] for name in names)).where(
            *self.round.of(pages), pages.c.ordinal >= self.round.expanded
        )
        leads_in_all = 0
        at = self.round.expanded
        with db.execute(
            query.order_by(pages.c.ordinal).limit(PAGE).execution_options(yield_per=8)
        ) as rows:
            for row in rows:
                if row.status is None or row.ordinal != at or leads_in_all > _MOST_LEADS:
                    return
                leads = Leads.from_json(row.found)
                leads_in_all += leads.count()
                at += 1
                yield row, leads

    def _links(self, page: Any, leads: Leads) -> Iterator[_Link]:
        """Choose what may join the queue, and count the rest."""
        if leads.redirect:
            yield from self._redirect(page, leads.redirect)
        for url in leads.sitemaps:
            same = origin_of(url) == origin_of(page.url)
            reason = None if same else self._scope.page_reason(url)
            yield from self._unless(reason, _Link(url, "sitemap", page.depth))
        for url in leads.stylesheets if self._scope.stylesheets else ():
            yield from self._unless(self._scope.image_reason(url), _Link(url, "css", page.depth))
        deeper = page.depth + 1
        for url in leads.links:
            reason = self._page_reason(url)
            if reason is None and deeper > self._scope.depth:
                reason = "too-deep"
            yield from self._unless(reason, _Link(url, "page", deeper))

    def _redirect(self, page: Any, url: str) -> Iterator[_Link]:
        """Go after a redirect at the same depth; a seed's may leave what is included."""
        reason = self._scope.image_reason(url) if page.kind == "css" else None
        if page.kind == "page":
            start = page.depth == 0 and (page.hops or page.url in self._seeds)
            reason = (self._lax if start else self._scope).page_reason(url)
        if page.hops >= HOPS:
            reason = "too-many-redirects"
        yield from self._unless(reason, _Link(url, page.kind, page.depth, page.hops + 1))

    def _unless(self, reason: str | None, link: _Link) -> Iterator[_Link]:
        if reason is None:
            yield link
        else:
            self.round.skip(reason)

    def _pictured(self, leads: Leads) -> Iterator[FoundImage]:
        for image in leads.images:
            reason = self._scope.image_reason(image.url)
            if reason is None:
                yield image
            else:
                self.round.skip(f"image:{reason}")

    def _join(self, db: sa.Connection, ready: Sequence[_Expanding]) -> None:
        """Let pages lead on, one after the other: what one brings counts for the next."""
        links = self._there(db, pages, {link.url for one in ready for link in one.links})
        found = self._there(db, images, {i.url for one in ready for i in one.found})
        new_pages: list[_Row] = []
        new_images: list[_Row] = []
        for one in ready:
            new_pages += self._places(one.links, links)
            brought = self._image_places(one, found)
            new_images += brought
            if brought and self._counts(one.page.kind, one.page.depth):
                self._shapes[shape(one.page.url)] -= 1
        self._seat(db, pages, new_pages, {"status": None, "reason": None, "detail": None})
        first = {"stamp": "", "first_round": self.round.number}
        self._seat(db, images, new_images, {"reason": None, "detail": None}, first)

    def _places(self, links: Sequence[_Link], there: _There) -> list[_Row]:
        """Give places to links that are new in this round, in their order, as budgets allow."""
        rows: list[_Row] = []
        for link in links:
            known = there.get(link.url)
            if known is not None and known[1] == self.round.number:
                continue
            reason = self._over(link)
            if reason is not None:
                self.round.skip(reason)
                continue
            page_id = known[0] if known else None
            there[link.url] = (page_id, self.round.number)
            rows.append((page_id, self._place(link)))
        return rows

    def _place(self, link: _Link) -> dict[str, Any]:
        joined = self.round.stats["joined"]
        joined[link.kind] += 1
        if self._counts(link.kind, link.depth):
            self._shapes[shape(link.url)] += 1
        ordinal = self.round.queued
        self.round.queued += 1
        return {"url": link.url, "ordinal": ordinal, "depth": link.depth, "hops": link.hops,
                "kind": link.kind}  # fmt: skip

    def _over(self, link: _Link) -> str | None:
        """Name the bound that a link would pass."""
        most = {"page": self._scope.pages, "css": STYLESHEETS, "sitemap": SITEMAPS}[link.kind]
        if self.round.stats["joined"][link.kind] >= most:
            return f"over-{link.kind}-budget"
        if self._counts(link.kind, link.depth):
            return "per-shape" if self._shapes[shape(link.url)] >= self._scope.per_shape else None
        return None

    def _counts(self, kind: str, depth: int) -> bool:
        """Tell whether a page counts for its shape: what a seed or sitemap names is no trap."""
        return kind == "page" and depth > 0 and self._scope.per_shape > 0

    def _image_places(self, one: _Expanding, there: _There) -> list[_Row]:
        """Give places to images that are new in this round; the first page with one tells of it."""
        rows: list[_Row] = []
        for image in one.found:
            known = there.get(image.url)
            if known is not None and known[1] == self.round.number:
                continue
            if self.round.imaged >= self._scope.images:
                self.round.skip("over-image-budget")
                continue
            image_id = known[0] if known else None
            there[image.url] = (image_id, self.round.number)
            rows.append((image_id, _image_row(image, one.page.url, self.round.imaged)))
            self.round.imaged += 1
        return rows

    def _there(self, db: sa.Connection, table: sa.Table, urls: Iterable[str]) -> _There:
        """Look up which URLs any round has seen: the id of their row, and the last such round."""
        columns = (table.c.url, table.c.id, table.c.round)
        query = sa.select(*columns).where(*self.round.ours(table))
        there: _There = {}
        for some in batched(sorted(urls), 1000):
            there |= {url: (i, r) for url, i, r in db.execute(query.where(table.c.url.in_(some)))}
        return there

    def _seat(
        self,
        db: sa.Connection,
        table: sa.Table,
        rows: Sequence[_Row],
        fresh: dict[str, Any],
        first: dict[str, Any] | None = None,
    ) -> None:
        """Write places, over those of an earlier round where a row has one."""
        ours = {"dataset_id": self.round.dataset_id, "source": self.round.source}
        ours |= {"round": self.round.number, **fresh}
        new = [row | ours | (first or {}) for row_id, row in rows if row_id is None]
        self._catalog.load(db, table, new)
        back = [row | ours | {"row_id": row_id} for row_id, row in rows if row_id is not None]
        if back:
            db.execute(sa.update(table).where(table.c.id == sa.bindparam("row_id")), back)

    def _count_shapes(self) -> Counter[str]:
        """Count again what has joined: a process that was killed had it in memory only."""
        counted: Counter[str] = Counter()
        if not self._scope.per_shape:
            return counted
        mine = (*self.round.of(pages), pages.c.kind == "page", pages.c.depth > 0)
        joined = sa.select(pages.c.url).where(*mine)
        bringing = images.c.meta["page"].as_string()
        brought = joined.join_from(images, pages, pages.c.url == bringing).distinct()
        with self._catalog.read() as db:
            for url in db.scalars(joined.execution_options(yield_per=1000)):
                counted[shape(url)] += 1
            for url in db.scalars(brought.where(*self.round.of(images))):
                counted[shape(url)] -= 1
        return counted

    def _note_growth(self) -> None:
        """Have the database look at its tables each time they are twice as large."""
        grown = self.round.queued + self.round.imaged
        if grown >= 2 * self._noted:
            self._catalog.note_growth(grown)
            self._noted = max(grown, 500)


def _outcome_row(outcome: Outcome, at: Any) -> dict[str, Any]:
    leads = outcome.leads
    return {
        "page_id": outcome.page_id,
        "status": outcome.status,
        "reason": outcome.reason,
        "detail": outcome.detail and printable(outcome.detail),
        "fetched_at": at,
        "etag": outcome.etag,
        "last_modified": outcome.last_modified,
        "reader": outcome.reader,
        "found": leads and leads.to_json(),
    }


def _kept_row(outcome: Outcome, at: Any) -> dict[str, Any]:
    """Leave what an earlier round has found as it is."""
    said = {"page_id": outcome.page_id, "status": outcome.status, "fetched_at": at}
    detail = outcome.detail and printable(outcome.detail)
    return said | {"reason": outcome.reason, "detail": detail}


def _image_row(found: FoundImage, page: str, ordinal: int) -> dict[str, Any]:
    return {
        "url": found.url,
        "ordinal": ordinal,
        "license": found.license and printable(found.license)[:1000],
        "caption": found.caption and printable(found.caption)[:5000],
        "meta": {"page": page, "how": found.how},
    }
