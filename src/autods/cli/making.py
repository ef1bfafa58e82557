"""The commands that make something: init, build, ingest, demo, export, alias."""

import contextlib
import time
from pathlib import Path
from typing import Any

import click

from autods.cli import command
from autods.errors import SourceError, UnreachableError, UsageError


@command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option("--catalog", help="Where the catalog lies: a path, or postgresql://USER@HOST/NAME.")
@click.option("--store", help="Where the bytes lie: a path, or s3://BUCKET/PREFIX.")
@click.option("--cold-store", help="Where the bytes lie that are seldom used.")
def init(
    folder: Path,
    catalog: str | None,
    store: str | None,
    cold_store: str | None,
    workspace: Path | None,
    quiet: bool,
) -> Any:
    """Make FOLDER a workspace: a catalog and a store in FOLDER/.autods, or elsewhere.

    The workspace remembers where they are, without passwords: those come from the environment or
    FOLDER/.env (docs/settings.md).
    """
    from autods.workspace import init as make

    said = _resolved({"catalog": catalog, "store": store, "cold_store": cold_store})
    made = make(workspace or folder, said)
    made.refuse_overruled(said)
    made.close()
    if not quiet:
        click.echo(f"A workspace is in {made.root}. Next: autods build RECIPE.yaml or a FOLDER")
        click.echo(f"Its catalog is {made.catalog.url}, its store {made.store.url}")
    return {"workspace": str(made.root), "catalog": made.catalog.url, "store": made.store.url}


def _resolved(places: dict[str, str | None]) -> dict[str, str]:
    """Take the places that were named; a path is one of the folder where the command runs."""
    said = {name: place for name, place in places.items() if place is not None}
    return {
        name: place if "://" in place or not place else str(Path(place).absolute())
        for name, place in said.items()
    }


@command("move")
@click.option("--catalog", help="Where the catalog goes: a path, or postgresql://USER@HOST/NAME.")
@click.option("--store", help="Where the bytes go: a path, or s3://BUCKET/PREFIX.")
def move(catalog: str | None, store: str | None, workspace: Path | None, quiet: bool) -> Any:
    """Take the workspace's catalog and bytes along to other places, and work there from now on.

    Every version, label and image comes along; the old places stay as they are.
    """
    from autods.cli.bars import Bars
    from autods.recipes.moving import move as run
    from autods.run import Silent
    from autods.workspace import Workspace
    from autods.workspace import open as open_workspace

    said = _resolved({"catalog": catalog, "store": store})
    if not said:
        raise UsageError("move where? Give --catalog, --store or both")
    source = open_workspace(workspace or ".")
    target = Workspace(source.root, said, remember=False)
    target.refuse_overruled(said)
    with contextlib.nullcontext(Silent()) if quiet else Bars() as progress:
        moved = run(source, target, progress)
    target.remember()
    if not quiet:
        click.echo(f"{moved.rows:,} rows are in {target.catalog.url}, {moved.blobs:,} blobs in "
                   f"{target.store.url}; the old places can go")  # fmt: skip
    return {"rows": moved.rows, "blobs": moved.blobs, "catalog": target.catalog.url,
            "store": target.store.url}  # fmt: skip


@command("build")
@click.argument("what", type=click.Path(path_type=Path))
@click.option("--name", help="The dataset's name, if WHAT is a folder.")
def build(what: Path, name: str | None, workspace: Path | None, quiet: bool) -> Any:
    """Build a dataset version from a recipe file or a folder of images.

    The workspace is the nearest one at or above the recipe or folder, else at or above this
    folder; without one it is made here. A build that was killed goes on when run again; one that
    finds nothing new does nothing.
    """
    return _build(*_plan(what, name, workspace, "build"), quiet)


@command("ingest")
@click.argument("what", type=click.Path(path_type=Path))
@click.option("--name", help="The dataset's name, if WHAT is a folder.")
@click.option("--no-list", is_flag=True, help="Take in what another run has listed, no more.")
@click.option("--watch", type=click.FloatRange(min=0.1), metavar="SECONDS",
              help="Do it again that often, until stopped.")  # fmt: skip
def ingest(
    what: Path,
    name: str | None,
    no_list: bool,
    watch: float | None,
    workspace: Path | None,
    quiet: bool,
) -> Any:
    """List the sources of a recipe file or folder and take in what is new, without a version.

    Several of these, on several machines with one catalog and one store, share the work; the
    version is made by `autods build`.
    """
    from autods.cli.bars import Bars
    from autods.ingest.listing import count_refs
    from autods.recipes.build import ingest as run
    from autods.run import Silent
    from autods.workspace import Workspace, find, init

    plan, root = _plan(what, name, workspace, "ingest")
    place: Workspace = init(root or find(Path.cwd()) or Path.cwd(), plan.recipe.places)
    done = 0
    while True:
        try:
            with contextlib.nullcontext(Silent()) if quiet else Bars() as progress:
                done += run(place, plan, progress, listing=not no_list)
        except (SourceError, UnreachableError) as error:
            if watch is None:
                raise
            click.echo(f"autods: {error}; trying again in {watch:g} s", err=True)
        if watch is None:
            break
        if not quiet:
            click.echo(f"{time.strftime('%H:%M:%S')} {done:,} inputs of {plan.recipe.name} so far")
        time.sleep(watch)
    if not quiet:
        nothing = no_list and not count_refs(
            place.catalog, place.catalog.dataset_id(plan.recipe.name)
        )
        hint = ": nothing is listed yet, leave --no-list out once" if nothing else ""
        click.echo(f"{done:,} inputs of {plan.recipe.name} were taken in here{hint}")
    return {"dataset": plan.recipe.name, "taken_in": done}


@command("demo")
@click.argument("what", nargs=-1, metavar="[candidates] [FOLDER]")
@click.option("--count", type=click.IntRange(min=30), default=600, show_default=True,
              help="How many pictures, about; not for candidates.")  # fmt: skip
def demo(what: tuple[str, ...], count: int, workspace: Path | None, quiet: bool) -> Any:
    """Write a small, real, untidy collection into FOLDER and build it there.

    `autods demo candidates` writes a database of predictions with their photos instead, and makes
    a month's datasets of them.
    """
    is_candidates = what[:1] == ("candidates",)
    rest = what[1:] if is_candidates else what
    if len(rest) > 1:
        raise UsageError(f"one FOLDER, not {len(rest)}: {' '.join(rest)}")
    if is_candidates:
        return _demo_candidates(Path(*rest) if rest else Path("candidates"), workspace, quiet)
    from autods.recipes.demo import write_demo
    from autods.recipes.file import read_recipe

    folder = Path(*rest) if rest else Path("demo")
    recipe = folder / "recipe.yaml"
    if not recipe.exists():
        recipe = write_demo(folder, count)
        if not quiet:
            click.echo(f"Wrote an example collection and its recipe into {folder}/", err=True)
    return _build(read_recipe(recipe), workspace or folder, quiet)


def _demo_candidates(folder: Path, workspace: Path | None, quiet: bool) -> Any:
    from autods.cli.candidates import make_month
    from autods.recipes.candidates.world.demo import write_demo

    recipe = folder / "candidates.yaml"
    if not recipe.exists():
        recipe = write_demo(folder)
        if not quiet:
            click.echo(f"Wrote a month of predictions and a recipe into {folder}/", err=True)
    done = make_month(recipe, (2024, 11), workspace or folder, quiet)
    if not quiet:
        click.echo(f"Next: read {done['full']['folder']}/dataset_info.md, or try\n"
                   f"  autods run candidates daily {recipe} --date 2024-12-01")  # fmt: skip
    return done


@command("alias")
@click.argument("version")
@click.argument("name")
def alias(version: str, name: str, workspace: Path | None, quiet: bool) -> Any:
    """Let NAME point at VERSION: `autods alias cats@v3 gold` makes `cats@gold`."""
    from autods.versions import alias as point
    from autods.versions import find_version
    from autods.workspace import open as open_workspace

    with_catalog = open_workspace(workspace or ".")
    found = find_version(with_catalog.catalog, version)
    point(with_catalog.catalog, found, name)
    if not quiet:
        click.echo(f"{found.dataset}@{name} is {found.name}")
    return {"alias": f"{found.dataset}@{name}", "version": found.name}


@command("export")
@click.argument("version")
@click.argument("kind", type=click.Choice(["webdataset", "parquet", "folder"]))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--max-count", type=click.IntRange(min=1), default=1000, show_default=True,
              help="Samples a shard, at most.")  # fmt: skip
@click.option("--images", is_flag=True, help="Put the images' bytes into the parquet file.")
def export(
    version: str,
    kind: str,
    out: Path,
    max_count: int,
    images: bool,
    workspace: Path | None,
    quiet: bool,
) -> Any:
    """Write VERSION to OUT as WebDataset shards, a parquet file or a folder of images."""
    from autods.recipes.layout import export_to
    from autods.versions import find_version
    from autods.workspace import open as open_workspace

    if "://" in str(out) or str(out).startswith("s3:/"):
        raise UsageError(f"an export is a folder or a file here, not {out}: copy it there then")
    place = open_workspace(workspace or ".")
    found = find_version(place.catalog, version)
    count = export_to(place, found, kind, out, max_count=max_count, images=images)
    if not quiet:
        click.echo(f"{count:,} samples of {found.name} are in {out}")
    return {"version": found.name, "kind": kind, "out": str(out), "samples": count}


def _plan(
    what: Path, name: str | None, workspace: Path | None, verb: str
) -> tuple[Any, Path | None]:
    """Read the recipe or folder, and find the workspace it belongs to."""
    from autods.recipes.file import folder_plan, read_recipe
    from autods.workspace import find

    if not what.exists():
        web = str(what).startswith(("http:/", "https:/"))
        hint = ": autods run crawl takes URLs" if web else ""
        raise UsageError(f"no recipe or folder {what}{hint}")
    if what.is_dir() and (what / "recipe.yaml").exists():
        raise UsageError(f"{what} holds a recipe: autods {verb} {what / 'recipe.yaml'}")
    plan = folder_plan(what, name) if what.is_dir() else read_recipe(what)
    near = what if what.is_dir() else what.absolute().parent
    return plan, workspace or find(near)


def _build(plan: Any, workspace: Path | None, quiet: bool) -> Any:
    from autods.cli.bars import Bars
    from autods.recipes.build import build as run
    from autods.run import Silent
    from autods.workspace import Workspace, find, init

    root = workspace or find(Path.cwd()) or Path.cwd()
    place: Workspace = init(root, plan.recipe.places)
    if quiet:
        built = run(place, plan, Silent())
    else:
        with Bars() as bars:
            built = run(place, plan, bars)
    if not quiet:
        _show(built)
    return _as_json(built)


def _show(built: Any) -> None:
    if built.facts is None:
        click.echo(f"Nothing new: {built.version.name} is up to date, in {built.place}")
        return
    from rich.console import Console

    from autods.report.summary import print_summary

    print_summary(built.facts, Console())


def _as_json(built: Any) -> dict[str, Any]:
    version = built.version
    value = {"version": version.name, "digest": version.digest, "new": built.new}
    value |= {"folder": str(built.folder), "place": built.place}
    if built.facts is not None:
        from autods.report.summary import to_json

        value["facts"] = to_json(built.facts)
    return value
