"""Fingerprints: what a function leans on counts, where and when it runs does not."""

import math
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autods.label import load_functions
from autods.label.fingerprint import fingerprint

FILE = """
import re
from autods.label import labeling_function

ANIMALS = {"dog", "cat", "bird"}
PATTERN = re.compile("a+")

def lowered(text):
    return text.lower()

class Scale:
    top = 3

@labeling_function()
def lf_animal(row):
    words = [word for word in lowered(row.caption).split() if word in ANIMALS]
    return 1 if words and PATTERN.search(row.caption) and Scale.top else -1
"""


def printed(path: Path, text: str = FILE) -> str:
    path.write_text(text, encoding="utf-8")
    return load_functions(path)[0].fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 1 if words", "return 0 if words"),
        ('"bird"', '"fish"'),
        ("text.lower()", "text.upper()"),
        ('"a+"', '"b+"'),
        ("top = 3", "top = 4"),
        ("lf_animal(row)", "lf_animal(row, twice=2)"),
    ],
)
def test_an_edit_that_can_change_a_vote_changes_the_fingerprint(
    tmp_path: Path, old: str, new: str
) -> None:
    before = printed(tmp_path / "lfs.py")
    assert printed(tmp_path / "lfs.py", FILE.replace(old, new)) != before


def test_an_edit_elsewhere_does_not(tmp_path: Path) -> None:
    before = printed(tmp_path / "lfs.py")
    more = "# A word on this file.\n" + FILE + "\nUNUSED = 3\n"
    assert printed(tmp_path / "lfs.py", more) == before


def test_the_place_of_the_file_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert printed(tmp_path / "lfs.py") == printed(tmp_path / "other" / "moved.py")


@pytest.mark.slow
def test_another_process_finds_the_same_fingerprint(tmp_path: Path) -> None:
    mine = printed(tmp_path / "lfs.py")
    code = "import sys, pathlib; from autods.label import load_functions; "
    code += "print(load_functions(pathlib.Path(sys.argv[1]))[0].fingerprint)"
    for seed in ("1", "2"):
        theirs = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "lfs.py")],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert theirs.stdout.strip() == mine


def test_a_partial_is_followed_into_its_function(tmp_path: Path) -> None:
    text = (
        "from functools import partial\nfrom autods.label import LabelingFunction\n"
        "def has(word, row):\n    return 1 if word in row.caption else -1\n"
        "lf = LabelingFunction(name='dog', function=partial(has, 'dog'))\n"
    )
    before = printed(tmp_path / "lfs.py", text)
    assert printed(tmp_path / "lfs.py", text.replace("else -1", "else 0")) != before


def adder(amount: Any) -> Callable[[Any], Any]:
    def add(row: Any) -> Any:
        return row + amount

    return add


def test_closures_and_partials_count_by_value() -> None:
    assert fingerprint(adder(1)) == fingerprint(adder(1))
    assert fingerprint(adder(1)) != fingerprint(adder(2))
    assert fingerprint(partial(math.pow, 2)) != fingerprint(partial(math.pow, 3))


class Thing:
    def __init__(self, size: int) -> None:
        self.size = size


@pytest.mark.parametrize(
    ("same", "other"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}),
        ({"x", "y"}, {"x", "z"}),
        ([1, 2], (1, 2)),
        (1, "1"),
        (True, 1),
        (np.array([1, 2]), np.array([1, 3])),
        (re.compile("a"), re.compile("a", re.IGNORECASE)),
        (Thing(1), Thing(2)),
        (len, max),
        (math, re),
        (None, 0),
    ],
)
def test_values_count_by_content(same: Any, other: Any) -> None:
    assert fingerprint(adder, same) == fingerprint(adder, same)
    assert fingerprint(adder, same) != fingerprint(adder, other)


def test_the_order_of_a_mapping_does_not_count_and_a_loop_ends() -> None:
    assert fingerprint(adder, {"a": 1, "b": 2}) == fingerprint(adder, {"b": 2, "a": 1})
    loop: list[Any] = [1]
    loop.append(loop)
    assert fingerprint(adder, loop) == fingerprint(adder, loop)


def test_an_object_without_a_telling_text_counts_by_its_kind() -> None:
    assert fingerprint(adder, object()) == fingerprint(adder, object())
