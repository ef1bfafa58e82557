"""One run of a crawl over its site, as the catalog keeps it: how far it is, and what it counts."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.crawl_tables import crawls
from autods.catalog.tables import now
from autods.crawl.scope import Scope

_PLACES = ("queued", "expanded", "imaged", "cleared")


@dataclass(slots=True)
class Round:
    """A round: unfinished, it is gone on with; finished, the next one begins.

    Of the `queued` pages, as many as `expanded` have led on; of the `imaged` images, as many as
    `cleared` are judged by robots.txt. All are counted in the queue's order, so that each is the
    place of the next one, too. What changes here is saved in the transaction that it is about.
    """

    id: int
    dataset_id: int
    source: str
    number: int
    scope: Mapping[str, Any]
    queued: int
    expanded: int
    imaged: int
    cleared: int
    stats: dict[str, Any]
    started_at: dt.datetime
    finished_at: dt.datetime | None

    @classmethod
    def newest(cls, catalog: Catalog, dataset_id: int, source: str) -> Self | None:
        """Read the last round there was, finished or not; None if there was none."""
        names = ["number" if c.name == "round" else c.name for c in crawls.columns]
        query = sa.select(crawls).where(crawls.c.dataset_id == dataset_id)
        query = query.where(crawls.c.source == source).order_by(crawls.c.round.desc()).limit(1)
        with catalog.read() as db:
            row = db.execute(query).one_or_none()
        return None if row is None else cls(**dict(zip(names, row, strict=True)))

    @classmethod
    def begin(cls, catalog: Catalog, dataset_id: int, source: str, scope: Scope) -> Self:
        """Go on with the last round; if that is done or had another scope, begin the next."""
        said = json.loads(json.dumps(asdict(scope)))
        last = cls.newest(catalog, dataset_id, source)
        if last and last.finished_at is None and last.scope == said:
            return last
        row = {"dataset_id": dataset_id, "source": source, "scope": said, "started_at": now()}
        row |= {"round": last.number + 1 if last else 1, "stats": _nothing()}
        with catalog.begin() as db:
            if last and last.finished_at is None:
                last.finished_at = now()
                last.save(db)
            db.execute(sa.insert(crawls), row | dict.fromkeys(_PLACES, 0))
        return cls.begin(catalog, dataset_id, source, scope)

    @property
    def is_done(self) -> bool:
        """Whether every page has led on and every image been judged."""
        return self.expanded == self.queued and self.cleared == self.imaged

    def of(self, table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
        """Select the rows of a table that this round has seen."""
        return (*self.ours(table), table.c.round == self.number)

    def ours(self, table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
        """Select the rows of a table that any round of this crawl has seen."""
        return (table.c.dataset_id == self.dataset_id, table.c.source == self.source)

    def skip(self, reason: str, count: int = 1) -> None:
        """Count what was found and is not followed."""
        skipped = self.stats["skipped"]
        skipped[reason] = skipped.get(reason, 0) + count

    def save(self, db: sa.Connection) -> None:
        """Write how far it is."""
        values = {name: getattr(self, name) for name in (*_PLACES, "stats", "finished_at")}
        db.execute(sa.update(crawls).where(crawls.c.id == self.id).values(values))

    def finish(self, catalog: Catalog) -> None:
        """Note that nothing is left to do."""
        self.finished_at = now()
        with catalog.begin() as db:
            self.save(db)


def _nothing() -> dict[str, Any]:
    joined = {"page": 0, "css": 0, "sitemap": 0}
    return {"joined": joined, "skipped": {}, "requests": 0, "bytes": 0}
