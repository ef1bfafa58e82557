"""Asking the database about a month's predictions again: what is verified, relabelled, gone."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from autods.catalog.candidate_tables import predictions
from autods.catalog.tables import now
from autods.label.ledger import enter_source_labels, say, withdraw
from autods.recipes.candidates.collecting import said_now
from autods.recipes.candidates.known import Row, predictions_of, sightings_of
from autods.recipes.candidates.photos import UNFIT
from autods.recipes.candidates.work import Work
from autods.run import batched
from autods.sources.predictions import Prediction

_BATCH = 1000


def ask(work: Work, month: str) -> dict[str, int]:
    """Note what the database says today of a month's predictions, a thousand at a time.

    Those whose rows are gone are withdrawn; one whose row is back is no more.
    """
    known = [row for row in predictions_of(work, month)
             if not row["prediction_id"].startswith(UNFIT)]  # fmt: skip
    withdrawn = 0
    for some in batched(known, _BATCH):
        found = work.database.now([row["prediction_id"] for row in some])
        withdrawn += _note(work, some, found)
        work.stages.progress.advance(len(some))
    return {"asked": len(known), "withdrawn": withdrawn}


def _note(work: Work, known: Sequence[Row], found: dict[str, Prediction]) -> int:
    """Write a batch's answers; returns how many rows were not found."""
    at = now()
    said = [
        {"row": row["id"], **said_now(found[row["prediction_id"]], at)}
        for row in known
        if row["prediction_id"] in found
    ]
    there = found.keys() | work.database.unreadable.keys()
    gone = [row["id"] for row in known if row["prediction_id"] not in there]
    mine = sa.update(predictions).where(predictions.c.id == sa.bindparam("row"))
    names = ("style", "is_verified", "verified_by", "verified_at", "asked_at", "withdrawn_at")
    with work.stages.catalog.begin() as db:
        if said:
            db.execute(mine.values({name: sa.bindparam(name) for name in names}), said)
        left = (predictions.c.id.in_(gone), predictions.c.withdrawn_at.is_(None))
        db.execute(sa.update(predictions).where(*left).values(withdrawn_at=at, asked_at=at))
    return len(gone)


def label_now(row: Row) -> str | None:
    """Give the class a prediction has today: the one in force, else the model's."""
    said: str | None = row["style"] or row["initial_prediction"]
    return said


def origin_of(row: Row) -> str:
    """Tell who stands behind a prediction's class: `human` once it is verified, else `model`."""
    return "human" if row["is_verified"] else "model"


def enter_labels(work: Work, asset_ids: Sequence[int]) -> None:
    """Enter in the ledger what folders, the model and people say of some images.

    Of an image in several predictions, of whatever month, the latest verification speaks, and the
    first model; what nobody stands behind any more is taken back.
    """
    catalog, dataset = work.stages.catalog, work.dataset_id
    enter_source_labels(catalog, dataset)
    seen = sightings_of(work, asset_ids)
    verified = sorted(filter(_speaks, seen), key=_verified)
    human = {row["asset_id"]: _said(row, row["style"], f"verified by {_by(row)}", None)
             for row in verified}  # fmt: skip
    say(catalog, dataset, "human", None, human.values())
    withdraw(catalog, dataset, "human", set(asset_ids) - set(human))
    guessed = filter(_guesses, reversed(seen))
    model = {row["asset_id"]: _said(row, row["initial_prediction"], "initial prediction",
                                    row["confidence"]) for row in guessed}  # fmt: skip
    say(catalog, dataset, "model", "initial prediction", model.values())


def _speaks(row: Row) -> bool:
    return bool(row["is_verified"] and row["style"] and row["withdrawn_at"] is None)


def _verified(row: Row) -> tuple[str, str]:
    return (str(row["verified_at"] or ""), row["uri"])


def _by(row: Row) -> str:
    return row["verified_by"] or "somebody"


def _guesses(row: Row) -> bool:
    return bool(row["initial_prediction"])


def _said(row: Row, label: str, said_by: str, probability: float | None) -> dict[str, Any]:
    return {"asset_id": row["asset_id"], "label": label, "said_by": said_by,
            "probability": probability}  # fmt: skip
