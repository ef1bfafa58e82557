"""Progress as lines of a log: what begins, and every few seconds how far it is."""

import logging
import threading
import time
from collections.abc import Callable

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


class Logged:
    """A progress whose lines go to the log that `find` gives: that of whatever is at work then.

    >>> import sys
    >>> log = logging.Logger("example")
    >>> log.addHandler(logging.StreamHandler(sys.stdout))
    >>> progress = Logged(lambda: log)
    >>> progress.step("photos", 1200)
    photos: 1,200
    >>> for _ in range(12):
    ...     progress.advance(100)
    photos: 1,200 of 1,200
    """

    def __init__(self, find: Callable[[], Logger], every: float = 10.0) -> None:
        self._find, self._every = find, every
        self._lock = threading.Lock()
        self._name = ""
        self._total: int | None = None
        self._done = self._told = 0
        self._at = time.monotonic()

    def step(self, name: str, total: int | None = None) -> None:
        """Say how far the last step came, and that another or a part of one begins."""
        with self._lock:
            self._tell()
            self._name, self._total = name, total
            self._done = self._told = 0
            self._at = time.monotonic()
            self._find().info("%s", name if total is None else f"{name}: {total:,}")

    def advance(self, count: int = 1) -> None:
        """So many more items of the current step are done."""
        with self._lock:
            self._done += count
            if self._done == self._total or time.monotonic() - self._at > self._every:
                self._tell()

    def _tell(self) -> None:
        if self._done == self._told:
            return
        whole = "" if self._total is None else f" of {self._total:,}"
        self._find().info("%s: %s%s", self._name, f"{self._done:,}", whole)
        self._told, self._at = self._done, time.monotonic()
