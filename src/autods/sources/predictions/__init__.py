"""A table of predictions in somebody's production database, read without disturbing it."""

from autods.sources.predictions.database import Predictions
from autods.sources.predictions.prediction import COLUMNS, Mark, Prediction

__all__ = ["COLUMNS", "Mark", "Prediction", "Predictions"]
