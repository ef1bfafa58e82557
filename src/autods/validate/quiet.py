"""Keeps decoders quiet: Python warnings around a decode, native chatter for a whole worker."""

import os
import threading
import warnings
from pathlib import Path


class Hush:
    """Ignores Python warnings while any thread is inside, and puts the filters back after the last.

    `warnings.catch_warnings` alone may leave its filters behind when two threads overlap.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._catch = warnings.catch_warnings(action="ignore")

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._catch = warnings.catch_warnings(action="ignore")
                self._catch.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._catch.__exit__(None, None, None)


hush = Hush()


def silence_descriptor() -> None:
    """Point file descriptor 2 at the null device, and `sys.stderr` at a copy of what it was."""
    import faulthandler
    import sys

    if os.path.samestat(os.fstat(2), Path(os.devnull).stat()):
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    # The copy stays open for the life of the process, as descriptor 2 would have.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    if faulthandler.is_enabled():
        faulthandler.enable(file=sys.stderr)
