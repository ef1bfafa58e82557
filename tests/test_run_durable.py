"""A durable run goes on where it stopped, however it stopped, and says why it did."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import now, runs
from autods.errors import BudgetError, PlaceError, SourceError, UnreachableError, UsageError
from autods.run import Context, WorkflowStep
from autods.run.durable import Durable
from autods.run.events import Event, read_events, request_cancel, state_of
from autods.run.stopping import RunCancelledError, RunInterruptedError, StepTimeoutError
from autods.run.watching import Watch
from services.postgres import Postgres

Handler = Callable[[Context], Any]


class Place:
    """A catalog, where its workflows are kept, and the runs made there."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.state = url if "://" in url else str(folder / "workflows.db")
        self.catalog = Catalog(url)
        self.dataset = self.catalog.dataset_id("animals")
        self.watch = Watch(self.catalog, poll=0.05)

    def new_run(self) -> int:
        row = {"dataset_id": self.dataset, "recipe": "crawl", "status": "running"}
        row |= {"stats": {}, "started_at": now()}
        with self.catalog.begin() as db:
            return int(db.execute(sa.insert(runs).returning(runs.c.id), row).scalar_one())

    def durable(self, **options: Any) -> Durable:
        return Durable(self.state, **{"patience": 0.2, "backoff": 0.01, "grace": 0.3, **options})

    def events(self, run_id: int) -> list[Event]:
        return read_events(self.catalog, run_id)

    def kinds(self, run_id: int) -> list[str]:
        return [event.kind for event in self.events(run_id) if event.kind != "progress"]


@pytest.fixture
def place(catalog_url: str, tmp_path: Path) -> Iterator[Place]:
    place = Place(catalog_url, tmp_path)
    yield place
    place.catalog.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A place on SQLite, for what has nothing to do with the database."""
    place = Place(str(tmp_path / "catalog.db"), tmp_path)
    yield place
    place.catalog.close()


def adds(**values: Any) -> Handler:
    return lambda _: values


def fails(error: BaseException) -> Handler:
    def handler(_: Context) -> Context:
        raise error

    return handler


class Flaky:
    """Fails so often, then succeeds."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.failures, self.calls = failures, 0
        self.error = error or SourceError("the site is down")

    def __call__(self, _: Context) -> Context:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return {"calls": self.calls}


def test_each_step_adds_to_the_context_and_the_run_is_told_in_events(place: Place) -> None:
    async def count(context: Context) -> Context:
        await asyncio.sleep(0)
        return {"images": context["pages"] * 2}

    def look(context: Context) -> Context:
        place.watch.progress.step("pages", 3)
        place.watch.progress.advance(2)
        return {"pages": (context["seeds"],)[0]}

    steps = [
        WorkflowStep("look", look),
        WorkflowStep("count", count),
        WorkflowStep("label", fails(SourceError("not to be run")), enabled=False),
        WorkflowStep("clean", adds(), always=True),
    ]
    run_id = place.new_run()
    with place.durable() as durable:
        context = durable.run(run_id, steps, {"seeds": 5}, watch=place.watch)
    assert context == {"seeds": 5, "pages": 5, "images": 10}
    said = [(e.kind, e.step) for e in place.events(run_id)]
    assert said == [
        ("started", None), ("step-started", 1), ("progress", 1), ("step-ended", 1),
        ("step-started", 2), ("step-ended", 2), ("step-skipped", 3), ("step-started", 4),
        ("step-ended", 4), ("done", None),
    ]  # fmt: skip
    state = state_of(place.events(run_id))
    assert (state.status, state.progress, state.step, state.total_steps) == ("done", 100.0, 4, 4)
    assert state.results == {"look": {"pages": 5}, "count": {"images": 10}, "clean": {}}
    assert (state.steps[0].done, state.steps[0].total) == (2, 3)


def test_a_run_that_is_done_is_not_done_again(place: Place) -> None:
    once = Flaky(0)
    run_id = place.new_run()
    with place.durable() as durable:
        first = durable.run(run_id, [WorkflowStep("once", once)], {}, watch=place.watch)
        said = place.events(run_id)
        second = durable.run(run_id, [WorkflowStep("once", once)], {}, watch=place.watch)
    assert first == second == {"calls": 1}
    assert place.events(run_id) == said


def test_a_failed_run_goes_on_at_the_step_that_failed_in_another_durable(place: Place) -> None:
    crawl, label = Flaky(0), Flaky(1)
    steps = [WorkflowStep("crawl", crawl), WorkflowStep("label", label)]
    run_id = place.new_run()
    with pytest.raises(SourceError, match="the site is down") as caught, place.durable() as durable:
        durable.run(run_id, steps, {}, watch=place.watch)
    assert caught.value is label.error
    state = state_of(place.events(run_id))
    assert (state.status, state.error) == ("failed", "SourceError: the site is down")
    assert [step.status for step in state.steps] == ["done", "failed"]
    with place.durable() as durable:
        context = durable.run(run_id, steps, {}, watch=place.watch)
    assert (crawl.calls, label.calls, context) == (1, 2, {"calls": 2})
    state = state_of(place.events(run_id))
    assert (state.status, state.error, state.generation) == ("done", None, 1)


def test_a_failed_try_is_tried_again_and_noted(here: Place) -> None:
    label, run_id = Flaky(2), here.new_run()
    with here.durable() as durable:
        durable.run(run_id, [WorkflowStep("label", label, max_retries=2)], {}, watch=here.watch)
    failed = [e.data for e in here.events(run_id) if e.kind == "step-failed"]
    text = "SourceError: the site is down"
    assert failed == [{"error": text, "try": 1}, {"error": text, "try": 2}]
    assert state_of(here.events(run_id)).tries == 3


def test_when_all_tries_fail_the_last_error_comes_out(here: Place) -> None:
    label = Flaky(9)
    step = WorkflowStep("label", label, max_retries=2)
    with pytest.raises(SourceError), here.durable() as durable:
        durable.run(here.new_run(), [step], {}, watch=here.watch)
    assert label.calls == 3


@pytest.mark.parametrize("error", [UsageError("no such label"), BudgetError("too many refused")])
def test_what_no_try_can_mend_is_tried_once(here: Place, error: Exception) -> None:
    label = Flaky(9, error)
    step = WorkflowStep("label", label, max_retries=5)
    with pytest.raises(type(error)) as caught, here.durable() as durable:
        durable.run(here.new_run(), [step], {}, watch=here.watch)
    assert (caught.value, label.calls) == (error, 1)


def test_a_place_that_does_not_answer_is_waited_for_within_a_try(here: Place) -> None:
    store, run_id = Flaky(1, UnreachableError("no answer")), here.new_run()
    with here.durable(patience=5) as durable:
        durable.run(run_id, [WorkflowStep("store", store)], {}, watch=here.watch)
    assert store.calls == 2
    assert here.kinds(run_id) == ["started", "step-started", "step-ended", "done"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [([1], "list, not a dict"), ({"a": {1}}, "type set"), ({"a": float("nan")}, "not JSON")],
)
def test_what_is_not_json_is_refused_by_name(here: Place, bad: Any, said: str) -> None:
    with here.durable() as durable:
        step = WorkflowStep("label", lambda _: bad)
        with pytest.raises(UsageError, match=f"what step 'label' returned is .*{said}"):
            durable.run(here.new_run(), [step], {}, watch=here.watch)
        with pytest.raises(UsageError, match=f"the context of a run is .*{said}"):
            durable.run(here.new_run(), [], bad, watch=here.watch)


def test_every_step_sees_the_context_as_a_later_process_would(here: Place) -> None:
    seen: list[Context] = []
    steps = [
        WorkflowStep("size", adds(size=(3, 4))),
        WorkflowStep("spoil", lambda context: context.clear()),
        WorkflowStep("look", seen.append),
    ]
    with here.durable() as durable:
        durable.run(here.new_run(), steps, {}, watch=here.watch)
    assert seen == [{"size": [3, 4]}]


def test_a_step_is_run_again_from_where_one_says(place: Place) -> None:
    calls: list[str] = []
    names = ("crawl", "place", "label")
    steps = [WorkflowStep(n, lambda _, n=n: calls.append(n)) for n in names]  # type: ignore[misc]
    run_id = place.new_run()
    with place.durable() as durable:
        with pytest.raises(UsageError, match=r"from step 2 \(valid: 1\)"):
            durable.run(run_id, steps, {}, watch=place.watch, from_step=2)
        durable.run(run_id, steps, {}, watch=place.watch)
        durable.run(run_id, steps, {}, watch=place.watch, from_step=2)
        assert calls == ["crawl", "place", "label", "place", "label"]
        for step in (0, 4):
            with pytest.raises(UsageError, match=rf"from step {step} \(valid: 1 to 3\)"):
                durable.run(run_id, steps, {}, watch=place.watch, from_step=step)
        with pytest.raises(UsageError, match="made of the steps crawl, place, label; these are"):
            durable.run(run_id, steps[:2], {}, watch=place.watch)


def test_a_step_that_was_skipped_is_run_once_it_is_enabled(here: Place) -> None:
    label, run_id = Flaky(0), here.new_run()
    after = Flaky(0)
    with here.durable() as durable:
        for enabled in (False, True, False):
            steps = [WorkflowStep("label", label, enabled=enabled), WorkflowStep("end", after)]
            durable.run(run_id, steps, {}, watch=here.watch)
    assert (label.calls, after.calls) == (1, 2)


def test_what_always_runs_runs_after_a_failure_and_its_own_is_only_noted(here: Place) -> None:
    clean, again = Flaky(0), Flaky(9)
    steps = [
        WorkflowStep("crawl", fails(SourceError("gone"))),
        WorkflowStep("never", fails(AssertionError("not to be run"))),
        WorkflowStep("clean", clean, always=True),
        WorkflowStep("fail", again, always=True),
    ]
    run_id = here.new_run()
    with pytest.raises(SourceError, match="gone"), here.durable() as durable:
        durable.run(run_id, steps, {}, watch=here.watch)
    assert (clean.calls, again.calls) == (1, 1)
    state = state_of(here.events(run_id))
    assert (state.status, state.step) == ("failed", 1)
    assert [step.status for step in state.steps] == ["failed", "pending", "done", "failed"]
    assert here.kinds(run_id)[-1] == "failed"


def test_a_try_that_takes_too_long_is_stopped_at_its_next_step(here: Place) -> None:
    stopped = threading.Event()

    def crawl(_: Context) -> None:
        try:
            while True:
                time.sleep(0.01)
                here.watch.progress.advance()
        finally:
            stopped.set()

    step = WorkflowStep("crawl", crawl, timeout=0.2, max_retries=1)
    run_id = here.new_run()
    begun = time.monotonic()
    said = r"step 1 'crawl' took longer than 0\.2 s"
    with pytest.raises(StepTimeoutError, match=said), here.durable(grace=30) as durable:
        durable.run(run_id, [step], {}, watch=here.watch)
    assert stopped.is_set()
    assert time.monotonic() - begun < 15
    assert here.kinds(run_id).count("step-failed") == 2


def test_an_async_try_that_takes_too_long_is_cancelled(here: Place) -> None:
    cleaned: list[bool] = []

    async def crawl(_: Context) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)
            cleaned.append(True)

    step = WorkflowStep("crawl", crawl, timeout=0.1)
    with pytest.raises(StepTimeoutError), here.durable(grace=30) as durable:
        durable.run(here.new_run(), [step], {}, watch=here.watch)
    assert cleaned == [True]


def test_a_try_that_never_reports_is_given_up_and_stays_stopped(here: Place) -> None:
    wake, woken = threading.Event(), threading.Event()
    calls: list[int] = []

    def crawl(_: Context) -> Context:
        calls.append(1)
        if len(calls) > 1:
            return {"tries": len(calls)}
        wake.wait(30)
        try:
            here.watch.progress.advance()
        except StepTimeoutError:
            woken.set()
            raise
        return {}

    step = WorkflowStep("crawl", crawl, timeout=0.1, max_retries=1)
    with here.durable(grace=0.1) as durable:
        assert durable.run(here.new_run(), [step], {}, watch=here.watch) == {"tries": 2}
    wake.set()
    assert woken.wait(10)


def test_what_ends_just_after_its_time_has_ended(here: Place) -> None:
    def crawl(_: Context) -> Context:
        time.sleep(0.3)
        return {"images": 7}

    with here.durable(grace=30) as durable:
        step = WorkflowStep("crawl", crawl, timeout=0.05)
        assert durable.run(here.new_run(), [step], {}, watch=here.watch) == {"images": 7}


def test_a_run_is_cancelled_by_whoever_asks_and_goes_on_later(place: Place) -> None:
    run_id, clean = place.new_run(), Flaky(0)
    is_quick = False

    def crawl(_: Context) -> Context:
        request_cancel(place.catalog, run_id)
        while not is_quick:
            time.sleep(0.01)
            place.watch.progress.advance()
        return {"images": 3}

    steps = [WorkflowStep("crawl", crawl, max_retries=3), WorkflowStep("clean", clean, always=True)]
    begun = time.monotonic()
    with place.durable() as durable:
        with pytest.raises(RunCancelledError, match=f"run {run_id} was cancelled"):
            durable.run(run_id, steps, {}, watch=place.watch)
        assert time.monotonic() - begun < 15
        state = state_of(place.events(run_id))
        assert (state.status, state.steps[0].status) == ("cancelled", "cancelled")
        assert (clean.calls, place.kinds(run_id)[-1]) == (1, "cancelled")
        place.watch.stop.check()
        is_quick = True
        watch = Watch(place.catalog, poll=60)  # Does not see the second request in time.
        assert durable.run(run_id, steps, {}, watch=watch) == {"images": 3, "calls": 2}


def test_a_run_is_cancelled_in_the_pause_between_two_tries(here: Place) -> None:
    run_id = here.new_run()
    step = WorkflowStep("crawl", Flaky(9), max_retries=9)

    def ask() -> None:
        while "step-failed" not in here.kinds(run_id):
            time.sleep(0.01)
        request_cancel(here.catalog, run_id)

    asking = threading.Thread(target=ask)
    asking.start()
    begun = time.monotonic()
    with pytest.raises(RunCancelledError), here.durable(backoff=60) as durable:
        durable.run(run_id, [step], {}, watch=here.watch)
    assert time.monotonic() - begun < 15
    asking.join()


def test_a_request_made_before_a_run_began_is_heard_by_it_and_by_none_after_it(
    place: Place,
) -> None:
    run_id = place.new_run()
    request_cancel(place.catalog, run_id)
    is_asked = True

    def crawl(_: Context) -> Context:
        while is_asked:
            time.sleep(0.01)
            place.watch.progress.check()
        time.sleep(0.2)
        return {"images": 3}

    steps = [WorkflowStep("crawl", crawl)]
    with place.durable() as durable:
        with pytest.raises(RunCancelledError):
            durable.run(run_id, steps, {}, watch=place.watch)
        is_asked = False
        assert durable.run(run_id, steps, {}, watch=place.watch) == {"images": 3}


def test_a_run_is_stopped_from_within_its_process(here: Place) -> None:
    run_id = here.new_run()

    def crawl(_: Context) -> None:
        here.watch.stop.trip(RunInterruptedError("the server stops"))
        here.watch.progress.check()

    with pytest.raises(RunInterruptedError), here.durable() as durable:
        durable.run(run_id, [WorkflowStep("crawl", crawl)], {}, watch=here.watch)
    assert here.kinds(run_id)[-1] == "interrupted"


def test_ctrl_c_stops_the_step_cleans_up_and_comes_out(place: Place) -> None:
    run_id, clean, is_quick = place.new_run(), Flaky(0), False

    def crawl(_: Context) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        while not is_quick:
            time.sleep(0.01)
            place.watch.progress.advance()

    steps = [WorkflowStep("crawl", crawl), WorkflowStep("clean", clean, always=True)]
    with place.durable(grace=30) as durable:
        with pytest.raises(KeyboardInterrupt):
            durable.run(run_id, steps, {}, watch=place.watch)
        state = state_of(place.events(run_id))
        assert (state.status, clean.calls) == ("interrupted", 1)
        assert threading.active_count() < 20
        steps[0] = WorkflowStep("crawl", adds(images=2))
        assert durable.run(run_id, steps, {}, watch=place.watch) == {"images": 2, "calls": 2}


def test_many_runs_go_on_at_once_in_one_durable(place: Place) -> None:
    def crawl(context: Context) -> Context:
        time.sleep(0.05)
        return {"double": 2 * context["n"]}

    def run(n: int) -> Context:
        watch = Watch(place.catalog, poll=0.1)
        steps = [
            WorkflowStep("crawl", crawl),
            WorkflowStep("sum", lambda c: {"sum": sum(c.values())}),
        ]
        return durable.run(numbers[n], steps, {"n": n}, watch=watch)

    numbers = [place.new_run() for _ in range(8)]
    with place.durable() as durable, ThreadPoolExecutor(8) as threads:
        found = list(threads.map(run, range(8)))
    assert found == [{"n": n, "double": 2 * n, "sum": 3 * n} for n in range(8)]


def test_one_run_is_not_run_twice_at_a_time(place: Place) -> None:
    run_id = place.new_run()
    begun, end = threading.Event(), threading.Event()

    def crawl(_: Context) -> None:
        begun.set()
        end.wait(30)

    step = WorkflowStep("crawl", crawl)
    with place.durable() as durable, ThreadPoolExecutor(1) as threads:
        first = threads.submit(durable.run, run_id, [step], {}, watch=place.watch)
        begun.wait(30)
        with pytest.raises(PlaceError, match=f"another process is at work on run {run_id}"):
            durable.run(run_id, [step], {}, watch=Watch(place.catalog))
        end.set()
        assert first.result() == {}


def test_the_state_of_another_catalog_is_not_taken_for_ours(here: Place) -> None:
    crawl = Flaky(0)
    steps = [WorkflowStep("crawl", crawl)]
    with here.durable() as durable:
        durable.run(here.new_run(), steps, {}, watch=here.watch)
        with closing(Catalog(str(here.folder / "other.db"))) as other:
            there = Place.__new__(Place)
            there.catalog, there.dataset = other, other.dataset_id("animals")
            run_id = there.new_run()
            assert run_id == 1
            assert durable.run(run_id, steps, {}, watch=Watch(other)) == {"calls": 2}


def test_one_process_keeps_its_workflows_in_one_place(here: Place) -> None:
    run_id = here.new_run()
    with here.durable() as durable, here.durable() as again:
        with pytest.raises(UsageError, match=r"keeps its workflows in .*workflows\.db"):
            Durable(str(here.folder / "other.db")).__enter__()
        again.run(run_id, [WorkflowStep("one", adds(a=1))], {}, watch=here.watch)
        with pytest.raises(UsageError, match="to_thread"):
            asyncio.run(_blocking(durable, run_id, here.watch))
    with pytest.raises(UsageError, match="no workflows can be kept in 'mysql'"):
        Durable("mysql://host/name")
    with pytest.raises(PlaceError), Durable("/no/such/folder/state.db"):
        pass
    with here.durable() as durable:
        steps = [WorkflowStep("one", adds(a=2))]
        assert durable.run(run_id, steps, {}, watch=here.watch) == {"a": 1}


async def _blocking(durable: Durable, run_id: int, watch: Watch) -> None:
    durable.run(run_id, [], {}, watch=watch)


@pytest.mark.slow
def test_a_database_that_goes_away_for_a_while_does_not_end_a_run(
    postgres: Postgres, postgres_url: str, tmp_path: Path
) -> None:
    place = Place(postgres_url, tmp_path)
    crawled = Flaky(0)

    def crawl(context: Context) -> Context:
        postgres.restart()
        return crawled(context)

    run_id = place.new_run()
    with closing(place.catalog), place.durable(patience=30) as durable:
        steps = [WorkflowStep("crawl", crawl), WorkflowStep("count", adds(images=1))]
        context = durable.run(run_id, steps, {}, watch=place.watch)
        assert context == {"calls": 1, "images": 1}
        assert place.kinds(run_id)[-1] == "done"


WORKER = """
import json, os, random, signal, sys, time
from autods.catalog import Catalog
from autods.run import WorkflowStep
assert "dbos" not in sys.modules
from autods.run.durable import Durable
from autods.run.watching import Watch
assert "dbos" not in sys.modules

url, state, log, run_id, killed_in, wait = json.loads(sys.argv[1])
catalog = Catalog(url)
watch = Watch(catalog, poll=0.05)

def note(*words):
    with open(log, "a") as file:
        print(run_id, *words, file=file)

def step(number):
    def handler(context):
        note("begin", number)
        watch.progress.step(f"part {number}", 10)
        for _ in range(10):
            time.sleep(wait / 10)
            watch.progress.advance()
        if number == killed_in:
            os.kill(os.getpid(), signal.SIGKILL)
        note("end", number)
        return {f"s{number}": [number, context.get(f"s{number - 1}", [0])[0]]}
    return WorkflowStep(f"step {number}", handler)

with Durable(state) as durable:
    context = durable.run(run_id, [step(n) for n in range(1, 5)], {"seed": 1}, watch=watch)
with open(f"{log}.{run_id}", "w") as file:
    json.dump(context, file)
catalog.close()
"""

WHOLE = {"seed": 1, "s1": [1, 0], "s2": [2, 1], "s3": [3, 2], "s4": [4, 3]}


def worker(place: Place, run_id: int, killed_in: int = 0, wait: float = 0.0) -> Any:
    log = str(place.folder / "log")
    arguments = json.dumps([place.url, place.state, log, run_id, killed_in, wait])
    command = [sys.executable, "-W", "error", "-c", WORKER, arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **pipes)  # type: ignore[call-overload]


def ended_once(place: Place, run_id: int) -> None:
    """See that no step that ended was run again, and that the context is whole."""
    lines = [line.split() for line in (place.folder / "log").read_text().splitlines()]
    mine = [(word, int(number)) for run, word, number in lines if int(run) == run_id]
    begun = [number for word, number in mine if word == "begin"]
    assert begun == sorted(begun), "a step ran again after a later one had begun"
    assert json.loads((place.folder / f"log.{run_id}").read_text()) == WHOLE
    state = state_of(place.events(run_id))
    assert (state.status, state.progress) == ("done", 100.0)
    assert state.results == {f"step {n}": {f"s{n}": WHOLE[f"s{n}"]} for n in range(1, 5)}


@pytest.mark.slow
def test_a_run_killed_in_each_step_goes_on_in_that_step_and_is_silent(place: Place) -> None:
    run_id = place.new_run()
    for step in range(1, 5):
        process = worker(place, run_id, killed_in=step)
        assert process.communicate() == (b"", b"")
        assert process.returncode == -signal.SIGKILL
    process = worker(place, run_id)
    assert process.communicate() == (b"", b"")
    assert process.returncode == 0
    ended_once(place, run_id)
    begun = (place.folder / "log").read_text().count("begin")
    assert begun == 8, "each step once for the kill, once more after it"


@pytest.mark.slow
def test_a_run_killed_about_when_a_step_ends_ends_as_an_undisturbed_one(place: Place) -> None:
    dice, log = random.Random(7), place.folder / "log"
    log.touch()
    run_id = place.new_run()
    for _ in range(12):
        ended = log.read_text().count("end")
        process = worker(place, run_id, wait=0.05)
        while log.read_text().count("end") == ended and process.poll() is None:
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.04))
        process.kill()
        process.communicate()
    worker(place, run_id).communicate()
    ended_once(place, run_id)


@pytest.mark.slow
def test_processes_on_one_database_leave_each_others_runs_alone(place: Place) -> None:
    dead, *alive = [place.new_run() for _ in range(4)]
    worker(place, dead, killed_in=2).communicate()
    processes = [worker(place, run_id, wait=0.2) for run_id in alive]
    for process in processes:
        assert process.communicate() == (b"", b"")
        assert process.returncode == 0
    for run_id in alive:
        ended_once(place, run_id)
    assert state_of(place.events(dead)).status == "running"  # As far as its events can tell.
    assert worker(place, dead).communicate() == (b"", b"")
    ended_once(place, dead)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["interrupted", "cancelled"])
def test_a_process_told_to_end_ends_soon(place: Place, how: str) -> None:
    run_id = place.new_run()
    process = worker(place, run_id, wait=20)
    while "step-started" not in place.kinds(run_id):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    begun = time.monotonic()
    if how == "interrupted":
        process.send_signal(signal.SIGINT)
    else:
        request_cancel(place.catalog, run_id)
    _, said = process.communicate()
    assert time.monotonic() - begun < 20
    assert (b"KeyboardInterrupt" if how == "interrupted" else b"RunCancelledError") in said
    assert place.kinds(run_id)[-1] == how
