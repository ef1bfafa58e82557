"""The commands that look: show, log, diff, doctor."""

from pathlib import Path
from typing import Any

import click

from autods.cli import command
from autods.errors import UsageError


@command("show")
@click.argument("what", required=False)
@click.option("--refused", is_flag=True, help="List the refused inputs of a dataset, and why.")
def show(what: str | None, refused: bool, workspace: Path | None, quiet: bool) -> Any:
    """Show a version (`cats@v3`), one asset (its sha256, or the start of it), or what there is.

    An asset shows its sightings, labels, verdict, split and versions: the line back to where
    each sample came from.
    """
    from autods.recipes import looking
    from autods.workspace import open as open_workspace

    place = open_workspace(workspace or ".")
    if refused:
        value: Any = looking.refused(place, what)
        return _print(value, quiet, looking.refused_lines)
    if what is None:
        return _print(looking.overview(place), quiet, looking.overview_lines)
    if looking.is_asset(what):
        return _print(looking.asset(place, what), quiet, looking.asset_lines)
    return _print(looking.version(place, what), quiet, looking.version_lines)


@command("log")
@click.argument("dataset", required=False)
def log(dataset: str | None, workspace: Path | None, quiet: bool) -> Any:
    """List the versions and runs of DATASET, or of all, newest first."""
    from autods.recipes import looking
    from autods.workspace import open as open_workspace

    place = open_workspace(workspace or ".")
    return _print(looking.log(place, dataset), quiet, looking.log_lines)


@command("diff")
@click.argument("old")
@click.argument("new")
def diff(old: str, new: str, workspace: Path | None, quiet: bool) -> Any:
    """Show what changed from one version to another: added, removed, relabelled, moved."""
    from autods.recipes import looking
    from autods.workspace import open as open_workspace

    place = open_workspace(workspace or ".")
    return _print(looking.difference(place, old, new), quiet, looking.difference_lines)


@command("doctor")
@click.option("--repair", is_flag=True,
              help="Have the next build ask the sources again for what was lost.")  # fmt: skip
@click.option("--thorough", is_flag=True, help="Read and check every asset while repairing.")
@click.option("--new-store", is_flag=True,
              help="While repairing, take a store that the catalog does not know.")  # fmt: skip
def doctor(
    repair: bool, thorough: bool, new_store: bool, workspace: Path | None, quiet: bool
) -> Any:
    """Check that everything is in place, and say what to do where it is not."""
    from autods.recipes import checkup

    if (thorough or new_store) and not repair:
        raise UsageError("--thorough and --new-store say how to --repair: give that, too")
    if repair:
        _repair(workspace, thorough, new_store, quiet)
    findings = checkup.examine(workspace or Path.cwd())
    value = [finding.as_json() for finding in findings]
    if not quiet:
        for finding in findings:
            click.echo(finding.line())
    if not all(finding.ok for finding in findings):
        if quiet:
            import json

            click.echo(json.dumps(value, indent=2))
        raise click.exceptions.Exit(4)
    return value


def _repair(workspace: Path | None, thorough: bool, new_store: bool, quiet: bool) -> None:
    from autods.recipes.repair import repair
    from autods.workspace import open as open_workspace

    place = open_workspace(workspace or ".")
    done = repair(place, thorough=thorough, new_store=new_store)
    place.close()
    if not quiet:
        lost = done.missing + done.damaged
        more = "; the next build asks their sources again" if lost else ""
        click.echo(f"{done.assets:,} assets looked for: {done.missing:,} missing, "
                   f"{done.damaged:,} damaged{more}")  # fmt: skip


def _print(value: Any, quiet: bool, lines: Any) -> Any:
    if not quiet:
        for line in lines(value):
            click.echo(line)
    return value
