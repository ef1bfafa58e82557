"""What a made-up world consists of: files, photos, the lives of rows, and who looks when."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PHOTOS = 4
"""How many photos of a prediction are taken."""

BROKEN = frozenset({"cut", "page", "empty"})


class File(NamedTuple):
    """What is in an object: one picture in one form.

    `kind` is the picture's own format. `form`: `plain`, `resaved` (other bytes of the same pixels
    in the same format), `near` (a JPEG of it, recompressed or a tenth smaller by turns), or broken:
    `cut` (half a JPEG), `page` (HTML), `empty`.
    """

    picture: int
    kind: str = "jpg"
    form: str = "plain"
    turn: int = 0

    @property
    def extension(self) -> str:
        """The true format, whatever the object is called.

        >>> File(3, "png").extension, File(3, "png", "near").extension
        ('png', 'jpg')
        """
        return "jpg" if self.form == "near" else self.kind

    @property
    def is_broken(self) -> bool:
        """Whether no picture can be had of it."""
        return self.form in BROKEN

    def likeness(self, other: "File") -> str | None:
        """Say as what kind of copy one file stands beside another, None if it is none.

        >>> [File(3).likeness(o) for o in (File(3), File(3, form="resaved"), File(4))]
        ['bytes', 'pixels', None]
        """
        if self == other:
            return "bytes"
        if self.picture != other.picture or self.is_broken or other.is_broken:
            return None
        return "near" if "near" in (self.form, other.form) else "pixels"


class Shot(NamedTuple):
    """A photo as a row names it; without a key it lies elsewhere, without a file nowhere."""

    url: str
    key: str | None
    file: File | None
    at: dt.datetime
    """When the object comes into its place."""


class Row(NamedTuple):
    """What may change in a row."""

    style: str | None
    is_verified: bool | None
    verified_by: int | None
    verified_at: dt.datetime | None
    updated: dt.datetime


@dataclass(kw_only=True)
class Life:
    """One prediction from its insertion to its deletion.

    `visible` is when its row is committed, which may be later than its times say, and `kind` what
    a person would say it is. `shots` are all photos it names, in order.
    """

    number: int
    id: str
    user: int
    user_id: str
    kind: str
    initial: str | None
    style: str | None
    confidence: float | None
    created: dt.datetime
    updated: dt.datetime
    visible: dt.datetime
    shots: list[Shot] = field(default_factory=list)
    photo_urls: str | None = None
    photo_url: str | None = None
    is_verified: bool | None = False
    changes: list[tuple[dt.datetime, dict[str, Any]]] = field(default_factory=list)
    gone: dt.datetime | None = None

    @property
    def day(self) -> dt.date:
        """The day that it belongs to."""
        return self.created.date()

    @property
    def taken(self) -> list[Shot]:
        """The photos that are taken, by position."""
        return self.shots[:PHOTOS]

    @property
    def is_ever_verified(self) -> bool:
        """Whether somebody verifies it at any time."""
        return any(fields.get("is_verified") for _, fields in self.changes)

    def change(self, at: dt.datetime, **fields: Any) -> None:
        """Note an update of the row; it never comes before the row itself."""
        at = max(at, self.visible + dt.timedelta(seconds=60))
        if fields.get("is_verified"):
            fields = {"verified_by": 1 + self.number % 5, "verified_at": at, **fields}
        self.changes.append((at, fields))
        self.changes.sort(key=lambda change: change[0])

    def row_at(self, moment: dt.datetime) -> Row | None:
        """Give the row as somebody sees it who looks then: with what happened before."""
        if self.visible >= moment or (self.gone is not None and self.gone < moment):
            return None
        row = Row(self.style, self.is_verified, None, None, self.updated)
        for at, fields in self.changes:
            if at >= moment:
                break
            row = row._replace(**fields, updated=at)
        return row

    def changed_between(self, low: dt.datetime, high: dt.datetime) -> bool:
        """Tell whether anything happens to the row at or after `low` and before `high`."""
        moments = [self.visible, self.gone, *(at for at, _ in self.changes)]
        return any(moment is not None and low <= moment < high for moment in moments)


class GoldEvent(NamedTuple):
    """A gold object that is written, or removed where there is no file."""

    at: dt.datetime
    key: str
    file: File | None


class Look(NamedTuple):
    """A run that looks at the world: a daily one for `date`, else a monthly one for `month`."""

    at: dt.datetime
    date: dt.date | None = None
    month: tuple[int, int] | None = None


def class_of(style: str | None, initial: str | None) -> str | None:
    """Give the class that a row says: its style, else its first prediction."""
    return style or initial


def object_name(life: Life, position: int, extension: str) -> str:
    """Name a photo as seed 1 does."""
    return f"user_{life.user_id}_pred_{life.id}_img_{position}.{extension}"
