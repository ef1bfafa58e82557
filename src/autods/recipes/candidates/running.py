"""Running seed 1's recipe: a day, or a month, as steps that any runner may take."""

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autods.errors import UsageError
from autods.recipes.bond import bind
from autods.recipes.candidates.asking import ask, enter_labels, label_now, origin_of
from autods.recipes.candidates.choosing import Kind, choose, part_of
from autods.recipes.candidates.claiming import claim
from autods.recipes.candidates.collecting import catch_up, collect_day
from autods.recipes.candidates.config import Given
from autods.recipes.candidates.days import (
    collect_facts,
    days_behind,
    days_with_images,
    look_again,
    publish_day,
)
from autods.recipes.candidates.gold import list_gold
from autods.recipes.candidates.known import gold_of, photos_of
from autods.recipes.candidates.releases import (
    freeze_part,
    lay_out_release,
    month_of,
    release,
    releases_of,
)
from autods.recipes.candidates.relocating import relocate
from autods.recipes.candidates.work import Work, at_work
from autods.report.wording import things
from autods.run import Context, Progress, Silent, WorkflowStep, run_steps

Runner = Callable[[Sequence[WorkflowStep], Context, Progress], Context]
"""Takes steps in turn, each over what those before it returned: in process, as Prefect's tasks."""

FIRST_YEAR = 1970

KINDS: tuple[Kind, ...] = ("verified", "full")
RETRIES = 3
"""How often a scheduler tries a step again; each goes on where it stopped."""

LOOKS = dt.timedelta(days=3)
"""A photo that is missing is looked for by the runs of so many days, from its own on, and by those
for its month."""


def daily(
    root: Path,
    given: Given,
    day: dt.date,
    progress: Progress | None = None,
    *,
    runner: Runner | None = None,
) -> dict[str, Any]:
    """Collect the predictions up to the end of a day, and publish its folder.

    Run again, or killed and run again, it ends in the same tree. Raises UsageError if a place is
    not named, SourceError if the database cannot be read, PlaceError for any other place.
    """
    if day.year < FIRST_YEAR:
        raise UsageError(f"{day} is too long ago: {FIRST_YEAR} is the first year")
    if day > today():
        raise UsageError(f"{day} has not begun yet: it is {today()}, in UTC")
    watcher = progress or Silent()
    with at_work(root, given, watcher, "daily") as work:
        done = _run(work, _daily_steps(work, day), {"date": str(day)}, watcher, runner)
        return {"date": str(day), "predictions": done["collected"] | done["facts"],
                 "photos": done["photos"], "published": done["published"],
                 "class_distribution": done["class_distribution"]}  # fmt: skip


def monthly(
    root: Path,
    given: Given,
    year: int,
    month: int,
    progress: Progress | None = None,
    *,
    runner: Runner | None = None,
) -> dict[str, Any]:
    """Make the verified and the full dataset of a month, from gold and its candidates.

    The same members are the same version; others are the month's next one. Raises as `daily`.
    """
    if not (1 <= month <= 12 and year >= FIRST_YEAR):
        raise UsageError(f"no month {year}-{month}: {FIRST_YEAR} is the first year, 12 the last")
    if (year, month) > (today().year, today().month):
        raise UsageError(f"{year}-{month:02} has not begun yet: it is {today()}, in UTC")
    watcher = progress or Silent()
    with at_work(root, given, watcher, "monthly") as work:
        done = _run(work, _monthly_steps(work, year, month), {}, watcher, runner)
        return {"year": year, "month": month, "gold": done["gold"],
                **{kind: done[kind] for kind in KINDS}, "collected": done["collected"],
                "asked": done["asked"], "published": done["published"]}  # fmt: skip


def today() -> dt.date:
    """Give the day it is, in UTC."""
    return dt.datetime.now(dt.UTC).date()


def yesterday() -> dt.date:
    """Give the last whole day, in UTC."""
    return today() - dt.timedelta(days=1)


def last_month() -> tuple[int, int]:
    """Give the last whole month, in UTC."""
    last = today().replace(day=1) - dt.timedelta(days=1)
    return last.year, last.month


def _run(
    work: Work,
    steps: Sequence[WorkflowStep],
    context: Context,
    progress: Progress,
    runner: Runner | None,
) -> Context:
    """Run the steps while no other run of the recipe is at work, and note it in the journal."""

    def waiting() -> None:
        progress.step(f"waiting for another run of {work.stages.recipe.name}")

    def in_process(steps: Sequence[WorkflowStep], context: Context, progress: Progress) -> Context:
        return run_steps(steps, context, progress, patience=work.stages.patience)

    bind(work.stages.catalog, work.workspace.store)
    with work.stages.catalog.lock(work.stages.recipe.name, waiting), work.stages.journal as journal:
        claim(work)
        journal.begin()
        done = (runner or in_process)(steps, context, progress)
        journal.finish({"said": _summary(done)})
    return done


def _summary(done: Context) -> str:
    """Say in a line what a run came to, for the list of runs."""
    if "photos" in done:
        return f"{done['date']}: {things(done['photos']['images'], 'image')}"
    made = (f"{kind}@{done[kind]['version']}" for kind in KINDS if done[kind]["version"])
    return ", ".join(made) or "no image"


def _daily_steps(work: Work, day: dt.date) -> tuple[WorkflowStep, ...]:
    def collect(_: Context) -> Context:
        relocate(work)
        return {"collected": collect_day(work, day)}

    return (
        _step("collect predictions", collect),
        _step("take in photos", _taking_in(work, str(day - LOOKS + dt.timedelta(days=1)))),
        _step("publish candidates", lambda _: _publish(work, day)),
    )


def _monthly_steps(work: Work, year: int, month: int) -> tuple[WorkflowStep, ...]:
    name, first, end = month_of(year, month)

    def collect(_: Context) -> Context:
        relocate(work)
        return {"collected": catch_up(work, first, end)}

    def again(_: Context) -> Context:
        return {"asked": ask(work, name)}

    def gold(_: Context) -> Context:
        return {"gold_listed": list_gold(work)}

    def publish(_: Context) -> Context:
        behind = days_behind(work, end, name)
        return {"published": [publish_day(work, day) for day in behind]}

    def place(_: Context) -> Context:
        return work.stages.place({"listing": {"inputs": 0}})

    return (
        _step("collect predictions", collect),
        _step("ask what is verified", again),
        _step("list gold", gold),
        _step("take in photos", _taking_in(work, f"{name}-", f"{name}.")),
        _step("publish candidates", publish),
        _step("find duplicates", place),
        _step("freeze datasets", lambda _: _freeze(work, name)),
        _step("lay out datasets", lambda context: _lay_out(work, name, context)),
    )


def _step(name: str, handler: Callable[[Context], Context]) -> WorkflowStep:
    return WorkflowStep(name, handler, max_retries=RETRIES)


def _taking_in(work: Work, *looked_for: str) -> Callable[[Context], Context]:
    def take_in(context: Context) -> Context:
        look_again(work, *looked_for)
        taken = work.stages.ingest({"listing": {"inputs": 0}, **context})
        return {"taken_in": taken["ingested"]}

    return take_in


def _publish(work: Work, day: dt.date) -> Context:
    """Publish the day, and every earlier one that something came in for."""
    behind = sorted({*days_behind(work, day), str(day)})
    published = [publish_day(work, one) for one in behind]
    mine = published[-1]
    facts = collect_facts(work, str(day))
    return {
        "published": published,
        "class_distribution": mine["class_distribution"],
        "facts": facts,
        "photos": {"inputs": facts["photos"], "images": mine["images"],
                   "excluded": mine["excluded"]},
    }  # fmt: skip


def _freeze(work: Work, month: str) -> Context:
    """Choose and freeze: gold as a version of its own, the month's two datasets as releases."""
    photos = [row | {"label": label_now(row), "origin": origin_of(row)}
              for row in photos_of(work, f"{month}-")]  # fmt: skip
    gold = list(gold_of(work))
    held = {row["asset_id"] for row in (*photos, *gold) if row["asset_id"] is not None}
    enter_labels(work, sorted(held))
    choice = choose(work, [*gold, *photos])
    frozen = freeze_part(work, "gold", part_of(choice, "gold"))
    days = days_with_images(work, month)
    new = {kind: release(work, kind, month, part_of(choice, kind), days) for kind in KINDS}
    return {"gold": frozen.name if frozen else None, "new": new, "inputs": len(photos)}


def _lay_out(work: Work, month: str, context: Context) -> Context:
    """Lay out every release of the month that is not, and see that the newest one still is."""
    laid: Context = {}
    for kind in KINDS:
        found = releases_of(work, kind, month)
        for one in reversed(found[1:]):
            if one.laid_out_at is None:
                lay_out_release(work, kind, one)
        newest = lay_out_release(work, kind, found[0]) if found else {"version": None, "images": 0}
        laid[kind] = newest | {"new": context["new"][kind]}
    return laid
