"""The local engine: supervised worker processes; an item that crashes or hangs costs one row.

A supervisor thread owns each worker: it hands it a batch, watches it, and when the worker dies
(a decoder's segfault, the memory killer) or stops moving, it splits the batch around the item the
worker stood at and goes on with a new worker. No pool of the standard library does this: there a
native crash ends the job (measured for threads, ProcessPoolExecutor, Daft, Dask and Spark).
"""

import contextlib
import ctypes
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, Self, TypeVar

from autods.errors import AutodsError

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Lost:
    """What stands in for the result of an item that killed its worker: `crashed` or `hung`."""

    reason: str
    detail: str


class Engine(Protocol):
    """Where work is done; stage code cannot tell one engine from another."""

    def map(
        self, work: Callable[[Sequence[T]], list[R]], batches: Iterable[Sequence[T]]
    ) -> Iterator[tuple[Sequence[T], list[R | Lost]]]:
        """Yield each batch with one result per item, in order of completion."""
        ...

    def close(self) -> None:
        """Stop the workers."""
        ...


class LocalEngine:
    """Worker processes on this machine.

    `workers` defaults to the number of processors this process may use; `item_timeout` (seconds)
    is how long a worker may stand at one item; `preload` names the modules that every worker
    needs, so that they are imported once and shared. Workers die with this process.

    >>> with LocalEngine(workers=1) as engine:
    ...     [results for _, results in engine.map(str.split, [["a b"]])]  # doctest: +SKIP
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        item_timeout: float = 60.0,
        preload: Sequence[str] = (),
    ) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self.item_timeout = item_timeout
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__, *preload])
        _start_server()
        self._hands = [_Hand(self._context, item_timeout) for _ in range(self.workers)]
        # Processes start while the caller opens its database; nobody waits for them here.
        self._warming = [threading.Thread(target=hand.ready, daemon=True) for hand in self._hands]
        for thread in self._warming:
            thread.start()

    def map(
        self, work: Callable[[Sequence[T]], list[R]], batches: Iterable[Sequence[T]]
    ) -> Iterator[tuple[Sequence[T], list[R | Lost]]]:
        """Yield each batch with one result per item, in order of completion.

        Batches are drawn as workers fall free (two ahead per worker), so memory stays bounded
        however long the iterable. Raises AutodsError if `work` itself raises: that is a bug in
        the work, not a bad item.
        """
        jobs: queue.Queue[Sequence[T] | None] = queue.Queue(maxsize=self.workers)
        done: queue.Queue[tuple[Sequence[T], Any]] = queue.Queue()
        for thread in self._warming:
            thread.join()
        threads = [
            threading.Thread(target=_supervise, args=(hand, work, jobs, done), daemon=True)
            for hand in self._hands
        ]
        for thread in threads:
            thread.start()
        try:
            yield from _pump(iter(batches), jobs, done, ahead=2 * self.workers)
        except BaseException:
            self.close()
            raise
        finally:
            for _ in threads:
                jobs.put(None)

    def close(self) -> None:
        """Kill the workers; an unfinished batch is left for the next run to find pending."""
        for hand in self._hands:
            hand.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _pump(
    batches: Iterator[Sequence[T]],
    jobs: "queue.Queue[Sequence[T] | None]",
    done: "queue.Queue[tuple[Sequence[T], Any]]",
    *,
    ahead: int,
) -> Iterator[tuple[Sequence[T], Any]]:
    """Keep `ahead` batches under way until the iterator is dry, yielding what comes back."""
    under_way = 0
    for batch in batches:
        jobs.put(batch)
        under_way += 1
        while under_way >= ahead or (under_way and not done.empty()):
            yield _opened(done.get())
            under_way -= 1
    for _ in range(under_way):
        yield _opened(done.get())


def _opened(outcome: tuple[Sequence[T], Any]) -> tuple[Sequence[T], Any]:
    batch, results = outcome
    if isinstance(results, BaseException):
        raise results
    return batch, results


def _supervise(hand: "_Hand", work: Callable[..., Any], jobs: Any, done: Any) -> None:
    """Take batches until told to stop; an error of the work travels to the caller."""
    while (batch := jobs.get()) is not None:
        try:
            results: Any = _solve(hand, work, batch)
        except BaseException as error:  # noqa: BLE001 - the thread's edge: the caller raises it
            results = error
        done.put((batch, results))


def _solve(hand: "_Hand", work: Callable[..., list[Any]], items: Sequence[Any]) -> list[Any]:
    """Run one batch; around an item that takes its worker down, split and go on."""
    if not items:
        return []
    try:
        return list(hand.run(work, items))
    except _WorkerLostError as lost:
        if len(items) == 1:
            return [Lost(lost.reason, str(lost))]
        at = min(max(lost.at, 0), len(items) - 1)
        pieces = (items[:at], items[at : at + 1], items[at + 1 :])
        return [result for piece in pieces for result in _solve(hand, work, piece)]


class _WorkerLostError(Exception):
    def __init__(self, reason: str, at: int, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.at = reason, at


class _Hand:
    """One worker process and the line to it, replaced whenever it is lost."""

    def __init__(self, context: Any, item_timeout: float) -> None:
        self._context, self._timeout = context, item_timeout
        self._mark = context.RawValue("q", -1)
        self._process: Any = None
        self._pipe: Any = None
        self._closed = False

    def ready(self) -> None:
        """Start the process unless it runs."""
        if self._process is None and not self._closed:
            self._pipe, theirs = self._context.Pipe()
            self._process = self._context.Process(
                target=_serve, args=(theirs, self._mark), daemon=True
            )
            with _without_main():
                self._process.start()
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
            raise AutodsError(f"a worker failed in {_name(work)}:\n{error}")
        if len(results) != len(items):
            raise AutodsError(
                f"{_name(work)} returned {len(results)} results for {len(items)} items"
            )
        return list(results)

    def _watch(self) -> None:
        stood_at, since = -1, time.monotonic()
        while not wait([self._pipe], timeout=min(1.0, self._timeout / 4)):
            if self._mark.value != stood_at:
                stood_at, since = self._mark.value, time.monotonic()
            elif time.monotonic() - since > self._timeout:
                raise self._lost("hung")

    def _lost(self, reason: str) -> Exception:
        """Bury the worker and say what is known of its end."""
        if self._closed:
            return AutodsError("the engine was closed while it worked")
        at = self._mark.value
        if reason == "crashed":
            self._process.join(5)
        code = self._process.exitcode
        self._bury()
        if reason == "hung":
            return _WorkerLostError(reason, at, f"no progress for {self._timeout:g} s")
        name = signal.Signals(-code).name if code and code < 0 else f"exit status {code}"
        return _WorkerLostError(reason, at, f"the worker process died ({name})")

    def _bury(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.join()
            self._pipe.close()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError, ValueError, AttributeError):
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
            answer: tuple[Any, str | None]
            try:
                answer = (work(_Watched(items, mark)), None)
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


def _start_server() -> None:
    """Start the process that forks the workers, with one thread each for their arithmetic.

    There is a worker a processor: more threads in each would only get in each other's way.
    """
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    missing = {name: value for name, value in single.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        forkserver.ensure_running()
    finally:
        for name in missing:
            del os.environ[name]


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
