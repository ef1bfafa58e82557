"""Looking: what a workspace holds, one version, one asset and its line, what changed, what ran."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from autods.catalog.tables import blobs, datasets, ledger, measures, placements, refs, runs, splits
from autods.errors import UsageError
from autods.recipes.candidates.showing import folder_of, left_out
from autods.versions import (
    Version,
    aliases_of,
    diff,
    find_version,
    holds,
    list_versions,
    read_members,
)
from autods.workspace import Workspace

Found = dict[str, Any]


def is_asset(name: str) -> bool:
    """Tell whether a word means an asset: eight hex digits of its SHA-256, or more.

    >>> is_asset("cats@v1"), is_asset("0a1b2c3d4e")
    (False, True)
    """
    return bool(re.fullmatch(r"[0-9a-f]{8,64}", name))


def overview(place: Workspace) -> list[Found]:
    """List the versions of all datasets."""
    return [_version_row(version) for version in list_versions(place.catalog)]


def overview_lines(rows: list[Found]) -> Iterator[str]:
    """Write the overview for people."""
    if not rows:
        yield "No versions yet. Next: autods build RECIPE.yaml or a FOLDER"
    for row in rows:
        members = row["stats"].get("members", 0)
        made = f"{row['created_at']:%Y-%m-%d %H:%M}  {row['digest'][:12]}"
        yield f"{row['name']:<24} {members:>10,} samples  {made}"


def version(place: Workspace, name: str) -> Found:
    """Describe one version: its counts by class and split, its recipe, where it lies."""
    found = find_version(place.catalog, name)
    members = read_members(place.store, found)
    table: dict[str, dict[str, int]] = {}
    for label, split in zip(
        members["label"].to_pylist(), members["split"].to_pylist(), strict=True
    ):
        row = table.setdefault(label or "", {})
        row[split] = row.get(split, 0) + 1
    return {
        **_version_row(found),
        "members": members.num_rows,
        "classes": dict(sorted(table.items())),
        "recipe": found.recipe,
        "aliases": aliases_of(place.catalog, found),
        "folder": _folder(place, found),
    }


def _folder(place: Workspace, found: Version) -> str | None:
    """Tell where a version is laid out, as a build or as a release."""
    folder = place.dataset_folder(found.dataset, found.number)
    return str(folder) if folder.exists() else folder_of(place, found)


def version_lines(found: Found) -> Iterator[str]:
    """Write a version for people."""
    made = f"{found['created_at']:%Y-%m-%d %H:%M}"
    parent = f", after v{found['parent']}" if found["parent"] else ""
    yield f"{found['name']}  {found['members']:,} samples, {made}{parent}"
    yield f"digest  {found['digest']}"
    if found["aliases"]:
        yield f"also    {', '.join(found['aliases'])}"
    for label, row in found["classes"].items():
        counts = "  ".join(f"{split} {row[split]:,}" for split in sorted(row))
        yield f"  {label or '(unlabelled)':<24} {counts}"
    yield f"folder  {found['folder'] or 'not laid out'}"


def asset(place: Workspace, name: str) -> Found:
    """Describe one asset and its line: sightings, labels, verdicts, splits and versions.

    Raises UsageError if no asset, or more than one, begins so.
    """
    with place.catalog.read() as db:
        query = sa.select(blobs).where(blobs.c.sha256.startswith(name)).limit(2)
        rows = db.execute(query).all()
        if len(rows) != 1:
            raise UsageError(f"{'no asset begins' if not rows else 'several assets begin'}"
                             f" with {name!r}")  # fmt: skip
        row = rows[0]
        mine = {
            "sightings": _rows(db, refs, row.id, ("source", "uri", "license", "label", "caption",
                                                  "first_seen", "gone_at")),
            "labels": _rows(db, ledger, row.id, ("kind", "said_by", "label", "probability",
                                                 "said_at")),
            "verdicts": _rows(db, placements, row.id, ("verdict", "reason", "detail", "kind",
                                                       "distance", "score", "decided_at")),
            "splits": _rows(db, splits, row.id, ("split", "group_sha256", "placed_at")),
            "features": _rows(db, measures, row.id, tuple(
                c.name for c in measures.columns if c.name != "asset_id")),
        }  # fmt: skip
    mine["features"] = [_readable(found) for found in mine["features"]]
    return {
        "sha256": row.sha256,
        "size": row.size,
        "created_at": row.created_at,
        **mine,
        "versions": [
            v.name for v in list_versions(place.catalog) if holds(place.store, v, row.sha256)
        ],
    }


def asset_lines(found: Found) -> Iterator[str]:
    """Write an asset for people."""
    yield f"{found['sha256']}  {found['size']:,} bytes, since {found['created_at']:%Y-%m-%d %H:%M}"
    for part in ("sightings", "labels", "verdicts", "splits", "features"):
        for row in found[part]:
            said = "  ".join(f"{k}={v}" for k, v in row.items() if v not in (None, ""))
            yield f"  {part:<10} {said}"
    yield f"  versions   {', '.join(found['versions']) or 'none'}"


def refused(place: Workspace, dataset: str | None) -> list[Found]:
    """List the inputs that did not become assets, with reason and detail.

    Of a dataset that is released, a month's, it is what the release has left out.
    """
    if dataset is not None and (left := left_out(place, dataset)) is not None:
        return left
    query = (
        sa.select(datasets.c.name.label("dataset"), refs.c.uri, refs.c.source, refs.c.status,
                  refs.c.reason, refs.c.detail)
        .join(datasets, datasets.c.id == refs.c.dataset_id)
        .where(refs.c.gone_at.is_(None), refs.c.status.in_(("rejected", "failed")))
        .order_by(refs.c.id)
    )  # fmt: skip
    checked = (
        sa.select(refs.c.id, datasets.c.name.label("dataset"), refs.c.uri, refs.c.source,
                  placements.c.verdict.label("status"), placements.c.reason, placements.c.detail)
        .join(placements, sa.and_(placements.c.asset_id == refs.c.asset_id,
                                  placements.c.dataset_id == refs.c.dataset_id))
        .join(datasets, datasets.c.id == refs.c.dataset_id)
        .where(refs.c.gone_at.is_(None), placements.c.verdict.in_(("rejected", "withheld")))
        .distinct()  # Each policy has its verdict.
    )  # fmt: skip
    if dataset is not None:
        dataset_id = place.catalog.find_dataset(dataset.partition("@")[0])
        query = query.where(refs.c.dataset_id == dataset_id)
        checked = checked.where(refs.c.dataset_id == dataset_id)
    said = checked.subquery()
    judged = sa.select(*(c for c in said.c if c.name != "id")).order_by(said.c.id)
    with place.catalog.read() as db:
        return [dict(row) for part in (query, judged) for row in db.execute(part).mappings()]


def refused_lines(rows: list[Found]) -> Iterator[str]:
    """Write refused inputs for people."""
    for row in rows:
        yield f"{row['status']:<9} {row['reason']:<20} {row['uri']}  {row['detail'] or ''}"
    yield f"{len(rows):,} refused"


def log(place: Workspace, dataset: str | None) -> list[Found]:
    """List versions and runs, newest first."""
    query = sa.select(runs, datasets.c.name.label("dataset")).join(
        datasets, datasets.c.id == runs.c.dataset_id
    )
    if dataset is not None:
        query = query.where(runs.c.dataset_id == place.catalog.find_dataset(dataset))
    with place.catalog.read() as db:
        rows = [dict(row) for row in db.execute(query.order_by(runs.c.id.desc())).mappings()]
    made = {(v.dataset, v.number): _version_row(v) for v in list_versions(place.catalog)}
    for row in rows:
        stats = row.pop("stats")
        row["version"] = made.get((row["dataset"], stats.get("version")))
        row["seconds"] = stats.get("seconds", {})
        row["said"] = stats.get("said")
    told = {row["version"]["name"] for row in rows if row["version"]}
    alone = [_made_by_itself(row, v) for (v, _), row in made.items()
             if row["name"] not in told and dataset in {None, v}]  # fmt: skip
    return sorted([*rows, *alone], key=lambda row: str(row["started_at"]), reverse=True)


def _made_by_itself(row: Found, dataset: str) -> Found:
    """Show a version that no run names: a month's release, of a run of another dataset."""
    return {
        "id": None, "dataset": dataset, "recipe": "release", "status": "done", "error": None,
        "started_at": row["created_at"], "finished_at": row["created_at"], "version": row,
        "seconds": {}, "said": None,
    }  # fmt: skip


def log_lines(rows: list[Found]) -> Iterator[str]:
    """Write the log for people."""
    if not rows:
        yield "Nothing has run yet."
    for row in rows:
        made = row["version"]
        told = row["error"] or row["said"] or ""
        result = f"{made['name']}  {made['digest'][:12]}" if made else told
        took = f"{sum(row['seconds'].values()):.1f} s" if row["seconds"] else ""
        run = f"{row['started_at']:%Y-%m-%d %H:%M}  {row['dataset']:<12} {row['recipe']:<18}"
        yield f"{run} {row['status']:<8} {took:>8}  {result}"


def difference(place: Workspace, old: str, new: str) -> Found:
    """Compare two versions."""
    first, second = find_version(place.catalog, old), find_version(place.catalog, new)
    found = diff(read_members(place.store, first), read_members(place.store, second))
    return {"old": first.name, "new": second.name, **asdict(found)}


def difference_lines(found: Found) -> Iterator[str]:
    """Write a difference for people, each list cut at twenty."""
    yield (
        f"{found['old']} -> {found['new']}: "
        + ", ".join(f"{len(found[k]):,} {k}" for k in ("added", "removed", "relabelled", "moved"))
        + f", {found['unchanged']:,} unchanged"
    )
    for sign, key in (("+", "added"), ("-", "removed")):
        yield from _cut([f"{sign} {sha256}" for sha256 in found[key]])
    for key in ("relabelled", "moved"):
        yield from _cut([f"~ {sha256}  {a} -> {b}" for sha256, a, b in found[key]])


def _cut(lines: list[str], most: int = 20) -> Iterator[str]:
    yield from lines[:most]
    if len(lines) > most:
        yield f"  ... and {len(lines) - most:,} more (--json lists all)"


def _version_row(found: Version) -> Found:
    return {
        "name": found.name,
        "digest": found.digest,
        "parent": found.parent_number,
        "created_at": found.created_at,
        "stats": found.stats,
    }


def _rows(db: sa.Connection, table: sa.Table, asset_id: int, names: tuple[str, ...]) -> list[Found]:
    query = sa.select(*(table.c[name] for name in names)).where(table.c.asset_id == asset_id)
    return [dict(row) for row in db.execute(query).mappings()]


def _readable(found: Found) -> Found:
    return {**found, "phash": f"{found['phash'] & (1 << 64) - 1:016x}"}
