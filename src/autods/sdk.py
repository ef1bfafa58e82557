"""The SDK: seed 4's names over the stages, for scripts and notebooks."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from autods.assemble.checks import Checks
from autods.catalog.tables import blobs, refs
from autods.engine import LocalEngine
from autods.errors import AutodsError, UsageError
from autods.features import measure, phash_hex
from autods.ingest.listing import add_refs, count_refs, listing_lock
from autods.recipes.bond import bind
from autods.recipes.build import Built
from autods.recipes.build import build as run_build
from autods.recipes.file import folder_plan, read_recipe
from autods.recipes.intake import Intake, take
from autods.recipes.passing import PRELOAD
from autods.records import Ref, Refusal
from autods.run import Silent, batched
from autods.settings import shown_url
from autods.sources.files import file_location
from autods.store import asset_key
from autods.validate import decode
from autods.web.policy import HttpPolicy
from autods.workspace import Workspace, checked_name, init


class IngestClient:
    """Takes URLs and files into a dataset, one or many at a time.

    `workspace` is a folder or a Workspace, `dataset` the name under which the inputs are noted;
    `http` and `checks` are the recipe's sections of those names. Use it in a `with` block, or
    call `close`.
    """

    def __init__(
        self,
        workspace: Workspace | str | Path = ".",
        *,
        dataset: str = "inbox",
        http: HttpPolicy | None = None,
        checks: Checks | None = None,
        workers: int | None = None,
    ) -> None:
        self.workspace = workspace if isinstance(workspace, Workspace) else init(Path(workspace))
        self._dataset = checked_name(dataset)
        self._dataset_id = self.workspace.catalog.dataset_id(dataset)
        self._http, self._checks = http or HttpPolicy(), checks or Checks()
        self._workers = workers
        self._engine: LocalEngine | None = None

    def ingest_url(
        self,
        url: str,
        license: str | None = None,
        source: str | None = None,
    ) -> dict[str, Any]:
        """Take one URL in; see `ingest_batch` for what is returned."""
        return self.ingest_batch([url], license=license, source=source)[0]

    def ingest_batch(
        self,
        urls: Sequence[str],
        license: str | None = None,
        source: str | None = None,
    ) -> list[dict[str, Any]]:
        """Take many URLs (or paths of files) in; one dict for each, in their order.

        Keys: `id` and `checksum` (the SHA-256), `source_url`, `s3_key` (where the bytes lie in
        the store), `license`, `source`, `status` (`ingested`, `duplicate`, `rejected` or
        `failed`), `reason` and `detail` where it was refused. What was taken in before is not
        fetched again. Nothing is raised for a bad input.
        """
        if isinstance(urls, str):
            raise UsageError(f"ingest_batch takes a list of URLs, not one: [{urls!r}]")
        name = source or "sdk"
        wanted = [_ref(url, name, license) for url in urls]
        catalog = self.workspace.catalog
        bind(catalog, self.workspace.store)
        with catalog.lock(listing_lock(self._dataset), waiting=lambda: None):
            ids = add_refs(catalog, self._dataset_id, wanted)
        intake = Intake(
            workspace=self.workspace,
            dataset_id=self._dataset_id,
            checks=self._checks,
            http=self._http,
            inputs=count_refs(catalog, self._dataset_id),
        )
        take(intake, self._ready_engine, Silent())
        return self._outcomes(ids)

    def validate_asset(self, asset_bytes: bytes) -> bool:
        """Tell whether bytes are an image that can be decoded in full.

        >>> IngestClient.validate_asset(None, b"no image")  # type: ignore[arg-type]
        False
        """
        return not isinstance(decode(asset_bytes), Refusal)

    def close(self) -> None:
        """Stop the workers and close the catalog."""
        if self._engine is not None:
            self._engine.close()
        self.workspace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def _ready_engine(self) -> LocalEngine:
        if self._engine is None:
            self._engine = LocalEngine(self._workers, preload=PRELOAD)
        return self._engine

    def _outcomes(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        first = (
            sa.select(refs.c.asset_id, sa.func.min(refs.c.id).label("ref_id"))
            .where(refs.c.dataset_id == self._dataset_id)
            .group_by(refs.c.asset_id)
            .subquery()
        )
        query = (
            sa.select(refs, blobs.c.sha256, first.c.ref_id.label("first_id"))
            .outerjoin(blobs, blobs.c.id == refs.c.asset_id)
            .outerjoin(first, first.c.asset_id == refs.c.asset_id)
        )
        rows: dict[int, dict[str, Any]] = {}
        with self.workspace.catalog.read() as db:
            for some in batched(ids, 5000):
                found = db.execute(query.where(refs.c.id.in_(some))).mappings()
                rows |= {row["id"]: _outcome(row) for row in found}
        return [rows[i] for i in ids]


def preprocess_asset(asset_id: str, asset_bytes: bytes, modality: str = "image") -> dict[str, Any]:
    """Decode and measure one image: seed 4's features, and ours under `metadata`.

    Raises UsageError for a modality there is no code for, AutodsError with the reason if the
    bytes cannot be decoded.
    """
    if modality != "image":
        raise UsageError(f"no features for modality {modality!r} (valid: image)")
    picture = decode(asset_bytes)
    if isinstance(picture, Refusal):
        raise AutodsError(f"asset {asset_id}: {picture.reason}: {picture.detail}")
    seen = measure(picture)
    return {
        "id": asset_id,
        "modality": modality,
        "phash": phash_hex(seen.phash),
        "dimensions": {"width": picture.width, "height": picture.height},
        "file_size": picture.file_size,
        "format": picture.format.lower().replace("jpeg", "jpg"),
        "metadata": {
            "mode": picture.mode,
            "frames": picture.frames,
            "orientation": picture.orientation,
            "pixel_checksum": picture.pixel_checksum,
            "phash_algorithm": seen.phash_algorithm,
            "brightness": seen.brightness,
            "contrast": seen.contrast,
            "sharpness": seen.sharpness,
            "entropy": seen.entropy,
        },
    }


def extract_pHash(image_bytes: bytes) -> str:  # noqa: N802 - the seed's name
    """Give the perceptual hash of an image as 16 hex digits.

    Raises AutodsError with the reason if the bytes cannot be decoded.
    """
    return str(preprocess_asset("the image", image_bytes)["phash"])


def build(recipe: str | Path, workspace: Workspace | str | Path = ".") -> Built:
    """Build a dataset version from a recipe file, or from a folder with every default."""
    path = Path(recipe)
    plan = folder_plan(path) if path.is_dir() else read_recipe(path)
    place = (
        workspace if isinstance(workspace, Workspace) else init(Path(workspace), plan.recipe.places)
    )
    return run_build(place, plan)


def _ref(url: str, source: str, license_: str | None) -> Ref:
    if "://" not in url and os.path.isfile(url):  # noqa: PTH113 - Path's own raises for odd names
        path = Path(url)
        stat = path.stat()
        stamp, location = f"{stat.st_size}:{stat.st_mtime_ns}", file_location(str(path.absolute()))
        return Ref(uri=url, source=source, location=location, stamp=stamp, license=license_)
    location = (
        url
        if "://" in url
        else f"refused:bad-url:neither a URL nor a file: {shown_url(url)[:200]!r}"
    )
    return Ref(uri=shown_url(url), source=source, location=location, license=license_)


def _outcome(row: Any) -> dict[str, Any]:
    status = row["status"]
    if status == "asset":
        status = "ingested" if row["id"] == row["first_id"] else "duplicate"
    return {
        "id": row["sha256"],
        "source_url": row["uri"],
        "s3_key": asset_key(row["sha256"]) if row["sha256"] else None,
        "checksum": row["sha256"],
        "license": row["license"],
        "source": row["source"],
        "status": status,
        "reason": row["reason"],
        "detail": row["detail"],
    }
