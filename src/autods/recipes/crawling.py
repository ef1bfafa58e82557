"""Crawls as sources: pages and images in turn, so that what is found is validated on the way."""

import datetime as dt
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from autods.catalog.tables import now
from autods.crawl.crawl import UNASKED, Crawl, crawl, crawl_refs, rules_of
from autods.crawl.revisit import revisit
from autods.crawl.rules import Robots
from autods.engine import Engine
from autods.ingest.listing import add_refs, count_refs, try_again
from autods.recipes.file import CrawlSource
from autods.recipes.intake import Intake, take
from autods.records import Refusal
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
        self.allow: dict[str, Callable[[str], Refusal | None]] = {}
        self._intake = replace(
            intake, checks=replace(intake.checks, error_budget=1.0), manners=self.manners
        )
        self._engine, self._progress, self._since = engine, progress, since or now()

    def crawl(self, source: CrawlSource) -> dict[str, Any]:
        """Crawl a site, taking its images in meanwhile; give what the round came to."""
        intake, seen = self._intake, -1
        taken_in, seconds = 0, 0.0
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
            nonlocal seen, taken_in, seconds
            begun = time.perf_counter()
            found = crawl_refs(place.catalog, intake.dataset_id, source.name, after=seen)
            for some in batched(found, 1000):
                add_refs(place.catalog, intake.dataset_id, [ref for _, ref in some], again=False)
                seen = some[-1][0]
            taken_in += self._take(source.name, rules_of(job))
            seconds += time.perf_counter() - begun

        crawled = crawl(job, self._progress, wave=wave, since=self._since)
        revisited = asdict(revisit(job, self._progress))
        shutil.rmtree(job.spool / f"{job.name}-robots", ignore_errors=True)
        more = {"revisited": revisited, "taken_in": taken_in, "seconds": round(seconds, 3)}
        return asdict(crawled) | more

    def _take(self, source: str, rules: Robots | None) -> int:
        """Take in what was found; rules that turn out to be wanted are asked for in between."""
        catalog, dataset_id = self._intake.workspace.catalog, self._intake.dataset_id
        if rules is not None:
            self.allow[source] = rules.allow
        inputs = count_refs(catalog, dataset_id)
        intake = replace(self._intake, inputs=inputs, allow=self.allow)
        taken = take(intake, self._engine, self._progress)
        while rules is not None and rules.wanted:
            rules.ask(rules.wanted)
            try_again(catalog, dataset_id, UNASKED)
            taken += take(intake, self._engine, self._progress)
        return taken
