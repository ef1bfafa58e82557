"""Jobs, workflows and their tasks, as the catalog keeps them."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from autods.catalog.tables import datasets, jobs, now, runs
from autods.errors import UsageError
from autods.run.events import Event, read_events
from autods.run.state import RunState, state_of
from autods.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class CrawlJob:
    """What is asked for again and again: a name, and the recipe of its sources."""

    id: int
    name: str
    spec: Mapping[str, Any] = field(repr=False)
    created_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """One run of a recipe over a dataset, as it was asked for, and how it stands.

    `status` is pending, running, done, failed, cancelled, interrupted or killed; `metrics` are
    those it ended with, if it is done.
    """

    id: int
    name: str
    dataset: str
    job_id: int | None
    status: str
    error: str | None
    created_at: dt.datetime
    asked: Mapping[str, Any] = field(repr=False)
    metrics: Mapping[str, Any] | None = field(default=None, repr=False)


class JobRepository:
    """The jobs of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def create(self, name: str, spec: Mapping[str, Any]) -> CrawlJob:
        """Note a job."""
        row = {"name": name, "spec": dict(spec), "created_at": now()}
        with self.workspace.catalog.begin() as db:
            number = db.execute(sa.insert(jobs).returning(jobs.c.id), row).scalar_one()
        return self.get(number)

    def get(self, job_id: int) -> CrawlJob:
        """Give a job; raises UsageError that names those there are."""
        with self.workspace.catalog.read() as db:
            row = db.execute(sa.select(jobs).where(jobs.c.id == job_id)).one_or_none()
        if row is None:
            known = ", ".join(str(job.id) for job in self.list()) or "none"
            raise UsageError(f"no job {job_id!r} (there: {known})")
        return CrawlJob(**row._mapping)

    def list(self) -> "list[CrawlJob]":
        """Give all jobs, oldest first."""
        with self.workspace.catalog.read() as db:
            rows = db.execute(sa.select(jobs).order_by(jobs.c.id)).all()
        return [CrawlJob(**row._mapping) for row in rows]


class WorkflowRepository:
    """The workflows of a workspace: rows of its journal of runs."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def create(
        self, name: str, dataset: str, asked: Mapping[str, Any], job_id: int | None = None
    ) -> Workflow:
        """Note a workflow that has not begun."""
        catalog = self.workspace.catalog
        row = {
            "dataset_id": catalog.dataset_id(dataset),
            "job_id": job_id,
            "recipe": name,
            "status": "pending",
            "stats": {"asked": dict(asked)},
            "started_at": now(),
        }
        with catalog.begin() as db:
            number = db.execute(sa.insert(runs).returning(runs.c.id), row).scalar_one()
        return self.get(number)

    def get(self, workflow_id: int) -> Workflow:
        """Give a workflow; raises UsageError if there is none."""
        with self.workspace.catalog.read() as db:
            row = db.execute(self._rows().where(runs.c.id == workflow_id)).one_or_none()
        if row is None:
            raise UsageError(f"no workflow {workflow_id!r}: `autods runs list` shows what there is")
        return self._workflow(row)

    def newest(self, name: str, dataset: str) -> Workflow | None:
        """Give the newest workflow of a name over a dataset."""
        mine = (runs.c.recipe == name, datasets.c.name == dataset)
        with self.workspace.catalog.read() as db:
            row = db.execute(self._rows().where(*mine).limit(1)).one_or_none()
        return None if row is None else self._workflow(row)

    def list(self, limit: int = 50) -> "list[Workflow]":
        """Give the newest workflows, newest first."""
        with self.workspace.catalog.read() as db:
            return [self._workflow(row) for row in db.execute(self._rows().limit(limit))]

    def are_over(self, numbers: Collection[int]) -> set[int]:
        """Choose those that are not at work, and whose temporary folder is not to be kept."""
        with self.workspace.catalog.read() as db:
            rows = db.execute(self._rows().where(runs.c.id.in_(numbers))).all()
        kept = {
            found.id
            for found in map(self._workflow, rows)
            if found.status == "running"
            or not found.asked.get("config", {}).get("temp_workspace_cleanup", True)
        }
        return set(numbers) - kept

    def fail(self, workflow_id: int, error: Exception) -> None:
        """Note that a workflow could not even begin."""
        said = f"{type(error).__name__}: {error}"
        mine = sa.update(runs).where(runs.c.id == workflow_id)
        with self.workspace.catalog.begin() as db:
            db.execute(mine.values(status="failed", error=said, finished_at=now()))

    def _rows(self) -> "sa.Select[Any]":
        rows = sa.select(runs, datasets.c.name.label("dataset"))
        return rows.join(datasets, datasets.c.id == runs.c.dataset_id).order_by(runs.c.id.desc())

    def _workflow(self, row: Any) -> Workflow:
        stats = row.stats or {}
        lost = row.status == "running" and not self._lives(stats.get("lock"))
        return Workflow(
            id=row.id,
            name=row.recipe,
            dataset=row.dataset,
            job_id=row.job_id,
            status="killed" if lost else row.status,
            error=row.error,
            created_at=row.started_at,
            asked=stats.get("asked") or {},
            metrics=stats.get("metrics") if row.status == "done" else None,
        )

    def _lives(self, lock: str | None) -> bool:
        return lock is not None and self.workspace.catalog.is_held(lock)


class TaskRepository:
    """What happened in each step of a workflow."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def events(self, workflow_id: int) -> list[Event]:
        """Give all that happened, in order."""
        return list(read_events(self.workspace.catalog, workflow_id))

    def state(self, workflow_id: int) -> RunState:
        """Sum up what happened."""
        return state_of(self.events(workflow_id))
