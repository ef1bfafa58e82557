"""What a durable run shows and hears while it goes on: progress, events, a request to stop."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from autods.catalog import Catalog
from autods.run import Progress, Silent
from autods.run.events import emit, last_request
from autods.run.stopping import RunCancelledError, Stop, heeded

_PATIENCE = 2.0


class Watched:
    """A progress that is counted, told to another, and stops its step when the run has to stop."""

    def __init__(self, inner: Progress, stop: Stop) -> None:
        self._inner, self._stop = inner, stop
        self._lock = threading.Lock()
        self._number: int | None = None
        self._told: dict[str, Any] = {}
        self._is_new = False

    def check(self) -> None:
        """Raise what the step was told to stop with, if it was: for handlers that count nothing."""
        heeded.get(self._stop).check()

    def step(self, name: str, total: int | None = None) -> None:
        """A step begins, or a part of one; `total` items are expected, where that is known."""
        self.check()
        with self._lock:
            self._told = {"name": name, "done": 0, "total": total}
            self._is_new = total is not None
        self._inner.step(name, total)

    def advance(self, count: int = 1) -> None:
        """So many more items are done."""
        self.check()
        with self._lock:
            self._told["done"] = self._told.get("done", 0) + count
            self._is_new = True
        self._inner.advance(count)

    def turn(self, number: int) -> None:
        """Count for step `number` from here on."""
        with self._lock:
            self._number, self._told, self._is_new = number, {}, False

    def news(self) -> tuple[int | None, dict[str, Any]] | None:
        """Give the step's number and counts, if they have changed since they were last asked."""
        with self._lock:
            was_new, self._is_new = self._is_new, False
            return (self._number, dict(self._told)) if was_new else None


class Watch:
    """What the handlers of one run close over, and what tells its readers how it goes.

    `progress` is what they report to; it is told to the progress given, too, a terminal's bars
    say, and checks `stop`. Twice a second, at the most, it becomes an event. Nothing that hinders
    the telling hinders the run.
    """

    def __init__(
        self, catalog: Catalog, progress: Progress | None = None, *, poll: float = 0.5
    ) -> None:
        self.catalog, self.stop = catalog, Stop()
        self.progress = Watched(progress or Silent(), self.stop)
        self._poll = poll
        self._run_id = 0

    @contextlib.contextmanager
    def over(self, run_id: int, since: int) -> Iterator[None]:
        """Watch over a run: requests to cancel after the event `since` are heard."""
        self._run_id, ended = run_id, threading.Event()
        looking = threading.Thread(target=self._look, args=(since, ended), daemon=True)
        looking.start()
        try:
            yield
        finally:
            ended.set()
            looking.join(_PATIENCE)
            self.stop.clear()

    def say(self, kind: str, step: int | None = None, **data: Any) -> None:
        """Note an event, if it can be noted."""
        with contextlib.suppress(Exception):
            emit(self.catalog, self._run_id, kind, step, data)

    def tell_progress(self) -> None:
        """Note how far the step is, if it is further than it was."""
        news = self.progress.news()
        if news is not None:
            self.say("progress", news[0], **news[1])

    def _look(self, since: int, ended: threading.Event) -> None:
        while not ended.wait(self._poll):
            with contextlib.suppress(Exception):
                asked = last_request(self.catalog, self._run_id, since)
                if asked:
                    since = asked
                    self.stop.trip(RunCancelledError(f"run {self._run_id} was cancelled"))
            if not ended.is_set():
                self.tell_progress()
