"""The commands that look after runs: runs list, show, watch, cancel."""

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autods.cli import autods, command, echo

if TYPE_CHECKING:
    from autods.run import Progress

RUN = click.argument("run_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
STATUS = {"done": 0, "interrupted": 130, "killed": 137}
"""What `watch` exits with, other than 1."""


@autods.group("runs")
def runs() -> None:
    """List the runs of the workspace, look at one, watch it, cancel it."""


@command("list", under=runs)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True,
              help="How many, at most.")  # fmt: skip
def listed(limit: int, workspace: Path | None, quiet: bool) -> Any:
    """List the runs, newest first: builds, ingests and crawls."""
    from autods.recipes.runs import list_runs, runs_lines
    from autods.workspace import open as open_workspace

    return _print(list_runs(open_workspace(workspace or "."), limit), quiet, runs_lines)


@command("show", under=runs)
@RUN
def show(run_id: int, workspace: Path | None, quiet: bool) -> Any:
    """Show a run and how far each of its steps is."""
    from autods.recipes.runs import run_lines, show_run
    from autods.workspace import open as open_workspace

    return _print(show_run(open_workspace(workspace or "."), run_id), quiet, run_lines)


@command("watch", under=runs)
@RUN
def watch(run_id: int, workspace: Path | None, quiet: bool) -> Any:
    """Watch a run until it ends; exits as it did: 0 if it is done, 1 if it failed.

    With --json, each event is one line.
    """
    from autods.recipes.runs import run_lines, show_run, watch_run
    from autods.workspace import open as open_workspace

    place = open_workspace(workspace or ".")
    told = watch_run(place, run_id)
    status = _echo(told) if quiet else _draw(told)
    if not quiet:
        for line in run_lines(show_run(place, run_id)):
            echo(line)
    raise click.exceptions.Exit(STATUS.get(status, 1))


@command("cancel", under=runs)
@RUN
def cancel(run_id: int, workspace: Path | None, quiet: bool) -> Any:
    """Ask a run to stop; what it has done stays, and it can be taken up again."""
    from autods.recipes.runs import cancel_run
    from autods.workspace import open as open_workspace

    found = cancel_run(open_workspace(workspace or "."), run_id)
    if not quiet:
        click.echo(f"Run {run_id} is asked to stop; autods runs watch {run_id} tells when it has")
    return found


def _echo(told: Iterable[dict[str, Any]]) -> str:
    """Print each event as one line of JSON, and give how the run ended."""
    status = ""
    for event in told:
        click.echo(json.dumps(event, ensure_ascii=False))
        sys.stdout.flush()
        status = event["data"].get("status", "")
    return status


def _draw(told: Iterable[dict[str, Any]]) -> str:
    """Show the steps as bars on a terminal, as lines elsewhere, and give how the run ended."""
    from autods.cli.bars import Bars
    from autods.recipes.pipeline.metrics import STEPS

    status = ""
    bars = Bars(STEPS) if sys.stderr.isatty() else _Lines()
    with bars as progress:
        for event in _steps(told, progress):
            status = event["data"].get("status", "")
    return status


def _steps(told: Iterable[dict[str, Any]], progress: "Progress") -> Iterator[dict[str, Any]]:
    """Turn events into the steps and advances that whoever watches a run here is told."""
    at: tuple[Any, Any] = (None, None)
    shown = 0
    for event in told:
        data = event["data"]
        if event["kind"] == "step-started":
            at, shown = (event["step"], data["name"]), 0
            progress.step(data["name"])
        elif event["kind"] == "progress":
            named = (event["step"], data.get("name") or at[1])
            shown = shown if named == at else 0
            at = named
            progress.step(str(named[1]), data.get("total"))
            progress.advance(max(0, data["done"] - shown))
            shown = max(shown, data["done"])
        yield event


class _Lines(contextlib.AbstractContextManager["_Lines"]):
    """Prints the name of each step as it begins: for a log."""

    _name = ""

    def step(self, name: str, _total: int | None = None) -> None:
        """Print the name of a step that is new."""
        if name != self._name:
            click.echo(name, err=True)
        self._name = name

    def advance(self, count: int = 1) -> None:
        """Say nothing."""

    def __exit__(self, *_: object) -> None:
        """Say nothing."""


def _print(value: Any, quiet: bool, lines: Any) -> Any:
    if not quiet:
        for line in lines(value):
            echo(line)
    return value
