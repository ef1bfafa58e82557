"""Runs over HTTP: a list, one with its steps, what happens in it as it happens, and its cancel."""

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from autods.api import examples
from autods.errors import AutodsError, UnreachableError
from autods.recipes.runs import OVER, cancel_run, list_runs, show_run, watch_run
from autods.workspace import Workspace

MOST = 32
"""Event streams at a time; each waits in a thread, on PostgreSQL with a connection of its own."""

BIGGEST = 2**63 - 1
RunId = Annotated[int, Path(ge=1, le=BIGGEST, description="As `GET /runs` lists it.")]
After = Annotated[int, Query(ge=0, le=BIGGEST, description="Only events after that id.")]
LastEventId = Annotated[
    int | None, Header(ge=0, le=BIGGEST, description="What a browser sends that comes back.")
]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many runs, at most.")]


class NothingMoreError(AutodsError):
    """A reader has read all that there will be of a run: told so, it does not come back."""


class Streams:
    """The event streams that are open; each ends when its reader goes, or the server."""

    def __init__(self) -> None:
        self._open: set[threading.Event] = set()
        self._closed = False
        self.limiter = anyio.CapacityLimiter(MOST)

    @contextlib.contextmanager
    def opened(self) -> Iterator[threading.Event]:
        """Count one more for a while; what it gives is set as soon as it has to end."""
        stop = threading.Event()
        self._open.add(stop)
        if self._closed:
            stop.set()
        try:
            yield stop
        finally:
            self._open.discard(stop)
            stop.set()

    def check(self) -> None:
        """Raise UnreachableError if there may be no more of them."""
        if len(self._open) >= MOST:
            raise UnreachableError(f"{MOST} event streams are open, and no more can be: close some")

    def close(self) -> None:
        """End them all, and every later one."""
        self._closed = True
        for stop in self._open:
            stop.set()


def routes(place: Workspace, streams: Streams) -> APIRouter:
    """Give what `/runs` answers."""
    router = APIRouter(tags=["runs"])

    @router.get("/runs", summary="List the runs, newest first", responses=examples.RUNS)
    def listed(limit: Limit = 50) -> dict[str, Any]:
        return {"runs": list_runs(place, limit)}

    @router.get("/runs/{run_id}", summary="Show a run and its steps", responses=examples.RUN)
    def shown(run_id: RunId) -> dict[str, Any]:
        return show_run(place, run_id)

    @router.post(
        "/runs/{run_id}/cancel",
        summary="Ask a run to stop",
        status_code=202,
        responses=examples.CANCEL,
    )
    def cancelled(run_id: RunId) -> dict[str, Any]:
        """Ask it: it stops within a second or so, says `cancelled`, and can be taken up again."""
        return cancel_run(place, run_id)

    def opening(run_id: RunId, after: After = 0, last_event_id: LastEventId = None) -> int:
        start = max(after, last_event_id or 0)
        streams.check()
        run = show_run(place, run_id)
        if run["status"] in OVER and 0 < run["last_event"] <= start:
            raise NothingMoreError
        return start

    @router.get(
        "/runs/{run_id}/events",
        summary="Follow a run",
        response_class=EventSourceResponse,
        responses=examples.EVENTS,
    )
    async def events(
        run_id: RunId, start: Annotated[int, Depends(opening)]
    ) -> AsyncIterator[ServerSentEvent]:
        """Give what has happened in a run, and then what happens, until it ends.

        The last event, `end`, has no id and says how the run ended; then the stream is closed, and
        whoever comes back after it gets a 204. A comment comes every 15 s in which nothing happens.
        """
        async for event in _tail(place, run_id, start, streams):
            yield event

    return router


async def _tail(
    place: Workspace, run_id: int, start: int, streams: Streams
) -> AsyncIterator[ServerSentEvent]:
    """Wait for each event in a thread; one that is left behind ends by itself, told to stop."""
    with streams.opened() as stop:
        told = watch_run(place, run_id, after=start, stop=stop)
        try:
            while event := await anyio.to_thread.run_sync(
                next, told, None, limiter=streams.limiter, abandon_on_cancel=True
            ):
                number = None if event["id"] is None else str(event["id"])
                yield ServerSentEvent(id=number, event=event["kind"], data=event)
        except AutodsError as error:  # The answer has begun: its reader comes back and asks again.
            yield ServerSentEvent(comment=str(error), retry=5000)


def nothing_more() -> Response:
    """Answer so that an `EventSource` does not come back."""
    return Response(status_code=204)
