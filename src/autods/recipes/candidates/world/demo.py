"""A month of a made-up world in a folder: database, photos, gold, and a recipe to run on them."""

import datetime as dt
from pathlib import Path

from autods.errors import UsageError
from autods.recipes.candidates.world.world import Put, World

START = dt.date(2024, 11, 1)

RECIPE = """\
# What `autods demo candidates` wrote: {days} days, about {per_day} predictions a day, seed {seed}.
#
#   autods run candidates daily candidates.yaml --date 2024-11-06
#       one day's new photos become candidates: datasets/candidates/2024-11-06
#   autods run candidates monthly candidates.yaml --year 2024 --month 11
#       gold + candidates: datasets/verified/2024-11 and datasets/full/2024-11
#
# A day that nobody collected is caught up with by the next run, and by the month's. Run anything
# twice: what is there stays as it is.
name: candidates

# Where things are; in production DB_NAME, STYLE_PHOTO_BUCKET and ML_ARTIFACTS_BUCKET say it, and
# none of these three lines is needed.
database: predictions.db    # or postgresql://USER@HOST/NAME; it is only ever read
photos: photos              # or s3://BUCKET: what photo_url and photo_urls name
artifacts: .                # or s3://BUCKET: datasets/gold is read there, the others are written

# The class of a prediction is its style_id, else its initial_prediction. What is in no class of
# this list is left out and reported; leave the list away for seed 1's fifteen.
# classes: [Aristocratic, Business, Fire]

# Write lists only, and no image twice: `materialize: manifest`.
materialize: copy
"""


def write_demo(folder: Path, days: int = 30, per_day: int = 12, seed: int = 7) -> Path:
    """Write the example into a folder, and give its recipe's path.

    From 1 November 2024 on for so many days, as it is at 01:00 of the day after; with 30 days that
    is when November's datasets are made. The same arguments give the same files. Raises UsageError
    if a number is too small, or the folder holds a recipe or a database that is not this example's.
    """
    world = World(START, days, per_day=per_day, seed=seed)
    text = RECIPE.format(days=days, per_day=per_day, seed=seed)
    recipe, database = folder / "candidates.yaml", folder / "predictions.db"
    _refuse_to_overwrite(recipe, database, text)
    folder.mkdir(parents=True, exist_ok=True)
    recipe.write_text(text)
    made = folder / "predictions.db.new"
    made.unlink(missing_ok=True)
    world.create(str(made))
    until = dt.datetime.combine(world.setting.end, dt.time(1))
    world.advance(str(made), put_into(folder / "photos"), put_into(folder), until)
    made.replace(database)
    return recipe


def put_into(folder: Path) -> Put:
    """Write and delete objects as files of a folder; one that is there already is left alone."""

    def put(key: str, data: bytes | None) -> None:
        path = folder / key
        if data is None:
            path.unlink(missing_ok=True)
        elif not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    return put


def _refuse_to_overwrite(recipe: Path, database: Path, text: str) -> None:
    ours = recipe.exists() and recipe.read_bytes() == text.encode()
    for path in (recipe, database):
        if path.exists() and not ours:
            raise UsageError(
                f"{path} is there and not this example's (same days, predictions and seed): "
                "give another folder"
            )
