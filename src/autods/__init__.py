"""autods: a dataset factory. Growing raw sources in; immutable dataset versions out.

The names below are imported from their modules on first use, so that `import autods` is quick.

>>> import autods
>>> autods.ABSTAIN
-1
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autods.export import create_shards
    from autods.label import LabelingFunction, LabelModel, MajorityLabelVoter, labeling_function
    from autods.recipes.label_generator import LabelGenerator
    from autods.recipes.pipeline.config import PipelineConfig
    from autods.recipes.pipeline.metrics import PipelineMetrics
    from autods.recipes.pipeline.orchestrator import JobOrchestrator
    from autods.recipes.pipeline.pipeline import DatasetProcessingPipeline
    from autods.recipes.pipeline.repositories import (
        JobRepository,
        TaskRepository,
        WorkflowRepository,
    )
    from autods.recipes.pipeline.services import (
        CheckManager,
        CrawlJobService,
        MetricsService,
        StorageProvider,
        StorageService,
    )
    from autods.records import ABSTAIN, Ref, Refusal
    from autods.run import WorkflowStep
    from autods.sdk import IngestClient, build, extract_pHash, preprocess_asset
    from autods.workspace import Workspace, init, open

__version__ = "0.1.0"

_HOMES = {
    "ABSTAIN": "records",
    "CheckManager": "recipes.pipeline.services",
    "CrawlJobService": "recipes.pipeline.services",
    "DatasetProcessingPipeline": "recipes.pipeline.pipeline",
    "IngestClient": "sdk",
    "JobOrchestrator": "recipes.pipeline.orchestrator",
    "JobRepository": "recipes.pipeline.repositories",
    "LabelGenerator": "recipes.label_generator",
    "LabelModel": "label",
    "LabelingFunction": "label",
    "MajorityLabelVoter": "label",
    "MetricsService": "recipes.pipeline.services",
    "PipelineConfig": "recipes.pipeline.config",
    "PipelineMetrics": "recipes.pipeline.metrics",
    "Ref": "records",
    "Refusal": "records",
    "StorageProvider": "recipes.pipeline.services",
    "StorageService": "recipes.pipeline.services",
    "TaskRepository": "recipes.pipeline.repositories",
    "WorkflowRepository": "recipes.pipeline.repositories",
    "WorkflowStep": "run",
    "Workspace": "workspace",
    "build": "sdk",
    "create_shards": "export",
    "extract_pHash": "sdk",
    "init": "workspace",
    "labeling_function": "label",
    "open": "workspace",
    "preprocess_asset": "sdk",
}

__all__ = [
    "ABSTAIN",
    "CheckManager",
    "CrawlJobService",
    "DatasetProcessingPipeline",
    "IngestClient",
    "JobOrchestrator",
    "JobRepository",
    "LabelGenerator",
    "LabelModel",
    "LabelingFunction",
    "MajorityLabelVoter",
    "MetricsService",
    "PipelineConfig",
    "PipelineMetrics",
    "Ref",
    "Refusal",
    "StorageProvider",
    "StorageService",
    "TaskRepository",
    "WorkflowRepository",
    "WorkflowStep",
    "Workspace",
    "build",
    "create_shards",
    "extract_pHash",
    "init",
    "labeling_function",
    "open",
    "preprocess_asset",
]


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
