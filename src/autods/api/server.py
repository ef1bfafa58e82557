"""Serving: a socket on this machine's loopback, and an end that waits for nobody."""

import errno
import socket
from typing import TYPE_CHECKING, Any

from autods.api.guard import is_loopback
from autods.errors import PlaceError, UsageError
from autods.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 5
"""Seconds that an answer in the making has at the end."""


def listen(host: str, port: int) -> socket.socket:
    """Open a socket on a loopback address; port 0 takes a free one.

    Raises UsageError for any other address: the API does not ask yet who is there.
    """
    if not is_loopback(host):
        raise UsageError(
            f"cannot listen on {host}: the API is for this machine alone (valid: 127.0.0.1, ::1, "
            "localhost) until it asks who is there, which comes with issue 7"
        )
    address = "127.0.0.1" if host.lower() == "localhost" else host
    listening = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
    except OSError as error:
        listening.close()
        taken = error.errno == errno.EADDRINUSE
        why = "another program listens there (try --port 0)" if taken else error.strerror
        raise PlaceError(f"cannot listen on {host}, port {port}: {why}") from error
    return listening


def address_of(listening: socket.socket) -> str:
    """Give the URL of what is served on a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    place: Workspace, listening: socket.socket, ready: "Callable[[str], None]" = lambda _: None
) -> None:
    """Serve a workspace until a signal ends it; `ready` gets the URL as soon as it answers.

    Open event streams end at once; their readers come back by themselves and miss nothing.
    """
    try:
        import uvicorn

        from autods.api.app import create_app
    except ModuleNotFoundError as error:
        needs = f"autods serve needs {error.name}: pip install 'autods[serve]'"
        raise PlaceError(needs) from error

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready(address_of(listening))

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            streams.close()
            await super().shutdown(sockets)

        def handle_exit(self, sig: int, frame: Any) -> None:
            super().handle_exit(sig, frame)
            self._captured_signals.clear()  # Being stopped is how a server ends, no failure.

    app, streams = create_app(place)
    Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=PATIENCE,
        )
    ).run(sockets=[listening])
