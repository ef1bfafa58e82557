"""One process's go at a run: the steps that are left, after those that earlier ones have done."""

import contextlib
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from autods.catalog import Catalog
from autods.errors import PlaceError, UsageError
from autods.run import Context, WorkflowStep
from autods.run.events import emit
from autods.run.state import RunState
from autods.run.stopping import RunCancelledError, RunInterruptedError
from autods.run.trying import Limits, attempt, told
from autods.run.watching import Watch

Record = dict[str, Any]
"""What is kept of a step that ended: `added` to the context and `seconds`; or `skipped`."""


class TakenOverError(PlaceError):
    """Another process has taken the run over: what becomes of it is not ours to say."""


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier processes have done of a run; what comes after the event `since` is for us."""

    since: int = 0
    generation: int = -1
    is_pending: bool = False
    names: tuple[str, ...] = ()
    done: tuple[Record, ...] = ()
    said: RunState = field(default_factory=RunState)

    def goes_on_at(self, run_id: int, steps: Sequence[WorkflowStep], from_step: int | None) -> int:
        """Find the first step to run, one more than there are if all is done."""
        names = tuple(step.name for step in steps)
        if self.names and names != self.names:
            raise UsageError(
                f"run {run_id} was made of the steps {', '.join(self.names)}; "
                f"these are {', '.join(names)}"
            )
        first = 1
        for step, record in zip(steps, self.done, strict=False):
            if record.get("skipped") and step.enabled:
                break
            first += 1
        latest = min(first, len(steps))
        if from_step is not None and not 1 <= from_step <= latest:
            valid = f"1 to {latest}" if latest > 1 else "1"
            raise UsageError(f"run {run_id} cannot go on from step {from_step} (valid: {valid})")
        return from_step or first

    def tell_steps(self, catalog: Catalog, run_id: int, until: int) -> None:
        """Note of the first steps what a process that was killed had no time to note."""
        known = {s.number for s in self.said.steps if s.status == "skipped" or s.result is not None}
        for number in sorted(set(range(1, until + 1)) - known):
            _note(catalog, run_id, number, self.done[number - 1])

    def tell_end(self, catalog: Catalog, run_id: int) -> None:
        """Note that all was done, where that is not noted yet."""
        if self.said.status != "done":
            self.tell_steps(catalog, run_id, len(self.done))
            emit(catalog, run_id, "done")

    def context(self, context: Context) -> Context:
        """Add to a context what the steps done have returned."""
        for record in self.done:
            context = {**context, **record.get("added", {})}
        return context


@dataclass(slots=True)
class Generation:
    """One process's go at a run."""

    run_id: int
    steps: tuple[WorkflowStep, ...]
    context: Context
    watch: Watch
    limits: Limits
    past: Past
    first: int
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    at_work: int = 0
    failure: BaseException | None = None

    @property
    def workflow_id(self) -> str:
        """What it is called where its steps are kept."""
        return f"{self.run_id}.{self.past.generation + 1}"

    def run(self, as_workflow: Callable[["Generation", Record], Context]) -> Context:
        """Run it as a workflow, and tell how it ended."""
        self._start()
        with self.watch.over(self.run_id, self.past.since):
            try:
                context = as_workflow(self, self._made())
            except BaseException as error:
                self._afterwards(error)
                raise
            self.watch.say("done")
        return context

    def steps_in_turn(self, keep: Callable[[str, Callable[[], Record]], Record]) -> Context:
        """Run the steps that are not done; each one's record is kept before the next begins."""
        for number, step in enumerate(self.steps, 1):
            self.at_work = number
            self.watch.stop.check()
            record = keep(step.name, partial(self._record, number, step))
            self.context = {**self.context, **record.get("added", {})}
            if number >= self.first:
                self._say_ended(number, record)
        return self.context

    def _start(self) -> None:
        """Say that it starts, in words that the next generation knows again."""
        data: Record = {"generation": self.past.generation + 1, "from_step": self.first}
        data |= {"steps": [step.name for step in self.steps], "token": self.token}
        emit(self.watch.catalog, self.run_id, "started", None, data)
        self.past.tell_steps(self.watch.catalog, self.run_id, self.first - 1)

    def _made(self) -> Record:
        """Say what the workflow is born with: all that the next generation needs of it."""
        names = [step.name for step in self.steps]
        return {"token": self.token, "steps": names, "done": self.past.done[: self.first - 1]}

    def _record(self, number: int, step: WorkflowStep) -> Record:
        if number < self.first:
            return self.past.done[number - 1]
        if not step.enabled:
            return {"skipped": True}
        begun = time.monotonic()
        try:
            added = attempt(step, number, self.context, self.watch, self.limits)
        except BaseException as error:
            self.failure = error
            raise
        return {"added": added, "seconds": round(time.monotonic() - begun, 3)}

    def _say_ended(self, number: int, record: Record) -> None:
        with contextlib.suppress(Exception):
            _note(self.watch.catalog, self.run_id, number, record)

    def _afterwards(self, error: BaseException) -> None:
        """Run the steps that always run, then say how it ended."""
        if isinstance(error, TakenOverError):
            return
        try:
            self.watch.stop.clear()
            for number, step in enumerate(self.steps, 1):
                if step.always and step.enabled and 0 < self.at_work < number:
                    self._run_anyway(number, step)
        finally:
            self.watch.say(_ending(error), error=told(error))

    def _run_anyway(self, number: int, step: WorkflowStep) -> None:
        """Run a step although the run has failed: what it fails with is an event, and no more."""
        begun = time.monotonic()
        with contextlib.suppress(Exception):
            found = attempt(step, number, self.context, self.watch, self.limits, afterwards=True)
            data = {"seconds": round(time.monotonic() - begun, 3), "result": found}
            self.watch.say("step-ended", number, **data, afterwards=True)


def _ending(error: BaseException) -> str:
    if isinstance(error, RunCancelledError):
        return "cancelled"
    failed = isinstance(error, Exception) and not isinstance(error, RunInterruptedError)
    return "failed" if failed else "interrupted"


def _note(catalog: Catalog, run_id: int, number: int, record: Record) -> None:
    if record.get("skipped"):
        emit(catalog, run_id, "step-skipped", number)
    else:
        data = {"seconds": record.get("seconds"), "result": record.get("added", {})}
        emit(catalog, run_id, "step-ended", number, data)
