"""What a pipeline's run came to: seed 3's metrics, each counted in the catalog, none assumed."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import placements, refs
from autods.label.ledger import in_force
from autods.recipes.counting import count_inputs, count_storage
from autods.report.counts import UNREAD, Counts
from autods.run.state import RunState

SETUP, CRAWL, VALIDATE, DEDUPLICATE, LABEL, STORE, REPORT, CLEANUP = STEPS = (
    "Setup Workspace",
    "Crawl Images",
    "Validate Images",
    "Deduplicate Images",
    "Generate Labels",
    "Storage Tiering",
    "Quality Report",
    "Cleanup",
)
"""The eight steps, in order."""

_DURATIONS = {
    CRAWL: "crawl_duration",
    VALIDATE: "validation_duration",
    DEDUPLICATE: "dedup_duration",
    LABEL: "labeling_duration",
    STORE: "storage_duration",
}


@dataclass(frozen=True, kw_only=True)
class PipelineMetrics:
    """Seed 3's figures of one run; durations are in seconds, times in UTC.

    - `images_crawled`: downloads that came in whole, copies included; `images_validated` are those
      the validation looked at, `valid_images` and `invalid_images` its verdicts.
    - `duplicates_found`: images that are copies of another by bytes, pixels or looks;
      `duplicates_removed` are those left out of the dataset; `unique_images` is what is left.
    - `images_labeled`: members of the version with a label in force.
    - `hot_storage_count`, `cold_storage_count`: members by the place their bytes lie in.
    - `quality_score`: in percent, as docs/quality.md defines it.

    >>> PipelineMetrics().to_dict()["images_crawled"]
    0
    """

    start_time: dt.datetime | None = None
    end_time: dt.datetime | None = None
    total_duration: float = 0.0
    images_crawled: int = 0
    crawl_duration: float = 0.0
    images_validated: int = 0
    valid_images: int = 0
    invalid_images: int = 0
    validation_duration: float = 0.0
    duplicates_found: int = 0
    duplicates_removed: int = 0
    unique_images: int = 0
    dedup_duration: float = 0.0
    images_labeled: int = 0
    labeling_duration: float = 0.0
    hot_storage_count: int = 0
    cold_storage_count: int = 0
    storage_duration: float = 0.0
    quality_score: float = 0.0
    report_generated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give the metrics as a dictionary fit for JSON; times are ISO 8601."""
        return {
            name: value.isoformat() + "Z" if isinstance(value, dt.datetime) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "PipelineMetrics":
        """Read what `to_dict` gave.

        >>> PipelineMetrics.of(PipelineMetrics(unique_images=3).to_dict()).unique_images
        3
        """
        times = {name: _time(said[name]) for name in ("start_time", "end_time")}
        return cls(**{**said, **times})

    def timed(self, state: RunState) -> "PipelineMetrics":
        """Take the times from what the run's events say."""
        took = {step.name: step.seconds or 0.0 for step in state.steps}
        times: dict[str, Any] = {field: took.get(name, 0.0) for name, field in _DURATIONS.items()}
        return replace(
            self,
            start_time=state.started_at,
            end_time=state.finished_at,
            total_duration=state.seconds,
            **times,
        )


def _time(said: str | None) -> dt.datetime | None:
    return None if said is None else dt.datetime.fromisoformat(said.removesuffix("Z"))


def measure(
    catalog: Catalog, dataset_id: int, policy: str, results: Mapping[str, Mapping[str, Any]]
) -> PipelineMetrics:
    """Count where the images of a dataset stand now; `results` are those of the steps that ended.

    What has not been done yet is 0: nothing is a duplicate before it has its verdict.
    """
    counts = count_inputs(catalog, dataset_id, policy)
    crawled = _downloaded(catalog, dataset_id)
    held = count_storage(catalog, dataset_id, policy)
    invalid = _invalid(catalog, dataset_id, policy)
    metrics = PipelineMetrics(images_crawled=crawled)
    if VALIDATE in results:
        metrics = replace(
            metrics,
            images_validated=crawled,
            valid_images=crawled - invalid,
            invalid_images=invalid,
        )
    return replace(
        metrics,
        **_copies(catalog, dataset_id, policy, counts),
        images_labeled=_labeled(catalog, dataset_id, policy),
        hot_storage_count=held["hot"].members if "hot" in held else 0,
        cold_storage_count=held["cold"].members if "cold" in held else 0,
        quality_score=round(counts.quality_score, 2),
        report_generated=bool(results.get(REPORT, {}).get("report")),
    )


def _copies(catalog: Catalog, dataset_id: int, policy: str, counts: Counts) -> dict[str, Any]:
    marked = sa.select(sa.func.count()).where(
        *_mine(dataset_id, policy), placements.c.verdict == "kept", placements.c.of_seq.is_not(None)
    )
    with catalog.read() as db:
        kept_copies = db.scalar(marked) or 0
    return {
        "duplicates_found": counts.duplicates + kept_copies,
        "duplicates_removed": counts.duplicates,
        "unique_images": counts.accepted + counts.withheld,
    }


def _labeled(catalog: Catalog, dataset_id: int, policy: str) -> int:
    labels = in_force(dataset_id)
    query = (
        sa.select(sa.func.count())
        .select_from(placements)
        .join(labels, labels.c.asset_id == placements.c.asset_id)
        .where(*_mine(dataset_id, policy), placements.c.verdict == "kept")
    )
    with catalog.read() as db:
        return db.scalar(query) or 0


def _downloaded(catalog: Catalog, dataset_id: int) -> int:
    """Count the inputs whose bytes came in: assets, and what was rejected for what it holds."""
    query = sa.select(sa.func.count()).where(
        refs.c.dataset_id == dataset_id,
        refs.c.gone_at.is_(None),
        sa.or_(
            refs.c.status == "asset",
            sa.and_(refs.c.status == "rejected", refs.c.reason.not_in(UNREAD)),
        ),
    )
    with catalog.read() as db:
        return db.scalar(query) or 0


def _invalid(catalog: Catalog, dataset_id: int, policy: str) -> int:
    """Count the downloads that something was found against, filtered or not."""
    found = sa.select(placements.c.asset_id).where(
        *_mine(dataset_id, policy),
        placements.c.reason.is_not(None),
        placements.c.verdict != "withheld",
    )
    query = sa.select(sa.func.count()).where(
        refs.c.dataset_id == dataset_id,
        refs.c.gone_at.is_(None),
        sa.or_(
            sa.and_(refs.c.status == "rejected", refs.c.reason.not_in(UNREAD)),
            sa.and_(
                refs.c.status == "asset",
                sa.or_(refs.c.reason.is_not(None), refs.c.asset_id.in_(found)),
            ),
        ),
    )
    with catalog.read() as db:
        return db.scalar(query) or 0


def _mine(dataset_id: int, policy: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (placements.c.dataset_id == dataset_id, placements.c.policy == policy)
