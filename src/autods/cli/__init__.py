"""The command line: nouns and verbs as in git, `--json` everywhere, exit codes that mean something.

0 done   1 failed   2 wrong use   3 a source cannot be read   4 a place cannot be reached
5 more inputs refused than the error budget allows   130 interrupted
"""

import functools
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from autods.errors import AutodsError

Command = Callable[..., Any]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="autods")
def autods() -> None:
    """A dataset factory: growing raw sources in, immutable dataset versions out."""


def main() -> None:
    """Run the command line; a known error is one sentence on stderr and an exit status."""
    from autods.cli import (  # noqa: F401 - they add their commands
        candidates,
        data,
        making,
        running,
        runs,
        serving,
    )

    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored.
        signal.signal(signal.SIGHUP, _end)
    try:
        sys.exit(autods.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted: run the same command again, it goes on where it stopped")
        sys.exit(130)
    except AutodsError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:  # The reader of our output has gone, as `head` does.
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        _say(f"{error.filename or 'the system'}: {error.strerror or error}")
        sys.exit(4)


def _end(number: int, _frame: object) -> None:
    """End as Ctrl-C does, workers and journal included; the status is a shell's for signals."""
    sys.exit(128 + number)


def _say(message: str) -> None:
    echo(f"autods: {message}", err=True)


def echo(line: str, *, err: bool = False) -> None:
    """Print a line for people; what would steer a terminal is written out."""
    from autods.report.wording import plain

    click.echo(" ".join(plain(line).splitlines()), err=err)


def command(*names: str, under: click.Group | None = None) -> Callable[[Command], Command]:
    """Add a command with `--json` and `--workspace`; its function returns what JSON shows.

    The function gets `workspace` (a folder or None) and `quiet` (true with `--json`), prints for
    people unless quiet, and returns a JSON-able value.
    """

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def run(as_json: bool, **arguments: Any) -> None:
            value = function(quiet=as_json, **arguments)
            if as_json:
                click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))

        wrapped = click.option("--json", "as_json", is_flag=True, help="Print JSON, nothing else.")(
            click.option(
                "-w",
                "--workspace",
                type=click.Path(file_okay=False, path_type=Path),
                help="The workspace [default: the nearest one at or above this folder].",
            )(run)
        )
        for name in names:
            (under or autods).command(name)(wrapped)
        return wrapped

    return decorate
