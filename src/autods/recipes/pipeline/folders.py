"""The temporary workspace of a run: what each step has let through, as files to look at."""

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, measures, placements, refs
from autods.errors import PlaceError
from autods.export.member import extension
from autods.store import asset_key, read_asset
from autods.workspace import Workspace

FOLDERS = ("crawled", "validated", "deduplicated", "labeled")
"""As in seed 3: raw images, those that passed, those that are no copies, those with labels."""


class TempWorkspace:
    """A folder of one run, `temp_workspace/` of seed 3, under the workspace's own.

    Images are hard links to the store where it is on this disk, and copies only if `keep`, for
    nobody looks at what is removed at the end. It can be made again at any time: nothing that a
    step needs lies here alone.
    """

    def __init__(self, workspace: Workspace, run_id: int, *, keep: bool) -> None:
        self.path = workspace.home / "temp" / f"run-{run_id}"
        self._store, self._keep = workspace.store, keep

    def make(self) -> None:
        """Make its folders; raises PlaceError if that cannot be done."""
        try:
            for name in FOLDERS:
                (self.path / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PlaceError(f"cannot make {self.path}: {error.strerror}") from error

    def sweep(self, are_over: Callable[[Collection[int]], Collection[int]]) -> None:
        """Remove the folders of other runs, as far as `are_over` says of their numbers."""
        others = {
            int(path.name.removeprefix("run-")): path
            for path in self.path.parent.glob("run-[0-9]*")
            if path != self.path and path.name.removeprefix("run-").isdecimal()
        }
        for number in are_over(list(others)):
            shutil.rmtree(others[number], ignore_errors=True)

    def fill(self, folder: str, images: Iterable[tuple[str, str]]) -> int:
        """Put images, given as (sha256, format), into one of the folders; returns how many."""
        self.make()
        count = 0
        for sha256, kind in images:
            count += self._put(sha256, self.path / folder / f"{sha256[:20]}.{extension(kind)}")
        return count

    def remove(self) -> bool:
        """Remove it with all that is in it; tells whether it was there."""
        was_there = self.path.exists()
        try:
            shutil.rmtree(self.path, ignore_errors=False) if was_there else None
        except OSError as error:
            raise PlaceError(f"cannot remove {self.path}: {error.strerror}") from error
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()
        return was_there

    def _put(self, sha256: str, path: Path) -> bool:
        if path.exists():
            return True
        held = self._store.local_path(asset_key(sha256))
        with contextlib.suppress(OSError):
            if held is not None and held.exists():
                os.link(held, path)
                return True
        if self._keep:
            path.write_bytes(read_asset(self._store, sha256))
        return self._keep


def crawled(catalog: Catalog, dataset_id: int) -> Iterator[tuple[str, str]]:
    """Yield what was downloaded and held: (sha256, format)."""
    live = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None))
    query = (
        sa.select(blobs.c.sha256, measures.c.format)
        .join(refs, refs.c.asset_id == blobs.c.id)
        .outerjoin(measures, measures.c.asset_id == blobs.c.id)
        .where(*live)
        .distinct()
        .order_by(blobs.c.sha256)
    )
    yield from _read(catalog, query)


def placed(
    catalog: Catalog, dataset_id: int, policy: str, verdicts: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Yield what was given one of some verdicts: (sha256, format)."""
    query = (
        sa.select(blobs.c.sha256, measures.c.format)
        .join(placements, placements.c.asset_id == blobs.c.id)
        .outerjoin(measures, measures.c.asset_id == blobs.c.id)
        .where(
            placements.c.dataset_id == dataset_id,
            placements.c.policy == policy,
            placements.c.verdict.in_(tuple(verdicts)),
        )
        .order_by(placements.c.seq)
    )
    yield from _read(catalog, query)


def _read(catalog: Catalog, query: "sa.Select[Any]") -> Iterator[tuple[str, str]]:
    with catalog.read() as db:
        for sha256, kind in db.execute(query):
            yield sha256, kind or ""
