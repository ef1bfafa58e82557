"""Finding new predictions: what the database has had since the watermark, each row once."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autods.catalog.candidate_tables import collections, predictions, watermarks
from autods.catalog.tables import now
from autods.ingest.listing import note_refs
from autods.recipes.candidates.photos import locator, name_of
from autods.recipes.candidates.work import PHOTOS, Work
from autods.records import Ref
from autods.sources.predictions import Mark, Prediction

_DAY = dt.timedelta(days=1)
LONGEST = 1000
"""Characters of what a row says that are kept: a class or a URL is no book."""


@dataclass(frozen=True, slots=True)
class Known:
    """How far the database has been read: from which day on, and up to which row."""

    since: dt.date
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows are read: by when they were updated; and the first day that is wanted."""

    after: dt.datetime
    until: dt.datetime | None
    since: dt.date


def window_of(day: dt.date, known: Known | None, overlap: dt.timedelta) -> Window:
    """Say what a run for a day reads: from a little before the watermark to the end of the day.

    What was committed late is found in the overlap, what a day without a run has missed as well.
    A day before the first one is read up to the watermark: its rows may have been updated since.

    >>> day = dt.date(2024, 11, 6)
    >>> known = Known(dt.date(2024, 11, 1), Mark(dt.datetime(2024, 11, 4, 8), "x"))
    >>> window_of(day, known, dt.timedelta(hours=1)).after
    datetime.datetime(2024, 11, 4, 7, 0)
    """
    begin = midnight(day)
    end = begin + _DAY
    if known is None:
        return Window(begin - overlap, end, day)
    reached = known.mark.updated_at if known.mark else begin
    if day < known.since:
        return Window(begin - overlap, max(end, reached + dt.timedelta(microseconds=1)), day)
    return Window(min(reached, begin) - overlap, end, known.since)


def midnight(day: dt.date) -> dt.datetime:
    """Give the beginning of a day, in UTC, as the catalog keeps times."""
    return dt.datetime.combine(day, dt.time())


def collect_day(work: Work, day: dt.date) -> dict[str, int]:
    """Note every prediction there is up to the end of a day; counts those seen and the new ones.

    Reading again notes nothing twice; the watermark moves once all of it is noted.
    """
    overlap = dt.timedelta(seconds=work.given.recipe.overlap)
    known = read_watermark(work)
    window = window_of(day, known, overlap)
    found = _collect(work, window, None)
    _keep_watermark(work, window.since, found.last, known)
    return _counts(work, found)


def catch_up(work: Work, first: dt.date, end: dt.date) -> dict[str, int]:
    """Note what was created in a month and came, or was updated, since the last daily run.

    The watermark stays where it is: other days' rows are for their own runs to find.
    """
    known = read_watermark(work)
    reached = known.mark.updated_at if known and known.mark and first >= known.since else None
    after = (reached or midnight(first)) - dt.timedelta(seconds=work.given.recipe.overlap)
    return _counts(work, _collect(work, Window(after, None, first), end))


def _counts(work: Work, found: "_Found") -> dict[str, int]:
    unreadable = len(work.database.unreadable)
    return {"seen": found.seen, "new": found.new, "unreadable": unreadable}


@dataclass
class _Found:
    seen: int = 0
    new: int = 0
    last: Mark | None = None


def _collect(work: Work, window: Window, end: dt.date | None) -> _Found:
    found = _Found()
    for page in work.database.changed(window.after, window.until):
        wanted = [row for row in page if _is_wanted(row, window.since, end)]
        found.new += _note(work, wanted)
        found.seen += len(wanted)
        found.last = Mark(page[-1].updated_at, page[-1].id)
        work.stages.progress.advance(len(page))
    return found


def _is_wanted(row: Prediction, since: dt.date, end: dt.date | None) -> bool:
    day = row.created_at.date()
    return since <= day and (end is None or day < end)


def _note(work: Work, rows: Sequence[Prediction]) -> int:
    """Note the rows that are not known, and the photos that known ones have got since.

    In one transaction with the note that their days' folders are behind: a prediction that is
    known has its photos, and a photo its prediction.
    """
    named = {name_of(row.id): row for row in rows}
    there = _known_ones(work, [*named])
    new = [row for name, row in named.items() if name not in there]
    most = work.given.recipe.max_photos
    grown = [(known, named[known.prediction_id]) for known in there.values()
             if len(named[known.prediction_id].photos[:most]) > known.photos]  # fmt: skip
    if not (new or grown):
        return 0
    where = locator(work.photos)
    wanted = [ref for row in new for ref in _refs(row, str(row.created_at.date()), where, most)]
    for known, row in grown:
        wanted += _refs(row, known.day, where, most)[known.photos :]
    days = {str(row.created_at.date()) for row in new} | {known.day for known, _ in grown}
    at, catalog = now(), work.stages.catalog
    with catalog.begin() as db:
        note_refs(catalog, db, work.dataset_id, wanted)
        catalog.insert_new(db, predictions, [_row(work, row, at, most) for row in new])
        for known, row in grown:
            more = sa.update(predictions).where(predictions.c.id == known.id)
            db.execute(more.values(**_photos(row, most)))
        mark_dirty(work, db, days)
    catalog.note_growth(len(new))
    return len(new)


def _known_ones(work: Work, ids: Sequence[str]) -> dict[str, Any]:
    names = ("id", "prediction_id", "day", "photos")
    query = sa.select(*(predictions.c[name] for name in names)).where(
        predictions.c.dataset_id == work.dataset_id, predictions.c.prediction_id.in_(ids)
    )
    with work.stages.catalog.read() as db:
        return {row.prediction_id: row for row in db.execute(query)}


def _refs(row: Prediction, day: str, where: Callable[[str], str], most: int) -> list[Ref]:
    """Make an input of each photo, named DAY/PREDICTION/POSITION; an unfit id refuses them."""
    name = name_of(row.id)
    fit = name == row.id and name_of(row.user_id) == row.user_id
    return [
        Ref(
            uri=f"{day}/{name}/{position}",
            source=PHOTOS,
            location=where(url) if fit else _refusal(row),
            meta={"photo": url[:LONGEST]},
        )
        for position, url in enumerate(row.photos[:most])
    ]


def _refusal(row: Prediction) -> str:
    said = f"prediction {row.id[:80]!r} of user {row.user_id[:80]!r}"
    return f"refused:bad-id:no name for an object: {said} (64 letters, digits, _ and -)"


def _row(work: Work, row: Prediction, at: dt.datetime, most: int) -> dict[str, Any]:
    return {
        "dataset_id": work.dataset_id,
        "prediction_id": name_of(row.id),
        "user_id": name_of(row.user_id),
        "day": str(row.created_at.date()),
        "collected_as": _cut(row.style or row.initial_prediction),
        **_photos(row, most),
        "created_at": row.created_at,
        "seen_at": at,
        "initial_prediction": _cut(row.initial_prediction),
        "confidence": row.confidence,
        **said_now(row, at),
    }


def _photos(row: Prediction, most: int) -> dict[str, int]:
    return {"photos": min(len(row.photos), most), "beyond": max(0, len(row.photos) - most)}


def said_now(row: Prediction, at: dt.datetime) -> dict[str, Any]:
    """Give what people say of a prediction today, by the catalog's columns.

    What the model said stays as it was collected.
    """
    return {
        "style": _cut(row.style),
        "is_verified": row.is_verified,
        "verified_by": row.verified_by,
        "verified_at": row.verified_at,
        "asked_at": at,
        "withdrawn_at": None,
    }


def _cut(said: str | None) -> str | None:
    return said[:LONGEST] if said else said


def mark_dirty(work: Work, db: sa.Connection, days: set[str]) -> None:
    """Note that the folders of these days are not what they should be, in a transaction."""
    rows = [{"dataset_id": work.dataset_id, "day": day, "dirty": True} for day in sorted(days)]
    work.stages.catalog.insert_new(db, collections, rows)
    mine = (collections.c.dataset_id == work.dataset_id, collections.c.day.in_(sorted(days)))
    db.execute(sa.update(collections).where(*mine).values(dirty=True))


def read_watermark(work: Work) -> Known | None:
    """Tell how far the database has been read; None before the first run."""
    query = sa.select(watermarks).where(*_mine(work))
    with work.stages.catalog.read() as db:
        row = db.execute(query).one_or_none()
    if row is None:
        return None
    mark = Mark(row.updated_at, row.row_id) if row.updated_at else None
    return Known(dt.date.fromisoformat(row.since), mark)


def _keep_watermark(work: Work, since: dt.date, last: Mark | None, known: Known | None) -> None:
    """Move the watermark on, never back."""
    seen = [mark for mark in (last, known.mark if known else None) if mark]
    mark = max(seen) if seen else None
    row = {"dataset_id": work.dataset_id, "source": PHOTOS, "since": str(since),
           "updated_at": mark.updated_at if mark else None,
           "row_id": mark.id if mark else None, "place": work.photos.url}  # fmt: skip
    with work.stages.catalog.begin() as db:
        work.stages.catalog.insert_new(db, watermarks, [row])
        db.execute(sa.update(watermarks).where(*_mine(work)).values(**row))


def _mine(work: Work) -> tuple[sa.ColumnElement[bool], ...]:
    return (watermarks.c.dataset_id == work.dataset_id, watermarks.c.source == PHOTOS)
