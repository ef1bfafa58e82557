"""One row of a table of predictions: what is taken of it, and how it is read."""

import datetime as dt
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from autods.storable import printable

COLUMNS = (
    "id", "user_id", "photo_url", "photo_urls", "style_id", "initial_prediction", "confidence",
    "is_verified", "verified_by", "verified_at", "created_at", "updated_at",
)  # fmt: skip
"""What a table must have; nothing else in it is read."""

_TIME = re.compile(r"\d{4}-\d\d-\d\d([ Tt].*)?", re.ASCII | re.DOTALL)
_ZULU = re.compile(r"\s*(UTC|Z)\s*$", re.IGNORECASE)
_BEFORE_ZONE = re.compile(r"\s+(?=[+-]|$)")
_TRUE = {"1", "t", "true", "y", "yes", "on"}


class Mark(NamedTuple):
    """How far a table has been read, in the order of (updated_at, id)."""

    updated_at: dt.datetime
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One row of seed 1's `user_styles`; times are UTC without a zone, ids are text.

    `photos` are the URLs as they stand there but for blanks around them, all of them; what is no
    URL (a null, a blank, a number) is left out.
    """

    id: str
    user_id: str
    photos: tuple[str, ...]
    style: str | None
    initial_prediction: str | None
    confidence: float | None
    is_verified: bool
    verified_by: str | None
    verified_at: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime

    @property
    def mark(self) -> Mark:
        """Where to go on reading after this row."""
        return Mark(self.updated_at, self.id)


def prediction_of(row: Mapping[str, Any]) -> Prediction:
    """Read a row; raises ValueError that says what of it cannot be read."""
    return Prediction(
        id=_id(row["id"]),
        user_id=_text(row["user_id"]) or "",
        photos=photos_of(row["photo_urls"], row["photo_url"]),
        style=_text(row["style_id"]),
        initial_prediction=_text(row["initial_prediction"]),
        confidence=_number(row["confidence"]),
        is_verified=_truth(row["is_verified"]),
        verified_by=_text(row["verified_by"]),
        verified_at=_time_or_none(row["verified_at"]),
        created_at=_time(row, "created_at"),
        updated_at=_time(row, "updated_at"),
    )


def photos_of(urls: Any, url: Any) -> tuple[str, ...]:
    """Give the photos that a row names: those of its list, and where there is none its one.

    >>> photos_of('["a.jpg", null, " "]', "b.jpg"), photos_of("[]", "b.jpg"), photos_of(None, "")
    (('a.jpg',), ('b.jpg',), ())
    """
    return tuple(_urls(_list(urls))) or tuple(_urls([url]))


def utc(value: Any) -> dt.datetime:
    """Read a time as UTC without a zone: a datetime, or text as SQLite has it.

    Raises ValueError if it is none.

    >>> utc("2024-11-06T23:30:00-02:00"), utc("2024-11-06 10:00:00.5Z")
    (datetime.datetime(2024, 11, 7, 1, 30), datetime.datetime(2024, 11, 6, 10, 0, 0, 500000))
    """
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, dt.datetime):
        raise ValueError(f"{value!r} is no time")  # noqa: TRY004 - bad data, not a bad call
    try:
        return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    except OverflowError as error:
        raise ValueError(f"{value} is beyond the calendar") from error


def _parsed(text: str) -> dt.datetime:
    if not _TIME.fullmatch(text):
        raise ValueError(f"{printable(text[:40])!r} is no time")
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return dt.datetime.fromisoformat(_BEFORE_ZONE.sub("", _ZULU.sub("+00:00", text)))


def _time(row: Mapping[str, Any], column: str) -> dt.datetime:
    try:
        return utc(row[column])
    except ValueError as error:
        raise ValueError(f"{column}: {error}") from error


def _time_or_none(value: Any) -> dt.datetime | None:
    try:
        return utc(value)
    except ValueError:
        return None


def _id(value: Any) -> str:
    if value is None or isinstance(value, bytes) or value == "":
        raise ValueError(f"id: {value!r} is no text, number or UUID")
    return printable(str(value))


def _text(value: Any) -> str | None:
    return None if value is None else printable(str(value)).strip() or None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _truth(value: Any) -> bool:
    return value.strip().lower() in _TRUE if isinstance(value, str) else bool(value)


def _list(value: Any) -> list[Any]:
    """Take a list, or the JSON of one, or the JSON of such JSON; all else names no photo."""
    for _ in range(2):
        if not isinstance(value, str | bytes):
            break
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    return value if isinstance(value, list) else []


def _urls(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str) and (url := printable(value).strip()):
            yield url
