"""The main job: sources in; an immutable, deduplicated, labelled, split, sharded version out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autods.ingest.listing import listing_lock
from autods.recipes.file import Plan
from autods.recipes.publish import place_of
from autods.recipes.stages import Stages
from autods.run import Context, Progress, Silent, WorkflowStep, run_steps
from autods.versions import Version
from autods.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build ended in; `new` tells whether anything differed from the last version.

    The version lies in `place`: in `folder`, or in the store alone if another machine made it.
    """

    version: Version
    new: bool
    folder: Path
    place: str
    facts: Any = field(repr=False)


def build(workspace: Workspace, plan: Plan, progress: Progress | None = None) -> Built:
    """Run a recipe; run again after a kill it goes on, run again after success it does nothing.

    Builds of one dataset at once, on however many machines, share what is to be taken in; what
    regards the whole dataset one of them does at a time, and the others find it done.

    Raises SourceError, PlaceError or BudgetError; a bad input is no error but a row.
    """
    stages = Stages(workspace, plan, progress or Silent())
    steps = (*_intake(stages), WorkflowStep("settle", stages.alone(_settling(stages))))
    try:
        with stages.journal:
            context = run_steps(steps, {}, stages.progress, patience=stages.patience)
    finally:
        stages.close()
    version = stages.version(context)
    return Built(
        version=version,
        new=stages.new,
        folder=workspace.dataset_folder(version.dataset, version.number),
        place=place_of(workspace, version),
        facts=stages.facts,
    )


def ingest(
    workspace: Workspace, plan: Plan, progress: Progress | None = None, *, listing: bool = True
) -> int:
    """List a recipe's sources and take in what is pending; returns how many inputs were done here.

    Without `listing` only what another run has listed is taken in. Any number of these may run
    at once, on any number of machines; a later `build` makes the version.
    """
    stages = Stages(workspace, plan, progress or Silent(), "ingest")
    try:
        with stages.journal:
            steps = _intake(stages, listing=listing)
            done = run_steps(steps, {}, stages.progress, patience=stages.patience)
            stages.journal.finish({"taken_in": done["ingested"]})
    finally:
        stages.close()
    return int(done["ingested"])


def _intake(stages: Stages, *, listing: bool = True) -> tuple[WorkflowStep, ...]:
    """List the steps that several builds share; without `listing`, inputs are those known."""
    name = listing_lock(stages.recipe.name)
    lists = stages.alone(stages.list_sources, name) if listing else stages.recall_sources
    return (
        WorkflowStep("list", stages.timed("list", lists)),
        WorkflowStep("ingest", stages.timed("ingest", stages.ingest)),
    )


def _settling(stages: Stages) -> Callable[[Context], Context]:
    """Make a version of all that came in: the steps that look at the whole dataset."""
    names = ("place", "label", "freeze", "export", "tier", "report")
    # Not tried again one by one: whoever lost the connection has lost the lock with it.
    steps = [
        WorkflowStep(name, stages.timed(name, getattr(stages, name)), persistent=False)
        for name in names
    ]
    return lambda context: run_steps(steps, context, stages.progress)
