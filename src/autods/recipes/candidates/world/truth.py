"""What must be made of a made-up world, worked out from its history alone.

Nothing here is shared with the recipe: no URL is parsed, no picture is compared. Which photo is a
copy of which follows from how it was drawn.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from autods.recipes.candidates.world.drawing import DAY
from autods.recipes.candidates.world.shapes import (
    PHOTOS,
    File,
    Life,
    Look,
    Row,
    class_of,
    object_name,
)

Digest = Callable[[File], str]
Key = tuple[str, int] | str
"""(prediction, position) of a candidate's photo, or the path of an image within gold."""

LOOKED_FOR = 2 * DAY
"""A photo that is missing is looked for by the runs of its day and of so many days after it."""


class Out(NamedTuple):
    """Why a photo is in no dataset; of a duplicate, `reason` is its kind and `of` what is kept."""

    status: str
    reason: str
    of: str | None = None
    conflict: bool = False


class Member(NamedTuple):
    """A photo that is in a month's dataset."""

    sha256: str
    label: str
    origin: str


@dataclass(kw_only=True)
class DayTruth:
    """The folder of a day: path -> SHA-256, and what is not in it."""

    objects: dict[str, str] = field(default_factory=dict)
    excluded: dict[tuple[str, int], Out] = field(default_factory=dict)
    class_distribution: dict[str, int] = field(default_factory=dict)
    predictions: int = 0
    without_photos: int = 0
    beyond: int = 0


@dataclass(kw_only=True)
class SetTruth:
    """One dataset of a month: path -> member, and what is not in it."""

    members: dict[str, Member] = field(default_factory=dict)
    left_out: dict[Key, Out] = field(default_factory=dict)
    class_distribution: dict[str, int] = field(default_factory=dict)

    @property
    def gold_images(self) -> int:
        """How many members are gold."""
        return sum(member.origin == "gold" for member in self.members.values())

    @property
    def new_images(self) -> int:
        """How many members are not."""
        return len(self.members) - self.gold_images


@dataclass(kw_only=True)
class MonthTruth:
    """Both datasets of a month, and the days they are made from."""

    verified: SetTruth
    full: SetTruth
    collection_dates: list[str]


class Known(NamedTuple):
    """A prediction that was seen: under which class, and what came of each photo."""

    life: Life
    label: str | None
    photos: list[File | Out]


class Photo(NamedTuple):
    """A photo in the order of preference: what it is, or why it is none."""

    key: Key
    name: str
    label: str | None
    origin: str
    found: File | Out


def group_of(status: str, reason: str) -> str:
    """Give what a recipe's reason comes to here: all kinds of damage are `corrupt`.

    >>> group_of("failed", "missing-object"), group_of("rejected", "truncated")
    ('missing', 'corrupt')
    """
    if status == "failed":
        return "missing"
    return "corrupt" if status == "rejected" and reason != "photo-elsewhere" else reason


def see(lives: Sequence[Life], looks: Sequence[Look], overlap: dt.timedelta) -> list[Known]:
    """Work out what is known after some looks: who was first seen when, and with which photos."""
    known: dict[str, Known] = {}
    for number, (look, window) in enumerate(zip(looks, _windows(looks), strict=True)):
        for life in lives:
            if life.id in known or not _is_wanted(life, look, window):
                continue
            row = life.row_at(look.at)
            if row is not None and window.low - overlap <= row.updated < window.high:
                tries = [look, *(one for one in looks[number:] if _looks_for(one, life.day))]
                photos = [*_photos(life, tries)]
                known[life.id] = Known(life, class_of(row.style, life.initial), photos)
    return [*known.values()]


class _Window(NamedTuple):
    """Which rows a look reads, but for the overlap, and the first day that it wants."""

    low: dt.datetime
    high: dt.datetime
    since: dt.date


def _windows(looks: Sequence[Look]) -> Iterator[_Window]:
    """Give what each look reads; a day before all others is read up to where the others came."""
    since = mark = None
    for look in looks:
        first = look.date or dt.date(*(look.month or (1, 1)), 1)
        midnight = dt.datetime.combine(first, dt.time())
        is_earlier = since is None or first < since
        low = midnight if mark is None or is_earlier else mark
        if look.date is None:
            yield _Window(low, look.at, first)
            continue
        reached = max(mark or midnight, midnight + DAY)
        since = first if since is None else min(first, since)
        yield _Window(min(low, midnight), reached if is_earlier else midnight + DAY, since)
        mark = reached


def _is_wanted(life: Life, look: Look, window: _Window) -> bool:
    month = (life.day.year, life.day.month)
    return life.day >= window.since and (look.month is None or look.month == month)


def _looks_for(look: Look, day: dt.date) -> bool:
    """Tell whether a run tries a day's missing photos again: by what it is for, not how often."""
    if look.date is None:
        return look.month == (day.year, day.month)
    return day >= look.date - LOOKED_FOR


def publishes(look: Look, day: dt.date) -> bool:
    """Tell whether a run publishes a day's folder, if something has come in for it."""
    if look.date is None:
        return look.month == (day.year, day.month)
    return look.date >= day


def _photos(life: Life, tries: Sequence[Look]) -> Iterator[File | Out]:
    for shot in life.taken:
        there = any(shot.at < look.at and not _is_gone(life, look.at) for look in tries)
        if shot.key is None:
            yield Out("rejected", "photo-elsewhere")
        elif shot.file is None or not there:
            yield Out("failed", "missing")
        else:
            yield Out("rejected", "corrupt") if shot.file.is_broken else shot.file


def _is_gone(life: Life, moment: dt.datetime) -> bool:
    return life.gone is not None and life.gone < moment


def day_of(
    day: dt.date, known: Sequence[Known], looks: Sequence[Look], classes: Sequence[str], sha: Digest
) -> DayTruth:
    """Work out a day's folder; it is empty before the first run that publishes it."""
    truth = DayTruth()
    if not any(publishes(look, day) for look in looks):
        return truth
    for life, label, photos in (one for one in known if one.life.day == day):
        truth.predictions += 1
        truth.without_photos += not photos
        truth.beyond += max(0, len(life.shots) - PHOTOS)
        for position, found in enumerate(photos):
            if label not in classes:
                truth.excluded[life.id, position] = Out("left-out", "unknown-class")
            elif isinstance(found, Out):
                truth.excluded[life.id, position] = found
            else:
                name = object_name(life, position, found.extension)
                truth.objects[f"{label}/{name}"] = sha(found)
    labels = Counter(path.partition("/")[0] for path in truth.objects)
    truth.class_distribution = {name: labels[name] for name in classes if labels[name]}
    return truth


def set_of(photos: Sequence[Photo], classes: Sequence[str], sha: Digest) -> SetTruth:
    """Choose among photos in the order of preference: each is a member or left out."""
    truth = SetTruth()
    kept: dict[int, tuple[str, File]] = {}
    for key, name, label, origin, found in photos:
        if isinstance(found, Out):
            truth.left_out[key] = found
            continue
        if found.picture in kept:
            path, other = kept[found.picture]
            conflict = truth.members[path].label != label
            kind = found.likeness(other) or ""
            truth.left_out[key] = Out("duplicate", kind, path, conflict)
            continue
        path = f"{label}/{name}"
        if path in truth.members:
            stem, dot, extension = path.rpartition(".")
            path = f"{stem}-{sha(found)[:8]}{dot}{extension}"
        truth.members[path] = Member(sha(found), label or "", origin)
        kept[found.picture] = (path, found)
    labels = Counter(member.label for member in truth.members.values())
    truth.class_distribution = {name: labels[name] for name in classes if labels[name]}
    return truth


def gold_photos(there: Mapping[str, File], classes: Sequence[str]) -> Iterator[Photo]:
    """Give gold in its order, which is that of its paths."""
    for key in sorted(there):
        label, name = key.split("/")[-2:]
        found: File | Out = there[key]
        if label not in classes:
            found = Out("left-out", "unknown-class")
        elif there[key].is_broken:
            found = Out("rejected", "corrupt")
        yield Photo(f"{label}/{name}", name, label, "gold", found)


def candidate_photos(
    known: Sequence[Known], moment: dt.datetime, classes: Sequence[str], *, only_verified: bool
) -> Iterator[Photo]:
    """Give a month's photos as the database has them now: those of humans first."""
    rows = {life.id: life.row_at(moment) for life, _, _ in known}

    def rank(one: Known) -> tuple[bool, dt.date, str]:
        row = rows[one.life.id]
        return not (row and row.is_verified), one.life.day, one.life.id

    for one in sorted(known, key=rank):
        row = rows[one.life.id]
        label = class_of(row.style, one.life.initial) if row else None
        origin = "human" if row and row.is_verified else "model"
        reason = _why_not(row, label, classes, only_verified=only_verified)
        for position, found in enumerate(one.photos):
            taken = Out("left-out", reason) if reason else found
            extension = "" if isinstance(taken, Out) else taken.extension
            name = object_name(one.life, position, extension)
            yield Photo((one.life.id, position), name, label, origin, taken)


def _why_not(
    row: Row | None, label: str | None, classes: Sequence[str], *, only_verified: bool
) -> str | None:
    """Say why a prediction is left out, however good its photos are."""
    if row is None:
        return "withdrawn"
    if label not in classes:
        return "unknown-class"
    return "unverified" if only_verified and not row.is_verified else None
