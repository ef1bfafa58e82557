"""The one loop, and the steps of a recipe: pending, batches, engine.map, commit."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from autods.catalog import Catalog
from autods.engine import Engine, Lost

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

    Every handler is idempotent: run again after a kill, it finds what is pending and goes on.
    """

    name: str
    handler: Callable[[Context], Context]


def run_steps(steps: Sequence[WorkflowStep], context: Context, progress: Progress) -> Context:
    """Run the steps in order, each over what the ones before it returned."""
    for step in steps:
        progress.step(step.name)
        context = {**context, **step.handler(context)}
    return context


def drain(
    batches: Iterable[Sequence[T]],
    work: Callable[[Sequence[T]], list[R]],
    commit: Callable[[Connection, Sequence[T], list[R | Lost]], None],
    *,
    engine: Engine,
    catalog: Catalog,
    progress: Progress,
) -> Iterator[tuple[Sequence[T], list[R | Lost]]]:
    """Run the one loop until nothing is pending, yielding each batch once it is committed.

    The driver alone commits, one transaction a batch, in order of completion: whatever must not
    depend on that order (dedup, split) runs afterwards, in arrival order.
    """
    for batch, results in engine.map(work, batches):
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
