"""Laying out a folder of images in the place of artifacts: what is there stays, the rest comes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from autods.recipes.candidates.work import Work
from autods.run import batched
from autods.store import asset_key, copy_many

MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Laid:
    """What laying out came to: objects that were brought, and the bytes that came through here."""

    brought: int
    moved_bytes: int
    removed: int


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What is to lie beneath a prefix: objects by their paths, as (sha256, size); and its files."""

    prefix: str
    objects: Mapping[str, tuple[str, int]]
    files: Mapping[str, bytes]


def lay_out(
    work: Work, folder: Folder, *, is_ours: Callable[[str], object] = lambda _: False
) -> Laid:
    """Bring what is missing, within the server where the bytes are on it; the manifest comes last.

    Whoever sees the manifest sees all it speaks of. What is ours by its name, and not wanted any
    more, goes. Run again after a kill, it brings what is missing still.
    """
    target, store = work.artifacts, work.workspace.store
    there = {entry.key: entry.size for entry in target.entries(folder.prefix)}
    missing = {
        f"{folder.prefix}{path}": asset_key(sha256)
        for path, (sha256, size) in folder.objects.items()
        if there.get(f"{folder.prefix}{path}") != size
    }
    wanted = {f"{folder.prefix}{path}" for path in folder.objects}
    old = [key for key in there if key not in wanted and is_ours(key)]
    cut = [key for key in missing if key in there]  # Not what it should be: brought anew.
    target.delete_many(old + cut)
    moved = 0
    for some in batched(sorted(missing.items()), 1000):
        for size in copy_many([(asset, key) for key, asset in some], store, target):
            moved += size
            work.stages.progress.advance()
    write_files(work, folder)
    return Laid(brought=len(missing), moved_bytes=moved, removed=len(old))


def write_files(work: Work, folder: Folder) -> None:
    """Write a folder's files, its manifest last."""
    for name, data in sorted(folder.files.items(), key=lambda file: file[0] == MANIFEST):
        work.artifacts.replace(f"{folder.prefix}{name}", data)


def place_of(work: Work, prefix: str) -> str:
    """Name a folder as people find it: a path, or a URL."""
    path = work.artifacts.local_path(f"{prefix}{MANIFEST}")
    return str(path.parent) if path else f"{work.artifacts.url.rstrip('/')}/{prefix.rstrip('/')}"


def objects_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, int]]:
    """Give the objects that samples stand for."""
    return {row["path"]: (row["sha256"], row["size"]) for row in rows}
