"""The eight steps of seed 3, as handlers over the shared stages."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autods.errors import UsageError
from autods.ingest.listing import listing_lock
from autods.recipes.file import Plan, given_plan
from autods.recipes.label_generator import LabelGenerator, LabelResult
from autods.recipes.pipeline.config import applied, config_of
from autods.recipes.pipeline.folders import TempWorkspace, crawled, placed
from autods.recipes.pipeline.metrics import (
    CLEANUP,
    CRAWL,
    DEDUPLICATE,
    LABEL,
    REPORT,
    SETUP,
    STORE,
    VALIDATE,
    PipelineMetrics,
    measure,
)
from autods.recipes.pipeline.orchestrator import Prepare, Work
from autods.recipes.pipeline.repositories import Workflow, WorkflowRepository
from autods.recipes.stages import Stages
from autods.run import Context, Progress, Silent, WorkflowStep
from autods.run.events import read_events, state_of
from autods.versions import Version
from autods.workspace import Workspace

VERB = "crawl"
"""What the journal calls these runs."""

_MINUTE = 60.0


class PipelineSteps:
    """One run's eight steps; each may run in another process than the one before it.

    A step tells in its result what it counted; the context it hands on is small. Raises UsageError
    if the workflow is no pipeline's.
    """

    def __init__(self, workspace: Workspace, workflow: Workflow, progress: Progress) -> None:
        if "spec" not in workflow.asked:
            raise UsageError(f"workflow {workflow.id} is a {workflow.name!r}, no pipeline")
        plan = plan_of(workflow.asked["spec"], workflow.dataset, f"workflow {workflow.id}")
        config = self._config = config_of(workflow.asked["config"])
        run_id, since = workflow.id, workflow.created_at
        self._stages = Stages(
            workspace, applied(plan, config), progress, VERB, run_id,
            threshold=config.hot_storage_threshold, html=config.enable_quality_report, since=since,
        )  # fmt: skip
        self._temp = TempWorkspace(workspace, run_id, keep=not config.temp_workspace_cleanup)
        self._labels = LabelGenerator(
            config.label_formats, config.label_function,
            suffix=config.label_suffix, images=config.label_images,
        )  # fmt: skip
        self.journal = self._stages.journal
        self.policy, self.dataset_id = self._stages.policy, self._stages.dataset_id

    def steps(self) -> list[WorkflowStep]:
        """Give the steps with seed 3's retries, time-outs and switches."""
        config = self._config
        return [
            _step(SETUP, self.set_up, 2, minutes=5),
            _step(CRAWL, self.crawl, 3, minutes=config.crawl_timeout / _MINUTE),
            _step(VALIDATE, self.validate, 2, on=config.enable_validation),
            _step(DEDUPLICATE, self.deduplicate, 2, on=config.enable_deduplication),
            _step(LABEL, self.label, 1, on=config.enable_labeling),
            # It is here that the version is frozen, so it runs in any case.
            _step(STORE, self.store, 2),
            _step(REPORT, self.report, 1, on=config.enable_quality_report),
            _step(CLEANUP, self.clean_up, 1, minutes=5, always=True),
        ]

    def close(self) -> None:
        """Stop the workers."""
        self._stages.close()

    def set_up(self, _: Context) -> Context:
        """Make the temporary folders, and remove those of runs that nobody ended."""
        self._temp.make()
        self._temp.sweep(WorkflowRepository(self._stages.workspace).are_over)
        return {"temp_workspace": str(self._temp.path)}

    def crawl(self, context: Context) -> Context:
        """Crawl, list, download, validate on the way, and store."""
        stages = self._stages
        lists = stages.alone(stages.list_sources, listing_lock(stages.recipe.name))
        added = stages.timed("list", lists)(context)
        added |= stages.timed("ingest", stages.ingest)(context | added)
        self._temp.fill("crawled", crawled(stages.catalog, stages.dataset_id))
        return added

    def validate(self, context: Context) -> Context:
        """Ask the checks about every new image; what was rejected on the way is counted, too."""
        return self._alone(context, "validate")

    def deduplicate(self, context: Context) -> Context:
        """Give each new image its verdict and its split, in order of arrival."""
        added = self._alone(context, "place")
        self._fill("validated", "kept", "duplicate", "withheld")
        self._fill("deduplicated", "kept")
        return added

    def label(self, context: Context) -> Context:
        """Enter labels, freeze the version, and write its label files."""
        added = self._alone(context, "label", "freeze")
        made = self._generate(self._stages.version(context | added))
        return added | {
            "images_labeled": made.images_labeled,
            "label_files": made.files,
            "label_failures": made.failed,
        }

    def store(self, context: Context) -> Context:
        """Lay the version out, and keep its first images in the hot store, the others cold."""
        config = self._config
        # Somebody has to give the verdicts, and to freeze the version.
        stages = [] if config.enable_deduplication else ["place"]
        stages += [] if config.enable_labeling else ["label", "freeze"]
        stages += ["export", "tier"] if config.enable_storage_tiering else ["export"]
        return self._alone(context, *stages, *([] if config.enable_quality_report else ["report"]))

    def report(self, context: Context) -> Context:
        """Write the report, the card and the manifest, and publish the version."""
        added = self._alone(context, "report")
        report = self._folder(self._stages.version(context)) / "report.html"
        return added | ({"report": str(report)} if report.exists() else {})

    def clean_up(self, _: Context) -> Context:
        """Remove the temporary folders, unless they are to be kept."""
        removed = self._config.temp_workspace_cleanup and self._temp.remove()
        return {"removed": bool(removed)}

    def _alone(self, context: Context, *names: str) -> Context:
        """Run stages over the whole dataset, one after the other; gives what they added."""
        stages = self._stages

        def together(context: Context) -> Context:
            added: Context = {}
            for name in names:
                added |= stages.timed(name, getattr(stages, name))(context | added)
            return added

        return stages.alone(together)(context)

    def _generate(self, version: Version) -> LabelResult:
        place = self._stages.workspace
        made = self._labels.generate_now(place, version, self._folder(version) / "labels")
        self._fill("labeled", "kept")
        return made

    def _folder(self, version: Version) -> Path:
        return self._stages.workspace.dataset_folder(version.dataset, version.number)

    def _fill(self, folder: str, *verdicts: str) -> None:
        stages = self._stages
        images = placed(stages.catalog, stages.dataset_id, stages.policy, verdicts)
        self._temp.fill(folder, images)


def plan_of(spec: Mapping[str, Any], dataset: str, name: str) -> Plan:
    """Read what a job asks for, for a dataset; errors call it `name`. Raises RecipeError."""
    said = {**spec["recipe"], "name": dataset}
    command = spec.get("command") or f"autods runs recover  # {name}"
    return given_plan(said, Path(spec["base"]), name, command)


def preparing(workspace: Workspace) -> Prepare:
    """Tell an orchestrator how the pipelines of a workspace are made."""

    def prepare(workflow: Workflow, progress: Progress) -> Work:
        newest = WorkflowRepository(workspace).newest(VERB, workflow.dataset)
        if newest and newest.id > workflow.id and newest.status != "pending":
            raise UsageError(
                f"run {newest.id} of {workflow.dataset} came after run {workflow.id}, whose steps "
                "stand on what was there before: recover the newest, or begin anew"
            )
        steps = PipelineSteps(workspace, workflow, progress)
        return Work(
            steps=steps.steps(),
            journal=steps.journal,
            sum_up=lambda: {"metrics": _measured(workspace, steps, workflow.id).to_dict()},
            close=steps.close,
        )

    return prepare


def measured(workspace: Workspace, workflow: Workflow) -> PipelineMetrics:
    """Measure what a pipeline's workflow has come to, now; one that is done stays as it was."""
    if workflow.metrics is not None:
        return PipelineMetrics.of(workflow.metrics)
    return _measured(workspace, PipelineSteps(workspace, workflow, Silent()), workflow.id)


def _measured(workspace: Workspace, steps: PipelineSteps, run_id: int) -> PipelineMetrics:
    state = state_of(read_events(workspace.catalog, run_id))
    found = measure(workspace.catalog, steps.dataset_id, steps.policy, state.results)
    return found.timed(state)


def _step(
    name: str,
    handler: Callable[[Context], Any],
    retries: int,
    *,
    minutes: float | None = None,
    on: bool = True,
    always: bool = False,
) -> WorkflowStep:
    timeout = None if minutes is None else minutes * _MINUTE
    return WorkflowStep(
        name=name,
        handler=handler,
        max_retries=retries,
        timeout=timeout,
        enabled=on,
        always=always,
    )
