"""A day's folder: its photos under the class they were collected as, its manifest and its lists."""

import datetime as dt
import hashlib
import json
import re
from typing import Any

import sqlalchemy as sa

from autods.catalog.candidate_tables import collections
from autods.catalog.tables import now, refs
from autods.ingest.pending import RUNS_PER_FAILURE, pending
from autods.recipes.candidates import papers
from autods.recipes.candidates.choosing import free_path, not_taken
from autods.recipes.candidates.collecting import mark_dirty
from autods.recipes.candidates.folders import MANIFEST, Folder, lay_out, objects_of, place_of
from autods.recipes.candidates.known import Row, photos_of, predictions_of
from autods.recipes.candidates.work import PHOTOS, Work

FOLDER = "datasets/candidates"
_OURS = re.compile(r"/user_[\w-]+_pred_[\w-]+_img_\d+(-[0-9a-f]{8})?\.\w+$")
"""What autods calls the objects of a day."""


def prefix_of(day: str) -> str:
    """Give where a day's folder lies.

    >>> prefix_of("2024-11-06")
    'datasets/candidates/2024-11-06/'
    """
    return f"{FOLDER}/{day}/"


def look_again(work: Work, first: str, end: str = ":") -> None:
    """Have the photos tried again that could not be had, of names from `first` on up to `end`.

    Others that could not be had are left alone: whether one is looked for follows from the day a
    run is for, never from how often it was run or killed. The folders of all days with photos to
    be tried may have to change, and are noted.
    """
    failed = (*work.live(PHOTOS), refs.c.status == "failed")
    within = sa.and_(refs.c.uri >= first, refs.c.uri < end)
    given_up = (~within, refs.c.tries < RUNS_PER_FAILURE)
    day = sa.func.substr(refs.c.uri, 1, 10)
    waiting = (*pending(work.dataset_id, work.stages.intake().fingerprint), *work.live(PHOTOS))
    with work.stages.catalog.begin() as db:
        db.execute(sa.update(refs).where(*failed, within).values(fingerprint=None, tries=0))
        db.execute(sa.update(refs).where(*failed, *given_up).values(tries=RUNS_PER_FAILURE))
        days = set(db.scalars(sa.select(day).distinct().where(*waiting)))
        if days:
            mark_dirty(work, db, days)


def days_behind(work: Work, last: dt.date, beginning: str = "") -> list[str]:
    """List the days up to `last` whose folders may not be what they should be."""
    query = sa.select(collections.c.day).where(
        collections.c.dataset_id == work.dataset_id,
        collections.c.dirty,
        collections.c.day <= str(last),
        collections.c.day.startswith(beginning),
    )
    with work.stages.catalog.read() as db:
        return list(db.scalars(query.order_by(collections.c.day)))


def publish_day(work: Work, day: str) -> dict[str, Any]:
    """Make a day's folder what it should be; one that is already stays untouched.

    An object lies where it was put first, whatever becomes of its prediction later.
    """
    prefix = prefix_of(day)
    samples, excluded = _told(work, day)
    table = papers.samples_table(samples, papers.DAILY)
    left = papers.excluded_table(excluded)
    lists = {
        "samples.parquet": papers.parquet_bytes(table),
        "excluded.parquet": papers.parquet_bytes(left),
    }
    said = json.dumps([table.to_pylist(), left.to_pylist()], default=str)
    digest = hashlib.sha256(said.encode()).hexdigest()
    before = _collection(work, day)
    same = before is not None and before.digest == digest and work.artifacts.has(prefix + MANIFEST)
    at = before.published_at if same and before else now()
    year, month = int(day[:4]), int(day[5:7])
    classes = work.given.recipe.classes
    told = papers.manifest("candidates", day, at, year, month, table, [day], classes)
    files = {} if same else lists | {MANIFEST: papers.manifest_bytes(told)}
    folder = Folder(prefix=prefix, objects=objects_of(samples), files=files)
    laid = lay_out(work, folder, is_ours=_OURS.search)
    _note(work, day, digest, len(samples), at)
    return {
        "day": day,
        "images": told["total_images"],
        "excluded": len(excluded),
        "new": not same,
        "brought": laid.brought,
        "moved_bytes": laid.moved_bytes,
        "folder": place_of(work, prefix),
        "class_distribution": told["class_distribution"],
    }


def _told(work: Work, day: str) -> tuple[list[Row], list[Row]]:
    """Sort a day's photos into those that lie in its folder and those that do not."""
    samples, excluded, taken = list[Row](), list[Row](), set[str]()
    for photo in photos_of(work, f"{day}/"):
        row = photo | {"label": photo["collected_as"]} | _NOT_YET
        why = not_taken(row, work.given.recipe.classes)
        if why is None:
            samples.append(row | {"path": free_path(row, taken)})
        else:
            status, reason, detail = why
            excluded.append(row | {"uri": row["source_uri"], "status": status, "reason": reason,
                                   "detail": detail})  # fmt: skip
    return samples, excluded


_NOT_YET = dict.fromkeys(("origin", "split", "group_sha256", "verified_by", "verified_at"))
"""What a day's list does not say, since it changes after the day."""


def collect_facts(work: Work, day: str) -> dict[str, int]:
    """Count a day's predictions: all, those without a photo, and photos beyond the most taken."""
    rows = predictions_of(work, day)
    return {
        "predictions": len(rows),
        "without_photos": sum(row["photos"] == 0 for row in rows),
        "photos": sum(row["photos"] for row in rows),
        "beyond": sum(row["beyond"] for row in rows),
    }


def _collection(work: Work, day: str) -> Any:
    query = sa.select(collections).where(
        collections.c.dataset_id == work.dataset_id, collections.c.day == day
    )
    with work.stages.catalog.read() as db:
        return db.execute(query).one_or_none()


def _note(work: Work, day: str, digest: str, images: int, at: dt.datetime) -> None:
    said = {"digest": digest, "images": images, "published_at": at, "dirty": False}
    row = {"dataset_id": work.dataset_id, "day": day, **said}
    mine = (collections.c.dataset_id == work.dataset_id, collections.c.day == day)
    with work.stages.catalog.begin() as db:
        work.stages.catalog.insert_new(db, collections, [row])
        db.execute(sa.update(collections).where(*mine).values(**said))


def days_with_images(work: Work, month: str) -> list[str]:
    """List the days of a month whose folders hold images."""
    query = sa.select(collections.c.day).where(
        collections.c.dataset_id == work.dataset_id,
        collections.c.day.startswith(month),
        collections.c.images > 0,
    )
    with work.stages.catalog.read() as db:
        return list(db.scalars(query.order_by(collections.c.day)))
