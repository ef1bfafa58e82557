"""Seed 1's commands, as a person and a program use them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from predicted import Laid, Team, picture

pytestmark = pytest.mark.slow

Run = Callable[..., Any]


def test_the_demo_is_a_month_that_can_be_looked_at(autods: Run, tmp_path: Path) -> None:
    done = autods("demo", "candidates", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    assert "full      2024-11-v1:" in done.stdout
    for kind in ("verified", "full"):
        Laid(tmp_path / "demo" / "datasets" / kind / "2024-11").assert_sound()
    again = autods("demo", "candidates", tmp_path / "demo", "--json")
    told = json.loads(again.stdout)
    assert not told["full"]["new"]
    assert told["full"]["images"] > told["verified"]["images"] > 0
    shown = autods("show", "full@2024-11-v1", "-w", tmp_path / "demo")
    assert f"folder  {tmp_path / 'demo' / 'datasets' / 'full' / '2024-11'}" in shown.stdout


def test_a_day_and_a_month_from_the_command_line(autods: Run, tmp_path: Path) -> None:
    team = Team(tmp_path / "team")
    team.predict("one", "2024-11-06 08:00:00", picture(1), "users/none.jpg")
    recipe = str(team.recipe)
    day = autods("run", "candidates", "daily", recipe, "--date", "2024-11-06")
    assert day.returncode == 0, day.stderr
    assert day.stdout.startswith("2024-11-06: 1 prediction, 2 photos: 1 image, 1 left out\n")
    month = autods("run", "candidates", "monthly", recipe, "--year", "2024", "--month", "11")
    assert "verified  no image: nothing to make" in month.stdout
    assert "full      2024-11-v1: 1 image (0 gold, 1 new), 1 left out" in month.stdout
    told = autods("run", "candidates", "daily", recipe, "--date", "2024-11-06", "--json")
    assert json.loads(told.stdout)["photos"] == {"inputs": 2, "images": 1, "excluded": 1}
    listed = autods("runs", "list", "-w", team.root)
    assert "2024-11-06: 1 image" in listed.stdout
    assert "full@2024-11-v1" in listed.stdout
    left = autods("show", "full", "--refused", "-w", team.root)
    assert "users/none.jpg" in left.stdout


def test_the_first_runs_of_all_may_come_at_once(tmp_path: Path) -> None:
    team = Team(tmp_path / "team")
    for n in range(6):
        team.predict(str(n), f"2024-11-06 0{n}:00:00", picture(n))
    command = [sys.executable, "-m", "autods", "run", "candidates"]
    runs = [
        subprocess.Popen([*command, *words, str(team.recipe), "--json"], stdout=subprocess.DEVNULL)
        for words in (
            ["daily", "--date", "2024-11-06"], ["daily", "--date", "2024-11-07"],
            ["monthly", "--year", "2024", "--month", "11"],
        )
    ]  # fmt: skip
    assert [run.wait(timeout=120) for run in runs] == [0, 0, 0]
    team.monthly("2024-11")
    for name in ("candidates/2024-11-06", "full/2024-11"):
        laid = team.folder(name)
        laid.assert_sound()
        assert len(laid.objects) == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["daily", "--date", "6.11.2024"], "YYYY-MM-DD"),
        (["daily", "--date", "2999-01-01"], "has not begun yet"),
        (["monthly", "--year", "2024"], "go together"),
        (["daily", "none.yaml"], "none.yaml"),
    ],
)
def test_what_is_asked_wrong_is_one_sentence(
    autods: Run, tmp_path: Path, words: list[str], said: str
) -> None:
    team = Team(tmp_path / "team")
    options = [] if "none.yaml" in words else [str(team.recipe)]
    done = autods("run", "candidates", *words, *options, cwd=tmp_path)
    assert done.returncode in {2, 4}
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
