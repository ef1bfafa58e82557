"""A table of predictions in somebody's production database, read without disturbing it."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One row of seed 1's `user_styles`; times are UTC without a zone, ids are text.

    `photos` are the URLs as they stand there, blanks and nulls left out.
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
