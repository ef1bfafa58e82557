"""What a version is made from, summed up: equal states give equal versions."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import ledger, placements, refs
from autods.recipes.file import BuildRecipe
from autods.recipes.intake import fingerprint


def state(catalog: Catalog, dataset_id: int, policy: str, recipe: BuildRecipe) -> list[Any]:
    """Sum up all that a version is made from, cheaply: no row is read but the newest."""
    live = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None))
    count = sa.func.count()
    queries = (
        sa.select(count, sa.func.max(placements.c.seq)).where(*_mine(dataset_id, policy)),
        sa.select(count, sa.func.max(refs.c.id), sa.func.max(refs.c.changed_at)).where(*live),
        sa.select(sa.func.max(ledger.c.id)).where(ledger.c.dataset_id == dataset_id),
    )
    with catalog.read() as db:
        placed, seen, said = (db.execute(query).one() for query in queries)
    asked = plain(asdict(recipe)) | dict.fromkeys(recipe.places)  # Where it lies changes nothing.
    made = fingerprint(asked, text_of(recipe.label.functions))
    return [made, policy, *placed, *seen[:2], str(seen[2]), *said]


def refused(catalog: Catalog, dataset_id: int, policy: str) -> int:
    """Count what was refused by the pass or by the checks."""
    by_pass = sa.select(sa.func.count()).where(
        refs.c.dataset_id == dataset_id,
        refs.c.gone_at.is_(None),
        refs.c.status.in_(("rejected", "failed")),
    )
    judged = sa.select(sa.func.count()).where(
        *_mine(dataset_id, policy), placements.c.verdict == "rejected"
    )
    with catalog.read() as db:
        return (db.scalar(by_pass) or 0) + (db.scalar(judged) or 0)


def _mine(dataset_id: int, policy: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (placements.c.dataset_id == dataset_id, placements.c.policy == policy)


def text_of(path: Path | None) -> str | None:
    """Read a file of functions: what it says is part of what a version is made from."""
    return path.read_text(encoding="utf-8") if path and path.is_file() else None


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a recipe into what JSON can hold: a date in a YAML file is no JSON."""
    return json.loads(json.dumps(value, default=str))  # type: ignore[no-any-return]
