"""Crawls as sources: pages and images in turn, so that what is found is validated on the way."""

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from autods.catalog.tables import now
from autods.crawl.crawl import UNASKED, Crawl, crawl, crawl_refs, obeying
from autods.crawl.revisit import revisit
from autods.engine import Engine
from autods.ingest.listing import add_refs, count_refs, try_again
from autods.recipes.file import CrawlSource
from autods.recipes.intake import Intake, take
from autods.run import Progress, batched
from autods.web.http import Manners


class Crawling:
    """The crawls of one run over one dataset.

    `intake` is how images are taken in, without an error budget: whoever knows all inputs minds
    that. A round that began after `since` is not begun again, however often its step is.
    """

    def __init__(
        self,
        intake: Intake,
        engine: Callable[[], Engine],
        progress: Progress,
        since: dt.datetime | None = None,
    ) -> None:
        self.manners = Manners()
        self._intake = replace(
            intake, checks=replace(intake.checks, error_budget=1.0), manners=self.manners
        )
        self._engine, self._progress, self._since = engine, progress, since or now()

    def crawl(self, source: CrawlSource) -> dict[str, Any]:
        """Crawl a site, taking its images in meanwhile; give what the round came to."""
        intake, seen, taken_in = self._intake, -1, 0
        place = intake.workspace
        job = Crawl(
            catalog=place.catalog,
            dataset_id=intake.dataset_id,
            source=source.name,
            scope=source.scope,
            http=intake.http,
            spool=place.folder("spool"),
            manners=self.manners,
        )

        def wave() -> None:
            nonlocal seen, taken_in
            found = crawl_refs(place.catalog, intake.dataset_id, source.name, after=seen)
            for some in batched(found, 1000):
                add_refs(place.catalog, intake.dataset_id, [ref for _, ref in some], again=False)
                seen = some[-1][0]
            with obeying(job) as rules:
                taken_in += self._take()
                if rules is not None and rules.wanted:
                    rules.ask(rules.wanted)
                    try_again(place.catalog, intake.dataset_id, UNASKED)
                    taken_in += self._take()

        crawled = crawl(job, self._progress, wave=wave, since=self._since)
        revisited = asdict(revisit(job, self._progress))
        return asdict(crawled) | {"revisited": revisited, "taken_in": taken_in}

    def _take(self) -> int:
        place, dataset_id = self._intake.workspace, self._intake.dataset_id
        inputs = count_refs(place.catalog, dataset_id)
        return take(replace(self._intake, inputs=inputs), self._engine, self._progress)
