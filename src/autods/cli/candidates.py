"""The commands of seed 1: run candidates daily, run candidates monthly, flows deploy."""

import contextlib
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from autods.cli import autods, command, echo
from autods.cli.running import run
from autods.errors import UsageError

RECIPE = click.argument("recipe", type=click.Path(dir_okay=False, path_type=Path), required=False)


@run.group("candidates")
def candidates() -> None:
    """Collect predictions every day, make datasets of them every month: seed 1's recipe.

    Where things are is said by DB_NAME, STYLE_PHOTO_BUCKET, ML_ARTIFACTS_BUCKET and their like, or
    by a recipe file (docs/candidates.md).
    """


@command("daily", under=candidates)
@RECIPE
@click.option("--date", "day", metavar="YYYY-MM-DD", help="The day, in UTC [default: yesterday].")
def daily(recipe: Path | None, day: str | None, workspace: Path | None, quiet: bool) -> Any:
    """Collect what was predicted up to the end of a day, with its photos.

    Run again, or killed and run again, it goes on and ends in the same tree.
    """
    from autods.recipes.candidates.config import read_candidates
    from autods.recipes.candidates.running import daily as collect
    from autods.recipes.candidates.running import yesterday

    given = read_candidates(recipe)
    wanted = _day(day) if day else yesterday()
    with _watched(quiet) as progress:
        done = collect(_root(recipe, workspace), given, wanted, progress)
    if not quiet:
        _show_day(done)
    return done


@command("monthly", under=candidates)
@RECIPE
@click.option("--year", type=click.IntRange(1970, 9998), help="The year [default: last month's].")
@click.option("--month", type=click.IntRange(1, 12), help="The month [default: the last one].")
def monthly(
    recipe: Path | None, year: int | None, month: int | None, workspace: Path | None, quiet: bool
) -> Any:
    """Make a month's two datasets: `verified`, and `full` with what nobody has verified yet.

    What is verified, relabelled or withdrawn is asked from the database now. The same members are
    the same version; others are the month's next one, and no version is ever written over.
    """
    from autods.recipes.candidates.running import last_month

    if (year is None) != (month is None):
        raise UsageError("--year and --month go together: give both, or neither for the last month")
    wanted = last_month() if year is None or month is None else (year, month)
    return make_month(recipe, wanted, workspace, quiet)


def make_month(
    recipe: Path | None, month: tuple[int, int], workspace: Path | None, quiet: bool
) -> dict[str, Any]:
    """Make a month's datasets and print what came of it."""
    from autods.recipes.candidates.config import read_candidates
    from autods.recipes.candidates.running import monthly as make

    given = read_candidates(recipe)
    with _watched(quiet) as progress:
        done = make(_root(recipe, workspace), given, *month, progress)
    if not quiet:
        _show_month(done)
    return done


@autods.group("flows")
def flows() -> None:
    """Recipes on a schedule, as Prefect's deployments."""


@command("deploy", under=flows)
@RECIPE
@click.option("--pool", help="The work pool [default: PREFECT_WORK_POOL, else default-pool].")
def deploy(recipe: Path | None, pool: str | None, workspace: Path | None, quiet: bool) -> Any:
    """Deploy seed 1's flows: every day at 00:00 UTC, and on the first of a month at 01:00.

    The server is PREFECT_API_URL's. Deployed again, the deployments are brought up to date.
    """
    from autods.flows.deploying import deploy as to_prefect
    from autods.recipes.candidates.config import read_candidates
    from autods.settings import Settings

    read_candidates(recipe)  # What is wrong with it is to be known now, not at midnight.
    root = _root(recipe, workspace).absolute()
    settings = Settings.read(root)
    made = to_prefect(
        pool or settings.prefect_work_pool,
        recipe=recipe.absolute() if recipe else None,
        workspace=root,
        api_url=settings.prefect_api_url,
    )
    if not quiet:
        for name in made:
            echo(f"Deployed {name} to the work pool {pool or settings.prefect_work_pool}")
        echo(f"Next: prefect worker start --pool {pool or settings.prefect_work_pool}")
    return {"deployments": made, "work_pool": pool or settings.prefect_work_pool}


def _day(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=dt.UTC).date()
    except ValueError as error:
        raise UsageError(f"--date {text}: a day as YYYY-MM-DD is wanted") from error


def _root(recipe: Path | None, workspace: Path | None) -> Path:
    from autods.workspace import find

    if workspace:
        return workspace
    near = recipe.absolute().parent if recipe else Path.cwd()
    return find(near) or find(Path.cwd()) or near


def _watched(quiet: bool) -> Any:
    from autods.cli.bars import Bars
    from autods.run import Silent

    return contextlib.nullcontext(Silent()) if quiet else Bars()


def _show_day(done: Mapping[str, Any]) -> None:
    from autods.report.wording import things

    said, photos = done["predictions"], done["photos"]
    echo(f"{done['date']}: {things(said['predictions'], 'prediction')}, "
         f"{things(photos['inputs'], 'photo')}: {things(photos['images'], 'image')}, "
         f"{photos['excluded']:,} left out")  # fmt: skip
    if said["unreadable"]:
        echo(f"  {things(said['unreadable'], 'row')} without times that can be read")
    if said["without_photos"]:
        echo(f"  {things(said['without_photos'], 'prediction')} without a photo")
    if said["beyond"]:
        echo(f"  {things(said['beyond'], 'photo')} beyond the most of a prediction: not taken")
    for day in done["published"]:
        echo(f"  {things(day['images'], 'image')}{'' if day['new'] else ', as before,'} in "
             f"{day['folder']}")  # fmt: skip


def _show_month(done: Mapping[str, Any]) -> None:
    from autods.report.wording import things

    for kind in ("verified", "full"):
        told = done[kind]
        if not told["version"]:
            echo(f"{kind:<9} no image: nothing to make")
            continue
        new = "" if told["new"] else ", nothing new"
        parts = f"{told['gold']:,} gold, {told['added']:,} new"
        echo(f"{kind:<9} {told['version']}{new}: {things(told['images'], 'image')} ({parts}), "
             f"{told['excluded']:,} left out")  # fmt: skip
        echo(f"          {told['folder']}")
    asked = done["asked"]
    echo(f"Asked about {things(asked['asked'], 'prediction')} again: {asked['withdrawn']:,} gone. "
         f"Gold is {done['gold'] or 'empty'}")  # fmt: skip
