"""The commands that run recipes durably: run crawl, runs recover."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autods.cli import autods, command, echo
from autods.cli.runs import RUN, runs
from autods.errors import UsageError

if TYPE_CHECKING:
    from autods.recipes.pipeline.running import Asked, Ran
    from autods.workspace import Workspace

_SCOPE = ("depth", "pages", "images")


@autods.group("run")
def run() -> None:
    """Run a recipe durably: what was killed goes on at the step where it stopped."""


@command("crawl", under=run)
@click.argument("what", nargs=-1, required=True, metavar="RECIPE.yaml | URL...")
@click.option("--name", help="The dataset's name, for URLs [default: the first one's host].")
@click.option("--depth", type=click.IntRange(min=0), help="How many links from a URL, at most.")
@click.option("--pages", type=click.IntRange(min=1), help="How many pages, at most.")
@click.option("--images", type=click.IntRange(min=1), help="How many images, at most.")
@click.option("--mode", type=click.Choice(["strict", "lenient", "report-only"]),
              help="What becomes of images that fail validation.")  # fmt: skip
@click.option("--labels", "labels", multiple=True,
              type=click.Choice(["txt", "caption", "json", "yolo", "coco"]),
              help="Write label files; may be given several times.")  # fmt: skip
@click.option("--allow-private", is_flag=True, help="Crawl private addresses, too: an intranet.")
@click.option("--fresh", is_flag=True, help="Begin anew, even if a run of this was not finished.")
def crawl(
    what: tuple[str, ...],
    fresh: bool,
    workspace: Path | None,
    quiet: bool,
    **options: Any,
) -> Any:
    """Crawl sites into a dataset version, in eight steps: seed 3's pipeline.

    A recipe file says more than options can (docs/pipeline.md). Run again after a kill, a failure
    or a cancel, it goes on; run again after success, it fetches only what has changed.
    """
    from autods.recipes.pipeline.running import refuse_mixed

    shown = f"autods run crawl {shlex.join([*what, *_said(options)])}"
    asked = (
        _for_urls(what, options, shown)
        if refuse_mixed(what)
        else _in_file(Path(what[0]), options, shown)
    )
    place = _workspace(asked, workspace, None if "://" in what[0] else Path(what[0]))
    return _run(place, quiet, asked=asked, fresh=fresh)


@command("recover", under=runs)
@RUN
@click.option("--from-step", type=click.IntRange(min=1), metavar="N",
              help="Begin with step N of 8 once more [default: where it stopped].")  # fmt: skip
def recover(run_id: int, from_step: int | None, workspace: Path | None, quiet: bool) -> Any:
    """Run a crawl on that was killed, failed, cancelled or interrupted."""
    from autods.workspace import open as open_workspace

    return _run(open_workspace(workspace or "."), quiet, run_id=run_id, from_step=from_step)


def _said(options: dict[str, Any]) -> Iterator[str]:
    """Say again what was said besides the URLs."""
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            yield flag
        elif isinstance(value, tuple):
            yield from (word for one in value for word in (flag, one))
        elif value not in {None, False}:
            yield from (flag, str(value))


def _in_file(path: Path, options: dict[str, Any], shown: str) -> "Asked":
    from autods.recipes.pipeline.running import asked_in

    said = next((name for name, value in options.items() if value), None)
    if said:
        option = said.replace("_", "-")
        raise UsageError(f"--{option} goes with URLs: in {path} it is a key of the recipe")
    if not path.exists():
        is_host = "." in path.name and len(path.parts) == 1 and path.suffix not in {".yaml", ".yml"}
        hint = f": did you mean https://{path}?" if is_host else ""
        raise UsageError(f"no recipe {path}{hint}")
    return asked_in(path, shown)


def _for_urls(urls: tuple[str, ...], options: dict[str, Any], shown: str) -> "Asked":
    from autods.recipes.pipeline.running import asked_for

    recipe: dict[str, Any] = {
        "scope": {name: options[name] for name in _SCOPE if options[name] is not None}
    }
    if options["mode"]:
        recipe["validate"] = {"mode": options["mode"]}
    if options["allow_private"]:
        recipe["http"] = {"allow_private": True}
    if options["labels"]:
        recipe["pipeline"] = {"enable_labeling": True, "label_formats": list(options["labels"])}
    return asked_for(urls, name=options["name"], recipe=recipe, command=shown)


def _workspace(asked: "Asked", said: Path | None, recipe: Path | None) -> "Workspace":
    """Open the workspace; images that are to lie cold need a store that is."""
    from autods.recipes.pipeline.services import with_cold
    from autods.workspace import find, init

    near = recipe.absolute().parent if recipe else Path.cwd()
    root = said or find(near) or find(Path.cwd()) or Path.cwd()
    places = asked.plan.recipe.places
    return with_cold(root, places) if asked.config.enable_storage_tiering else init(root, places)


def _run(
    place: "Workspace",
    quiet: bool,
    *,
    asked: "Asked | None" = None,
    fresh: bool = False,
    run_id: int = 0,
    from_step: int | None = None,
) -> Any:
    import contextlib

    from autods.cli.bars import Bars
    from autods.recipes.pipeline.metrics import STEPS
    from autods.recipes.pipeline.running import Runner
    from autods.run import Silent

    with contextlib.nullcontext(Silent()) if quiet else Bars(STEPS) as progress:
        runner = Runner(place, progress)
        if asked is not None:
            workflow, goes_on = runner.find(asked, fresh=fresh)
            run_id = workflow.id
            if goes_on and not quiet:
                again = "--fresh begins anew, and lists the sources again"
                echo(f"Run {run_id} was {workflow.status}: it goes on ({again})", err=True)
        with contextlib.redirect_stdout(sys.stderr):  # A user's function may print.
            ran = runner.run(run_id, from_step)
    if not quiet:
        _show(ran)
    return {
        "run": ran.workflow.id,
        "status": ran.workflow.status,
        "version": ran.version,
        "place": ran.place,
        "metrics": ran.metrics.to_dict(),
    }


def _show(ran: "Ran") -> None:
    """Print what was measured."""
    m = ran.metrics
    for name, text in (
        ("crawled", f"{m.images_crawled:,} images in {m.crawl_duration:.1f} s"),
        ("validated", f"{m.valid_images:,} valid, {m.invalid_images:,} invalid"),
        ("duplicates", f"{m.duplicates_found:,} found, {m.duplicates_removed:,} removed"),
        ("unique", f"{m.unique_images:,}"),
        ("labeled", f"{m.images_labeled:,}"),
        ("stored", f"{m.hot_storage_count:,} hot, {m.cold_storage_count:,} cold"),
        ("quality", f"{m.quality_score:g} % (docs/quality.md)"),
        ("version", f"{ran.version} in {ran.place}"),
        ("took", f"{m.total_duration:.1f} s (run {ran.workflow.id})"),
    ):
        click.echo(f"{name:<11} {text}")
