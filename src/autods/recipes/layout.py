"""Laying a frozen version out for its readers: shards, a table, a folder of images."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from autods.export import Sample, write_folder, write_parquet, write_version_shards
from autods.recipes.file import BuildRecipe
from autods.store import asset_key
from autods.versions import Version, read_members
from autods.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa


def lay_out(workspace: Workspace, version: Version, recipe: BuildRecipe) -> None:
    """Write the exports a recipe asks for beside each other; run again it replaces nothing new.

    Shards of earlier versions are reused where their members are the same; the image folder is
    linked to the store, so neither costs what it does not add.
    """
    store = workspace.store
    folder = workspace.dataset_folder(version.dataset, version.number)
    folder.mkdir(parents=True, exist_ok=True)
    members = list(samples(read_members(store, version)))

    def read(sha256: str) -> bytes:
        return store.get(asset_key(sha256))

    if "webdataset" in recipe.export:
        write_version_shards(
            members, out=folder / "shards", read=read,
            max_count=recipe.shards.max_count, cache=workspace.folder("cache", "shards"),
        )  # fmt: skip
    if "parquet" in recipe.export:
        write_parquet(members, folder / "data.parquet")
    if "folder" in recipe.export:
        write_folder(
            members, folder / "images", read=read,
            path_of=lambda sha256: store.local_path(asset_key(sha256)),
        )  # fmt: skip


def samples(members: "pa.Table") -> Iterator[Sample]:
    """Turn the rows of a manifest into samples."""
    names = [name for name in Sample.__dataclass_fields__ if name in members.column_names]
    for batch in members.select(names).to_batches(4096):
        for row in batch.to_pylist():
            yield Sample(**{**row, "meta": json.loads(row["meta"] or "{}")})


def export_to(
    workspace: Workspace, version: Version, kind: str, out: Path, *, max_count: int, images: bool
) -> int:
    """Write one export of a version somewhere else; returns how many samples it holds."""
    store = workspace.store
    members = list(samples(read_members(store, version)))

    def read(sha256: str) -> bytes:
        return store.get(asset_key(sha256))

    if kind == "webdataset":
        write_version_shards(members, out=out, read=read, max_count=max_count)
    elif kind == "parquet":
        write_parquet(members, out, images=images, read=read)
    else:
        write_folder(members, out, read=read)  # Copied: what is given away shares no bytes.
    return len(members)
