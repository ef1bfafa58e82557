"""Counting in the catalog: how every input of a dataset ended, and where its members lie."""

from collections import Counter
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, placements, refs
from autods.report.counts import Counts
from autods.report.facts import Held

Where = tuple[sa.ColumnElement[bool], ...]


def count_inputs(catalog: Catalog, dataset_id: int, policy: str, *, repeated: int = 0) -> Counts:
    """Count how every input ended that has ended; `Counts` refuses figures that do not add up.

    `repeated` are inputs that a source listed again word for word; the catalog does not hold
    them. What has no verdict under the policy yet is not counted, so that this can be asked at
    any time; nothing at all gives zeros.
    """
    live = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None))
    mine = _mine(dataset_id, policy)
    p = placements.c
    with catalog.read() as db:
        ended = db.execute(
            sa.select(refs.c.status, refs.c.reason, sa.func.count())
            .where(*live, refs.c.asset_id.is_(None), refs.c.status.is_not(None))
            .group_by(refs.c.status, refs.c.reason)
        ).all()
        seen, held = db.execute(
            sa.select(sa.func.count(), sa.func.count(refs.c.asset_id.distinct()))
            .join(placements, p.asset_id == refs.c.asset_id)
            .where(*live, *mine)
        ).one()
        placed = db.execute(
            sa.select(p.verdict, p.kind, p.reason, sa.func.count())
            .where(*mine)
            .group_by(p.verdict, p.kind, p.reason)
        ).all()
        flagged = db.scalars(_flagged(live, mine)).one()
    verdicts: Counter[tuple[str, str | None]] = Counter()
    rejected: Counter[str] = Counter()
    for verdict, kind, reason, count in placed:
        verdicts[verdict, kind] += count
        rejected[reason or "unknown"] += count if verdict == "rejected" else 0
    rejected.update({reason: n for status, reason, n in ended if status == "rejected"})
    return Counts(
        inputs=seen + sum(n for *_, n in ended) + repeated,
        accepted=sum(n for (verdict, _), n in verdicts.items() if verdict == "kept"),
        exact_duplicates=seen - held + repeated,
        pixel_duplicates=verdicts["duplicate", "pixels"],
        near_duplicates=verdicts["duplicate", "near"],
        withheld=sum(n for (verdict, _), n in verdicts.items() if verdict == "withheld"),
        rejected_by={reason: n for reason, n in rejected.items() if n},
        failed_by={reason: n for status, reason, n in ended if status == "failed"},
        flagged=flagged,
        repeated=repeated,
    )


def _flagged(live: Where, mine: Where) -> "sa.Select[Any]":
    """Count the kept assets that something was found against, or that are marked as near copies.

    The reason is a check's, or, where not even what cannot be decoded is filtered, the decoder's.
    """
    p = placements.c
    undecodable = sa.select(refs.c.asset_id).where(
        *live, refs.c.asset_id.is_not(None), refs.c.reason.is_not(None)
    )
    against = sa.or_(p.reason.is_not(None), p.of_seq.is_not(None), p.asset_id.in_(undecodable))
    return sa.select(sa.func.count()).where(*mine, p.verdict == "kept", against)


def count_storage(catalog: Catalog, dataset_id: int, policy: str) -> dict[str, Held]:
    """Count the kept assets of a dataset, and their bytes, by the tier that holds them now."""
    query = (
        sa.select(blobs.c.tier, sa.func.count(), sa.func.sum(blobs.c.size))
        .join(placements, placements.c.asset_id == blobs.c.id)
        .where(*_mine(dataset_id, policy), placements.c.verdict == "kept")
        .group_by(blobs.c.tier)
        .order_by(blobs.c.tier.desc())  # hot before cold
    )
    with catalog.read() as db:
        return {tier: Held(members=n, size=int(held)) for tier, n, held in db.execute(query)}


def _mine(dataset_id: int, policy: str) -> Where:
    return (placements.c.dataset_id == dataset_id, placements.c.policy == policy)
