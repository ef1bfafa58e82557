"""What happens in a run, as rows that stay: written, read, and followed live by anyone.

    started {generation, from_step, steps}       step-started {name, try}    step-skipped {name}
    progress {name, done, total}                 step-failed {error, try}    step-ended {seconds, result}
    cancel-requested    done    failed {error}    cancelled {error}    interrupted {error}

A run that is taken up again starts again: its history goes on. `state.state_of` sums it up.
"""  # noqa: E501 - a table

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import events, now
from autods.run.state import Event, RunState, StepState, state_of

__all__ = [
    "ENDS", "Event", "RunState", "StepState", "emit", "follow", "read_events", "request_cancel",
    "state_of",
]  # fmt: skip

ENDS = frozenset({"done", "failed", "cancelled", "interrupted"})
"""Kinds of the event that ends a run, for now: it may be taken up again."""

_ASIDE = ("progress", "cancel-requested")
"""Kinds that do not tell whether a run is at work."""

_CHANNEL = "autods_events"
_LISTEN = 1.0


def emit(
    catalog: Catalog,
    run_id: int,
    kind: str,
    step: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> int:
    """Note that something happened, in a transaction of its own, and give the event's id.

    Of a step's progress only the newest row is kept. On PostgreSQL whoever listens on
    `autods_events` is told `{"run": ..., "event": ...}`. Raises what the catalog raises.
    """
    row = {"run_id": run_id, "at": now(), "kind": kind, "step": step, "data": dict(data or {})}
    with catalog.begin() as db:
        if not catalog.is_local:
            db.execute(_in_turn(run_id))
        if kind == "progress":
            older = sa.and_(events.c.run_id == run_id, events.c.kind == kind)
            db.execute(sa.delete(events).where(older, events.c.step.is_not_distinct_from(step)))
        event = int(db.execute(sa.insert(events).returning(events.c.id), row).scalar_one())
        if not catalog.is_local:
            told = json.dumps({"run": run_id, "event": event})
            db.execute(sa.select(sa.func.pg_notify(_CHANNEL, told)))
    return event


def _in_turn(run_id: int) -> "sa.Select[Any]":
    """Let the events of a run become visible in the order of their ids: readers ask by id."""
    key = sa.func.hashtextextended(f"autods events {run_id}", 0)
    return sa.select(sa.func.pg_advisory_xact_lock(key))


def read_events(catalog: Catalog, run_id: int, after: int = 0) -> list[Event]:
    """Read the events of a run whose ids are greater than `after`, in order."""
    query = (
        sa.select(*(events.c[name] for name in Event.__slots__))
        .where(events.c.run_id == run_id, events.c.id > after)
        .order_by(events.c.id)
    )
    with catalog.read() as db:
        return [Event(*row) for row in db.execute(query)]


def request_cancel(catalog: Catalog, run_id: int) -> int:
    """Ask a run to stop; its process does so within a second or so, where there is one."""
    return emit(catalog, run_id, "cancel-requested")


def last_request(catalog: Catalog, run_id: int, after: int) -> int:
    """Find the newest request to cancel since the event `after`; 0 if there is none."""
    query = sa.select(sa.func.max(events.c.id)).where(
        events.c.run_id == run_id, events.c.id > after, events.c.kind == "cancel-requested"
    )
    with catalog.read() as db:
        return int(db.scalar(query) or 0)


def follow(
    catalog: Catalog,
    run_id: int,
    after: int = 0,
    stop: threading.Event | None = None,
    poll: float = 0.25,
    *,
    is_alive: Callable[[], bool] = lambda: True,
) -> Iterator[Event]:
    """Yield the events of a run after the event `after` as they come, until the run has ended.

    PostgreSQL tells when there is one; a SQLite file is looked at every `poll` seconds. Where
    `is_alive` says that its process has gone without a word, the last event is of kind `killed`
    and stands in no table. Ends as well once `stop` is set.
    """
    stop = stop or threading.Event()
    with _bell(catalog, run_id, poll) as wait:
        ended = _last_kind(catalog, run_id, until=after) in ENDS
        while not stop.is_set():
            lived = is_alive()  # Asked first: what is said before the end is read after it.
            found = read_events(catalog, run_id, after)
            yield from found
            for event in found:
                after = event.id
                ended = ended if event.kind in _ASIDE else event.kind in ENDS
            if ended or not lived:
                if not ended:
                    yield Event(after, run_id, now(), "killed", None, {})
                return
            if not found:
                wait()


def _last_kind(catalog: Catalog, run_id: int, until: int) -> str | None:
    """Give what the newest event up to `until` says; None unless it is the newest of all."""
    query = (
        sa.select(events.c.id, events.c.kind)
        .where(events.c.run_id == run_id, events.c.kind.not_in(_ASIDE))
        .order_by(events.c.id.desc())
        .limit(1)
    )
    with catalog.read() as db:
        row = db.execute(query).one_or_none()
    return row.kind if row is not None and row.id <= until else None


@contextlib.contextmanager
def _bell(catalog: Catalog, run_id: int, poll: float) -> Iterator[Callable[[], None]]:
    """Give a way to wait until there may be something new."""
    if catalog.is_local:
        yield lambda: time.sleep(poll)
        return
    with catalog.session() as session:
        db = session.execution_options(isolation_level="AUTOCOMMIT")
        driver = db.connection.driver_connection
        db.detach()  # It listens as long as its reader likes: the pool is for short work.
        db.exec_driver_sql(f"LISTEN {_CHANNEL}")
        yield lambda: _hear(driver, run_id, max(poll, _LISTEN))


def _hear(connection: Any, run_id: int, seconds: float) -> None:
    """Wait until something is said of a run; a connection that is lost is as silence."""
    import psycopg

    started = time.monotonic()
    try:
        for told in connection.notifies(timeout=seconds):
            if json.loads(told.payload)["run"] == run_id:
                return
    except psycopg.OperationalError:
        time.sleep(max(0.0, started + seconds - time.monotonic()))
