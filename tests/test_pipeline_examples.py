"""Seed 3's integration examples, word for word but for the import line, and its snippets."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autods import (
    CrawlJobService,
    DatasetProcessingPipeline,
    JobOrchestrator,
    JobRepository,
    MetricsService,
    PipelineConfig,
    PipelineMetrics,
    StorageService,
    TaskRepository,
    WorkflowRepository,
    WorkflowStep,
)

pytestmark = pytest.mark.slow

Services = tuple[JobOrchestrator, CrawlJobService, StorageService, MetricsService]


@pytest.fixture
def services(tmp_path: Path) -> Services:
    """The services of a workspace in which job 1 takes 12 pictures, a copy and a broken file."""
    pictures = tmp_path / "pictures"
    for seed in range(12):
        noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        folder = pictures / ("cat" if seed % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).resize((160, 120)).save(folder / f"{seed}.png")
    (pictures / "cat" / "copy.png").write_bytes((pictures / "cat" / "1.png").read_bytes())
    (pictures / "cat" / "none.png").write_bytes(b"no picture")
    storage_service = StorageService.open(tmp_path)
    workspace = storage_service.workspace
    job_repo = JobRepository(workspace)
    crawl_job_service = CrawlJobService(job_repo)
    sources = [{"folder": "pictures"}]
    asyncio.run(crawl_job_service.create_job("animals", sources=sources, base=tmp_path))
    orchestrator = JobOrchestrator(
        WorkflowRepository(workspace), TaskRepository(workspace), job_repo
    )
    return orchestrator, crawl_job_service, storage_service, MetricsService(workspace)


def test_example_1_basic_pipeline(services: Services) -> None:
    orchestrator, crawl_job_service, storage_service, metrics_service = services

    async def example() -> Any:
        # Minimal configuration
        config = PipelineConfig(
            enable_validation=True,
            enable_deduplication=True,
            enable_labeling=False,
            enable_storage_tiering=True,
        )

        pipeline = DatasetProcessingPipeline(
            orchestrator=orchestrator,
            crawl_job_service=crawl_job_service,
            storage_service=storage_service,
            metrics_service=metrics_service,
            config=config,
        )

        # Execute
        workflow = await pipeline.create_pipeline_workflow(job_id=1, dataset_name="Dataset")
        result, metrics = await pipeline.execute_pipeline(workflow.id)
        return result, metrics

    result, metrics = asyncio.run(example())
    assert (result.status, result.dataset) == ("done", "dataset")
    assert (metrics.images_crawled, metrics.unique_images) == (14, 12)


def test_example_2_full_featured_pipeline(
    services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    orchestrator, crawl_job_service, storage_service, metrics_service = services

    async def example() -> None:
        # Complete configuration
        config = PipelineConfig(
            enable_validation=True,
            enable_deduplication=True,
            enable_labeling=True,
            enable_storage_tiering=True,
            enable_quality_report=True,
            hot_storage_threshold=500,
            validation_mode="strict",
        )

        pipeline = DatasetProcessingPipeline(
            orchestrator=orchestrator,
            crawl_job_service=crawl_job_service,
            storage_service=storage_service,
            metrics_service=metrics_service,
            config=config,
        )

        # Execute with monitoring
        workflow = await pipeline.create_pipeline_workflow(job_id=1, dataset_name="Full Dataset")
        _result, metrics = await pipeline.execute_pipeline(workflow.id)

        # Check results
        print(f"Quality Score: {metrics.quality_score}%")
        print(f"Unique Images: {metrics.unique_images}")
        print(f"Hot Storage: {metrics.hot_storage_count}")
        print(f"Cold Storage: {metrics.cold_storage_count}")
        assert metrics.images_labeled == 12

    asyncio.run(example())
    assert capsys.readouterr().out.splitlines() == [
        "Quality Score: 85.71%",
        "Unique Images: 12",
        "Hot Storage: 12",
        "Cold Storage: 0",
    ]


def test_example_3_custom_configuration(services: Services) -> None:
    orchestrator, crawl_job_service, storage_service, metrics_service = services
    # Custom configuration
    config = PipelineConfig(
        enable_validation=True,
        enable_deduplication=True,
        enable_labeling=False,
        enable_storage_tiering=True,
        enable_quality_report=True,
        hot_storage_threshold=2000,  # Keep 2000 in hot storage
        temp_workspace_cleanup=True,
        validation_mode="lenient",
        max_concurrent_validations=10,
    )

    pipeline = DatasetProcessingPipeline(
        orchestrator=orchestrator,
        crawl_job_service=crawl_job_service,
        storage_service=storage_service,
        metrics_service=metrics_service,
        config=config,
    )
    assert pipeline.config is config
    assert pipeline.metrics == PipelineMetrics()
    assert pipeline.temp_workspace is None


def on_job_1(services: Services, config: PipelineConfig, act: Callable[..., Awaitable[Any]]) -> Any:
    """Run a pipeline over job 1 and then `act` on it and its workflow."""
    orchestrator, crawl_job_service, storage_service, metrics_service = services

    async def run() -> Any:
        pipeline = DatasetProcessingPipeline(
            orchestrator=orchestrator,
            crawl_job_service=crawl_job_service,
            storage_service=storage_service,
            metrics_service=metrics_service,
            config=config,
        )
        workflow = await pipeline.create_pipeline_workflow(
            job_id=1,
            dataset_name="Animals Dataset",
        )
        completed_workflow, metrics = await pipeline.execute_pipeline(
            workflow_id=workflow.id,
        )
        assert completed_workflow.status == "done"
        return await act(pipeline, workflow, metrics)

    return asyncio.run(run())


def test_progress_and_metrics_are_what_the_seed_says(services: Services) -> None:
    async def monitor(
        pipeline: DatasetProcessingPipeline, workflow: Any, metrics: PipelineMetrics
    ) -> None:
        progress = await pipeline.get_pipeline_progress(workflow_id=workflow.id)
        assert progress["status"] == "done"
        assert progress["progress"] == 100
        assert (progress["current_step"], progress["total_steps"]) == (8, 8)
        assert progress["metrics"] == metrics.to_dict()
        again = await pipeline.get_pipeline_metrics()
        assert (again.images_crawled, again.valid_images, again.unique_images) == (14, 13, 12)
        assert again == pipeline.metrics
        assert again.report_generated
        assert again.start_time is not None
        assert again.end_time is not None
        assert again.total_duration > again.crawl_duration > 0

    on_job_1(services, PipelineConfig(), monitor)


def test_a_workflow_is_recovered_from_a_step(services: Services) -> None:
    orchestrator = services[0]

    async def recover(pipeline: Any, workflow: Any, metrics: PipelineMetrics) -> None:
        await orchestrator.recover_workflow(
            workflow_id=workflow.id,
            from_step=3,  # Restart from step 3
        )
        said = [(e.kind, e.step) for e in orchestrator.task_repo.events(workflow.id)]
        ended = [step for kind, step in said if kind == "step-ended"]
        assert [ended.count(step) for step in (1, 2, 3, 8)] == [1, 1, 2, 2]
        assert (await pipeline.get_pipeline_metrics()).unique_images == metrics.unique_images
        listed = await orchestrator.list_workflows()
        assert [(w.id, w.status) for w in listed] == [(workflow.id, "done")]

    on_job_1(services, PipelineConfig(), recover)


def test_the_temporary_folders_hold_what_each_step_let_through(services: Services) -> None:
    async def look(pipeline: DatasetProcessingPipeline, _: Any, __: Any) -> dict[str, int]:
        assert pipeline.temp_workspace is not None
        return {p.name: len(list(p.glob("*.png"))) for p in pipeline.temp_workspace.iterdir()}

    config = PipelineConfig(temp_workspace_cleanup=False, enable_labeling=True)
    held = on_job_1(services, config, look)
    assert held == {"crawled": 12, "validated": 12, "deduplicated": 12, "labeled": 12}


def test_what_is_switched_off_does_not_happen(services: Services) -> None:
    async def look(
        pipeline: DatasetProcessingPipeline, workflow: Any, metrics: PipelineMetrics
    ) -> Path:
        progress = await pipeline.get_pipeline_progress(workflow.id)
        skipped = [step["number"] for step in progress["steps"] if step["status"] == "skipped"]
        assert skipped == [3, 4, 5, 7]
        assert metrics.images_validated == 0
        assert metrics.images_labeled == 13  # The folders' names; no file was written of them.
        assert (metrics.duplicates_found, metrics.unique_images) == (1, 13)  # A copy by bytes.
        assert (metrics.hot_storage_count, metrics.cold_storage_count) == (13, 0)
        assert not metrics.report_generated
        assert pipeline.temp_workspace is not None
        assert not pipeline.temp_workspace.exists()
        return pipeline.storage_service.workspace.dataset_folder("animals-dataset", 1)

    switches = ("validation", "deduplication", "labeling", "storage_tiering", "quality_report")
    off = PipelineConfig(**dict.fromkeys((f"enable_{name}" for name in switches), False))  # type: ignore[arg-type]
    folder = on_job_1(services, off, look)
    assert not (folder / "report.html").exists()
    assert (folder / "version.txt").exists()


def test_a_step_of_one_s_own_is_tried_again_as_the_seed_says(services: Services) -> None:
    orchestrator = services[0]
    tries: list[int] = []

    async def handler_func(context: dict[str, Any]) -> dict[str, Any]:
        tries.append(len(tries))
        if len(tries) < 3:
            raise ValueError("not yet")
        return {"tries": len(tries)}

    step = WorkflowStep(
        name="Step Name",
        handler=handler_func,
        max_retries=3,          # Retry up to 3 times
        timeout=300,            # 5 minute timeout
    )  # fmt: skip

    async def run() -> Any:
        workflow = await orchestrator.create_workflow("of one's own", steps=[step])
        return await orchestrator.execute_workflow(workflow.id)

    done = asyncio.run(run())
    assert done.status == "done"
    assert orchestrator.task_repo.state(done.id).results == {"Step Name": {"tries": 3}}


def test_the_example_of_the_documentation_runs(
    tmp_path: Path, services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "pipeline.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    sources = [{"folder": str(tmp_path / "pictures")}]
    asyncio.run(names["main"](str(tmp_path / "elsewhere"), sources))
    assert capsys.readouterr().out.splitlines() == ["done 12 85.71", "done 100.0 8 8"]
