"""What a verdict is given on: the policy it is given by, and the assets that wait for one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, measures, placements, refs, thumbs
from autods.dedup.decide import Confirm, DedupPolicy
from autods.run import Progress, batched

BATCH = 4096

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Placing:
    """Where and how verdicts are given.

    `policy` is the fingerprint of everything a verdict depends on: with another policy all are
    given anew. `judge` gives (reason, detail) against an asset or None, and only `filters` what
    it says where that is true. `settle` is called in the transaction with (asset id, sha256,
    asset ids of near lookalikes) of what is kept, and gives the asset ids to withhold.
    """

    catalog: Catalog
    dataset_id: int
    policy: str
    radius: int
    lookalike_radius: int
    near: DedupPolicy
    index_path: Path
    judge: Callable[[Row], tuple[str, str] | None]
    filters: bool
    confirm: Confirm
    same_pixels: Callable[[str, str], bool]
    settle: Callable[[sa.Connection, list[tuple[int, str, list[int]]]], set[int]]

    @property
    def mine(self) -> sa.ColumnElement[bool]:
        """Select this dataset's placements under this policy."""
        here = placements.c.dataset_id == self.dataset_id
        return sa.and_(here, placements.c.policy == self.policy)


def firsts(dataset_id: int, *among: sa.ColumnElement[bool]) -> sa.Subquery:
    """Select each live asset of a dataset with its first sighting: that is when it arrived."""
    return (
        sa.select(refs.c.asset_id, sa.func.min(refs.c.id).label("ref_id"))
        .where(
            refs.c.dataset_id == dataset_id,
            refs.c.gone_at.is_(None),
            refs.c.asset_id.is_not(None),
            *among,
        )
        .group_by(refs.c.asset_id)
        .subquery("firsts")
    )


def waiting(placing: Placing) -> list[int]:
    """List the assets without a verdict whose turn it is, in order of arrival."""
    first = firsts(placing.dataset_id)
    placed = sa.exists().where(placing.mine, placements.c.asset_id == first.c.asset_id)
    # Another run may still be taking in what arrived before: nobody is placed ahead of his turn.
    undone = sa.select(sa.func.min(refs.c.id)).where(
        refs.c.dataset_id == placing.dataset_id,
        refs.c.gone_at.is_(None),
        refs.c.fingerprint.is_(None),
    )
    turn = first.c.ref_id < sa.func.coalesce(undone.scalar_subquery(), 1 << 62)
    query = sa.select(first.c.asset_id).where(~placed, turn).order_by(first.c.ref_id)
    with placing.catalog.read() as db:
        return list(db.scalars(query))


def rows_of(placing: Placing, asset_ids: list[int]) -> list[dict[str, Any]]:
    """Read all that is known of some assets, in the order asked for."""
    first = firsts(placing.dataset_id, refs.c.asset_id.in_(asset_ids))
    said = [refs.c[name] for name in ("uri", "source", "license", "label", "caption", "meta")]
    query = (
        sa.select(first.c.asset_id, blobs.c.sha256, measures, thumbs.c.thumb, *said)
        .join(blobs, blobs.c.id == first.c.asset_id)
        .join(refs, refs.c.id == first.c.ref_id)
        .outerjoin(measures, measures.c.asset_id == first.c.asset_id)
        .outerjoin(thumbs, thumbs.c.asset_id == first.c.asset_id)
    )
    with placing.catalog.read() as db:
        found = {row.asset_id: dict(row._mapping) for row in db.execute(query)}
    return [found[asset_id] for asset_id in asset_ids]


def judge_waiting(placing: Placing, progress: Progress) -> dict[str, int]:
    """Count the reasons against the assets that wait; the verdicts themselves come with `place`."""
    reasons = dict[str, int]()
    for batch in batched(waiting(placing), BATCH):
        for row in rows_of(placing, batch):
            reason = placing.judge(row) if row["format"] else None
            if reason:
                reasons[reason[0]] = reasons.get(reason[0], 0) + 1
        progress.advance(len(batch))
    return reasons
