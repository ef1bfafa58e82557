"""Running the pipeline from a recipe file or from URLs, without any service: `autods run crawl`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from autods.errors import PlaceError, UsageError
from autods.recipes.file import Plan, given_plan, read_recipe
from autods.recipes.pipeline.config import PipelineConfig
from autods.recipes.pipeline.metrics import PipelineMetrics
from autods.recipes.pipeline.orchestrator import JobOrchestrator
from autods.recipes.pipeline.repositories import (
    JobRepository,
    TaskRepository,
    Workflow,
    WorkflowRepository,
)
from autods.recipes.pipeline.steps import VERB, measured, preparing
from autods.recipes.publish import place_of
from autods.run import Progress
from autods.versions import find_version
from autods.workspace import Workspace, slug


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a run is to do: over which dataset, with which sources and switches."""

    dataset: str
    plan: Plan
    spec: Mapping[str, Any]
    config: PipelineConfig

    @property
    def kept(self) -> dict[str, Any]:
        """Give it as the journal keeps it."""
        config = asdict(self.config)
        return {
            "spec": dict(self.spec),
            "config": config | {"label_formats": [*config["label_formats"]]},
        }


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a run came to; `version` is None if it made none."""

    workflow: Workflow
    metrics: PipelineMetrics
    version: str | None
    place: str | None


def asked_in(path: Path, command: str) -> Asked:
    """Read a recipe file; raises RecipeError."""
    plan = read_recipe(path)
    recipe = {key: value for key, value in plan.written.items() if key != "name"}
    spec = {"recipe": recipe, "base": str(path.absolute().parent), "command": command}
    plan = replace(plan, command=command)
    return Asked(dataset=plan.recipe.name, plan=plan, spec=spec, config=config_in(plan))


def asked_for(
    urls: Sequence[str], *, name: str | None, recipe: Mapping[str, Any], command: str
) -> Asked:
    """Make the recipe of a crawl from its seeds; raises RecipeError for what cannot be."""
    scope = dict(recipe.get("scope") or {})
    rest = {key: value for key, value in recipe.items() if key != "scope"}
    said = {**rest, "sources": [{"crawl": list(urls), **scope}]}
    plan = given_plan({**said, "name": name or "crawl"}, Path.cwd(), "the crawl", command)
    dataset = name or slug(plan.crawls[0].name)
    plan = replace(plan, recipe=replace(plan.recipe, name=dataset))
    spec = {"recipe": said, "base": str(Path.cwd()), "command": command}
    return Asked(dataset=dataset, plan=plan, spec=spec, config=config_in(plan))


def config_in(plan: Plan) -> PipelineConfig:
    """Take the switches from a recipe; what `pipeline:` leaves out follows from its other keys."""
    recipe, said = plan.recipe, plan.written.get("pipeline") or {}
    mode = (plan.written.get("validate") or {}).get("mode")
    if mode and said.get("validation_mode", mode) != mode:
        other = said["validation_mode"]
        raise UsageError(
            f"validate.mode says {mode!r} and pipeline.validation_mode {other!r}: leave one out"
        )
    threshold = recipe.hot_storage_threshold
    implied: dict[str, Any] = {
        "validation_mode": recipe.validate.mode,
        "enable_deduplication": recipe.dedup.near != "off",
        "enable_labeling": recipe.label.functions is not None
        or any(name.startswith("label_") for name in said),
        "hot_storage_threshold": 1000 if threshold is None else threshold,
        "max_concurrent_validations": recipe.workers or 5,
    }
    return replace(
        recipe.pipeline, **{name: value for name, value in implied.items() if name not in said}
    )


class Runner:
    """Runs pipelines of a workspace in this process."""

    def __init__(self, workspace: Workspace, progress: Progress | None = None) -> None:
        self._place = workspace
        self.workflows = WorkflowRepository(workspace)
        self._tasks = TaskRepository(workspace)
        self._orchestrator = JobOrchestrator(
            self.workflows, self._tasks, JobRepository(workspace), progress=progress
        )
        self._orchestrator.register(VERB, preparing(workspace))

    def find(self, asked: Asked, *, fresh: bool) -> tuple[Workflow, bool]:
        """Give the workflow to run, and whether it is one that stopped before its end.

        That is the newest of the dataset, if it asks for the same; `fresh` never takes it up.
        Raises PlaceError if it is at work.
        """
        newest = self.workflows.newest(VERB, asked.dataset)
        if newest and newest.status == "running":
            raise PlaceError(
                f"run {newest.id} of {asked.dataset} is at work: autods runs watch {newest.id}"
            )
        stopped = newest is not None and newest.status not in {"done", "pending"}
        if newest and stopped and newest.asked == asked.kept and not fresh:
            return newest, True
        return self.workflows.create(VERB, asked.dataset, asked.kept), False

    def run(self, workflow_id: int, from_step: int | None = None) -> Ran:
        """Run a workflow to its end; raises what its last step raised."""
        return self.ran(self._orchestrator.run(workflow_id, from_step))

    def ran(self, workflow: Workflow) -> Ran:
        """Measure what a workflow has come to."""
        results = self._tasks.state(workflow.id).results
        number = next((r["version"] for r in results.values() if "version" in r), None)
        catalog = self._place.catalog
        version = find_version(catalog, f"{workflow.dataset}@v{number}") if number else None
        return Ran(
            workflow=workflow,
            metrics=measured(self._place, workflow),
            version=version.name if version else None,
            place=place_of(self._place, version) if version else None,
        )


def refuse_mixed(what: Sequence[str]) -> bool:
    """Tell whether a command names URLs rather than a recipe file; raises UsageError for both."""
    urls = [word for word in what if "://" in word]
    if urls and len(urls) < len(what):
        other = next(word for word in what if "://" not in word)
        raise UsageError(f"{other!r} is no URL: give URLs, or one recipe file")
    if not urls and len(what) != 1:
        raise UsageError("one recipe file at a time, or any number of URLs")
    return bool(urls)
