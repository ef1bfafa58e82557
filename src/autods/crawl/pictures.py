"""The images of a round: cleared in the order in which they were found, and given as Refs."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.crawl_tables import images
from autods.crawl.rounds import Round
from autods.crawl.rules import Robots
from autods.crawl.urls import origin_of
from autods.records import Ref

PAGE = 1000

WITHDRAWN = frozenset({"gone", "x-robots-noai"})
"""Reasons for which an image that was held is listed no more: its server took it back."""


def clear_images(catalog: Catalog, round_: Round, robots: Robots) -> set[str]:
    """Judge the next images by robots.txt, as far as the rules of their origins are known.

    Gives the origins whose rules are wanted to go on.
    """
    while True:
        found = _next(catalog, round_)
        unknown = robots.unknown(row.url for row in found)
        known = 0
        refused = []
        for row in found:
            if unknown and origin_of(row.url) in unknown:
                break
            known += 1
            refusal = robots.refusal(row.url)
            if refusal is not None:
                said = {"reason": refusal.reason, "detail": refusal.detail}
                refused.append({"image_id": row.id, **said})
        if known:
            _keep(catalog, round_, known, refused)
        if known < PAGE:
            return unknown


def crawl_refs(
    catalog: Catalog, dataset_id: int, source: str, *, after: int = -1
) -> Iterator[tuple[int, Ref]]:
    """Yield the images of the newest round in the order in which they were found.

    Each comes with its place; `after` is the last one that the caller has seen. While the round
    goes on, only images are given of which it is certain whether they may be fetched. One that may
    not be is an input too, refused with its reason. What its server has withdrawn is not listed.
    """
    round_ = Round.newest(catalog, dataset_id, source)
    if round_ is None:
        return
    columns = ("ordinal", "url", "stamp", "license", "caption", "meta", "reason", "detail")
    query = sa.select(*(images.c[name] for name in columns)).where(*round_.of(images))
    query = query.where(images.c.ordinal < round_.cleared).order_by(images.c.ordinal).limit(PAGE)
    while True:
        with catalog.read() as db:
            rows = db.execute(query.where(images.c.ordinal > after)).all()
        for row in rows:
            after = row.ordinal
            if row.reason not in WITHDRAWN:
                yield row.ordinal, _ref(row, source, round_)
        if len(rows) < PAGE:
            return


def _ref(row: Any, source: str, round_: Round) -> Ref:
    refused = f"refused:{row.reason}:{row.detail or ''}"
    return Ref(
        uri=row.url,
        source=source,
        location=refused if row.reason else row.url,
        stamp=row.stamp,
        license=row.license or round_.scope.get("license"),
        label=round_.scope.get("label"),
        caption=row.caption,
        meta=row.meta,
    )


def _next(catalog: Catalog, round_: Round) -> list[Any]:
    query = sa.select(images.c.id, images.c.url).where(
        *round_.of(images), images.c.ordinal >= round_.cleared
    )
    with catalog.read() as db:
        return list(db.execute(query.order_by(images.c.ordinal).limit(PAGE)))


def _keep(catalog: Catalog, round_: Round, known: int, refused: list[dict[str, Any]]) -> None:
    round_.cleared += known
    with catalog.begin() as db:
        if refused:
            here = images.c.id == sa.bindparam("image_id")
            db.execute(sa.update(images).where(here), refused)
        round_.save(db)
