"""What a run of the candidates recipe works with: its places, and the shared stages over them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autods.catalog.tables import refs
from autods.ingest.listing import count_refs
from autods.recipes.candidates.config import (
    Given,
    artifacts_store,
    database_url,
    open_places,
    photos_store,
)
from autods.recipes.file import BuildRecipe, Plan
from autods.recipes.intake import Intake
from autods.recipes.stages import Stages
from autods.run import Context, Progress
from autods.sources.predictions import Predictions
from autods.store import S3Store, Store
from autods.workspace import Workspace

VERB = "candidates"
PHOTOS, GOLD = "predictions", "gold"
"""The two sources, as their refs carry them."""


class CandidateStages(Stages):
    """The shared stages over a dataset whose inputs may be objects of the recipe's own buckets."""

    objects: S3Store | None = None
    buckets: frozenset[str] = frozenset()

    def intake(self) -> Intake:
        """Say what is taken into which dataset, and how."""
        return self._intake({})

    def _intake(self, context: Context) -> Intake:
        inputs = count_refs(self.catalog, self.dataset_id)
        taken = super()._intake({**context, "listing": {"inputs": inputs}})
        return replace(taken, objects=self.objects, buckets=self.buckets)


@dataclass(frozen=True, kw_only=True)
class Work:
    """One run's hands: the stages, the database of predictions, the photos and the artifacts."""

    given: Given
    stages: CandidateStages
    database: Predictions
    photos: Store
    artifacts: Store

    @property
    def dataset_id(self) -> int:
        """The catalog's number of the dataset that holds all candidates, and gold."""
        return self.stages.dataset_id

    @property
    def workspace(self) -> Workspace:
        """Where the catalog and the bytes are."""
        return self.stages.workspace

    def live(self, source: str, beginning: str = "") -> tuple[sa.ColumnElement[bool], ...]:
        """Select the inputs of a source whose names begin so, by a range of the index."""
        mine = (refs.c.dataset_id == self.dataset_id, refs.c.source == source)
        within = (refs.c.uri >= beginning, refs.c.uri < _after(beginning)) if beginning else ()
        return (*mine, refs.c.gone_at.is_(None), *within)


def _after(beginning: str) -> str:
    """Give the first text after all that begin so."""
    return beginning[:-1] + chr(ord(beginning[-1]) + 1)


@contextmanager
def at_work(root: Path, given: Given, progress: Progress, verb: str) -> Iterator[Work]:
    """Open the places of a run, and close them again; one run of a recipe is at work at a time.

    Raises UsageError if a place is not named, PlaceError if one cannot be used.
    """
    place = open_places(given, root)
    stages = None
    try:
        url = database_url(given, place.settings)
        photos = photos_store(given, place.settings)
        artifacts = artifacts_store(given, place.settings, place.root)
        stages = CandidateStages(place, _plan(given), progress, verb=f"{VERB} {verb}")
        _allow(stages, photos, artifacts)
        options: dict[str, Any] = {"statement_timeout": given.recipe.statement_timeout}
        with Predictions(url, given.recipe.table, **options) as database:
            yield Work(
                given=given, stages=stages, database=database, photos=photos, artifacts=artifacts
            )
    finally:
        if stages:
            stages.close()
        place.close()


def _allow(stages: CandidateStages, *places: Store) -> None:
    """Let the workers read objects, of the recipe's own buckets alone."""
    servers = [place for place in places if isinstance(place, S3Store)]
    if servers:
        stages.objects = S3Store("s3://", servers[0].access)
        stages.buckets = frozenset(bucket_of(place) for place in servers)


def bucket_of(place: S3Store) -> str:
    """Name the bucket of a place."""
    return place.url.removeprefix("s3://").partition("/")[0]


def _plan(given: Given) -> Plan:
    """Say what the shared stages are to do; near-duplicates are told apart when a month is made.

    All look-alikes share a split, so what is a copy in one month may stand alone in another.
    """
    said = given.recipe
    recipe = BuildRecipe(
        name=said.name,
        sources=[{"table": said.table}],
        validate=said.validate,
        dedup=replace(said.dedup, near="keep"),
        split=said.split,
        workers=said.workers,
        item_timeout=said.item_timeout,
    )
    return Plan(recipe=recipe, sources=[], written=given.written, command=f"autods run {VERB}")
