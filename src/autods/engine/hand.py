"""One worker process and the line to it: started deaf to Ctrl-C, watched, replaced when lost."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from autods.errors import AutodsError

T = TypeVar("T")


_CLOSED = "the engine was closed while it worked"


class WorkerLostError(Exception):
    """A worker died or hangs: `reason` is crashed or hung, `at` the item it stood at, or -1."""

    def __init__(self, reason: str, at: int, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.at = reason, at


class Hand:
    """One worker process and the line to it, replaced whenever it is lost."""

    def __init__(self, context: Any, item_timeout: float) -> None:
        self._context, self._timeout = context, item_timeout
        self._mark = context.RawValue("q", -1)
        self._process: Any = None
        self._pipe: Any = None
        self._closed = False
        self._lock = threading.Lock()  # Closing and starting come from different threads.

    def ready(self) -> None:
        """Start the process unless it runs; raises AutodsError once the engine is closed."""
        with self._lock:
            if self._closed:
                raise AutodsError(_CLOSED)
            if self._process is None:
                self._pipe, theirs = self._context.Pipe()
                process = self._context.Process(
                    target=_serve, args=(theirs, self._mark), daemon=True
                )
                with _without_main():
                    process.start()
                self._process = process
                theirs.close()

    def run(self, work: Callable[..., list[Any]], items: Sequence[Any]) -> list[Any]:
        """Hand a batch over and wait for it, for as long as the worker moves on."""
        self.ready()
        self._mark.value = -1
        try:
            self._pipe.send((work, items))
            self._watch()
            results, error = self._pipe.recv()
        except (EOFError, OSError):
            raise self._lost("crashed") from None
        if error is not None:
            if isinstance(error, AutodsError):
                raise error
            raise AutodsError(f"a worker failed in {_name(work)}:\n{error}")
        if len(results) != len(items):
            raise AutodsError(
                f"{_name(work)} returned {len(results)} results for {len(items)} items"
            )
        return list(results)

    def _watch(self) -> None:
        stood_at, since = -1, time.monotonic()
        while not wait([self._pipe], timeout=min(1.0, self._timeout / 4)):
            if self._closed:
                raise EOFError
            if self._mark.value != stood_at:
                stood_at, since = self._mark.value, time.monotonic()
            elif time.monotonic() - since > self._timeout:
                raise self._lost("hung")

    def _lost(self, reason: str) -> Exception:
        """Bury the worker and say what is known of its end."""
        with self._lock:
            if self._closed:
                return AutodsError(_CLOSED)
            at = self._mark.value
            if reason == "crashed":
                self._process.join(5)
            code = self._process.exitcode
            self._bury()
        if reason == "hung":
            return WorkerLostError(reason, at, f"no progress for {self._timeout:g} s")
        name = signal.Signals(-code).name if code and code < 0 else f"exit status {code}"
        return WorkerLostError(reason, at, f"the worker process died ({name})")

    def _bury(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.join()
            self._pipe.close()

    def close(self) -> None:
        """Kill the process, whatever it does; nothing is run by this hand again.

        Closed once, it never waits: while the interpreter ends, a thread that has stopped for good
        may hold the lock.
        """
        if self._closed:
            return
        with self._lock:
            self._closed = True
            self._bury()


class _Watched(Sequence[T]):
    """A batch that notes, where its supervisor can see it, which item its reader stands at."""

    def __init__(self, items: Sequence[T], mark: Any) -> None:
        self._items, self._mark = items, mark

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __iter__(self) -> Iterator[T]:
        for index, item in enumerate(self._items):
            self._mark.value = index
            yield item


def _serve(pipe: Connection, mark: Any) -> None:
    """Live a worker's life: take a batch, answer with its results, until the line goes dead."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle.
    with contextlib.suppress(EOFError, OSError):
        while True:
            work, items = pipe.recv()
            answer: tuple[Any, str | AutodsError | None]
            try:
                answer = (work(_Watched(items, mark)), None)
            except AutodsError as error:
                answer = (None, type(error)(str(error)))  # Says all by itself, in its own kind.
            except Exception:  # noqa: BLE001 - the process's edge: the driver raises it
                answer = (None, traceback.format_exc())
            pipe.send(answer)


def _die_with_parent() -> None:
    """Ask Linux to kill this worker, even one that hangs, when the fork server goes.

    The fork server ends when the driver does; elsewhere a worker ends with its current batch.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)


def start_server() -> None:
    """Start the process that forks the workers, with one thread each for their arithmetic.

    There is a worker a processor: more threads in each would only get in each other's way.
    """
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    missing = {name: value for name, value in single.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        with _uninterrupted():
            forkserver.ensure_running()
    finally:
        for name in missing:
            del os.environ[name]


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Start what is started here deaf to Ctrl-C, which a terminal sends to all: it is ours."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Hide the caller's script: workers import work by name, and need not run it again.

    Without this every script that uses autods would need an `if __name__ == "__main__"` guard.
    """
    main = sys.modules["__main__"]
    with _MAIN_LOCK:
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


_MAIN_LOCK = threading.Lock()


def _name(work: Callable[..., Any]) -> str:
    return str(getattr(getattr(work, "func", work), "__qualname__", work))
