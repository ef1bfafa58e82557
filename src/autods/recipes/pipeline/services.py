"""The parts a pipeline is put together from, with seed 3's names; each a thin face of a stage."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autods.assemble.checks import Checks, judge, judges
from autods.recipes.passing import look
from autods.recipes.pipeline.metrics import PipelineMetrics
from autods.recipes.pipeline.repositories import CrawlJob, JobRepository, Workflow
from autods.recipes.pipeline.steps import measured, plan_of
from autods.records import Refusal
from autods.store import Store, asset_key, far_of, put_assets, read_asset, sha256_of
from autods.store import TieredStore as StorageProvider
from autods.validate import Limits
from autods.workspace import Workspace, init

__all__ = [
    "CheckManager",
    "CheckResult",
    "CrawlJobService",
    "MetricsService",
    "StorageProvider",
    "StorageService",
]


class CrawlJobService:
    """Keeps crawl jobs: what is to be crawled, under a number.

    A job's sources are those of a recipe (docs/recipe.md): sites, URL lists, searches, folders.
    """

    def __init__(self, job_repo: JobRepository) -> None:
        self.job_repo = job_repo

    async def create_job(
        self,
        name: str,
        *,
        seeds: Sequence[str] = (),
        sources: Sequence[Mapping[str, Any]] = (),
        base: str | Path = ".",
        recipe: Mapping[str, Any] | None = None,
        **scope: Any,
    ) -> CrawlJob:
        """Note a job: `seeds` to crawl from, with the options of a crawl, or `sources`, or both.

        `recipe` holds what else a recipe may say; paths are relative to `base`. Raises RecipeError
        that names the wrong key, its value and the valid choices.
        """
        crawls = [{"crawl": list(seeds), **scope}] if seeds or scope else []
        said = {**(recipe or {}), "sources": [*crawls, *map(dict, sources)]}
        spec = {"recipe": said, "base": str(Path(base).absolute())}
        plan_of(spec, "check", f"job {name!r}")
        return await asyncio.to_thread(self.job_repo.create, name, spec)

    async def get_job(self, job_id: int) -> CrawlJob:
        """Give a job; raises UsageError if there is none."""
        return await asyncio.to_thread(self.job_repo.get, job_id)

    async def list_jobs(self) -> list[CrawlJob]:
        """Give all jobs, oldest first."""
        return await asyncio.to_thread(self.job_repo.list)


class StorageService:
    """The workspace's bytes: hot and cold store behind one door, named by their SHA-256."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    @classmethod
    def open(cls, folder: str | Path, **places: Any) -> "StorageService":
        """Open a workspace, or make one, with a cold store if none is named (see `with_cold`)."""
        return cls(with_cold(Path(folder), places))

    @property
    def provider(self) -> Store:
        """The store itself, tiered if there is a cold one."""
        return far_of(self.workspace.store)

    async def put(self, images: Sequence[bytes]) -> list[str]:
        """Store images; returns their SHA-256."""
        named = {sha256_of(data): data for data in images}
        await asyncio.to_thread(put_assets, self.workspace.store, named)
        return [sha256_of(data) for data in images]

    async def get(self, sha256: str) -> bytes:
        """Read an image, checked against its name, wherever it lies."""
        return await asyncio.to_thread(read_asset, self.workspace.store, sha256)

    async def tier_of(self, sha256: str) -> str | None:
        """Say where an image lies: hot, cold, or None if nowhere."""
        store = self.provider
        if isinstance(store, StorageProvider):
            return await asyncio.to_thread(store.tier_of, asset_key(sha256))
        return "hot" if await asyncio.to_thread(store.has, asset_key(sha256)) else None


def with_cold(root: Path, places: Mapping[str, Any] | None = None) -> Workspace:
    """Open a workspace, or make one; its cold store is `.autods/cold` unless another is named."""
    said = dict(places or {})
    place = init(root, said)
    if place.settings.cold_store_url() is not None or "cold_store" in said:
        return place
    place.close()
    return init(root, {**said, "cold_store": str(place.home / "cold")})


class MetricsService:
    """Measures what workflows have come to."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    async def measure(self, workflow: Workflow) -> PipelineMetrics:
        """Count in the catalog, now."""
        return await asyncio.to_thread(measured, self.workspace, workflow)


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What the checks say of one image."""

    is_valid: bool
    reason: str | None = None
    detail: str | None = None


class CheckManager:
    """Asks of an image all that a pipeline asks: format, decoding, size, a user's own checks.

    >>> asyncio.run(CheckManager().check(b"no picture")).reason
    'unknown-format'
    """

    def __init__(self, checks: Checks | None = None) -> None:
        self.checks = checks or Checks()
        self._named = judges(self.checks)

    async def check(self, image_bytes: bytes) -> CheckResult:
        """Judge one image."""
        return await asyncio.to_thread(self._check, image_bytes)

    async def check_batch(self, images: Sequence[bytes]) -> list[CheckResult]:
        """Judge several, in their order."""
        return await asyncio.gather(*map(self.check, images))

    def _check(self, data: bytes) -> CheckResult:
        limits = Limits(max_bytes=self.checks.max_bytes, max_pixels=self.checks.max_pixels)
        found = look(data, limits=limits)
        if isinstance(found, Refusal):
            return CheckResult(is_valid=False, reason=found.reason, detail=found.detail)
        reason = judge(row_of(found), self._named)
        if reason is None:
            return CheckResult(is_valid=True)
        return CheckResult(is_valid=False, reason=reason[0], detail=reason[1])


def row_of(found: Any) -> dict[str, Any]:
    """Give what was found in an image as the row a check sees."""
    return {name: getattr(found, name) for name in found.__dataclass_fields__}
