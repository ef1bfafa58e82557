"""The parts of a pipeline, each by itself: what they give, and what they say of what cannot be."""

import asyncio
import io
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import autods
from autods import (
    CheckManager,
    CrawlJobService,
    JobOrchestrator,
    JobRepository,
    PipelineConfig,
    PipelineMetrics,
    StorageProvider,
    StorageService,
    TaskRepository,
    WorkflowRepository,
    WorkflowStep,
)
from autods.assemble.checks import Checks
from autods.errors import PlaceError, RecipeError, UsageError
from autods.workspace import Workspace


def wait(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def png(side: int, seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return autods.init(tmp_path)


def orchestrator_of(place: Workspace) -> JobOrchestrator:
    return JobOrchestrator(WorkflowRepository(place), TaskRepository(place), JobRepository(place))


def test_a_check_manager_judges_as_the_pipeline_does() -> None:
    manager = CheckManager(Checks(min_width=32, min_height=32))
    results = wait(manager.check_batch([png(64), png(16), b"GIF89a", b""]))
    assert [r.is_valid for r in results] == [True, False, False, False]
    assert [r.reason for r in results] == [None, "too-small", "corrupt", "empty"]
    assert results[1].detail == "16x16 pixels, 32x32 wanted"


def test_a_storage_service_keeps_images_in_two_tiers_behind_one_door(tmp_path: Path) -> None:
    service = StorageService.open(tmp_path)
    one, other = wait(service.put([png(8, 1), png(8, 2)]))
    assert isinstance(service.provider, StorageProvider)
    service.provider.move([f"raw/{other[:2]}/{other}"], "cold")
    service.provider.forget([f"raw/{other[:2]}/{other}"], "hot")
    assert [wait(service.tier_of(name)) for name in (one, other, "f" * 64)] == ["hot", "cold", None]
    assert wait(service.get(other)) == png(8, 2)


def test_jobs_are_kept_and_wrong_ones_refused_with_the_key(place: Workspace) -> None:
    service = CrawlJobService(JobRepository(place))
    job = wait(service.create_job("birds", seeds=["https://example.org/"], depth=2))
    assert (job.id, job.name) == (1, "birds")
    assert job.spec["recipe"]["sources"] == [{"crawl": ["https://example.org/"], "depth": 2}]
    assert wait(service.list_jobs()) == [job]
    with pytest.raises(
        RecipeError, match=r"job 'x': sources\.0\.dept: unknown key; did you mean 'depth'"
    ):
        wait(service.create_job("x", seeds=["https://example.org/"], dept=2))
    with pytest.raises(RecipeError, match=r"ftp://example\.org/"):
        wait(service.create_job("x", seeds=["ftp://example.org/"]))
    with pytest.raises(UsageError, match=r"no job 7 \(there: 1\)"):
        wait(service.get_job(7))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"validation_mode": "lax"}, "validation_mode='lax' is not one of 'strict', 'lenient'"),
        ({"label_formats": ("voc",)}, "label_formats='voc' is not one of 'txt', 'caption'"),
        ({"hot_storage_threshold": -1}, "hot_storage_threshold=-1 is below 0"),
        ({"enable_validation": "maybe"}, "enable_validation='maybe' will not do: bool is wanted"),
        ({"label_formats": "coco"}, "label_formats='coco' will not do: tuple or list is wanted"),
        ({"max_concurrent_validations": "five"}, "max_concurrent_validations='five' will not do"),
        ({"max_concurrent_validations": 0}, "max_concurrent_validations=0 is not above 0"),
    ],
)
def test_a_wrong_switch_is_refused_by_name(said: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PipelineConfig(**said)


def test_metrics_are_zero_and_read_only_before_anything_was_done() -> None:
    metrics = PipelineMetrics()
    assert not any(metrics.to_dict().values())
    with pytest.raises(AttributeError):
        metrics.images_crawled = 3  # type: ignore[misc]


def test_what_an_orchestrator_does_not_know_it_says(place: Workspace) -> None:
    orchestrator = orchestrator_of(place)
    with pytest.raises(UsageError, match="no steps are known for 'walk'"):
        wait(orchestrator.create_workflow("walk"))
    with pytest.raises(UsageError, match="no workflow 3"):
        wait(orchestrator.execute_workflow(3))
    step = WorkflowStep(name="only", handler=lambda context: {"seen": 1})
    workflow = wait(orchestrator.create_workflow("walk", steps=[step]))
    with pytest.raises(UsageError, match="is pending, not running"):
        wait(orchestrator.cancel_workflow(workflow.id))
    with pytest.raises(UsageError, match="no job 9"):
        wait(orchestrator.create_workflow("walk", job_id=9))


@pytest.mark.slow
def test_a_failed_workflow_says_so_and_is_taken_up_where_it_failed(place: Workspace) -> None:
    orchestrator, ran = orchestrator_of(place), list[str]()

    def first(_: Any) -> dict[str, Any]:
        ran.append("first")
        return {"one": 1}

    def second(context: Any) -> dict[str, Any]:
        ran.append("second")
        if ran.count("second") == 1:
            raise PlaceError("the disk is full")
        return {"two": context["one"] + 1}

    def clean(_: Any) -> None:
        ran.append("clean")

    steps = [
        WorkflowStep(name="first", handler=first),
        WorkflowStep(name="second", handler=second),
        WorkflowStep(name="clean", handler=clean, always=True),
    ]
    workflow = wait(orchestrator.create_workflow("walk", steps=steps))
    with pytest.raises(PlaceError, match="the disk is full"):
        wait(orchestrator.execute_workflow(workflow.id))
    failed = wait(orchestrator.get_workflow(workflow.id))
    assert (failed.status, failed.error) == ("failed", "PlaceError: the disk is full")
    assert ran == ["first", "second", "clean"]
    assert wait(orchestrator.recover_workflow(workflow.id)).status == "done"
    assert ran == ["first", "second", "clean", "second", "clean"]


@pytest.mark.slow
def test_whoever_stops_waiting_interrupts_the_workflow(place: Workspace) -> None:
    orchestrator = orchestrator_of(place)

    async def long(_: Any) -> None:
        await asyncio.sleep(60)

    async def give_up() -> None:
        step = WorkflowStep(name="long", handler=long)
        workflow = await orchestrator.create_workflow("walk", steps=[step])
        running = asyncio.create_task(orchestrator.execute_workflow(workflow.id))
        while (await orchestrator.get_workflow(workflow.id)).status != "running":
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await orchestrator.get_workflow(workflow.id)).status == "interrupted"

    wait(asyncio.wait_for(give_up(), 30))
