"""Seed 1 on a real Prefect server: deployed, started by its commands, watched to the end."""

import datetime as dt
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autods.errors import UsageError
from autods.flows.prefect import day_asked, month_asked
from autods.flows.shown import shown_of_month
from autods.recipes.candidates.config import read_candidates
from autods.recipes.candidates.running import daily, monthly
from services.prefect import PrefectServer
from services.processes import free_port, scratch
from services.site_pictures import Pictures

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prefect")]

POOL = "default-pool"
DAILY = "daily_data_collection/daily-collection"
MONTHLY = "monthly_dataset_creation/monthly-creation"
MIDNIGHT = dt.datetime(2024, 11, 7, tzinfo=dt.UTC)
COLUMNS = (
    "id", "user_id", "photo_url", "photo_urls", "style_id", "initial_prediction", "confidence",
    "is_verified", "verified_by", "verified_at", "created_at", "updated_at",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[PrefectServer]:
    """A Prefect server of this module's own."""
    with scratch("prefect", 1 << 30) as folder, PrefectServer(folder) as server:
        yield server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database of six predictions, their photos, and a recipe."""
    folder = tmp_path_factory.mktemp("place")
    predict(folder)
    (folder / "candidates.yaml").write_text("database: predictions.db\nphotos: photos\n")
    add_gold(folder / "work")
    return folder


@pytest.fixture(scope="module")
def deployed(server: PrefectServer, place: Path) -> PrefectServer:
    """The server, once `autods flows deploy` has told it of our flows."""
    done = flows_deploy(server, place)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["deployments"] == [DAILY, MONTHLY]
    return server


@pytest.fixture(scope="module")
def working(deployed: PrefectServer) -> Iterator[PrefectServer]:
    """The server with a worker."""
    with deployed.worker(POOL, {}):
        yield deployed


def predict(folder: Path) -> None:
    """Write six predictions: a verified one, one of two photos, a missing photo, a bad class."""
    photos = folder / "photos" / "users"
    photos.mkdir(parents=True)
    pictures = Pictures(11)
    for number in range(6):
        (photos / f"{number}.jpg").write_bytes(pictures.plain(20 + number))
    rows = [
        ("p0", '["users/0.jpg", "users/1.jpg"]', "Soft", False, "2024-11-06 08:00:00"),
        ("p1", '["users/2.jpg"]', "Warm", True, "2024-11-06 09:00:00"),
        ("p2", '["users/3.jpg"]', "Soft", True, "2024-11-06 23:59:59"),
        ("p3", '["users/gone.jpg"]', "Warm", False, "2024-11-06 10:00:00"),
        ("p4", '["users/4.jpg"]', "Unheard", False, "2024-11-06 11:00:00"),
        ("p5", '["users/5.jpg"]', "Warm", False, "2024-11-07 00:00:00"),
    ]
    with sqlite3.connect(folder / "predictions.db") as db:
        db.execute(f"CREATE TABLE user_styles ({', '.join(COLUMNS)})")
        for name, urls, style, verified, at in rows:
            values = [name, f"u{name}", None, urls, style, style, 0.9, verified, None, None, at, at]
            db.execute(f"INSERT INTO user_styles VALUES ({', '.join('?' * 12)})", values)
    db.close()


def add_gold(root: Path) -> None:
    """Put one image of gold where artifacts lie."""
    image = root / "datasets" / "gold" / "Soft" / "first.jpg"
    image.parent.mkdir(parents=True)
    image.write_bytes(Pictures(11).plain(40))


def autods(
    server: PrefectServer, *arguments: object, **variables: str
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "autods", *map(str, arguments)]
    environment = {name: it for name, it in (server.environment | variables).items() if it}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def flows_deploy(
    server: PrefectServer, place: Path, pool: str = POOL
) -> "subprocess.CompletedProcess[str]":
    recipe, root = place / "candidates.yaml", place / "work"
    return autods(server, "flows", "deploy", recipe, "-w", root, "--pool", pool, "--json")


def deployments(server: PrefectServer) -> dict[str, Any]:
    found = server.ask("/deployments/filter", limit=50)
    assert len({it["name"] for it in found}) == len(found)
    return {it["name"]: it for it in found}


def begin(server: PrefectServer, deployment: str, **parameters: object) -> str:
    """Start a deployment as seed 1 does."""
    said = [word for name, value in parameters.items() for word in ("--param", f"{name}={value}")]
    done = server.cli("deployment", "run", deployment, *said)
    assert done.returncode == 0, done.stderr
    [run_id] = re.findall(r"UUID: ([0-9a-f-]{36})", done.stdout)
    return str(run_id)


def of_run(server: PrefectServer, what: str, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask for a run's task_runs, logs or artifacts."""
    mine = {"any_": [run["id"]]}
    asked = {"flow_runs": {"id": mine}} if what == "task_runs" else {what: {"flow_run_id": mine}}
    found: list[dict[str, Any]] = server.ask(f"/{what}/filter", **asked)
    return found


def settled(look: Callable[[], bool]) -> bool:
    """Wait for what reaches the server a while after a run's end: its task runs, its logs."""
    end = time.monotonic() + 60
    while not (there := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return there


def the_tree(root: Path) -> dict[str, Any]:
    """Give what lies under `datasets/`: manifests without their time, lists, all else by bytes."""
    return {
        str(path.relative_to(root)): content(path)
        for path in sorted((root / "datasets").rglob("*"))
        if path.is_file()
    }


def content(path: Path) -> Any:
    if path.name == "manifest.json":
        return {k: v for k, v in json.loads(path.read_bytes()).items() if k != "created_at"}
    if path.name in {"dataset_info.md", ".autods-candidates"}:
        return None  # The one tells the time, the other whose place it is.
    return path.read_bytes()


def test_the_deployments_are_those_of_seed_1(deployed: PrefectServer, place: Path) -> None:
    said = {"recipe": str(place / "candidates.yaml"), "workspace": str(place / "work")}
    crons = {"daily-collection": "0 0 * * *", "monthly-creation": "0 1 1 * *"}
    found = deployments(deployed)
    assert found.keys() == crons.keys()
    for name, it in found.items():
        [schedule] = it["schedules"]
        assert schedule["schedule"] == {"cron": crons[name], "timezone": "UTC", "day_or": True}
        assert schedule["active"]
        assert it["parameters"] == said
        assert it["work_pool_name"] == POOL
        assert it["job_variables"] == {"working_dir": said["workspace"]}
    assert deployed.ask(f"/work_pools/{POOL}")["type"] == "process"


def test_deployed_again_they_are_the_same_and_a_paused_schedule_stays_paused(
    deployed: PrefectServer, place: Path
) -> None:
    before = deployments(deployed)
    daily_one = before["daily-collection"]
    [schedule] = daily_one["schedules"]
    paused = deployed.cli("deployment", "schedule", "pause", DAILY, schedule["id"])
    assert paused.returncode == 0, paused.stderr
    again = flows_deploy(deployed, place)
    assert again.returncode == 0, again.stderr
    after = deployments(deployed)
    assert {n: it["id"] for n, it in after.items()} == {n: it["id"] for n, it in before.items()}
    for name, it in after.items():
        [now] = it["schedules"]
        assert now["id"] == before[name]["schedules"][0]["id"]
        assert now["active"] == (name != "daily-collection")
    deployed.cli("deployment", "schedule", "resume", DAILY, schedule["id"])


def test_a_pool_of_another_type_is_refused(deployed: PrefectServer, place: Path) -> None:
    deployed.ask("/work_pools/", name="boxes", type="docker", base_job_template={})
    done = flows_deploy(deployed, place, "boxes")
    assert done.returncode == 2
    assert "work pool 'boxes' is of type 'docker': one of type 'process'" in done.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/api", ""])
def test_without_a_server_nothing_is_deployed(url: str, server: PrefectServer, place: Path) -> None:
    there = {"PREFECT_API_URL": url.format(port=free_port())}
    done = autods(server, "flows", "deploy", "-w", place / "work", **there)
    assert done.returncode == 4
    why = "Prefect does not answer at http://127.0.0.1:" if url else "no Prefect server is named"
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_day_and_a_month_run_as_in_seed_1_and_are_the_same_without_prefect(
    working: PrefectServer, place: Path, tmp_path: Path
) -> None:
    day = working.ended(begin(working, DAILY, date="2024-11-06"))
    assert day["state"]["message"] == "2024-11-06: 4 images"
    assert day["state_type"] == "COMPLETED"
    month = working.ended(begin(working, MONTHLY, year=2024, month=11))
    assert month["state_type"] == "COMPLETED", month["state"]["message"]
    told = "verified 2024-11-v1: 3 images; full 2024-11-v1: 6 images"
    assert month["state"]["message"] == told

    add_gold(tmp_path / "direct")
    given = read_candidates(place / "candidates.yaml")
    daily(tmp_path / "direct", given, dt.date(2024, 11, 6))
    monthly(tmp_path / "direct", given, 2024, 11)
    tree = the_tree(place / "work")
    assert tree == the_tree(tmp_path / "direct")
    assert len([name for name in tree if name.endswith("manifest.json")]) == 4

    the_day_is_shown(working, day, place / "work")
    the_month_is_shown(working, month, place / "work")


def the_day_is_shown(server: PrefectServer, day: dict[str, Any], root: Path) -> None:
    """Its tasks are the steps, its log tells of the photos, its artifacts of the classes."""
    steps = {"collect predictions", "take in photos", "publish candidates"}
    assert settled(lambda: len(of_run(server, "task_runs", day)) == 3)
    tasks = of_run(server, "task_runs", day)
    assert {it["name"].rpartition("-")[0] for it in tasks} == steps
    assert {it["state_type"] for it in tasks} == {"COMPLETED"}
    assert settled(lambda: steps <= {line["message"] for line in of_run(server, "logs", day)})
    shown = {it["key"]: it for it in of_run(server, "artifacts", day)}
    rows = [
        {"class": "Soft", "images": 3},
        {"class": "Warm", "images": 1},
        {"class": "all", "images": 4},
    ]
    assert json.loads(shown["daily-collection"]["data"]) == rows
    manifest = root / "datasets" / "candidates" / "2024-11-06" / "manifest.json"
    assert f"({manifest.as_uri()})" in shown["daily-collection-report"]["data"]
    assert "- without photos: 0" in shown["daily-collection-card"]["data"]


def the_month_is_shown(server: PrefectServer, month: dict[str, Any], root: Path) -> None:
    """Its table has a column a dataset; its cards are those that lie in the folders."""
    shown = {it["key"]: it for it in of_run(server, "artifacts", month)}
    last = json.loads(shown["monthly-creation"]["data"])[-1]
    assert last == {"class": "all", "verified": 3, "full": 6}
    for kind in ("verified", "full"):
        card = root / "datasets" / kind / "2024-11" / "dataset_info.md"
        assert shown[f"monthly-creation-{kind}-card"]["data"] == card.read_text()
        assert f"({card.as_uri()})" in shown[f"monthly-creation-{kind}-report"]["data"]


def test_a_scheduled_run_is_for_the_day_before_it_however_late_it_comes(
    working: PrefectServer, place: Path
) -> None:
    midnight = {"scheduled_time": "2024-11-08T00:00:00Z"}
    state = {"type": "SCHEDULED", "state_details": midnight}
    deployment = deployments(working)["daily-collection"]["id"]
    made = working.ask(f"/deployments/{deployment}/create_flow_run", state=state)
    assert working.ended(made["id"])["state"]["message"] == "2024-11-07: 1 image"


def test_a_run_that_cannot_be_fails_at_once_and_says_why(working: PrefectServer) -> None:
    asked: dict[str, tuple[str, dict[str, object]]] = {
        "month: 13 is no month (valid: 1 to 12)": (MONTHLY, {"year": 2024, "month": 13}),
        "/nowhere/recipe.yaml": (DAILY, {"recipe": "/nowhere/recipe.yaml"}),
    }
    begun = {why: begin(working, name, **said) for why, (name, said) in asked.items()}
    for why, run_id in begun.items():
        ended = working.ended(run_id)
        assert ended["state_type"] == "FAILED"
        assert why in ended["state"]["message"]
        assert "\n" not in ended["state"]["message"]
        assert ended["run_count"] == 1
        assert of_run(working, "task_runs", ended) == []


@pytest.mark.parametrize("date", ["2024-02-30", "20241106", "2024-W45-3", "yesterday", ""])
def test_what_is_no_day_is_refused(date: str) -> None:
    with pytest.raises(UsageError, match=rf"date: '{date}' is no day \(valid: YYYY-MM-DD"):
        day_asked(date, MIDNIGHT)


@pytest.mark.parametrize(
    ("year", "month", "why"),
    [
        (2024, 0, "month: 0 is no month (valid: 1 to 12)"),
        (12, 3, "year: 12 is out of range (valid: 1970 to 9998)"),
        (2024, None, "month: it is missing; give year and month, or neither"),
        (None, 11, "year: it is missing; give year and month, or neither"),
    ],
)
def test_what_is_no_month_is_refused(year: int | None, month: int | None, why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)):
        month_asked(year, month, MIDNIGHT)


def test_a_month_without_an_image_has_no_card_and_no_link() -> None:
    nothing = {"version": None, "images": 0, "new": False}
    shown = shown_of_month({"verified": nothing, "full": nothing}, Path("/work"))
    assert shown.said == "verified: no image, nothing to make; full: no image, nothing to make"
    assert shown.table == [{"class": "all", "verified": 0, "full": 0}]
    assert (shown.cards, shown.links) == ({}, [])


STEPS = """
import time
from prefect import flow
from prefect.client.orchestration import get_client
from autods.errors import PlaceError, UsageError
from autods.flows.prefect import as_tasks
from autods.run import Silent, WorkflowStep

tries = {"flaky": 0, "hopeless": 0}

def flaky(context):
    tries["flaky"] += 1
    if tries["flaky"] == 1:
        raise PlaceError("it was away")
    return {"flaky": context["first"] + 1}

def hopeless(context):
    tries["hopeless"] += 1
    raise UsageError("never")

@flow
def goes_on():
    first = WorkflowStep("first", lambda _: {"first": 1})
    return as_tasks([first, WorkflowStep("flaky", flaky, max_retries=2)], {"given": 0}, Silent())

@flow
def is_hopeless():
    as_tasks([WorkflowStep("hopeless", hopeless, max_retries=2)], {}, Silent())

@flow
def is_slow():
    as_tasks([WorkflowStep("slow", lambda _: time.sleep(30), timeout=0.5)], {}, Silent())

def said(flow):
    state = flow(return_state=True)
    return repr(state.result(raise_on_failure=False))

print(said(goes_on), tries["flaky"])
print(said(is_hopeless), tries["hopeless"])
print(said(is_slow))
"""


def test_a_step_is_tried_again_where_that_may_help_and_is_cut_at_its_timeout(
    server: PrefectServer,
) -> None:
    command = [sys.executable, "-c", STEPS]
    done = subprocess.run(
        command, env=server.environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "{'given': 0, 'first': 1, 'flaky': 2} 2",
        "UsageError('never') 1",
        "StepTimeoutError(\"step 'slow' took longer than 0.5 s\")",
    ], done.stderr


def test_the_command_line_does_without_prefect_until_it_is_asked_for() -> None:
    code = "import sys, autods.cli.candidates, autods.flows; print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
