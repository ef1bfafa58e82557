"""The duplicates of a version: a page of groups to look at, and a table that holds every one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autods.report.counts import Counts
from autods.report.html import environment
from autods.report.wording import count, one_line
from autods.report.write import replacing, write_texts
from autods.run import batched

if TYPE_CHECKING:
    import pyarrow as pa

MAX_GROUPS, MAX_COPIES, MAX_SIGHTINGS = 200, 7, 3
"""What the page shows: groups, copies of one original, places where one file was seen."""

PAGE, TABLE = "duplicates.html", "duplicates.parquet"
"""What the two are called, beside report.html."""

_ROWS, _LONGEST = 10_000, 160


class Duplicate(NamedTuple):
    """One row of the table: an input that is a copy of an earlier one, its original.

    `kind` is bytes, pixels or near; where it is bytes, both have one SHA-256. Uri and source are
    where each was seen first, of a copy in bytes the further place it was seen at. `distance` (bits
    in which the perceptual hashes differ) and `score` (how alike the second look found them) are
    given where it is near. `original_verdict` tells what became of the original: kept, or
    duplicate, withheld, rejected; `copy_verdict` what became of the copy: duplicate (left out),
    or, where near copies are not dropped, kept (marked) or withheld.
    """

    original_sha256: str
    original_uri: str
    original_source: str
    original_verdict: str
    copy_sha256: str
    copy_uri: str
    copy_source: str
    kind: str
    distance: int | None
    score: float | None
    copy_verdict: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One file of a group: what it is, where it was seen (the first few uris with sources).

    `arrival` is its number in order of arrival, `verdict` and `reason` what became of it. Size is
    in pixels, None of what cannot be decoded; `size` in bytes. `kind`, `distance` and `score` tell
    how it is a copy, and are None of an original. `data` is a picture, as in `facts.Picture`.
    """

    sha256: str
    arrival: int
    verdict: str
    sightings: Sequence[tuple[str, str]]
    times_seen: int
    size: int
    data: bytes = b""
    reason: str | None = None
    kind: str | None = None
    distance: int | None = None
    score: float | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None

    @property
    def title(self) -> str:
        """Where it was seen first."""
        return shortened(self.sightings[0][0]) if self.sightings else self.sha256

    @property
    def label(self) -> None:
        """Nothing: labels are the report's matter."""

    @property
    def pixels(self) -> int:
        """Width times height, 0 where they are not known."""
        return (self.width or 0) * (self.height or 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """An original and its direct copies; `copies_total` counts those not shown, too."""

    original: Shown
    copies: Sequence[Shown]
    copies_total: int

    @property
    def why(self) -> str:
        """Why the original was kept, or what became of it instead."""
        first = f"It arrived first, as number {count(self.original.arrival)}"
        if self.original.verdict == "withheld":
            return f"{first}, but was withheld: it looks like members of two splits."
        if self.original.verdict == "rejected":
            return f"{first}, but was rejected: {self.original.reason or 'no reason given'}."
        if not self.copies_total:
            return f"{first}; the same bytes are stored once, and every place is remembered."
        return f"{first}: of copies the first to arrive is kept, and stays when others come."

    @property
    def larger(self) -> Shown | None:
        """The largest copy of more pixels than the original, if there is one."""
        most = max(self.copies, key=lambda copy: copy.pixels, default=None)
        return most if most and most.pixels > self.original.pixels > 0 else None


def render_duplicates(name: str, counts: Counts, groups: Sequence[Group], total: int) -> str:
    """Write the page: `groups` of the `total` there are, in their order.

    Like the report it loads nothing and holds no time: the same groups give the same text.
    """
    page = environment().get_template("duplicates.html.j2")
    kinds = {"bytes": "same bytes", "pixels": "same pixels", "near": "near copy"}
    return page.render(
        name=name, counts=counts, groups=groups, total=total, kinds=kinds, table=TABLE,
        shortened=shortened,
    )  # fmt: skip


def write_page(
    folder: Path, name: str, counts: Counts, groups: Sequence[Group], total: int
) -> Path:
    """Write the page into a version's folder, complete or not at all."""
    return write_texts({PAGE: render_duplicates(name, counts, groups, total)}, folder)[PAGE]


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Cut the middle out of a text that is too long for a page.

    >>> shortened("https://example.org/a/long/path/cat.jpg", 24)
    'https://exam … h/cat.jpg'
    """
    text = one_line(text)
    if len(text) <= longest:
        return text
    head = (longest - 2) // 2 + 1
    return f"{text[:head]} … {text[head + 3 - longest :]}"


def write_table(rows: Iterable[Duplicate], folder: Path) -> int:
    """Write every duplicate into a version's folder as parquet, as they come; returns how many.

    The same rows give the same bytes under one version of pyarrow. Parquet and not CSV, because a
    foreign uri that begins with `=` is a formula to a spreadsheet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns, written = _columns(), 0
    with (
        replacing(folder / TABLE) as temporary,
        pq.ParquetWriter(temporary, columns, compression="zstd") as file,
    ):
        for group in batched(rows, _ROWS):
            values = zip(*group, strict=True)
            arrays = [pa.array(v, f.type) for v, f in zip(values, columns, strict=True)]
            file.write_table(pa.Table.from_arrays(arrays, schema=columns))
            written += len(group)
    return written


def _columns() -> "pa.Schema":
    import pyarrow as pa

    kinds = {"distance": pa.int32(), "score": pa.float64()}
    empty = {"distance", "score"}
    return pa.schema(
        [
            pa.field(name, kinds.get(name, pa.string()), nullable=name in empty)
            for name in Duplicate._fields
        ]
    )
