"""Gathering what a report says of a version: measured in catalog and store, never assumed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, placements, refs
from autods.engine import Engine
from autods.ingest.listing import Listing
from autods.label.ledger import count_conflicts
from autods.label.weak import WeakLabels
from autods.recipes.counting import count_inputs, count_storage
from autods.recipes.duplicates import write_duplicates
from autods.recipes.file import Plan
from autods.recipes.previews import previews
from autods.report.duplicates import PAGE
from autods.report.facts import (
    About,
    Changes,
    Contents,
    Examples,
    Facts,
    FunctionRow,
    Labels,
    Pair,
    Picture,
    Refused,
    Timing,
)  # fmt: skip
from autods.report.histogram import histogram
from autods.report.write import write_all
from autods.store import MissingError
from autods.versions import Version, diff, find_version, read_members
from autods.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

GALLERY_PER_CLASS, MOST_CLASSES, PAIRS, REFUSED = 6, 12, 12, 200
_MEASURES = ("width", "height", "file_size", "brightness", "contrast", "sharpness", "entropy")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a build knows when it comes to reporting; `html` asks for pages to look at, too."""

    policy: str
    listing: Listing
    weak: WeakLabels | None
    seconds: Mapping[str, float]
    ingested: int
    html: bool = True


def write_facts(
    workspace: Workspace, version: Version, plan: Plan, outcome: Outcome, engine: Engine
) -> Facts:
    """Gather the facts of a version and write report, card, duplicates and manifest beside it."""
    folder = workspace.dataset_folder(version.dataset, version.number)
    members = read_members(workspace.store, version)
    catalog, judged = workspace.catalog, (version.dataset_id, outcome.policy)
    counts = count_inputs(catalog, *judged, repeated=outcome.listing.repeated)
    # A version's files are written once; a report that was not wanted then may be now.
    is_new = not (folder / "version.txt").exists()
    is_new |= outcome.html and not (folder / "report.html").exists()
    if is_new and outcome.html:
        write_duplicates(workspace, version, outcome.policy, counts, engine)
    facts = Facts(
        about=_about(version, plan),
        counts=counts,
        labels=_labels(catalog, version, members, outcome.weak, plan),
        contents=replace(_contents(members), storage=count_storage(catalog, *judged)),
        examples=_examples(workspace, version, members, outcome, engine),
        timing=_timing(outcome),
        places=_places(workspace, version, plan),
        changes=_changes(workspace, version, members),
    )
    if is_new:
        write_all(facts, folder, html=outcome.html)
    return facts


def _about(version: Version, plan: Plan) -> About:
    parent = version.parent_number
    return About(
        dataset=version.dataset,
        number=version.number,
        digest=version.digest,
        dataset_type="build",
        created_at=version.created_at,
        recipe=plan.written,
        command=plan.command,
        parent=f"{version.dataset}@v{parent}" if parent else None,
    )


def _labels(
    catalog: Catalog,
    version: Version,
    members: "pa.Table",
    weak: WeakLabels | None,
    plan: Plan,
) -> Labels:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    names = (members["label"].to_pylist(), members["split"].to_pylist())
    for (label, split), number in Counter(zip(*names, strict=True)).items():
        table[label or ""][split] = number
    kinds = Counter(kind for kind in members["label_kind"].to_pylist() if kind)
    classes = plan.recipe.label.classes
    faults = {fault.function: fault.count for fault in weak.faults} if weak else {}
    return Labels(
        by_class_and_split={label: dict(splits) for label, splits in sorted(table.items())},
        kinds=dict(kinds),
        conflicts=count_conflicts(catalog, version.dataset_id),
        functions=[
            FunctionRow(
                name=row.name,
                polarity=[classes[index] for index in row.polarity],
                coverage=row.coverage,
                overlaps=row.overlaps,
                conflicts=row.conflicts,
                accuracy=row.accuracy,
                faults=faults.get(row.name, 0),
            )
            for row in (weak.functions if weak else [])
        ],
    )


def _contents(members: "pa.Table") -> Contents:
    import numpy as np

    known = members.filter(members["width"].is_valid())
    columns = {name: known[name].to_numpy() for name in _MEASURES}
    columns["megapixels"] = columns["width"] * columns["height"] / 1e6
    return Contents(
        formats=_tally(members["format"].to_pylist(), "unknown"),
        licenses=_tally(members["license"].to_pylist(), ""),
        sources=_tally(members["source"].to_pylist(), ""),
        distributions={
            name: histogram(np.asarray(column, np.float64)) for name, column in columns.items()
        },
    )


def _tally(values: Iterable[str | None], unsaid: str) -> dict[str, int]:
    return dict(Counter(value or unsaid for value in values).most_common())


def _examples(
    workspace: Workspace, version: Version, members: "pa.Table", outcome: Outcome, engine: Engine
) -> Examples:
    chosen = _gallery_rows(members)
    pairs = _pair_rows(workspace.catalog, version.dataset_id, outcome.policy)
    wanted = [row["sha256"] for row in chosen]
    wanted += [sha for pair in pairs for sha in (pair["kept"], pair["dropped"])]
    shown = previews(workspace.store, engine, wanted)
    label_of = _labels_of(members, wanted)

    def picture(sha256: str, title: str) -> Picture:
        row = label_of.get(sha256, {})
        label, split = row.get("label"), row.get("split", "")
        data = shown.get(sha256, b"")
        return Picture(data=data, title=title, label=label, split=split, sha256=sha256)

    return Examples(
        gallery=[picture(row["sha256"], row["uri"]) for row in chosen],
        pairs=[
            Pair(
                kept=picture(row["kept"], row["kept_uri"]),
                dropped=picture(row["dropped"], row["dropped_uri"]),
                kind=row["kind"],
                distance=row["distance"],
                score=row["score"],
            )
            for row in pairs
        ],
        refused=_refused(workspace.catalog, version.dataset_id, outcome.policy),
    )


def _labels_of(members: "pa.Table", wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = members.filter(pc.is_in(members["sha256"], pa.array(wanted, pa.string())))
    return {row["sha256"]: row for row in rows.select(["sha256", "label", "split"]).to_pylist()}


def _gallery_rows(members: "pa.Table") -> list[dict[str, Any]]:
    """Choose some members of each class, the same ones each time: the first by sha256."""
    columns = members.select(["sha256", "label", "split", "uri"])
    seen: Counter[str | None] = Counter()
    common = Counter(members["label"].to_pylist()).most_common(MOST_CLASSES)
    classes = {label for label, _ in common}
    chosen: list[dict[str, Any]] = []
    for batch in columns.to_batches(4096):
        for row in batch.to_pylist():
            if row["label"] in classes and seen[row["label"]] < GALLERY_PER_CLASS:
                seen[row["label"]] += 1
                chosen.append(row)
        if all(seen[label] >= GALLERY_PER_CLASS for label in classes):
            break
    return sorted(chosen, key=lambda row: (row["label"] or "", row["sha256"]))


def _pair_rows(catalog: Catalog, dataset_id: int, policy: str) -> list[dict[str, Any]]:
    """Choose the duplicates to show: the farthest apart first, for there the doubt is largest."""
    mine = (placements.c.dataset_id == dataset_id, placements.c.policy == policy)
    kept = placements.alias("kept")
    sides = {"kept": blobs.alias("kept_asset"), "dropped": blobs.alias("dropped_asset")}
    uri = sa.select(sa.func.min(refs.c.uri)).where(refs.c.dataset_id == dataset_id)
    query = (
        sa.select(
            *(side.c.sha256.label(name) for name, side in sides.items()),
            *(
                uri.where(refs.c.asset_id == side.c.id).scalar_subquery().label(f"{name}_uri")
                for name, side in sides.items()
            ),
            *(placements.c[name] for name in ("kind", "distance", "score")),
        )
        .join(
            kept,
            sa.and_(
                kept.c.dataset_id == placements.c.dataset_id,
                kept.c.policy == placements.c.policy,
                kept.c.seq == placements.c.of_seq,
            ),
        )
        .join(sides["kept"], sides["kept"].c.id == kept.c.asset_id)
        .join(sides["dropped"], sides["dropped"].c.id == placements.c.asset_id)
        .where(*mine)
        .order_by(placements.c.distance.desc().nulls_last(), placements.c.seq)
        .limit(PAIRS)
    )
    with catalog.read() as db:
        return [dict(row) for row in db.execute(query).mappings()]


def _refused(catalog: Catalog, dataset_id: int, policy: str) -> list[Refused]:
    """List the inputs refused by the pass and by the checks, in arrival order."""
    live = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None))
    by_pass = sa.select(refs.c.id, refs.c.uri, refs.c.reason, refs.c.detail).where(
        *live, refs.c.asset_id.is_(None)
    )
    by_checks = (
        sa.select(refs.c.id, refs.c.uri, placements.c.reason, placements.c.detail)
        .join(placements, placements.c.asset_id == refs.c.asset_id)
        .where(
            *live,
            placements.c.dataset_id == dataset_id,
            placements.c.policy == policy,
            placements.c.verdict.in_(("rejected", "withheld")),
        )
    )
    union = sa.union_all(by_pass, by_checks).subquery()
    query = sa.select(union).order_by(union.c.id).limit(REFUSED)
    with catalog.read() as db:
        return [
            Refused(uri=row.uri, reason=row.reason or "", detail=row.detail or "")
            for row in db.execute(query)
        ]


def _timing(outcome: Outcome) -> Timing:
    ingest = outcome.seconds.get("ingest", 0.0)
    rate = outcome.ingested / ingest if outcome.ingested and ingest else None
    return Timing(seconds=dict(outcome.seconds), items_per_second=rate)


def _places(workspace: Workspace, version: Version, plan: Plan) -> dict[str, str]:
    folder = workspace.dataset_folder(version.dataset, version.number)
    there = {"webdataset": ("shards", "shards"), "parquet": ("parquet", "data.parquet")}
    there["folder"] = ("folder", "images")
    places = {there[kind][0]: str(folder / there[kind][1]) for kind in plan.recipe.export}
    places["report"] = str(folder / "report.html")
    places |= {"catalog": workspace.catalog.url, "store": workspace.store.url}
    places["workspace"] = str(workspace.root)
    duplicates = folder / PAGE
    return places | ({"duplicates": str(duplicates)} if duplicates.exists() else {})


def _changes(workspace: Workspace, version: Version, members: "pa.Table") -> Changes | None:
    if version.parent_number is None:
        return None
    parent = find_version(workspace.catalog, f"{version.dataset}@v{version.parent_number}")
    try:
        before = read_members(workspace.store, parent)
    except MissingError:
        return None  # The store has lost what the parent was: nothing can be said of it.
    found = diff(before, members)
    return Changes(
        added=len(found.added),
        removed=len(found.removed),
        relabelled=len(found.relabelled),
        moved=len(found.moved),
        unchanged=found.unchanged,
    )
