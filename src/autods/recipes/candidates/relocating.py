"""Looking for photos where they are today: a place that was mistyped, or has moved, is no loss."""

import sqlalchemy as sa

from autods.catalog.candidate_tables import watermarks
from autods.catalog.tables import refs
from autods.recipes.candidates.photos import locator
from autods.recipes.candidates.work import PHOTOS, Work
from autods.run import batched

_KEPT = "refused:bad-id:"


def relocate(work: Work) -> int:
    """Have the photos that could not be had looked for in the place of today, if it is another.

    Returns how many are looked for anew.
    """
    mine = (watermarks.c.dataset_id == work.dataset_id, watermarks.c.source == PHOTOS)
    with work.stages.catalog.read() as db:
        before = db.execute(sa.select(watermarks.c.place).where(*mine)).one_or_none()
    if before is None or before.place == work.photos.url:
        return 0
    moved = _moved(work)
    update = sa.update(refs).where(refs.c.id == sa.bindparam("ref"))
    anew = update.values(location=sa.bindparam("there"), fingerprint=None, status=None, tries=0)
    with work.stages.catalog.begin() as db:
        for some in batched(moved, 5000):
            db.execute(anew, some)
        db.execute(sa.update(watermarks).where(*mine).values(place=work.photos.url))
    return len(moved)


def _moved(work: Work) -> list[dict[str, object]]:
    where = locator(work.photos)
    query = sa.select(refs.c.id, refs.c.location, refs.c.meta).where(
        *work.live(PHOTOS), refs.c.asset_id.is_(None), ~refs.c.location.startswith(_KEPT)
    )
    with work.stages.catalog.read() as db:
        rows = db.execute(query).all()
    there = ((row, where(row.meta["photo"])) for row in rows)
    return [{"ref": row.id, "there": now} for row, now in there if now != row.location]
