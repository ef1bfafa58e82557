"""Asking whether the images that are held have changed, without fetching those that have not."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from autods.catalog.crawl_tables import images
from autods.catalog.tables import blobs, refs
from autods.crawl.crawl import Crawl, rules_of
from autods.crawl.pictures import WITHDRAWN
from autods.crawl.rounds import Round
from autods.crawl.validators import validators
from autods.records import Refusal
from autods.run import Progress
from autods.web.http import Fetched, Request, fetch

Allow = Callable[[str], Refusal | None]

PAGE = 256
_KEPT_AT_ONCE = 64
_GONE = frozenset({404, 410})


@dataclass(frozen=True, slots=True)
class Revisited:
    """What became of the images that an earlier round had brought in.

    `failed` could not be asked and stay as they were, as do those of which the server has said
    nothing to ask by (`no_validators`).
    """

    unchanged: int = 0
    changed: int = 0
    gone: int = 0
    failed: int = 0
    no_validators: int = 0
    requests: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    id: int
    ref_id: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an answer means for an image and for its ref."""

    word: str
    image: dict[str, Any]
    ref: dict[str, Any] | None
    requests: int
    bytes: int


def revisit(job: Crawl, progress: Progress) -> Revisited:
    """Ask for each held image of the newest round if it is still the same, once a round.

    With other bytes it gets a new stamp, so that the next listing makes a new input of it; what is
    gone, or withheld by its server now, is no longer listed. Killed, it goes on where it was.
    """
    round_ = Round.newest(job.catalog, job.dataset_id, job.source)
    if round_ is None:
        return Revisited()
    with job.catalog.lock(job.name):
        progress.step("revisit", _count(job, round_))
        told = round_.stats.setdefault("revisit", {})
        told["no_validators"] = _count_silent(job, round_)
        _ask(job, round_, progress)
    return Revisited(**round_.stats["revisit"])


def _ask(job: Crawl, round_: Round, progress: Progress) -> None:
    policy, spool = replace(job.http, accept_encoding=None), job.spool / job.name
    under_way: dict[int, _Held] = {}
    answers: list[_Answer] = []
    rules = rules_of(job)
    requests = _requests(job, round_, under_way, rules.allow if rules else None)
    try:
        with closing(fetch(requests, policy, spool, job.manners)) as fetched:
            for got in fetched:
                answers.append(_judge(under_way.pop(got.index), got, round_.number))
                if len(answers) >= _KEPT_AT_ONCE:
                    _keep(job, round_, answers, progress)
                    answers.clear()
        _keep(job, round_, answers, progress)
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def _requests(
    job: Crawl, round_: Round, under_way: dict[int, _Held], allow: Allow | None
) -> Iterator[Request]:
    after = -1
    columns = (images.c.id, images.c.ordinal, images.c.url, refs.c.id.label("ref_id"))
    said = (refs.c.etag, refs.c.last_modified, blobs.c.sha256)
    query = _held(round_, *columns, *said).where(_has_validators())
    while True:
        page = query.where(images.c.ordinal > after).order_by(images.c.ordinal).limit(PAGE)
        with job.catalog.read() as db:
            rows = db.execute(page).all()
        for row in rows:
            after = row.ordinal
            under_way[row.id] = _Held(row.id, row.ref_id, row.sha256)
            asked = {"etag": row.etag, "last_modified": row.last_modified, "allow": allow}
            yield Request(index=row.id, url=row.url, **asked)
        if len(rows) < PAGE:
            return


def _held(round_: Round, *columns: sa.ColumnElement[Any]) -> "sa.Select[Any]":
    """Select images of a round that an earlier one had, that are held and not asked for yet."""
    same = (refs.c.dataset_id == images.c.dataset_id, refs.c.source == images.c.source,
            refs.c.uri == images.c.url, refs.c.stamp == images.c.stamp)  # fmt: skip
    return (
        sa.select(*columns)
        .select_from(images)
        .join(refs, sa.and_(*same))
        .join(blobs, blobs.c.id == refs.c.asset_id)
        .where(
            *round_.of(images),
            images.c.reason.is_(None),
            images.c.first_round < round_.number,
            images.c.checked.is_distinct_from(round_.number),
        )
    )


def _has_validators() -> sa.ColumnElement[bool]:
    return sa.or_(refs.c.etag.is_not(None), refs.c.last_modified.is_not(None))


def _count(job: Crawl, round_: Round) -> int:
    with job.catalog.read() as db:
        return db.scalar(_held(round_, sa.func.count()).where(_has_validators())) or 0


def _count_silent(job: Crawl, round_: Round) -> int:
    with job.catalog.read() as db:
        return db.scalar(_held(round_, sa.func.count()).where(~_has_validators())) or 0


def _judge(held: _Held, got: Fetched, number: int) -> _Answer:
    """Tell what an answer means; its file is removed."""
    word, image, ref = "failed", dict[str, Any](), None
    if got.path is not None:
        with got.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        got.path.unlink(missing_ok=True)
        word = "unchanged" if sha256 == held.sha256 else "changed"
        if word == "changed":
            image = {"stamp": sha256[:16]}
        else:
            ref = {"ref_id": held.ref_id, **validators(got)}
    elif got.refusal is None:
        word = "unchanged"
    elif got.status in _GONE:
        word, image = "gone", {"reason": "gone", "detail": got.refusal.detail}
    elif got.refusal.reason in WITHDRAWN:
        word, image = "gone", {"reason": got.refusal.reason, "detail": got.refusal.detail}
    image |= {"image_id": held.id, "checked": number}
    return _Answer(word, image, ref, got.tries, got.size)


def _keep(job: Crawl, round_: Round, answers: list[_Answer], progress: Progress) -> None:
    told = round_.stats["revisit"]
    for answer in answers:
        told[answer.word] = told.get(answer.word, 0) + 1
        told["requests"] = told.get("requests", 0) + answer.requests
        told["bytes"] = told.get("bytes", 0) + answer.bytes
    with job.catalog.begin() as db:
        for answer in answers:
            image = sa.update(images).where(images.c.id == answer.image["image_id"])
            values = {k: v for k, v in answer.image.items() if k != "image_id"}
            db.execute(image.values(values))
            if answer.ref:
                ref = sa.update(refs).where(refs.c.id == answer.ref["ref_id"])
                db.execute(ref.values(etag=answer.ref["etag"],
                                      last_modified=answer.ref["last_modified"]))  # fmt: skip
        round_.save(db)
    progress.advance(len(answers))
