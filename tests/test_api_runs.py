"""Runs over HTTP: what is at work can be seen live, from this machine alone, and be stopped."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from autods import workspace
from autods.api import examples
from autods.api.runs import MOST
from autods.api.server import listen
from autods.catalog.tables import now, runs
from autods.errors import UsageError
from autods.recipes.history import Journal
from autods.run.events import emit
from autods.workspace import Workspace

pytestmark = pytest.mark.slow

STEPS = ["Setup Workspace", "Crawl <b>Images</b>", "Cleanup"]
PATIENCE = 30


@dataclass(frozen=True)
class Served:
    """A workspace, and the server that shows it."""

    place: Workspace
    url: str
    process: "subprocess.Popen[str]"

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=PATIENCE, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(self.url + path, timeout=PATIENCE, **options)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    with contextlib.ExitStack() as stack:
        if request.param == "postgres":
            server = request.getfixturevalue("postgres")
            server.start()
            catalog = stack.enter_context(server.database())
            (root / ".env").write_text(f"AUTODS_CATALOG={catalog}\n")
        place = workspace.init(root)
        stack.callback(place.close)
        yield stack.enter_context(serving(place))


@contextlib.contextmanager
def serving(place: Workspace) -> Iterator[Served]:
    command = [sys.executable, "-m", "autods", "serve", "--port", "0", "--json"]
    command += ["-w", str(place.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process, contextlib.ExitStack() as stack:
        stack.callback(process.terminate)
        yield Served(place, json.loads(process.stdout.readline())["url"], process)


def cli(served: Served, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "autods", *arguments, "-w", str(served.place.root)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@dataclass
class Acted:
    """A run as a durable one leaves it in the catalog, told by the test line by line."""

    place: Workspace
    id: int
    alive: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def tell(self, kind: str, at: int | None = None, **data: Any) -> None:
        emit(self.place.catalog, self.id, kind, at, data)

    def begin(self, from_step: int = 1) -> None:
        self.tell("started", generation=0, from_step=from_step, steps=STEPS)

    def enter(self, number: int, tries: int = 1) -> None:
        emit(self.place.catalog, self.id, "step-started", number,
             {"name": STEPS[number - 1], "try": tries})  # fmt: skip

    def step(self, number: int, **result: Any) -> None:
        self.enter(number)
        self.tell("step-ended", number, seconds=0.5, result=result)

    def end(self, status: str, **stats: Any) -> None:
        self.tell(status, error="full" if status == "failed" else None)
        self.note(status=status, finished_at=now(), stats=stats)
        self.alive.close()

    def note(self, **values: Any) -> None:
        with self.place.catalog.begin() as db:
            db.execute(sa.update(runs).where(runs.c.id == self.id).values(**values))


@pytest.fixture
def run(served: Served) -> Iterator[Acted]:
    """A run at work, with no word said yet."""
    catalog, lock = served.place.catalog, f"run-{uuid.uuid4().hex}"
    row = {"dataset_id": catalog.dataset_id("animals"), "recipe": "crawl", "status": "running",
           "stats": {"lock": lock}, "started_at": now()}  # fmt: skip
    with catalog.begin() as db:
        made = Acted(
            served.place, db.execute(sa.insert(runs).returning(runs.c.id), row).scalar_one()
        )
    with made.alive:
        made.alive.enter_context(catalog.sign_of_life(lock))
        yield made


@dataclass
class Message:
    """One server-sent event."""

    id: str = ""
    event: str = ""
    data: Any = None


def messages(answer: httpx.Response) -> Iterator[Message]:
    """Read a stream as a browser does."""
    message = Message()
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if not line:
            yield message
            message = Message()
        elif name == "data":
            message.data = json.loads(value)
        elif name:
            setattr(message, name, value)


@contextlib.contextmanager
def stream(served: Served, path: str, **headers: str) -> Iterator[httpx.Response]:
    with httpx.stream("GET", served.url + path, headers=headers, timeout=PATIENCE) as answer:
        yield answer


def kinds(served: Served, path: str, **headers: str) -> list[str]:
    with stream(served, path, **headers) as answer:
        return [message.event for message in messages(answer)]


def test_events_come_as_they_happen_and_the_stream_ends_with_the_run(
    served: Served, run: Acted
) -> None:
    run.begin()
    with stream(served, f"/runs/{run.id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = messages(answer)
        first = next(told)
        assert (first.event, first.data["data"]["steps"]) == ("started", STEPS)
        assert first.data["id"] == int(first.id)
        for number in (1, 2, 3):
            run.step(number, images=number * 1000)
            assert (next(told).event, next(told).data["data"]["result"]) == (
                "step-started", {"images": number * 1000},
            )  # fmt: skip
        run.end("done", version=4)
        last, end = told
    assert (last.event, end.event, end.id) == ("done", "end", "")
    assert end.data["data"]["status"] == "done"
    assert end.data["data"]["version"] == "animals@v4"


def test_a_reader_that_comes_back_misses_nothing_and_gets_nothing_twice(
    served: Served, run: Acted
) -> None:
    run.begin()
    run.step(1)
    with stream(served, f"/runs/{run.id}/events") as answer:
        told = messages(answer)
        next(told)
        read = next(told).id
    run.step(2)
    run.end("failed")
    rest = ["step-ended", "step-started", "step-ended", "failed", "end"]
    assert kinds(served, f"/runs/{run.id}/events", **{"Last-Event-ID": read}) == rest
    assert kinds(served, f"/runs/{run.id}/events?after={read}") == rest
    newest = served.get(f"/runs/{run.id}").json()["last_event"]
    after = served.get(f"/runs/{run.id}/events", headers={"Last-Event-ID": str(newest)})
    assert (after.status_code, after.text) == (204, ""), "a browser would come back for ever"


def test_a_run_is_shown_as_the_command_line_shows_it(served: Served, run: Acted) -> None:
    run.begin()
    run.step(1, images=5)
    run.enter(2, tries=2)
    run.tell("progress", 2, name="fetch", done=30, total=40)
    found = served.get(f"/runs/{run.id}").json()
    assert set(found) == set(examples.SHOWN)
    assert set(found["steps"][0]) == set(examples.STEP)
    assert (found["status"], found["step"], found["total_steps"]) == ("running", 2, 3)
    assert [step["status"] for step in found["steps"]] == ["done", "running", "pending"]
    assert found["steps"][0]["result"] == {"images": 5}
    doing = found["steps"][1]
    assert (doing["activity"], doing["done"], doing["total"], doing["tries"]) == (
        "fetch",
        30,
        40,
        2,
    )
    assert 33 < found["progress"] < 67
    same = cli(served, "runs", "show", str(run.id), "--json")
    changing = {"seconds", "asked_at"}
    assert {k: v for k, v in json.loads(same.stdout).items() if k not in changing} == {
        k: v for k, v in found.items() if k not in changing
    }


def test_a_run_whose_process_is_gone_is_killed(served: Served, run: Acted) -> None:
    run.begin()
    run.enter(1)
    run.alive.close()
    found = served.get(f"/runs/{run.id}").json()
    assert (found["status"], found["steps"][0]["status"]) == ("killed", "killed")
    with stream(served, f"/runs/{run.id}/events") as answer:
        end = list(messages(answer))[-1]
    assert (end.event, end.data["data"]["status"]) == ("end", "killed")
    refused = served.post(f"/runs/{run.id}/cancel")
    assert refused.status_code == 409
    assert "is killed" in refused.json()["detail"]


def test_a_run_taken_up_again_is_at_work_again(served: Served, run: Acted) -> None:
    run.begin()
    run.step(1)
    run.step(2)
    run.tell("failed", error="full")
    run.begin(from_step=2)
    found = served.get(f"/runs/{run.id}").json()
    assert found["status"] == "running"
    assert [step["status"] for step in found["steps"]] == ["done", "pending", "pending"]
    with stream(served, f"/runs/{run.id}/events") as answer:
        told = messages(answer)
        assert [next(told).event for _ in range(7)][-2:] == ["failed", "started"]
        run.step(2)
        assert next(told).event == "step-started"


def test_builds_are_listed_and_their_end_is_told(served: Served) -> None:
    catalog = served.place.catalog
    with Journal(catalog, catalog.dataset_id("cats"), "build") as journal:
        journal.begin()
        newest = served.get("/runs", params={"limit": 1}).json()["runs"]
        assert [(run["recipe"], run["dataset"], run["status"]) for run in newest] == [
            ("build", "cats", "running")
        ]
        assert set(newest[0]) == set(examples.SUMMARY)
        number = newest[0]["id"]
        refused = served.post(f"/runs/{number}/cancel")
        assert (refused.status_code, "takes no orders" in refused.text) == (409, True)
        journal.done([], 3, {"list": 1.0})
    with stream(served, f"/runs/{number}/events") as answer:
        [end] = messages(answer)
    assert end.data["data"]["version"] == "cats@v3"
    assert served.get(f"/runs/{number}").json()["steps"] == []


def test_a_cancel_reaches_the_run_once(served: Served, run: Acted) -> None:
    run.begin()
    for _ in range(2):
        answer = served.post(f"/runs/{run.id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
    run.end("cancelled")
    told = kinds(served, f"/runs/{run.id}/events")
    assert told == ["started", "cancel-requested", "cancelled", "end"]
    assert served.post(f"/runs/{run.id}/cancel").status_code == 409


def test_what_is_wrong_is_said_as_a_problem(served: Served) -> None:
    for path, status, said in (
        ("/runs/999999", 404, "no run 999999"),
        ("/runs/999999/live", 404, "no run 999999"),
        ("/runs/999999/events", 404, "no run 999999"),
        ("/nothing", 404, "/openapi.json"),
        ("/runs/x", 422, "run_id"),
        (f"/runs/{2**63}", 422, "run_id"),
        ("/runs?limit=0", 422, "limit"),
        ("/health?x=1", 200, "alive"),
    ):
        answer = served.get(path)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text
        if status != 200:
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert served.post("/runs").status_code == 405


def test_only_this_machine_is_answered(served: Served, run: Acted) -> None:
    run.begin()
    port = served.url.rpartition(":")[2]
    for host, status in (
        ("rebound.example.org", 421), (f"rebound.example.org:{port}", 421), ("0.0.0.0", 421),
        ("", 421), (f"localhost:{port}", 200), ("[::1]", 200), ("127.0.0.1", 200),
    ):  # fmt: skip
        assert served.get("/health", headers={"Host": host}).status_code == status, host
    cancel = f"/runs/{run.id}/cancel"
    for headers in (
        {"Origin": "https://example.org"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    ):  # fmt: skip
        assert served.post(cancel, headers=headers).status_code == 403, headers
        assert served.get("/runs", headers=headers).status_code == 403, headers
    assert served.get(f"/runs/{run.id}").json()["status"] == "running"
    opened = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    opened["Sec-Fetch-Dest"] = "document"
    assert served.get(f"/runs/{run.id}/live", headers=opened).status_code == 200
    opened["Sec-Fetch-Dest"] = "iframe"
    assert served.get(f"/runs/{run.id}/live", headers=opened).status_code == 403
    assert served.post(cancel, headers={"Origin": served.url}).status_code == 202
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(served.url + cancel, headers=asked)
    assert not [name for name in preflight.headers if name.startswith("access-control")]


def test_every_answer_is_locked_in(served: Served, run: Acted) -> None:
    for path in ("/health", "/runs", "/nothing", f"/runs/{run.id}/live"):
        headers = served.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
    live = served.get(f"/runs/{run.id}/live")
    assert "unsafe" not in live.headers["content-security-policy"]
    assert "animals" not in live.text, "the page is the same for every run: nothing to escape"
    for outside in ("http:", "https:", "//", "innerHTML", "src=", "@import", "url("):
        assert outside not in live.text, outside


def test_the_server_says_that_it_lives_and_what_it_answers(served: Served) -> None:
    assert served.get("/health").json()["status"] == "alive"
    ready = served.get("/ready").json()
    assert (ready["status"], "//" in ready["catalog"]) == ("ready", True)
    told = served.get("/openapi.json").json()
    assert {"/runs", "/runs/{run_id}", "/runs/{run_id}/events", "/runs/{run_id}/cancel"} <= set(
        told["paths"]
    )
    cancel = told["paths"]["/runs/{run_id}/cancel"]["post"]["responses"]
    assert cancel["202"]["content"]["application/json"]["example"]["status"] == "cancelling"
    assert {"403", "404", "409", "421", "503"} <= set(cancel)
    assert served.get("/docs").status_code == 404, "it would load scripts from elsewhere"


def test_there_are_only_so_many_streams_and_who_leaves_makes_room(
    served: Served, run: Acted
) -> None:
    run.begin()
    path = f"/runs/{run.id}/events"
    with contextlib.ExitStack() as stack:
        read = [messages(stack.enter_context(stream(served, path))) for _ in range(MOST)]
        assert [next(told).event for told in read] == ["started"] * MOST
        refused = served.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert served.get("/health").status_code == 200
        assert served.get(f"/runs/{run.id}").status_code == 200
    for _ in range(50):
        with stream(served, path) as answer:
            if answer.status_code == 200:
                break
        threading.Event().wait(0.1)
    assert answer.status_code == 200
    run.end("done")


def test_a_stream_in_which_nothing_happens_shows_that_it_lives(tmp_path: Path) -> None:
    place = workspace.init(tmp_path)
    with Journal(place.catalog, place.catalog.dataset_id("cats"), "build") as journal:
        journal.begin()
        with serving(place) as served, stream(served, "/runs/1/events") as answer:
            assert next(answer.iter_lines()) == ": ping"
    place.close()


@pytest.mark.parametrize("served", ["postgres"], indirect=True)
def test_a_database_that_does_not_answer_is_told_and_come_back_to(
    served: Served, run: Acted, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres")
    run.begin()
    with stream(served, f"/runs/{run.id}/events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: started"
        server.stop()
        rest = list(lines)
    try:
        assert rest[-2] == "retry: 5000", rest
        refused = served.get("/ready")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert refused.json()["title"] == "Service Unavailable"
        assert served.get("/health").status_code == 200
    finally:
        server.start()
    assert served.get("/ready").status_code == 200
    assert served.get(f"/runs/{run.id}").json()["status"] == "killed", "its lock went, too"


def test_a_stopped_server_ends_its_streams_at_once_and_calls_it_no_failure(tmp_path: Path) -> None:
    place = workspace.init(tmp_path)
    with Journal(place.catalog, place.catalog.dataset_id("cats"), "build") as journal:
        journal.begin()
        with serving(place) as served, stream(served, "/runs/1/events") as answer:
            served.process.send_signal(signal.SIGTERM)
            assert list(messages(answer)) == []
            assert served.process.wait(10) == 0
    place.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_it_listens_to_nobody_else(host: str) -> None:
    with pytest.raises(UsageError, match="issue 7"):
        listen(host, 0)


def test_a_port_that_is_taken_is_said_to_be(served: Served) -> None:
    taken = cli(served, "serve", "--port", served.url.rpartition(":")[2])
    assert (taken.returncode, "another program listens there" in taken.stderr) == (4, True)


def test_the_command_line_watches_a_run_until_it_ends(served: Served, run: Acted) -> None:
    run.begin()

    def fail() -> None:
        run.step(1, images=7)
        run.end("failed")

    ending = threading.Timer(1.5, fail)
    ending.start()
    watched = cli(served, "runs", "watch", str(run.id), "--json")
    ending.join()
    told = [json.loads(line) for line in watched.stdout.splitlines()]
    assert [event["kind"] for event in told] == [
        "started", "step-started", "step-ended", "failed", "end",
    ]  # fmt: skip
    assert set(told[0]) == set(examples.EVENT)
    assert watched.returncode == 1
    again = cli(served, "runs", "watch", str(run.id))
    assert STEPS[0] in again.stderr
    assert f"Run {run.id} is failed" in again.stdout
    assert "images 7" in again.stdout


def test_the_command_line_lists_and_cancels(served: Served, run: Acted) -> None:
    run.begin()
    listed = cli(served, "runs", "list")
    assert listed.stdout.splitlines()[0].split()[:4] == [str(run.id), "running", "crawl", "animals"]
    assert f"autods runs watch {run.id}" in cli(served, "runs", "cancel", str(run.id)).stdout
    run.end("cancelled")
    refused = cli(served, "runs", "cancel", str(run.id))
    assert (refused.returncode, "is cancelled" in refused.stderr) == (2, True)
    assert cli(served, "runs", "show", "999999").returncode == 2
