"""The one loop, and the steps of a recipe: pending, batches, engine.map, commit."""

import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

import tenacity
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from autods.catalog import Catalog
from autods.engine import Engine, Lost
from autods.errors import UnreachableError, UsageError

T = TypeVar("T")
R = TypeVar("R")

Context = dict[str, Any]
"""What one step hands to the next: small and JSON-able (ids and counts, never data)."""


class Progress(Protocol):
    """Who watches: a terminal's bars, an event stream, nobody."""

    def step(self, name: str, total: int | None = None) -> None:
        """A step begins; `total` items are expected, where that is known."""
        ...

    def advance(self, count: int = 1) -> None:
        """So many more items of the current step are done."""
        ...


class Silent:
    """Nobody watches."""

    def step(self, name: str, total: int | None = None) -> None:
        """Say nothing."""

    def advance(self, count: int = 1) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """One step of a recipe: its handler takes the context and returns what it adds to it.

    Every handler is idempotent: run again after a kill, it finds what is pending and goes on. So
    it is run again, too, where a place did not answer, unless `persistent` is false.

    What follows counts in durable runs alone (`run.durable`), where a handler may be async and may
    return None: a try that fails or takes longer than `timeout` seconds is followed by
    `max_retries` others; `always` runs a step even after a failure or a cancel; a step that is not
    `enabled` is noted as skipped.
    """

    name: str
    handler: Callable[[Context], Context | Awaitable[Context | None] | None]
    persistent: bool = True
    max_retries: int = 0
    timeout: float | None = None
    always: bool = False
    enabled: bool = True


def run_steps(
    steps: Sequence[WorkflowStep], context: Context, progress: Progress, *, patience: float = 120
) -> Context:
    """Run the steps in order, each over what the ones before it returned.

    A step that a place did not answer is run again, with growing pauses, until nothing has got
    through for `patience` seconds.
    """
    for step in steps:
        progress.step(step.name)
        context = {**context, **_added(step.name, persist(step, context, progress, patience))}
    return context


def _added(name: str, result: Any) -> Context:
    """Take what a handler returned, if it is something that can be added to a context."""
    if result is None:
        return {}
    if not isinstance(result, dict):
        raise UsageError(f"step {name!r} returned {type(result).__name__}, not a dict")
    return result


def persist(
    step: WorkflowStep,
    context: Context,
    progress: Progress,
    patience: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """Run a step until it succeeds, as long as only a place that does not answer stops it.

    Gives what its handler returned. An integrity error is a race that the database has decided
    against us: the step looks again.
    """
    if not step.persistent:
        return step.handler(context)
    tries = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((UnreachableError, IntegrityError)),
        wait=tenacity.wait_exponential(multiplier=0.25, max=15) + tenacity.wait_random(0, 0.25),
        stop=_out_of_patience(patience),
        sleep=sleep,
        before_sleep=lambda _: progress.step(f"{step.name} again"),
        reraise=True,
    )
    return tries(step.handler, context)


def _out_of_patience(patience: float) -> Callable[[tenacity.RetryCallState], bool]:
    """Count the time since a try last held out for a while: as long as that, something was done."""
    last, since = time.monotonic(), float("inf")

    def stop(_: tenacity.RetryCallState) -> bool:
        nonlocal last, since
        now = time.monotonic()
        held_out = now - last > max(30.0, patience / 2)
        since = now if held_out else min(since, now)
        last = now
        return now - since > patience

    return stop


def drain(
    batches: Iterable[Sequence[T]],
    work: Callable[[Sequence[T]], list[R]],
    commit: Callable[[Connection, Sequence[T], list[R | Lost]], None],
    *,
    engine: Engine,
    catalog: Catalog,
    progress: Progress,
) -> Generator[tuple[Sequence[T], list[R | Lost]], None, None]:
    """Run the one loop until nothing is pending, yielding each batch once it is committed.

    The driver alone commits, one transaction a batch, in order of completion: whatever must not
    depend on that order (dedup, split) runs afterwards, in arrival order.
    """
    # Closed at once when whoever asks gives up, not when the interpreter collects what is left.
    with closing(engine.map(work, batches)) as done:
        for batch, results in done:
            with catalog.begin() as db:
                commit(db, batch, results)
            progress.advance(len(batch))
            yield batch, results


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut a stream into lists of `size`, the last one shorter.

    >>> list(batched("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch
