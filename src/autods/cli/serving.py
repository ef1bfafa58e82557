"""The command that serves: runs over HTTP, live, for this machine alone."""

from pathlib import Path

import click

from autods.cli import command


@command("serve")
@click.option("--host", default="127.0.0.1", show_default=True,
              help="A loopback address: 127.0.0.1, ::1 or localhost.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
              help="0 takes a free one.")  # fmt: skip
def serve(host: str, port: int, workspace: Path | None, quiet: bool) -> None:
    """Serve the workspace's runs over HTTP until stopped: their state, their events, their pages.

    Only programs of this machine are answered. With --json, one line says where it listens.
    """
    import json

    from autods.api.server import listen
    from autods.api.server import serve as run
    from autods.workspace import open as open_workspace

    def tell(url: str) -> None:
        told = f"Serving {place.root} at {url}/runs; a run's page is {url}/runs/ID/live"
        click.echo(json.dumps({"url": url}) if quiet else f"{told} (Ctrl-C ends it)")

    place = open_workspace(workspace or ".")
    with listen(host, port) as listening:
        run(place, listening, tell)
    place.close()
    raise click.exceptions.Exit(0)
