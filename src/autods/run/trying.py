"""A step of a durable run: tried, stopped when it has to be, and tried again."""

import asyncio
import inspect
import json
import math
import threading
import time
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any

from autods.errors import BarredSourceError, BudgetError, EmptyError, UsageError
from autods.run import Context, WorkflowStep, persist
from autods.run.stopping import RunInterruptedError, StepTimeoutError, Stop, StoppedError, heeded
from autods.run.watching import Watch

_TICK = 0.1
_LONGEST_PAUSE = 60.0

HOPELESS = (UsageError, BarredSourceError, BudgetError, EmptyError, StoppedError)
"""What would be the same at every try."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: how long a place is waited for within a try, the first pause between two tries
    (each next one is twice as long), and how long a handler that was told to stop may go on.
    """  # noqa: D205 - one sentence

    patience: float = 120.0
    backoff: float = 1.0
    grace: float = 5.0


def attempt(
    step: WorkflowStep, number: int, context: Context, watch: Watch, limits: Limits, **said: Any
) -> Context:
    """Run a step until a try succeeds and give what it adds to the context, as JSON gives it back.

    Every try that fails is an event. Raises what the last one raised; what a caller did wrong, a
    spent budget and a stop are final at once.
    """
    pause = limits.backoff
    for tried in range(1, step.max_retries + 2):
        watch.progress.turn(number)
        watch.say("step-started", number, name=step.name, **{"try": tried}, **said)
        watch.progress.step(step.name)
        try:
            return _try(step, number, context, watch, limits)
        except StoppedError:
            raise
        except Exception as error:
            watch.say("step-failed", number, error=told(error), **{"try": tried}, **said)
            if tried > step.max_retries or isinstance(error, HOPELESS):
                raise
        watch.stop.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    raise UsageError(f"step {step.name!r} has max_retries={step.max_retries} (valid: 0 and more)")


def told(error: BaseException) -> str:
    """Say an error in one line, as readers of a run see it."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return said.encode(errors="replace").decode()


def plain(context: Any, whose: str) -> Context:
    """Give a context as a later process will read it; raises UsageError if it is not JSON.

    >>> plain({"size": (3, 4)}, "the context of a run")
    {'size': [3, 4]}
    """
    if not isinstance(context, dict):
        raise UsageError(f"{whose} is {type(context).__name__}, not a dict")
    try:
        return dict(json.loads(json.dumps(context, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{whose} is not JSON, so that no run could go on from it: {error}") from (
            error
        )


def _try(
    step: WorkflowStep, number: int, context: Context, watch: Watch, limits: Limits
) -> Context:
    """Run a step once in a thread of its own, which can be given up; we wait, and can be woken."""
    work = _Work(step, number, plain(context, "the context"), watch, limits)
    work.start()
    try:
        work.settle(limits.grace)
    except BaseException:  # Ctrl-C, or the end of the process.
        work.stop.trip(RunInterruptedError(f"step {number} {step.name!r} was interrupted"))
        work.finished.wait(limits.grace)
        raise
    finally:
        watch.tell_progress()
    return work.outcome()


class _Work(threading.Thread):
    """One try at work."""

    def __init__(
        self, step: WorkflowStep, number: int, context: Context, watch: Watch, limits: Limits
    ) -> None:
        super().__init__(name=f"step-{number}", daemon=True)
        self.stop, self.finished = Stop(watch.stop), threading.Event()
        self._step, self._number, self._context = step, number, context
        self._watch, self._patience = watch, limits.patience
        self._result: Context = {}
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do it, and keep what came out."""
        heeded.set(self.stop)
        try:
            self._result = self._body()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            self._error = error
        finally:
            self.finished.set()

    def settle(self, grace: float) -> None:
        """Wait for the end; once it is told to stop, no longer than `grace` seconds."""
        end = time.monotonic() + (self._step.timeout or math.inf)
        while not self.finished.wait(min(_TICK, max(0.001, end - time.monotonic()))):
            if time.monotonic() >= end:
                self.stop.trip(self._too_long())
                end = math.inf
            if (error := self.stop.error) is not None:
                self.stop.trip(error)  # Its own from now on, whatever becomes of its run's.
                self.finished.wait(grace)
                return

    def outcome(self) -> Context:
        """Give the result, or raise why there is none.

        What ended all the same before it noticed that it was to stop has ended.
        """
        error = self.stop.error
        unfinished = not self.finished.is_set()
        if error is not None and (unfinished or self._error or self.stop.noticed):
            raise error
        if self._error is not None:
            raise self._error
        return self._result

    def _body(self) -> Context:
        name = self._step.name
        step = replace(self._step, handler=self._call)
        found = persist(
            step, self._context, self._watch.progress, self._patience, sleep=self.stop.sleep
        )
        return plain({} if found is None else found, f"what step {name!r} returned")

    def _call(self, context: Context) -> Any:
        found = self._step.handler(context)
        return asyncio.run(_heeding(found, self.stop)) if inspect.isawaitable(found) else found

    def _too_long(self) -> StepTimeoutError:
        step, limit = self._step, self._step.timeout
        return StepTimeoutError(f"step {self._number} {step.name!r} took longer than {limit:g} s")


async def _heeding(work: Awaitable[Any], stop: Stop) -> Any:
    """Wait for what an async handler gives; cancel it once it has to stop."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait({task}, timeout=_TICK)
        if stop.error is not None and not task.done():
            stop.noticed = True
            task.cancel()
            await asyncio.wait({task})
    try:
        return await task
    except asyncio.CancelledError as error:
        stop.check()
        raise RuntimeError("the step cancelled itself") from error
