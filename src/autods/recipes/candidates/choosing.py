"""Choosing a month's members: gold first, then what people verified, then what the model says.

    photos in the order of preference
        -> left out: withdrawn, of an unknown class, without an outcome, withheld
        -> duplicates: of bytes, of pixels, or near to one that was chosen before
        -> chosen; `gold`, `verified` and `full` are its first parts

What comes later never changes what was chosen before it, so one pass decides for all three.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa

from autods.catalog.tables import thumbs
from autods.dedup.confirm import same_picture
from autods.dedup.decide import Arrivals, Decision, DedupPolicy, Kept, decide, to_add
from autods.dedup.index import NearIndex
from autods.recipes.candidates.known import Row
from autods.recipes.candidates.work import Work
from autods.recipes.passing import same_bytes_pixels
from autods.run import batched

Kind = Literal["gold", "verified", "full"]

ORIGINS: dict[Kind, tuple[str, ...]] = {
    "gold": ("gold",),
    "verified": ("gold", "human"),
    "full": ("gold", "human", "model"),
}
"""Whose images each dataset holds."""

_PREFERENCE = {"gold": 0, "human": 1, "model": 2}
_BATCH = 20_000
_NO_COPY = {"duplicate_of": None, "kind": None, "distance": None, "score": None, "conflict": False}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen, in the order of preference, and what was not, with its reason."""

    samples: list[Row] = field(default_factory=list)
    excluded: list[Row] = field(default_factory=list)


def choose(work: Work, rows: Iterable[Row]) -> Choice:
    """Choose among gold and a month's photos; each row ends as a sample or with a reason."""
    ordered = sorted(rows, key=_order)
    choice, eligible = Choice(), list[Row]()
    for row in ordered:
        why = why_not(row, work.given.recipe.classes)
        if why is None:
            eligible.append(row)
        else:
            choice.excluded.append(excluded(row, *why))
    copies = _copies(work, eligible)
    _name(choice, eligible, copies)
    return choice


def part_of(choice: Choice, kind: Kind) -> Choice:
    """Give what one dataset holds of a choice; what the model alone says is left out of verified.

    Of gold, other photos are no concern.
    """
    origins = ORIGINS[kind]
    samples = [row for row in choice.samples if row["origin"] in origins]
    others = [row for row in choice.excluded if row["origin"] in origins]
    if kind == "verified":
        rest = [*choice.samples, *choice.excluded]
        others += [_unverified(row) for row in rest if row["origin"] == "model"]
    return Choice(samples=samples, excluded=others)


def _unverified(row: Row) -> Row:
    """Leave out what nobody has verified; what is withdrawn or of no class stays so."""
    if row.get("status") == "left-out" and row["reason"] in {"withdrawn", "unknown-class"}:
        return row
    return excluded(row, "left-out", "unverified", "nobody has verified its class yet")


def _order(row: Row) -> tuple[int, str]:
    return (_PREFERENCE[row["origin"]], row["uri"])


def not_taken(row: Row, classes: Sequence[str]) -> tuple[str, str, str] | None:
    """Tell why a photo is no image of a class: its class is unknown, or its bytes are no good."""
    if row["label"] not in classes:
        said = (
            f"{row['label'][:80]} is not among the classes" if row["label"] else "it has no class"
        )
        return "left-out", "unknown-class", said
    if row["status"] != "asset":
        return row["status"] or "failed", row["ended"] or "not-tried", row["why"]
    return None


def why_not(row: Row, classes: Sequence[str]) -> tuple[str, str, str] | None:
    """Tell why a photo cannot be a member, as status, reason and detail; None if it can."""
    if row.get("withdrawn_at") is not None:
        return "left-out", "withdrawn", "its row is gone from the database"
    if why := not_taken(row, classes):
        return why
    if row["verdict"] == "rejected":
        return "rejected", row["reason"] or "refused", row["detail"] or ""
    if row["verdict"] == "withheld" or row["split"] is None:
        return "left-out", "split-conflict", "it looks like images of two splits"
    return None


def excluded(row: Row, status: str, reason: str, detail: str, **more: Any) -> Row:
    """Say of a photo why it is not a member."""
    said = {"uri": row["source_uri"], "status": status, "reason": reason, "detail": detail}
    return row | said | _NO_COPY | more


def _name(
    choice: Choice, eligible: Sequence[Row], copies: dict[int, tuple[int, Decision | None]]
) -> None:
    """Give each sample its path, and each copy that of what it is a copy of."""
    taken = set[str]()
    paths = dict[int, str]()
    for number, row in enumerate(eligible):
        of, decision = copies.get(number, (None, None))
        if of is None or (decision and decision.verdict == "kept"):
            paths[number] = free_path(row, taken)
            near = {"near_of": eligible[of]["sha256"]} if of is not None else {}
            choice.samples.append(row | near | {"path": paths[number]})
            continue
        choice.excluded.append(
            excluded(
                row, "duplicate", _kind(decision), f"of {paths[of]}",
                duplicate_of=paths[of], kind=_kind(decision),
                distance=decision.distance if decision else None,
                score=decision.score if decision else None,
                conflict=row["label"] != eligible[of]["label"],
            )
        )  # fmt: skip


def _kind(decision: Decision | None) -> str:
    return (decision.kind or "bytes") if decision else "bytes"


def free_path(row: Row, taken: set[str]) -> str:
    """Name a sample's object; where the name is taken, its hash tells it from the other."""
    path = f"{row['label']}/{row['file']}"
    if path in taken:
        stem, _, extension = path.rpartition(".")
        path = f"{stem}-{row['sha256'][:8]}.{extension}"
    taken.add(path)
    return path


def _copies(work: Work, rows: Sequence[Row]) -> dict[int, tuple[int, Decision | None]]:
    """Find what is a copy of what, by their places in the order; of equal bytes without asking."""
    first, copies = dict[str, int](), dict[int, tuple[int, Decision | None]]()
    distinct = []
    for number, row in enumerate(rows):
        of = first.setdefault(row["sha256"], number)
        if of != number:
            copies[number] = (of, None)
        elif row["hash"] is not None:
            distinct.append(number)
    for decision in _decide(work, rows, distinct):
        if decision.of is not None:
            copies[decision.id] = (decision.of, decision)
    # A copy of a copy's bytes is a copy of the original.
    for number, (of, how) in sorted(copies.items()):
        if how is None and of in copies and _is_dropped(copies[of][1]):
            copies[number] = copies[of]
    return copies


def _is_dropped(decision: Decision | None) -> bool:
    return decision is None or decision.verdict == "duplicate"


def _decide(work: Work, rows: Sequence[Row], numbers: Sequence[int]) -> Iterable[Decision]:
    """Compare each image with those chosen before it, exactly as a build does with what came in."""
    recipe = work.given.recipe.dedup
    thumb_of = _thumbs(work, [rows[number]["asset_id"] for number in numbers])
    stacked = np.frombuffer(
        b"".join(thumb_of[rows[number]["asset_id"]] for number in numbers), np.uint8
    ).reshape(len(numbers), -1 if numbers else 1)
    place = {number: at for at, number in enumerate(numbers)}
    first = dict[str, int]()
    kept = Kept(
        index=NearIndex(recipe.radius),
        by_checksum=lambda sums: {text: first[text] for text in sums if text in first},
        thumbs_of=lambda ids: stacked[[place[int(number)] for number in ids]],
        same_pixels=lambda a, b: same_bytes_pixels(
            work.workspace.store, rows[a]["sha256"], rows[b]["sha256"]
        ),
    )
    for some in batched(numbers, _BATCH):
        new = Arrivals(
            ids=np.array(some, np.int64),
            pixel_checksums=[rows[number]["pixel_checksum"] for number in some],
            hashes=np.array([rows[n]["hash"] for n in some], np.int64).view(np.uint64),
            thumbs=stacked[[place[number] for number in some]],
        )
        decisions = decide(new, kept, same_picture, policy=DedupPolicy(near=recipe.near))
        for decision in decisions:
            if decision.verdict == "kept":
                first.setdefault(rows[decision.id]["pixel_checksum"], decision.id)
        kept.index.add(*to_add(new, decisions))
        yield from decisions


def _thumbs(work: Work, asset_ids: Sequence[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for some in batched(sorted(asset_ids), 10_000):
        query = sa.select(thumbs.c.asset_id, thumbs.c.thumb).where(thumbs.c.asset_id.in_(some))
        with work.stages.catalog.read() as db:
            found |= {row.asset_id: row.thumb for row in db.execute(query)}
    return found
