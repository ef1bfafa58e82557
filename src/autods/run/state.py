"""Where a run stands, summed up from its events alone."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a run; `step` counts from 1, `at` is in UTC."""

    id: int
    run_id: int
    at: dt.datetime
    kind: str
    step: int | None
    data: dict[str, Any]


@dataclass(slots=True)
class StepState:
    """Where a step stands: pending, running, done, skipped, or how it ended without being done."""

    number: int
    name: str
    status: str = "pending"
    tries: int = 0
    seconds: float | None = None
    activity: str | None = None
    done: int | None = None
    total: int | None = None
    result: dict[str, Any] | None = None
    error: str | None = None

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1, as far as is known."""
        if self.status in {"done", "skipped"}:
            return 1.0
        return min(1.0, (self.done or 0) / self.total) if self.total else 0.0


@dataclass(slots=True)
class RunState:
    """Where a run stands: pending, running, cancelling, done, failed, cancelled or interrupted.

    `step` is the one at work or the last that was, from 1, 0 before the first, and `tries` are its
    tries; `progress` is in percent, every step counting the same; `seconds` are those of work, up
    to the last event; `results` are what the steps that ended returned, by name.
    """

    status: str = "pending"
    step: int = 0
    total_steps: int = 0
    progress: float = 0.0
    seconds: float = 0.0
    tries: int = 0
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: str | None = None
    generation: int | None = None
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    steps: list[StepState] = field(default_factory=list)


def state_of(events: Iterable[Event]) -> RunState:
    """Sum up a run from all its events, in order.

    >>> at = dt.datetime(2026, 11, 2)
    >>> said = [("started", None, {"steps": ["crawl", "report"], "from_step": 1}),
    ...         ("step-started", 1, {"name": "crawl", "try": 1}),
    ...         ("step-ended", 1, {"seconds": 7.5, "result": {"images": 40}})]
    >>> state = state_of(Event(0, 1, at, *what) for what in said)
    >>> (state.status, state.step, state.total_steps, state.progress, state.results)
    ('running', 1, 2, 50.0, {'crawl': {'images': 40}})
    """
    state, worked, since = RunState(), 0.0, None
    for event in events:
        if event.kind == "started":
            worked, since = state.seconds, event.at
            _begin(state, event)
        elif event.step is not None and 0 < event.step <= len(state.steps):
            _move(state, state.steps[event.step - 1], event)
        elif event.kind == "cancel-requested":
            state.status = "cancelling" if state.status == "running" else state.status
        elif event.kind in {"done", "failed", "cancelled", "interrupted"}:
            _end(state, event)
        if since is not None and event.kind != "cancel-requested":
            state.seconds = round(worked + (event.at - since).total_seconds(), 3)
    return _summed(state)


def _begin(state: RunState, event: Event) -> None:
    """Take a run up, at its first step or at a later one: those before it are done."""
    first = int(event.data.get("from_step") or 1)
    fresh = [StepState(number, name) for number, name in enumerate(event.data["steps"], 1)]
    kept = state.steps[: first - 1]
    state.steps = kept + fresh[len(kept) :]
    for step in state.steps[: first - 1]:
        step.status = "skipped" if step.status == "skipped" else "done"
    state.status, state.error, state.finished_at = "running", None, None
    state.step, state.generation = first - 1, event.data.get("generation")
    state.started_at = state.started_at or event.at


def _move(state: RunState, step: StepState, event: Event) -> None:
    """Take in what happened in a step; a step that runs after the end does not move the run."""
    if event.kind != "progress" and not event.data.get("afterwards"):
        state.step = step.number
    for name, value in _change(event.kind, event.data).items():
        setattr(step, name, value)


def _change(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    match kind:
        case "step-started":
            return {"status": "running", "tries": data.get("try", 1), "done": None, "total": None}
        case "progress":
            known = {name: data.get(name) for name in ("done", "total")}
            return {"activity": data.get("name"), **known}
        case "step-failed":
            return {"status": "failed", "error": data.get("error")}
        case "step-skipped":
            return {"status": "skipped"}
        case "step-ended":
            ended = {"status": "done", "activity": None, "error": None}
            return ended | {"seconds": data.get("seconds"), "result": data.get("result")}
    return {}


def _end(state: RunState, event: Event) -> None:
    state.status, state.error, state.finished_at = event.kind, event.data.get("error"), event.at
    for step in state.steps:
        if step.status == "running":
            step.status = event.kind


def _summed(state: RunState) -> RunState:
    """Fill in what follows from the steps."""
    state.total_steps = len(state.steps)
    if state.steps:
        share = sum(step.share for step in state.steps) / len(state.steps)
        state.progress = round(100 * share, 1)
    if state.step:
        state.tries = state.steps[state.step - 1].tries
    state.results = {
        step.name: step.result
        for step in state.steps
        if step.status == "done" and step.result is not None
    }
    return state
