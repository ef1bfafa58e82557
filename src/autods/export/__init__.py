"""Turn samples into files that training code reads: WebDataset shards, parquet, image folders.

The names below are imported from their modules on first use, so that `import autods.export` stays
quick and pulls in neither numpy nor pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autods.export.folder import FolderExport, write_folder
    from autods.export.member import Sample
    from autods.export.parquet import write_parquet
    from autods.export.plan import plan_shards
    from autods.export.stable import forget_samples, write_version_shards
    from autods.export.tar import TarWriter, tar_index
    from autods.export.webdataset import Shard, create_shards

_HOMES = {
    "FolderExport": "folder",
    "Sample": "member",
    "Shard": "webdataset",
    "TarWriter": "tar",
    "create_shards": "webdataset",
    "forget_samples": "stable",
    "plan_shards": "plan",
    "tar_index": "tar",
    "write_folder": "folder",
    "write_parquet": "parquet",
    "write_version_shards": "stable",
}

__all__ = [
    "FolderExport",
    "Sample",
    "Shard",
    "TarWriter",
    "create_shards",
    "forget_samples",
    "plan_shards",
    "tar_index",
    "write_folder",
    "write_parquet",
    "write_version_shards",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
