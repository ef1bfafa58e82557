"""Runs, as they are now: listed, shown with their steps, watched while they go on, cancelled."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import datasets, events, now, runs
from autods.errors import UsageError
from autods.run.events import Event, StepState, follow, read_events, request_cancel, state_of
from autods.workspace import Workspace

Found = dict[str, Any]

OVER = frozenset({"done", "failed", "cancelled", "interrupted", "killed"})
"""How a run may have ended; until then it waits, is `running`, or `cancelling`."""

TELLING = frozenset({"started", "cancel-requested", *OVER})
"""Kinds of the events that say how a run stands."""

BEGINS = timedelta(seconds=10)
"""How long a run may wait for a process to begin it, before nobody waits for that any more."""

LOOK, SETTLE = 1.0, 5.0
"""Seconds between two looks at whether a run lives; how long its last words may take."""


class NoRunError(UsageError):
    """There is no run of that number."""


class NotAtWorkError(UsageError):
    """Nothing is at work that could be cancelled."""


def list_runs(place: Workspace, limit: int = 50) -> list[Found]:
    """List the runs, newest first: what each was, and how it stands."""
    with place.catalog.read() as db:
        rows = db.execute(_rows().order_by(runs.c.id.desc()).limit(limit)).all()
        said = dict(map(tuple, db.execute(_last_said([row.id for row in rows]))))
    return [_standing(place.catalog, row, said.get(row.id)) for row in rows]


def show_run(place: Workspace, run_id: int) -> Found:
    """Show a run: its summary as in the list, how far it is, and each of its steps.

    A build or an ingest has no steps. `progress` is in percent; `last_event` the newest event's
    id. Raises NoRunError.
    """
    row = _row(place.catalog, run_id)
    found = read_events(place.catalog, run_id)
    said = [event.kind for event in found if event.kind in TELLING]
    summary = _standing(place.catalog, row, said[-1] if said else None)
    state = state_of(found)
    if summary["seconds"] is None and state.steps:
        summary["seconds"] = state.seconds
    return {
        **summary,
        "error": summary["error"] or state.error,
        "step": state.step,
        "total_steps": state.total_steps,
        "progress": state.progress if state.steps else None,
        "last_event": max((event.id for event in found), default=0),
        "asked_at": _iso(now()),
        "steps": [_step(step, summary["status"]) for step in state.steps],
        "metrics": _metrics(place, row),
    }


def watch_run(
    place: Workspace, run_id: int, *, after: int = 0, stop: threading.Event | None = None
) -> Iterator[Found]:
    """Give the events of a run, those to come as they come; the last, `end`, says how it ended.

    A run that tells of nothing, a build say, has that one alone. Ends without it once `stop` is
    set. Raises NoRunError.
    """
    _row(place.catalog, run_id)
    stop = stop or threading.Event()
    life = _Life(place.catalog, run_id)
    for event in follow(place.catalog, run_id, after=after, stop=stop, is_alive=life.goes_on):
        if event.kind != "killed":  # Of a run that tells of nothing, it is no more than a guess.
            yield _event(run_id, event)
    life.settle(stop)
    if not stop.is_set():
        yield _end(show_run(place, run_id))


def cancel_run(place: Workspace, run_id: int) -> Found:
    """Ask a run to stop, and show it; it does so within a second or so, where it is at work.

    What it has done stays, and it can be taken up again. Asked twice, it is asked once. Raises
    NoRunError, and NotAtWorkError where nothing is at work that listens.
    """
    found = show_run(place, run_id)
    if found["status"] in OVER:
        raise NotAtWorkError(f"run {run_id} is {found['status']}: nothing is at work that could "
                             "be cancelled")  # fmt: skip
    if found["status"] == "pending":
        _withdraw(place.catalog, run_id)
        return show_run(place, run_id)
    if not found["steps"]:
        raise NotAtWorkError(f"run {run_id} is of {found['recipe']!r}, which takes no orders: end "
                             "its process, and run it again to go on")  # fmt: skip
    if found["status"] != "cancelling":
        request_cancel(place.catalog, run_id)
    return show_run(place, run_id)


def _withdraw(catalog: Catalog, run_id: int) -> None:
    """Cancel a run that has not begun."""
    mine = (runs.c.id == run_id, runs.c.status == "pending")
    with catalog.begin() as db:
        db.execute(sa.update(runs).where(*mine).values(status="cancelled", finished_at=now()))


def _metrics(place: Workspace, row: Any) -> Found | None:
    """Give the metrics of a pipeline's run: those it ended with, or what there is to count now."""
    if "asked" not in (row.stats or {}) or "spec" not in row.stats["asked"]:
        return None
    from autods.recipes.pipeline.repositories import WorkflowRepository
    from autods.recipes.pipeline.steps import measured

    try:
        return measured(place, WorkflowRepository(place).get(row.id)).to_dict()
    except UsageError:  # Its recipe names a file that is not there any more.
        return None


def runs_lines(rows: Sequence[Found]) -> Iterator[str]:
    """Write a list of runs for people."""
    if not rows:
        yield "Nothing has run yet."
    for row in rows:
        started = row["started_at"][:16].replace("T", " ")
        named = f"{row['id']:>5}  {row['status']:<11}  {row['recipe']:<18} {row['dataset']:<20}"
        told = row["version"] or row["error"] or row["said"] or ""
        yield f"{named}  {started}  {_took(row):>9}  {told}".rstrip()


def run_lines(found: Found) -> Iterator[str]:
    """Write a run and its steps for people."""
    yield f"Run {found['id']} is {found['status']}: {found['recipe']} of {found['dataset']}"
    yield f"  since {found['started_at'][:19].replace('T', ' ')}  {_took(found)}".rstrip()
    for name in ("version", "error"):
        if found[name]:
            yield f"  {name}  {found[name]}"
    for step in found["steps"]:
        counted = f"{step['done'] or 0:,} of {step['total']:,}" if step["total"] else ""
        told = [_took(step), counted, step["error"] or _facts(step["result"] or {})]
        line = f"  {step['number']:>2}  {step['status']:<11}  {step['name']:<22}"
        yield f"{line} {'  '.join(filter(None, told))}".rstrip()
    for name, value in (found["metrics"] or {}).items():
        if name.split("_")[-1] not in {"time", "duration", "generated"}:
            yield f"  {name:<20} {value:,}"


def _rows() -> "sa.Select[Any]":
    joined = runs.join(datasets, datasets.c.id == runs.c.dataset_id)
    return sa.select(runs, datasets.c.name.label("dataset")).select_from(joined)


def _row(catalog: Catalog, run_id: int) -> Any:
    with catalog.read() as db:
        row = db.execute(_rows().where(runs.c.id == run_id)).one_or_none()
        if row is None:
            newest = db.scalar(sa.select(sa.func.max(runs.c.id)))
            there = f"the newest is {newest}" if newest else "nothing has run yet"
            raise NoRunError(f"no run {run_id} ({there})")
    return row


def _last_said(run_ids: Sequence[int]) -> "sa.Select[Any]":
    """Ask for the last event of each run that says how it stands."""
    last = (
        sa.select(sa.func.max(events.c.id))
        .where(events.c.run_id.in_(run_ids), events.c.kind.in_(TELLING))
        .group_by(events.c.run_id)
    )
    return sa.select(events.c.run_id, events.c.kind).where(events.c.id.in_(last))


def _standing(catalog: Catalog, row: Any, said: str | None) -> Found:
    """Sum up a run, `said` being its last event that tells how it stands.

    At work is what its row calls so and whose lock is held. Of what is over, its own last word is
    believed, then its row: the event may have been lost, and the killed say nothing.
    """
    if row.status not in OVER and _lives(catalog, row):
        is_to_end = row.status == "running" and said == "cancel-requested"
        return _summary(row, "cancelling" if is_to_end else row.status)
    if row.status not in OVER:
        row = _row(catalog, row.id)  # It may have ended between the two looks.
    noted = row.status if row.status in OVER else "killed"
    return _summary(row, said if said in OVER else noted)


def _lives(catalog: Catalog, row: Any) -> bool:
    """Tell whether a run is at work, or waits to begin."""
    if row.status != "running":
        return row.status not in OVER
    lock = (row.stats or {}).get("lock")
    return lock is not None and catalog.is_held(lock)


def _summary(row: Any, status: str) -> Found:
    number = (row.stats or {}).get("version")
    until = row.finished_at or (None if status in OVER else now())
    return {
        "id": row.id,
        "dataset": row.dataset,
        "recipe": row.recipe,
        "status": status,
        "started_at": _iso(row.started_at),
        "finished_at": _iso(row.finished_at),
        "seconds": round((until - row.started_at).total_seconds(), 3) if until else None,
        "version": f"{row.dataset}@v{number}" if number else None,
        "error": row.error,
        "said": (row.stats or {}).get("said"),
    }


def _step(step: StepState, status: str) -> Found:
    """Show a step; one that ran when its run ended without a word ended with it."""
    ended = step.status == "running" and status in OVER
    return asdict(step) | ({"status": status} if ended else {})


def _event(run_id: int, event: Event) -> Found:
    return {"id": event.id, "run": run_id, "at": _iso(event.at), "kind": event.kind,
            "step": event.step, "data": dict(event.data)}  # fmt: skip


def _end(found: Found) -> Found:
    data = {name: found[name] for name in ("status", "version", "error", "seconds")}
    return {"id": None, "run": found["id"], "at": found["asked_at"], "kind": "end", "step": None,
            "data": data}  # fmt: skip


class _Life:
    """Tells whether a run goes on; asked often, it looks once a second."""

    def __init__(self, catalog: Catalog, run_id: int) -> None:
        self._catalog, self._run_id = catalog, run_id
        self._looked, self._alive = float("-inf"), True

    def goes_on(self) -> bool:
        """Tell whether its process is at work, or has yet to be."""
        if time.monotonic() - self._looked > LOOK:
            row = _row(self._catalog, self._run_id)
            self._alive = _lives(self._catalog, row) and not self._is_left(row)
            self._looked = time.monotonic()
        return self._alive

    def _is_left(self, row: Any) -> bool:
        """Tell whether a run was asked for a while ago, and nobody has begun it."""
        return row.status == "pending" and bool(now() - row.started_at > BEGINS)

    def settle(self, stop: threading.Event) -> None:
        """Wait for what a run notes after its last event: its version, say."""
        end = time.monotonic() + SETTLE
        while self.goes_on() and time.monotonic() < end and not stop.wait(LOOK / 4):
            pass


def _iso(at: datetime | None) -> str | None:
    return at.replace(tzinfo=UTC).isoformat() if at else None


def _took(found: Mapping[str, Any]) -> str:
    return f"{found['seconds']:,.1f} s" if found["seconds"] is not None else ""


def _facts(result: Mapping[str, Any]) -> str:
    """Write the plain values of a step's result."""
    return "  ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
        for name, value in result.items()
        if isinstance(value, int | float | str)
    )
