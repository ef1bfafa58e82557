"""Asking for the pages of the queue, many at once, until nothing more may be asked just now."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from autods.crawl.frontier import Frontier
from autods.crawl.leads import Outcome, Pending
from autods.crawl.reading import READERS, read_answer
from autods.crawl.rules import Robots
from autods.crawl.scope import Scope
from autods.crawl.urls import origin_of
from autods.run import Progress
from autods.web.http import HttpPolicy, Request, fetch

WAVE_PAGES = 256
WAVE_SECONDS = 10.0
"""Images wait for so many pages, or so long, until the caller may take them in."""

_KEPT_AT_ONCE = 32
_LEADS_AT_ONCE = 50_000


class Visit:
    """Visits to what is pending, one `run` after another, outcomes written as they come."""

    def __init__(
        self,
        frontier: Frontier,
        robots: Robots,
        http: HttpPolicy,
        scope: Scope,
        spool: Path,
        progress: Progress,
    ) -> None:
        self._frontier, self._robots, self._spool = frontier, robots, spool
        self._progress = progress
        self._agents = http.agents if http.respect_x_robots else frozenset[str]()
        self._policy = replace(
            http,
            max_bytes=min(http.max_bytes, scope.page_bytes),
            max_redirects=0,
            accept_encoding="gzip",
            respect_x_robots=False,  # It is heeded when the page is read.
            timeout=min(http.timeout, 30.0),
            retries=min(http.retries, 2),
        )
        self._under_way: dict[int, Pending] = {}
        self._outcomes: list[Outcome] = []
        self._unknown: set[str] = set()
        self.waved()

    def run(self) -> set[str]:
        """Ask for all that may be asked for; gives the origins whose robots.txt is wanted first.

        Ends before that where images have waited long enough.
        """
        self._under_way.clear()
        self._unknown.clear()
        requests = self._requests()
        with closing(fetch(requests, self._policy, self._spool, self._robots.manners)) as answers:
            for got in answers:
                page = self._under_way.pop(got.index)
                self._keep(read_answer(page, got, self._agents))
        self._flush()
        return set(self._unknown)

    def waved(self) -> None:
        """Note that all images so far have been handed on."""
        self._since, self._pages = time.monotonic(), 0
        self._handed = self._frontier.round.imaged

    def is_due(self) -> bool:
        """Whether there are images that have waited long enough."""
        waited = time.monotonic() - self._since >= WAVE_SECONDS or self._pages >= WAVE_PAGES
        return waited and self._frontier.round.imaged > self._handed

    def _requests(self) -> Iterator[Request]:
        """Yield what may be asked for, in the queue's order, as long as the queue grows."""
        after = self._frontier.round.expanded - 1
        while True:
            pages = self._frontier.pending(after)
            if not pages and not self._flush():
                return
            unknown = self._robots.unknown(page.url for page in pages)
            self._unknown |= unknown
            for page in pages:
                if self.is_due():
                    return
                after = page.ordinal
                request = self._request(page, unknown)
                if request is not None:
                    yield request

    def _request(self, page: Pending, unknown: set[str]) -> Request | None:
        """Make a page's request, unless its rules are unknown or forbid it."""
        if unknown and origin_of(page.url) in unknown:
            return None
        refusal = self._robots.refusal(page.url)
        if refusal is not None:
            self._keep(
                Outcome(page_id=page.id, status=refusal.status, reason=refusal.reason,
                        detail=refusal.detail)
            )  # fmt: skip
            return None
        self._under_way[page.id] = page
        held = page.reader == READERS[page.kind]
        return Request(
            index=page.id,
            url=page.url,
            etag=page.etag if held else None,
            last_modified=page.last_modified if held else None,
        )

    def _keep(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        leads = sum(o.leads.count() for o in self._outcomes if o.leads)
        if len(self._outcomes) >= _KEPT_AT_ONCE or leads > _LEADS_AT_ONCE:
            self._flush()

    def _flush(self) -> bool:
        """Write the outcomes there are; tells whether the queue has grown."""
        outcomes, self._outcomes = self._outcomes, []
        if not outcomes:
            return False
        grown = self._frontier.keep(outcomes)
        self._pages += len(outcomes)
        self._progress.advance(len(outcomes))
        return grown
