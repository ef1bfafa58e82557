"""What happens in a run is told in order, to whoever reads it, while it happens and ever after."""

import datetime as dt
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import now, runs
from autods.errors import AutodsError
from autods.run.events import Event, emit, follow, read_events, request_cancel, state_of
from autods.run.stopping import RunCancelledError, Stop
from autods.run.watching import Watch


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    catalog = Catalog(catalog_url)
    dataset = catalog.dataset_id("animals")
    row = {"dataset_id": dataset, "recipe": "crawl", "status": "running", "stats": {}}
    with catalog.begin() as db:
        for _ in range(2):
            db.execute(sa.insert(runs), row | {"started_at": now()})
    yield catalog
    catalog.close()


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def test_what_is_said_is_read_in_order_and_from_where_one_was(catalog: Catalog) -> None:
    first = emit(catalog, 1, "started", None, {"steps": ["a"]})
    emit(catalog, 2, "started", None, {"steps": []})
    second = emit(catalog, 1, "step-started", 1, {"name": "a", "try": 1})
    assert [e.id for e in read_events(catalog, 1)] == [first, second]
    (event,) = read_events(catalog, 1, after=first)
    assert (event.run_id, event.kind, event.step) == (1, "step-started", 1)
    assert event.data == {"name": "a", "try": 1}
    assert abs(event.at - now()) < dt.timedelta(minutes=5)
    with pytest.raises((sa.exc.IntegrityError, AutodsError)):
        emit(catalog, 99, "started")


def test_of_a_steps_progress_the_newest_is_kept(catalog: Catalog) -> None:
    for run, step, done in ((1, 1, 5), (1, 2, 1), (2, 1, 8), (1, 1, 9)):
        emit(catalog, run, "progress", step, {"done": done, "total": 10, "name": "x"})
    found = [(e.step, e.data["done"]) for e in read_events(catalog, 1)]
    assert found == [(2, 1), (1, 9)]
    assert len(read_events(catalog, 2)) == 1


def test_odd_words_are_kept(catalog: Catalog) -> None:
    data = {"error": "caf\u00e9 \x00 \udcff \u2028", "n": 2**60}
    emit(catalog, 1, "step-failed", 1, data)
    assert read_events(catalog, 1)[0].data == data


def test_a_follower_hears_events_as_they_come_and_leaves_at_the_end(catalog: Catalog) -> None:
    emit(catalog, 1, "started", None, {"steps": ["a"]})
    heard: list[Event] = []

    def listen() -> None:
        heard.extend(follow(catalog, 1, poll=0.05))

    listener = threading.Thread(target=listen)
    listener.start()
    for kind in ("step-started", "progress", "step-ended", "done"):
        time.sleep(0.2)
        emit(catalog, 2, "progress", 1)
        emit(catalog, 1, kind, 1, {})
    listener.join(20)
    assert not listener.is_alive()
    assert kinds(heard) == ["started", "step-started", "progress", "step-ended", "done"]
    late = [heard[n + 1].at - heard[n].at for n in range(4)]
    assert all(dt.timedelta(seconds=0.1) < pause for pause in late)


def test_a_follower_of_a_run_taken_up_again_reads_its_whole_history(catalog: Catalog) -> None:
    for kind in ("started", "failed", "started", "done", "cancel-requested"):
        last = emit(catalog, 1, kind, None, {"steps": []} if kind == "started" else {})
    assert kinds(list(follow(catalog, 1)))[1:4] == ["failed", "started", "done"]
    assert list(follow(catalog, 1, after=last)) == []
    (request,) = follow(catalog, 1, after=last - 1)
    assert request.kind == "cancel-requested"


def test_a_follower_is_told_of_a_run_that_was_killed(catalog: Catalog) -> None:
    last = emit(catalog, 1, "started", None, {"steps": []})
    found = list(follow(catalog, 1, poll=0.01, is_alive=lambda: False))
    assert [(e.id, e.kind) for e in found] == [(last, "started"), (last, "killed")]
    emit(catalog, 1, "failed")
    assert kinds(list(follow(catalog, 1, is_alive=lambda: False))) == ["started", "failed"]


def test_a_follower_leaves_when_told_to(catalog: Catalog) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert list(follow(catalog, 1, stop=stop, poll=0.05)) == []


def test_many_followers_leave_the_catalog_to_others(catalog: Catalog) -> None:
    emit(catalog, 1, "started", None, {"steps": []})
    with ThreadPoolExecutor(20) as threads:
        found = [threads.submit(lambda: kinds(list(follow(catalog, 1)))) for _ in range(20)]
        time.sleep(0.5)
        assert kinds(read_events(catalog, 1)) == ["started"]
        emit(catalog, 1, "done")
    assert [f.result() for f in found] == [["started", "done"]] * 20


def test_events_become_visible_in_the_order_of_their_ids(catalog: Catalog) -> None:
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        after = 0
        while not done.is_set():
            for event in read_events(catalog, 1, after):
                seen.append(event.id)
                after = event.id

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(4) as threads:
        said = list(threads.map(lambda n: emit(catalog, 1, "step-ended", n), range(100)))
    time.sleep(0.3)
    done.set()
    reader.join()
    assert seen == sorted(said)


def test_postgres_tells_any_listener(postgres_url: str) -> None:
    catalog = Catalog(postgres_url)
    dataset = catalog.dataset_id("animals")
    row = {"dataset_id": dataset, "recipe": "crawl", "status": "running", "stats": {}}
    with catalog.begin() as db:
        db.execute(sa.insert(runs), row | {"started_at": now()})
    with psycopg.connect(postgres_url, autocommit=True) as listener:
        listener.execute("LISTEN autods_events")
        event = request_cancel(catalog, 1)
        (told,) = listener.notifies(timeout=10, stop_after=1)
    assert json.loads(told.payload) == {"run": 1, "event": event}
    catalog.close()


def test_a_request_to_cancel_trips_the_watch_and_no_older_one_does(catalog: Catalog) -> None:
    old = request_cancel(catalog, 1)
    watch = Watch(catalog, poll=0.02)
    with watch.over(1, old):
        time.sleep(0.2)
        watch.progress.check()
        request_cancel(catalog, 1)
        with pytest.raises(RunCancelledError, match="run 1 was cancelled"):
            watch.stop.sleep(20)
        with pytest.raises(RunCancelledError):
            watch.progress.advance()
    watch.progress.advance()


class Bars:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def step(self, name: str, total: int | None = None) -> None:
        self.told.append((name, total))

    def advance(self, count: int = 1) -> None:
        self.told.append(count)


def test_progress_is_told_to_the_terminal_at_once_and_in_events_now_and_then(
    catalog: Catalog,
) -> None:
    bars = Bars()
    watch = Watch(catalog, bars, poll=0.1)
    with watch.over(1, 0):
        watch.progress.turn(2)
        watch.progress.step("pages", 500)
        for _ in range(500):
            watch.progress.advance()
            time.sleep(0.001)
        watch.tell_progress()
    assert bars.told == [("pages", 500)] + [1] * 500
    (event,) = read_events(catalog, 1)
    assert (event.step, event.data) == (2, {"name": "pages", "done": 500, "total": 500})


def test_a_catalog_that_is_gone_hinders_nobody(catalog_url: str) -> None:
    catalog = Catalog(catalog_url)
    watch = Watch(catalog, poll=0.01)
    with catalog.begin() as db:
        db.execute(sa.text("DROP TABLE events"))
    with watch.over(1, 0):
        watch.progress.step("pages", 2)
        watch.progress.advance()
        time.sleep(0.1)
        watch.say("step-ended", 1)
        watch.tell_progress()
    catalog.close()


def test_a_stop_gives_its_first_reason_to_all_below_it() -> None:
    run = Stop()
    attempt = Stop(run)
    attempt.sleep(0.01)
    run.trip(RunCancelledError("first"))
    run.trip(RunCancelledError("second"))
    with pytest.raises(RunCancelledError, match="first"):
        attempt.check()
    assert (attempt.noticed, run.noticed) == (True, False)
    run.clear()
    attempt.check()


Happened = tuple[str, int | None, dict[str, Any]]

START = dt.datetime.fromisoformat("2026-11-02T08:00:00")
LATER = dt.datetime.fromisoformat("2026-12-01T08:00:00")


def said(*happened: Happened, start: dt.datetime = START) -> list[Event]:
    """Make events, one a second."""
    return [Event(n, 7, start + dt.timedelta(seconds=n), *what) for n, what in enumerate(happened)]


NAMES = ["a", "b", "c", "d"]
BEGUN: Happened = ("started", None, {"generation": 0, "from_step": 1, "steps": NAMES})
FIRST: tuple[Happened, ...] = (
    ("step-started", 1, {"name": "a", "try": 1}),
    ("step-ended", 1, {"seconds": 1.5, "result": {"images": 3}}),
    ("step-skipped", 2, {}),
)
TRIED: tuple[Happened, ...] = (
    ("step-started", 3, {"name": "c", "try": 1}),
    ("step-failed", 3, {"error": "SourceError: gone", "try": 1}),
    ("step-started", 3, {"name": "c", "try": 2}),
    ("progress", 3, {"name": "pages", "done": 1, "total": 2}),
)


def test_nothing_said_is_a_run_that_has_not_begun() -> None:
    state = state_of([])
    assert (state.status, state.step, state.progress, state.total_steps) == ("pending", 0, 0.0, 0)


def test_a_run_at_work_is_summed_up() -> None:
    state = state_of(said(BEGUN, *FIRST, *TRIED))
    assert (state.status, state.step, state.total_steps, state.tries) == ("running", 3, 4, 2)
    assert (state.progress, state.seconds, state.error) == (62.5, 7.0, None)
    assert [step.status for step in state.steps] == ["done", "skipped", "running", "pending"]
    assert (state.steps[2].activity, state.steps[2].error) == ("pages", "SourceError: gone")
    assert state.results == {"a": {"images": 3}}
    asked = state_of(said(BEGUN, *FIRST, *TRIED, ("cancel-requested", None, {})))
    assert asked.status == "cancelling"


@pytest.mark.parametrize("end", ["failed", "cancelled", "interrupted"])
def test_a_run_that_ended_early_says_where_and_why(end: str) -> None:
    after = {"try": 1, "name": "d", "afterwards": True}
    ended = {"seconds": 0.5, "result": {}, "afterwards": True}
    happened = (BEGUN, *FIRST, *TRIED, ("step-started", 4, after), ("step-ended", 4, ended))
    state = state_of(said(*happened, (end, None, {"error": "E: gone"})))
    assert (state.status, state.step, state.error) == (end, 3, "E: gone")
    assert [step.status for step in state.steps] == ["done", "skipped", end, "done"]
    assert state.finished_at == START + dt.timedelta(seconds=10)


def test_a_run_taken_up_again_counts_its_work_and_not_the_pause() -> None:
    again = ("started", None, {"generation": 1, "from_step": 3, "steps": NAMES})
    late = said(again, ("step-started", 3, {"try": 1}), start=LATER)
    state = state_of(said(BEGUN, *FIRST, *TRIED, ("failed", None, {"error": "E"})) + late)
    assert (state.status, state.generation, state.seconds) == ("running", 1, 9.0)
    assert (state.error, state.finished_at) == (None, None)
    assert [step.status for step in state.steps] == ["done", "skipped", "running", "pending"]
    assert (state.progress, state.steps[2].error) == (50.0, None)
