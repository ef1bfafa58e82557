"""The local engine: supervised worker processes; an item that crashes or hangs costs one row.

A supervisor thread owns each worker: it hands it a batch, watches it, and when the worker dies
(a decoder's segfault, the memory killer) or stops moving, it splits the batch around the item the
worker stood at and goes on with a new worker. No pool of the standard library does this: there a
native crash ends the job (measured for threads, ProcessPoolExecutor, Daft, Dask and Spark).
"""

import contextlib
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from autods.engine.hand import Hand, WorkerLostError, start_server
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
    ) -> Generator[tuple[Sequence[T], list[R | Lost]], None, None]:
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
    ...     [results for _, results in engine.map(sorted, [[3, 1], [2]])]
    [[1, 3], [2]]
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
        start_server()
        self._hands = [Hand(self._context, item_timeout) for _ in range(self.workers)]
        # Processes start while the caller opens its database; nobody waits for them here.
        self._warming = [
            threading.Thread(target=_warm, args=(h,), daemon=True) for h in self._hands
        ]
        for thread in self._warming:
            thread.start()

    def map(
        self, work: Callable[[Sequence[T]], list[R]], batches: Iterable[Sequence[T]]
    ) -> Generator[tuple[Sequence[T], list[R | Lost]], None, None]:
        """Yield each batch with one result per item, in order of completion.

        Batches are drawn as workers fall free (two ahead per worker), so memory stays bounded
        however long the iterable. Raises AutodsError if `work` itself raises: that is a bug in
        the work, not a bad item.
        """
        jobs: queue.Queue[Sequence[T] | None] = queue.Queue()
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
            _send_home(jobs, len(threads))

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


def _warm(hand: Hand) -> None:
    with contextlib.suppress(AutodsError):  # Closed before it began.
        hand.ready()


def _send_home(jobs: "queue.Queue[Any]", threads: int) -> None:
    """Tell the supervisors to go; what nobody has begun is left for the next run."""
    with contextlib.suppress(queue.Empty):
        while True:
            jobs.get_nowait()
    for _ in range(threads):
        jobs.put(None)


def _opened(outcome: tuple[Sequence[T], Any]) -> tuple[Sequence[T], Any]:
    batch, results = outcome
    if isinstance(results, BaseException):
        raise results
    return batch, results


def _supervise(hand: Hand, work: Callable[..., Any], jobs: Any, done: Any) -> None:
    """Take batches until told to stop; an error of the work travels to the caller."""
    while (batch := jobs.get()) is not None:
        try:
            results: Any = _solve(hand, work, batch)
        except BaseException as error:  # noqa: BLE001 - the thread's edge: the caller raises it
            results = error
        done.put((batch, results))


def _solve(hand: Hand, work: Callable[..., list[Any]], items: Sequence[Any]) -> list[Any]:
    """Run one batch; around an item that takes its worker down, split and go on."""
    if not items:
        return []
    try:
        return list(hand.run(work, items))
    except WorkerLostError as lost:
        if len(items) == 1:
            return [Lost(lost.reason, str(lost))]
        at = min(max(lost.at, 0), len(items) - 1)
        pieces = (items[:at], items[at : at + 1], items[at + 1 :])
        return [result for piece in pieces for result in _solve(hand, work, piece)]
