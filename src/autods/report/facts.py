"""The facts of one dataset version, as the build hands them to everything that shows them.

    Facts
    ├── about     About      name, number, digest, recipe, parent, how it is made again
    ├── counts    Counts     inputs = accepted + duplicates + withheld + rejected + failed
    ├── labels    Labels     members by class and split, who labelled them, labeling functions
    ├── contents  Contents   formats, licenses, sources, distributions of what was measured
    ├── examples  Examples   pictures, duplicate pairs, refused inputs to look at
    ├── timing    Timing     seconds per step, items per second
    ├── places    {name: path}
    └── changes   Changes    against the parent version, or None

What can be computed from other facts is a property and never given. What contradicts itself is
refused on construction with an AutodsError that names the numbers.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autods.errors import AutodsError
from autods.report.counts import Counts, refuse_negative
from autods.report.histogram import Histogram
from autods.report.wording import count

__all__ = [
    "About",
    "Changes",
    "Contents",
    "Counts",
    "Examples",
    "Facts",
    "FunctionRow",
    "Held",
    "Histogram",
    "Labels",
    "Pair",
    "Picture",
    "Refused",
    "Timing",
]

ByClass = Mapping[str, Mapping[str, int]] | Mapping[str | None, Mapping[str, int]]
"""{class: {split: members}}; the class "" or None holds what has no label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """Which version this is, and what it was made by.

    `recipe` is the mapping the user wrote, `command` what makes the version again. `created_at` is
    UTC; without a zone it is taken as UTC, which is how the catalog keeps time. `parent` is a name
    such as `cats@v2`. `alias` is the name the recipe gave the version (`2024-11-v1`), `period` the
    (year, month) it stands for where that is not the month it was made in, `collection_dates` the
    days (`2024-11-01`) on which its inputs were collected.
    """

    dataset: str
    number: int
    digest: str
    dataset_type: str
    created_at: dt.datetime
    recipe: Mapping[str, Any]
    command: str
    parent: str | None = None
    alias: str | None = None
    period: tuple[int, int] | None = None
    collection_dates: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The version as people write it: `cats@v3`."""
        return f"{self.dataset}@v{self.number}"

    @property
    def created(self) -> dt.datetime:
        """When it was made, in UTC and saying so."""
        zoned = self.created_at.tzinfo is not None
        moment = self.created_at if zoned else self.created_at.replace(tzinfo=dt.UTC)
        return moment.astimezone(dt.UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionRow:
    """One labeling function: Snorkel's shares of the rows, from 0 to 1.

    `polarity` are the classes it votes for; `accuracy` is against gold labels, None without any;
    `faults` counts the rows on which it raised.
    """

    name: str
    polarity: Sequence[str]
    coverage: float
    overlaps: float
    conflicts: float
    accuracy: float | None = None
    faults: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """The members by class and split, and where their labels came from.

    `kinds` counts members by who gave the label in force (human, source, weak, model); it may be
    empty, else it adds up to the labelled members. `conflicts` are members about which labels of
    one rank disagree.
    """

    by_class_and_split: ByClass
    kinds: Mapping[str, int] = field(default_factory=dict)
    conflicts: int = 0
    functions: Sequence[FunctionRow] = ()

    def __post_init__(self) -> None:
        cells = {
            f"class {name!r}, split {split!r}": number
            for name, splits in self.by_class_and_split.items()
            for split, number in splits.items()
        }
        refuse_negative(cells | {f"kind {kind!r}": n for kind, n in self.kinds.items()})
        if self.kinds and sum(self.kinds.values()) != self.labelled:
            raise AutodsError(
                f"the label kinds do not add up: {dict(self.kinds)} make "
                f"{count(sum(self.kinds.values()))}, but {count(self.labelled)} are labelled"
            )

    @property
    def members(self) -> int:
        """All members, labelled or not."""
        return sum(sum(splits.values()) for splits in self.by_class_and_split.values())

    @property
    def unlabelled(self) -> int:
        """Members without a label."""
        groups = self.by_class_and_split.items()
        return sum(sum(splits.values()) for name, splits in groups if not name)

    @property
    def labelled(self) -> int:
        """Members with a label."""
        return self.members - self.unlabelled


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What a storage tier holds of a version: how many members, and their bytes in all."""

    members: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What the members are: how many there are by file format, by license and by source.

    A license "" is one that nobody stated. A member seen in two sources counts for the one it was
    first seen in. `distributions` maps a measure (width, height, megapixels, file_size in bytes,
    brightness, contrast, sharpness, entropy, or any other name) to its histogram. `storage` tells
    by tier (hot, cold) where the members lay when this was gathered; it may be empty.
    """

    formats: Mapping[str, int] = field(default_factory=dict)
    licenses: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    distributions: Mapping[str, Histogram] = field(default_factory=dict)
    storage: Mapping[str, Held] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A small picture to look at: JPEG, PNG, GIF or WebP bytes, and what is said of it.

    Anything else in `data`, nothing included, is shown as 'no preview'.
    """

    data: bytes
    title: str
    label: str | None
    split: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A kept picture and one left out as its duplicate.

    `kind` is exact, pixels or near; `distance` the bits in which the two perceptual hashes differ;
    `score` how alike the second look found them, 1 at most.
    """

    kept: Picture
    dropped: Picture
    kind: str
    distance: int | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """An input that was rejected or failed: its reason is a code, its detail a sentence."""

    uri: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """Things to look at, in the order they are to be shown; the page caps each list and says so."""

    gallery: Sequence[Picture] = ()
    pairs: Sequence[Pair] = ()
    refused: Sequence[Refused] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How long each step of the build took, in order, and how many inputs a second went through."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    items_per_second: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What differs from the parent version; a member may be both relabelled and moved."""

    added: int
    removed: int
    relabelled: int
    moved: int
    unchanged: int

    def __post_init__(self) -> None:
        refuse_negative({name: getattr(self, name) for name in self.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All that is shown of one version.

    `places` says what lies where; the keys `shards` (a folder with one folder of tars per split),
    `parquet` (a file), `folder` (an image folder) and `report` (the page) are known and give the
    reader working commands, `duplicates` is a page that the report links to as its neighbour
    duplicates.html, any other is listed as it is.

    Raises AutodsError if the members by class and split are not the accepted ones, or if the
    changes cannot have led to them.
    """

    about: About
    counts: Counts
    labels: Labels
    contents: Contents = Contents()
    examples: Examples = Examples()
    timing: Timing = Timing()
    places: Mapping[str, str] = field(default_factory=dict)
    changes: Changes | None = None

    def __post_init__(self) -> None:
        if self.labels.members != self.counts.accepted:
            raise AutodsError(
                f"{self.name}: classes and splits hold {count(self.labels.members)} members, "
                f"but {count(self.counts.accepted)} were accepted"
            )
        self._check_changes()

    @property
    def name(self) -> str:
        """The version as people write it: `cats@v3`."""
        return self.about.name

    @property
    def carried(self) -> int:
        """How many members the parent version had already."""
        return self.counts.accepted - self.changes.added if self.changes else 0

    def _check_changes(self) -> None:
        what = self.changes
        if what is None:
            return
        most = what.unchanged + what.relabelled + what.moved
        least = what.unchanged + max(what.relabelled, what.moved)
        if not least <= self.carried <= most:
            raise AutodsError(
                f"{self.name}: {count(self.counts.accepted)} accepted less {count(what.added)} "
                f"added leave {count(self.carried)} carried over, but {count(what.unchanged)} "
                f"unchanged, {count(what.relabelled)} relabelled and {count(what.moved)} moved "
                f"make {count(least)} to {count(most)}"
            )
