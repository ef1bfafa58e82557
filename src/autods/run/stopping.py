"""How a run is told to stop: tokens that its handlers check, and the errors these raise."""

import threading
import time
from contextvars import ContextVar

from autods.errors import AutodsError


class StoppedError(AutodsError):
    """A run was told to stop: run again, it goes on where it stopped."""


class RunCancelledError(StoppedError):
    """Somebody asked for the run to be cancelled."""


class RunInterruptedError(StoppedError):
    """The run's own process has to end."""


class StepTimeoutError(AutodsError):
    """One try of a step took longer than it may."""


_TICK = 0.1


class Stop:
    """A token that is tripped once, with an error that `check` raises from then on.

    A step's try has one of its own, which is tripped with its run's, its parent.

    >>> run = Stop()
    >>> attempt = Stop(run)
    >>> attempt.check()
    >>> run.trip(RunCancelledError("run 7 was cancelled"))
    >>> attempt.check()
    Traceback (most recent call last):
    autods.run.stopping.RunCancelledError: run 7 was cancelled
    """

    def __init__(self, parent: "Stop | None" = None) -> None:
        self._parent = parent
        self._error: AutodsError | None = None
        self._tripped = threading.Event()
        self.noticed = False

    @property
    def error(self) -> AutodsError | None:
        """What it was tripped with, if it was."""
        return self._error or (self._parent.error if self._parent else None)

    def trip(self, error: AutodsError) -> None:
        """Tell to stop, and why; the first reason stands."""
        self._error = self._error or error
        self._tripped.set()

    def clear(self) -> None:
        """Forget that it was tripped: what comes next is another run, or what cleans up."""
        self._error = None
        self._tripped.clear()

    def check(self) -> None:
        """Raise what it was tripped with, if it was."""
        error = self.error
        if error is not None:
            self.noticed = True
            raise error

    def sleep(self, seconds: float) -> None:
        """Wait so long; raises at once if it is tripped meanwhile."""
        end = time.monotonic() + seconds
        self.check()
        while (left := end - time.monotonic()) > 0:
            self._tripped.wait(min(left, _TICK))
            self.check()


heeded: ContextVar[Stop] = ContextVar("heeded")
"""The token of the try that this thread works for: a try that was given up stays stopped."""
