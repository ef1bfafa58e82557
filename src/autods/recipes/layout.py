"""Laying a frozen version out for its readers: shards, a table, a folder of images."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autods.errors import PlaceError
from autods.export import Sample, write_folder, write_parquet, write_version_shards
from autods.recipes.file import BuildRecipe
from autods.recipes.publish import digest_in, is_published
from autods.store import Store, asset_key, read_asset, read_assets
from autods.versions import Version, read_members
from autods.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa


_PLACES = {"webdataset": "shards", "parquet": "data.parquet", "folder": "images"}


def is_laid_out(workspace: Workspace, recipe: BuildRecipe, number: int, digest: str) -> bool:
    """Tell whether all that a recipe asks of a version lies there; `version.txt` comes last."""
    folder = workspace.dataset_folder(recipe.name, number)
    wanted = ["version.txt", *(_PLACES[kind] for kind in recipe.export)]
    here = all((folder / name).exists() for name in wanted)
    return (here and digest_in(folder / "version.txt") == digest) or is_published(
        workspace.store, recipe.name, number, digest
    )


def lay_out(workspace: Workspace, version: Version, recipe: BuildRecipe) -> None:
    """Write the exports a recipe asks for beside each other; what is there is left as it is.

    Shards of earlier versions are reused where their members are the same; the image folder is
    linked to the store, so neither costs what it does not add.
    """
    store = workspace.store
    folder = workspace.dataset_folder(version.dataset, version.number)
    _take_over(folder, version)
    missing = {kind for kind in recipe.export if not (folder / _PLACES[kind]).exists()}
    members = list(samples(read_members(store, version))) if missing else []
    read = Assets(store)
    if "webdataset" in missing:
        write_version_shards(
            members, out=folder / "shards", read=read,
            max_count=recipe.shards.max_count, cache=workspace.folder("cache", "shards"),
        )  # fmt: skip
    if "parquet" in missing:
        write_parquet(members, folder / "data.parquet")
    if "folder" in missing:
        write_folder(
            members, folder / "images", read=read,
            path_of=lambda sha256: store.local_path(asset_key(sha256)),
        )  # fmt: skip


_MARK = ".digest"


def _take_over(folder: Path, version: Version) -> None:
    """Make the folder ours: what lies there of a version of another catalog is moved aside."""
    try:
        if (theirs := _digest_of(folder)) not in {None, version.digest}:
            folder.rename(folder.with_name(f"{folder.name}-{theirs[:8] if theirs else ''}"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).write_text(version.digest)
    except OSError as error:
        raise PlaceError(f"cannot write to {folder}: {error.strerror}") from error


def _digest_of(folder: Path) -> str | None:
    """Tell which version lies in a folder, by the mark of who began, or by what came last."""
    if (folder / _MARK).exists():
        return (folder / _MARK).read_text()
    return digest_in(folder / "version.txt")


@dataclass(frozen=True)
class Assets:
    """Reads assets, each checked against its name: what is damaged is not handed on."""

    store: Store

    def __call__(self, sha256: str) -> bytes:
        """Read one; raises PlaceError if it is missing or damaged."""
        return read_asset(self.store, sha256)

    def many(self, names: Iterable[str]) -> Iterator[bytes]:
        """Read them in order, some ahead where they lie far away."""
        return read_assets(self.store, names)


def samples(members: "pa.Table") -> Iterator[Sample]:
    """Turn the rows of a manifest into samples."""
    names = [name for name in Sample.__dataclass_fields__ if name in members.column_names]
    names += ["source", "near_of"]
    for batch in members.select(names).to_batches(4096):
        for row in batch.to_pylist():
            more = {"source": row.pop("source"), "near_of": row.pop("near_of")}
            meta = json.loads(row.pop("meta") or "{}") | {k: v for k, v in more.items() if v}
            yield Sample(**row, meta=meta)


def export_to(
    workspace: Workspace, version: Version, kind: str, out: Path, *, max_count: int, images: bool
) -> int:
    """Write one export of a version somewhere else; returns how many samples it holds."""
    store = workspace.store
    members = list(samples(read_members(store, version)))
    read = Assets(store)
    if kind == "webdataset":
        write_version_shards(members, out=out, read=read, max_count=max_count)
    elif kind == "parquet":
        write_parquet(members, out, images=images, read=read)
    else:
        write_folder(members, out, read=read)  # Copied: what is given away shares no bytes.
    return len(members)
