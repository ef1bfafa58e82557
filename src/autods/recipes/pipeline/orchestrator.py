"""Running workflows durably: created, executed, recovered, cancelled, listed."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from autods.errors import UsageError
from autods.recipes.history import Journal
from autods.recipes.pipeline.repositories import (
    JobRepository,
    TaskRepository,
    Workflow,
    WorkflowRepository,
)
from autods.run import Context, Progress, WorkflowStep
from autods.run.durable import Durable
from autods.run.events import request_cancel
from autods.run.stopping import RunInterruptedError
from autods.run.watching import Watch
from autods.workspace import Workspace, slug


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a workflow consists of: its steps, its journal, and how to let go of what it holds.

    What `sum_up` gives at its end is kept with the workflow.
    """

    steps: Sequence[WorkflowStep]
    journal: Journal
    sum_up: Callable[[], Context] = dict
    close: Callable[[], None] = lambda: None


Prepare = Callable[[Workflow, Progress], Work]
"""Makes the work of a workflow, in the process that is to run it."""


class JobOrchestrator:
    """Runs workflows step by step; what a step has done stays done, whatever happens.

    The state lies with the catalog. A workflow that was killed, failed, was cancelled or
    interrupted goes on where it stopped when it is executed again, here or in another process.
    Steps are code, so a process that recovers a workflow has to know them: `register` tells it.

    >>> import asyncio, tempfile, autods
    >>> from pathlib import Path
    >>> place = autods.init(Path(tempfile.mkdtemp()))
    >>> repositories = WorkflowRepository(place), TaskRepository(place), JobRepository(place)
    >>> orchestrator = JobOrchestrator(*repositories)
    >>> greet = WorkflowStep(name="Greet", handler=lambda context: {"said": "hello"}, max_retries=3)
    >>> async def main():
    ...     workflow = await orchestrator.create_workflow("greeting", steps=[greet])
    ...     return await orchestrator.execute_workflow(workflow.id)
    >>> asyncio.run(main()).status
    'done'
    """

    def __init__(
        self,
        workflow_repo: WorkflowRepository,
        task_repo: TaskRepository,
        job_repo: JobRepository,
        *,
        progress: Progress | None = None,
    ) -> None:
        self.workflow_repo, self.task_repo, self.job_repo = workflow_repo, task_repo, job_repo
        self.workspace: Workspace = workflow_repo.workspace
        self._progress = progress
        self._prepare: dict[str, Prepare] = {}
        self._watches: dict[int, Watch] = {}

    def register(self, name: str, prepare: Prepare) -> None:
        """Tell how workflows of a name are made."""
        self._prepare[name] = prepare

    async def create_workflow(
        self,
        name: str,
        steps: Sequence[WorkflowStep] | None = None,
        *,
        dataset_name: str | None = None,
        job_id: int | None = None,
        asked: Context | None = None,
    ) -> Workflow:
        """Note a workflow of a name; `steps` are its own, or those registered for the name.

        Raises UsageError if there are none, or no such job.
        """
        if steps is not None:
            self.register(name, self._plain(steps))
        self._known(name)
        if job_id is not None:
            self.job_repo.get(job_id)
        dataset = slug(dataset_name or name)
        return self.workflow_repo.create(name, dataset, asked or {}, job_id)

    async def execute_workflow(self, workflow_id: int) -> Workflow:
        """Run a workflow to its end, or on to it; raises what its last try raised."""
        return await self._in_thread(workflow_id, None)

    async def recover_workflow(self, workflow_id: int, from_step: int | None = None) -> Workflow:
        """Run a workflow again from a step (1 is the first), or from where it stopped.

        Raises UsageError for a step that cannot be begun with, and what the workflow raises.
        """
        return await self._in_thread(workflow_id, from_step)

    async def cancel_workflow(self, workflow_id: int) -> Workflow:
        """Ask for a workflow to be stopped; it is within a second or so, wherever it runs."""
        workflow = self.workflow_repo.get(workflow_id)
        if workflow.status != "running":
            raise UsageError(f"workflow {workflow_id} is {workflow.status}, not running")
        request_cancel(self.workspace.catalog, workflow_id)
        return workflow

    async def get_workflow(self, workflow_id: int) -> Workflow:
        """Give a workflow as it stands."""
        return self.workflow_repo.get(workflow_id)

    async def list_workflows(self, limit: int = 50) -> list[Workflow]:
        """Give the newest workflows, newest first."""
        return self.workflow_repo.list(limit)

    def run(self, workflow_id: int, from_step: int | None = None) -> Workflow:
        """Run a workflow, or run it on, in this thread; one that is done stays as it is."""
        workflow = self.workflow_repo.get(workflow_id)
        prepare = self._known(workflow.name)
        if workflow.status == "done" and from_step is None:
            return workflow
        catalog = self.workspace.catalog
        watch = Watch(catalog, self._progress)
        self._watches[workflow_id] = watch
        with contextlib.ExitStack() as stack:
            stack.callback(self._watches.pop, workflow_id)
            work = self._prepared(prepare, workflow, watch)
            stack.callback(work.close)
            stack.enter_context(work.journal)
            patience = self.workspace.settings.patience
            durable = stack.enter_context(Durable(_state_url(self.workspace), patience=patience))
            context = durable.run(
                workflow_id, work.steps, {},
                watch=watch, from_step=from_step, begin=work.journal.begin,
            )  # fmt: skip
            work.journal.finish({"version": context.get("version"), **work.sum_up()})
        return self.workflow_repo.get(workflow_id)

    def _prepared(self, prepare: Prepare, workflow: Workflow, watch: Watch) -> Work:
        try:
            return prepare(workflow, watch.progress)
        except Exception as error:
            if workflow.status == "pending":
                self.workflow_repo.fail(workflow.id, error)
            raise

    async def _in_thread(self, workflow_id: int, from_step: int | None) -> Workflow:
        """Leave the event loop free; whoever cancels the task interrupts the workflow."""
        running = asyncio.ensure_future(asyncio.to_thread(self.run, workflow_id, from_step))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            watch = self._watches.get(workflow_id)
            if watch is not None:
                watch.stop.trip(RunInterruptedError(f"workflow {workflow_id} was interrupted"))
            with contextlib.suppress(Exception):
                await running
            raise

    def _plain(self, steps: Sequence[WorkflowStep]) -> Prepare:
        def prepare(workflow: Workflow, _: Progress) -> Work:
            catalog = self.workspace.catalog
            dataset_id = catalog.find_dataset(workflow.dataset)
            return Work(
                steps=steps, journal=Journal(catalog, dataset_id, workflow.name, workflow.id)
            )

        return prepare

    def _known(self, name: str) -> Prepare:
        if name not in self._prepare:
            known = ", ".join(map(repr, self._prepare)) or "none"
            raise UsageError(f"no steps are known for {name!r} (known: {known}): register them")
        return self._prepare[name]


def _state_url(workspace: Workspace) -> Any:
    """Say where the state of workflows lies: in the catalog's database, or beside its file."""
    url = workspace.settings.catalog_url(str(workspace.home / "catalog.db"))
    if "://" in url and not url.startswith("sqlite"):
        return url
    return f"sqlite:///{workspace.home / 'workflows.db'}"
