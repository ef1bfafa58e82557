"""Whose a place of artifacts is: a word in it that its catalog knows, so that no two share it."""

import uuid

import sqlalchemy as sa

from autods.catalog.tables import marks
from autods.errors import PlaceError
from autods.recipes.candidates.work import Work
from autods.store import MissingError

KEY = "datasets/.autods-candidates"


def claim(work: Work) -> None:
    """See that the artifacts are this dataset's, or make them so the first time.

    What another catalog has published it alone can tell from what may be written. Raises
    PlaceError if the place is another's.
    """
    name = f"artifacts of {work.stages.recipe.name}"
    there, known = _word_in(work), _known(work, name)
    if there is not None and there != known:
        raise PlaceError(
            f"{work.artifacts.url} holds the datasets of another workspace, or of a recipe of "
            "another name: give this one a place of its own (s3://BUCKET/PREFIX, say). If their "
            f"catalog is lost, remove {KEY} there, and move the months' folders away"
        )
    word = known or there or uuid.uuid4().hex
    if known is None:
        with work.stages.catalog.begin() as db:
            work.stages.catalog.insert_new(db, marks, [{"name": name, "value": word}])
    if there is None:
        work.artifacts.replace(KEY, word.encode())


def _word_in(work: Work) -> str | None:
    try:
        return work.artifacts.get(KEY).decode(errors="replace")
    except MissingError:
        return None


def _known(work: Work, name: str) -> str | None:
    with work.stages.catalog.read() as db:
        return db.scalar(sa.select(marks.c.value).where(marks.c.name == name))
