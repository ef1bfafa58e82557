"""Seed 1 as Prefect's flows: what a worker imports, the steps of a recipe being its tasks."""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prefect import State, flow, get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import MissingContextError
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.task_engine import TaskRunTimeoutError
from prefect.tasks import Task

from autods.errors import AutodsError, UsageError
from autods.flows.logged import Logged, Logger
from autods.flows.shown import Shown, shown_of_day, shown_of_month
from autods.recipes.candidates.config import read_candidates
from autods.recipes.candidates.running import Runner, daily, monthly
from autods.run import Context, Progress, WorkflowStep, run_steps
from autods.run.stopping import StepTimeoutError
from autods.run.trying import HOPELESS
from autods.settings import Settings

Result = dict[str, Any]

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LONGEST_PAUSE = 60.0


@flow(name="daily_data_collection", persist_result=False)
def daily_data_collection(
    date: str | None = None, recipe: str | None = None, workspace: str = "."
) -> State[Result]:
    """Collect the predictions of a day (YYYY-MM-DD, UTC): without one, of that before the start."""
    return _ended(partial(_collect, date, recipe, Path(workspace)))


@flow(name="monthly_dataset_creation", persist_result=False)
def monthly_dataset_creation(
    year: int | None = None,
    month: int | None = None,
    recipe: str | None = None,
    workspace: str = ".",
) -> State[Result]:
    """Make the datasets of a month: without one, of that before the start."""
    return _ended(partial(_create, year, month, recipe, Path(workspace)))


def _collect(date: str | None, recipe: str | None, root: Path) -> tuple[str, Result]:
    day = day_asked(date, _start())
    given = read_candidates(Path(recipe) if recipe else None)
    found = daily(root, given, day, _logged(), runner=_runner(root))
    return _show(shown_of_day(found, root), "daily-collection"), found


def _create(
    year: int | None, month: int | None, recipe: str | None, root: Path
) -> tuple[str, Result]:
    year, month = month_asked(year, month, _start())
    given = read_candidates(Path(recipe) if recipe else None)
    found = monthly(root, given, year, month, _logged(), runner=_runner(root))
    return _show(shown_of_month(found, root), "monthly-creation"), found


def _show(shown: Shown, key: str) -> str:
    """Leave what a run shows as artifacts, and give what it says in a sentence."""
    create_table_artifact(shown.table, key=key, description=shown.said)
    for name, text in shown.cards.items():
        create_markdown_artifact(text, key=f"{key}-{name}", description=shown.said)
    for link in shown.links:
        create_link_artifact(link.url, link.text, key=f"{key}-{link.name}", description=link.text)
    return shown.said


def _logged() -> Progress:
    """Give a progress for the log of the task at work; in threads of ours, for the flow's."""
    of_flow = get_run_logger()

    def find() -> Logger:
        try:
            return get_run_logger()
        except MissingContextError:
            return of_flow

    return Logged(find)


def _start() -> dt.datetime:
    """Give the moment that this run is for: a worker that comes late changes nothing."""
    start: dt.datetime = flow_run.scheduled_start_time
    return start.astimezone(dt.UTC)


def _ended(work: Callable[[], tuple[str, Result]]) -> State[Result]:
    """Do the work of a flow; an error of ours is the message of its state, in its own words."""
    try:
        said, found = work()
    except AutodsError as error:
        get_run_logger().error("%s", error)
        return Failed(message=str(error), data=error)
    return Completed(message=said, data=found)


def _runner(root: Path) -> Runner:
    """Give what runs the steps, as patient with a silent place as the settings say."""
    return partial(as_tasks, patience=Settings.read(root).patience)


def as_tasks(
    steps: Sequence[WorkflowStep], context: Context, progress: Progress, *, patience: float = 120
) -> Context:
    """Run the steps in order, each as a task of Prefect, over what the ones before it returned.

    Within a task a place that does not answer is waited for, as `run_steps` does; what else fails
    is tried again as often as the step says, unless that cannot help.
    """
    for step in steps:
        try:
            context = _task_of(step, progress, patience)(context)
        except TaskRunTimeoutError as error:
            took = f"step {step.name!r} took longer than {step.timeout:g} s"
            raise StepTimeoutError(took) from error
    return context


def _task_of(step: WorkflowStep, progress: Progress, patience: float) -> Task[[Context], Context]:
    def work(context: Context) -> Context:
        return run_steps([step], context, progress, patience=patience)

    return Task(
        work,
        name=step.name,
        retries=step.max_retries,
        retry_delay_seconds=pauses(step.max_retries) or None,
        retry_condition_fn=_may_help,
        timeout_seconds=step.timeout,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


def pauses(retries: int) -> list[float]:
    """Give the seconds to wait before each retry, ever longer (Prefect takes 50 at most).

    >>> pauses(4)
    [1.0, 2.0, 4.0, 8.0]
    """
    return [min(2.0**number, _LONGEST_PAUSE) for number in range(min(retries, 50))]


def _may_help(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Tell whether a failed step may do better at another try."""
    return not isinstance(state.result(raise_on_failure=False), HOPELESS)


def day_asked(date: str | None, start: dt.datetime) -> dt.date:
    """Read a day, that before `start` if none is given; raises UsageError.

    >>> day_asked(None, dt.datetime(2024, 11, 7, tzinfo=dt.UTC))
    datetime.date(2024, 11, 6)
    """
    if date is None:
        return start.date() - dt.timedelta(days=1)
    try:
        if _DAY.fullmatch(date):
            return dt.date.fromisoformat(date)
    except ValueError:
        pass
    raise UsageError(f"date: {date!r} is no day (valid: YYYY-MM-DD, as in 2024-11-06)")


def month_asked(year: int | None, month: int | None, start: dt.datetime) -> tuple[int, int]:
    """Check a month, that before `start` if none is given; raises UsageError.

    >>> month_asked(None, None, dt.datetime(2025, 1, 1, 1, tzinfo=dt.UTC))
    (2024, 12)
    """
    if year is None and month is None:
        last = start.date().replace(day=1) - dt.timedelta(days=1)
        return last.year, last.month
    if year is None or month is None:
        lacking = "year" if year is None else "month"
        raise UsageError(f"{lacking}: it is missing; give year and month, or neither")
    if not 1 <= month <= 12:
        raise UsageError(f"month: {month} is no month (valid: 1 to 12)")
    if not 1970 <= year <= 9998:
        raise UsageError(f"year: {year} is out of range (valid: 1970 to 9998)")
    return year, month
