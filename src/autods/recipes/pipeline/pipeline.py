"""Seed 3's `DatasetProcessingPipeline`: a job's images through the eight steps to a version."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from autods.recipes.pipeline.config import PipelineConfig
from autods.recipes.pipeline.metrics import STEPS, PipelineMetrics
from autods.recipes.pipeline.orchestrator import JobOrchestrator
from autods.recipes.pipeline.repositories import Workflow
from autods.recipes.pipeline.services import (
    CrawlJobService,
    MetricsService,
    StorageService,
)
from autods.recipes.pipeline.steps import VERB, preparing


class DatasetProcessingPipeline:
    """Turns what a job crawls into a dataset version, in eight durable steps.

    Each workflow remembers the configuration it was created with. After a kill, another process
    with a pipeline of its own runs it on by `execute_pipeline`, or by the orchestrator's
    `recover_workflow`. An example is in docs/pipeline.md.
    """

    def __init__(
        self,
        *,
        orchestrator: JobOrchestrator,
        crawl_job_service: CrawlJobService,
        storage_service: StorageService,
        metrics_service: MetricsService,
        config: PipelineConfig | None = None,
    ) -> None:
        self.orchestrator = orchestrator
        self.crawl_job_service = crawl_job_service
        self.storage_service = storage_service
        self.metrics_service = metrics_service
        self.config = config or PipelineConfig()
        self._current: int | None = None
        self._metrics = PipelineMetrics()
        orchestrator.register(VERB, preparing(storage_service.workspace))

    @property
    def metrics(self) -> PipelineMetrics:
        """The metrics of the workflow at work, or of the last one, when last measured."""
        return self._metrics

    @property
    def temp_workspace(self) -> Path | None:
        """The temporary folder of the workflow at work, or of the last one."""
        if self._current is None:
            return None
        return self.storage_service.workspace.home / "temp" / f"run-{self._current}"

    async def create_pipeline_workflow(self, job_id: int, dataset_name: str) -> Workflow:
        """Note a workflow for a job; its dataset is called by `dataset_name`, made a name.

        Raises UsageError if there is no such job.
        """
        job = await self.crawl_job_service.get_job(job_id)
        asked = {"spec": dict(job.spec), "config": asdict(self.config)}
        return await self.orchestrator.create_workflow(
            VERB, dataset_name=dataset_name, job_id=job_id, asked=asked
        )

    async def execute_pipeline(self, workflow_id: int) -> tuple[Workflow, PipelineMetrics]:
        """Run a workflow to its end, or run on one that stopped; gives it and its metrics.

        Raises what its last step raised.
        """
        self._current = workflow_id
        try:
            workflow = await self.orchestrator.execute_workflow(workflow_id)
        finally:
            self._metrics = await self._measure(workflow_id)
        return workflow, self._metrics

    async def get_pipeline_progress(self, workflow_id: int) -> dict[str, Any]:
        """Say how a workflow stands; `progress` is in percent, steps count from 1."""
        workflow = await self.orchestrator.get_workflow(workflow_id)
        state = self.orchestrator.task_repo.state(workflow_id)
        metrics = await self._measure(workflow_id)
        return {
            "workflow_id": workflow_id,
            "status": workflow.status,
            "progress": round(state.progress, 1),
            "current_step": state.step,
            "total_steps": state.total_steps or len(STEPS),
            "steps": [asdict(step) for step in state.steps],
            "metrics": metrics.to_dict(),
            "error": workflow.error,
        }

    async def get_pipeline_metrics(self) -> PipelineMetrics:
        """Measure the workflow at work, or the last one, now; zeros before the first."""
        if self._current is not None:
            self._metrics = await self._measure(self._current)
        return self._metrics

    async def _measure(self, workflow_id: int) -> PipelineMetrics:
        workflow = await self.orchestrator.get_workflow(workflow_id)
        return await self.metrics_service.measure(workflow)
