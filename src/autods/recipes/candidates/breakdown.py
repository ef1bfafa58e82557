"""The tables of a month's card: its classes, its splits, and what was left out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autods.report.card import MAX_CLASSES, MAX_REASONS, escape
from autods.report.ranking import ranked, ranked_to
from autods.report.wording import count, share, things

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLES = 10
_BAR, _LONG = 20, 80

ORIGINS = {
    "gold": "gold",
    "human": "verified by a person",
    "model": "labelled by a model alone",
}
_SPLITS = ("train", "val", "test")
_WHY = {
    "withdrawn": "no longer in the database",
    "unknown-class": "its class is not in the list",
    "unverified": "no person has verified it",
    "split-conflict": "looks like images of two splits",
    "missing-file": "the photo was not there",
    "missing-object": "the photo was not there",
    "photo-elsewhere": "its address is not in the place of the photos",
    "bad-id": "its user or prediction id cannot be a file's name",
    "truncated": "the file ends early",
    "bytes": "the same bytes",
    "pixels": "the same pixels",
    "near": "the same looks",
}


def classes_part(samples: "pa.Table", classes: Sequence[str]) -> str:
    """Write how many images of each origin each class has, the largest class first."""
    if not samples.num_rows:
        return "## Classes\n\nThere is no image."
    totals = ranked(tally(samples, "label"))
    heads, cells, sums = _by_origin(samples, "label")
    rows = [
        [*cells(name, number), "█" * max(1, round(_BAR * number / totals[0][1]))]
        for name, number in totals[:MAX_CLASSES]
    ]
    rows.append([*sums, ""])
    hidden = len(totals) > MAX_CLASSES
    more = f" Showing {MAX_CLASSES} of {len(totals):,} classes; `manifest.json` has all."
    shown = grid(["class", *heads, ""], rows, f"l{'r' * len(heads)}l")
    return f"## Classes\n\n{shown}\n\n{_balance(totals, classes)}{more if hidden else ''}"


def _by_origin(samples: "pa.Table", column: str) -> tuple[list[str], Any, list[str]]:
    """Give the heads of counts by origin, what writes the cells of a row, and the last row."""
    origins = by_origin(samples)
    each = {(row[column], row["origin"]): row["n"] for row in groups(samples, column, "origin")}

    def cells(name: str, number: int) -> list[str]:
        parts = (count(each.get((name, origin), 0)) for origin in origins)
        return [named(name), *parts, count(number), share(number, samples.num_rows)]

    heads = [*map(named, origins), "total", "share"]
    sums = [f"**{text}**" for text in ("all", *map(count, origins.values()))]
    return heads, cells, [*sums, f"**{count(samples.num_rows)}**", ""]


def _balance(totals: Sequence[tuple[str, int]], classes: Sequence[str]) -> str:
    (most, high), (least, low) = totals[0], totals[-1]
    text = (
        f"The largest class, {named(most)}, has {high / low:.1f} times the images of the "
        f"smallest, {named(least)} ({count(high)} and {count(low)})."
        if high > low
        else f"Every class that has images has {count(low)}."
    )
    have = {name for name, _ in totals}
    none = [escape(name) for name in classes if name not in have]
    more = f" and {count(len(none) - MAX_REASONS)} more" if len(none) > MAX_REASONS else ""
    return text + (f" Without an image: {', '.join(none[:MAX_REASONS])}{more}." if none else "")


def splits_part(samples: "pa.Table") -> str:
    """Write how many images of each origin each split has; nothing where there are no splits."""
    if not samples.num_rows or "split" not in samples.column_names:
        return ""
    found = tally(samples, "split")
    heads, cells, sums = _by_origin(samples, "split")
    rows = [cells(name, number) for name, number in _first(_SPLITS, found).items()]
    shown = grid(["split", *heads], [*rows, sums], "l" + "r" * len(heads))
    return (
        f"## Splits\n\n{shown}\n\nImages that look alike are in one split, and an image keeps the "
        "split it was given first, from month to month."
    )


def left_out_part(excluded: "pa.Table", images: int) -> str:
    """Write which photos are not among the images and why, the most frequent reason first."""
    if not excluded.num_rows:
        return "## What was left out\n\nNothing."
    found = sorted(
        groups(excluded.append_column("why", _reasons(excluded)), "status", "why", example="uri"),
        key=lambda row: (-row["n"], row["status"], row["why"]),
    )
    every = images + excluded.num_rows
    rows = [
        [
            named(row["status"]),
            _reason(row["why"]),
            count(row["n"]),
            share(row["n"], every),
            short(row["uri_min"]),
        ]
        for row in found[:MAX_REASONS]
    ]
    text = grid(["how it ended", "why", "photos", "share", "for example"], rows, "llrrl")
    hidden = len(found) - MAX_REASONS
    more = f"\n\nThere are {things(hidden, 'more reason')}." if hidden > 0 else ""
    return f"## What was left out\n\n{text}{more}\n\n`excluded.parquet` has a row for each photo."


def _reasons(excluded: "pa.Table") -> Any:
    """Give why each was left out; of a duplicate that is in what it is like the one kept."""
    import pyarrow.compute as pc

    same = pc.fill_null(pc.equal(excluded["status"], "duplicate"), fill_value=False)
    kind, reason = excluded["kind"], excluded["reason"]
    return pc.if_else(same, pc.coalesce(kind, reason), reason)


def _reason(name: str) -> str:
    return f"{escape(name)}: {_WHY[name]}" if name in _WHY else named(name)


def conflicts_part(excluded: "pa.Table") -> str:
    """Write which duplicates were of another class than the one kept, the first few by photo."""
    import pyarrow.compute as pc

    found = excluded.filter(pc.fill_null(excluded["conflict"], fill_value=False))
    if not found.num_rows:
        return ""
    rows = [
        [short(row["uri"]), named(row["label"]), short(row["duplicate_of"])]
        for row in found.slice(0, EXAMPLES).to_pylist()
    ]
    shown = f" {EXAMPLES} of them:" if found.num_rows > EXAMPLES else ""
    return (
        f"## Labels that disagree\n\n{things(found.num_rows, 'photo')} of another class than the "
        f"image here that is like it, which kept its own.{shown}\n\n"
        + grid(["photo left out", "its class", "image here"], rows, "lll")
    )


def unknown_part(excluded: "pa.Table") -> str:
    """Write which classes photos had that are not in the list."""
    import pyarrow.compute as pc

    found = excluded.filter(pc.equal(excluded["reason"], "unknown-class"))
    if not found.num_rows:
        return ""
    rows = [[short(name), count(n)] for name, n in ranked_to(MAX_REASONS, tally(found, "label"))]
    return f"## Classes that are not in the list\n\n{grid(['class', 'photos'], rows, 'lr')}"


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], sides: str) -> str:
    """Write a Markdown table whose columns lean to the left or right, as `sides` says.

    >>> print(grid(["class", "images"], [["Warm", "12"]], "lr"))
    | class | images |
    |---|---:|
    | Warm | 12 |
    """
    rule = "|".join("---:" if side == "r" else "---" for side in sides)
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def named(text: str | None) -> str:
    r"""Escape a name for Markdown, and show where there is none.

    >>> named("a|b"), named(None)
    ('a\\|b', '*none*')
    """
    return escape(text or "") or "*none*"


def short(text: str | None) -> str:
    """Do as `named`, with the middle of a long text left out.

    >>> len(short("x" * 5000))
    81
    """
    text = text or ""
    return named(text if len(text) <= _LONG else f"{text[:50]}…{text[50 - _LONG :]}")


def by_origin(samples: "pa.Table") -> dict[str, int]:
    """Count the images of gold, of people, of the model, then of whatever else there is."""
    return _first(tuple(ORIGINS), tally(samples, "origin"))


def _first(known: Sequence[str], found: Mapping[str, int]) -> dict[str, int]:
    names = [name for name in known if name in found]
    return {name: found[name] for name in [*names, *sorted(found.keys() - set(known))]}


def tally(rows: "pa.Table", column: str) -> dict[str, int]:
    """Count the rows of each text in a column; null is the empty text."""
    return {row[column]: row["n"] for row in groups(rows, column)}


def groups(rows: "pa.Table", *columns: str, example: str = "") -> list[dict[str, Any]]:
    """Count the rows (`n`) of each set of texts in columns; null is the empty text.

    `example` is a column whose least value comes with each, as `{example}_min`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = {name: pc.fill_null(rows[name], "") for name in columns}
    table = pa.table(keys | ({example: rows[example]} if example else {}))
    wanted = [([], "count_all"), *([(example, "min")] if example else [])]
    found = table.group_by(list(columns), use_threads=False).aggregate(wanted)
    return [row | {"n": row["count_all"]} for row in found.to_pylist()]
