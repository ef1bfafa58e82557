"""The summary fits one screen of any terminal, and its JSON holds all but the pictures."""

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from autods.report.facts import Facts
from autods.report.summary import print_summary, summary, to_json
from test_report_facts import HOSTILE, any_facts, cats, empty, few, many_classes, one_class


def _printed(
    facts: Facts,
    *,
    width: int = 80,
    height: int = 40,
    encoding: str = "utf-8",
    colour: bool = False,
    terminal: bool = True,
) -> list[str]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    console = Console(
        file=file,
        width=width,
        height=height,
        force_terminal=terminal,
        color_system="standard" if colour else None,
    )
    print_summary(facts, console)
    return raw.getvalue().decode(encoding).splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 40), (100, 40)])
def test_two_hundred_classes_fit_one_screen(width: int, height: int) -> None:
    lines = _printed(many_classes(200), width=width, height=height)
    assert len(lines) < height
    assert max(map(cell_len, lines)) <= width
    assert any("more classes" in line for line in lines)


def test_the_numbers_of_the_version_are_all_there() -> None:
    text = " ".join(" ".join(_printed(cats(), width=100)).split())
    for words in (
        "inputs 130",
        "= accepted 100 76.9 % quality score 78.7 of 100",
        "exact 6, pixels 3, near 2",
        "+ withheld 1 ",
        "cat 10, too-small 5",
        "4 conflicts; source 60, human 30",
        "25 added, 2 removed, 5 relabelled, 3 moved, 68 unchanged",
        "all 80 10 10 100",
        "65 inputs a second",
        "out/cat",
        "autods show cats@v3",
        "autods diff cats@v2 cats@v3",
        "python -m webbrowser out/cat.html",
    ):
        assert words in text


def test_the_most_frequent_reasons_are_named_and_the_others_added_up() -> None:
    counts = {f"reason-{n}": n for n in range(1, 9)}
    facts = one_class("cat", 1)
    many = Facts(
        about=facts.about,
        counts=type(facts.counts)(inputs=37, accepted=1, rejected_by=counts),
        labels=facts.labels,
    )
    line = next(line for line in _printed(many, width=150) if "rejected" in line)
    assert line.endswith(
        "reason-8 8, reason-7 7, reason-6 6, reason-5 5, reason-4 4, 6 for 3 more reasons"
    )
    narrow = next(line for line in _printed(many, width=80) if "rejected" in line)
    assert narrow.endswith("reason-8 8, reason-7 7, 21 for 6 more reasons")


def test_without_a_terminal_there_is_neither_colour_nor_control() -> None:
    assert not any("\x1b" in line for line in _printed(cats(HOSTILE[5]), terminal=False))


def test_colour_changes_nothing_but_colour() -> None:
    coloured = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in _printed(cats(), colour=True)]
    assert coloured == _printed(cats())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_can_write_any_label(encoding: str) -> None:
    for text in HOSTILE:
        lines = _printed(cats(text), encoding=encoding)
        assert len(lines) <= 40
        assert not any("\x1b]" in line or "\u202e" in line for line in lines)


def test_a_plain_terminal_gets_plain_marks() -> None:
    text = "\n".join(_printed(many_classes(200), encoding="ascii"))
    assert "##" in text
    assert "\\u" not in text


@pytest.mark.slow
@few
@given(any_facts(), st.integers(20, 120), st.integers(24, 60))
def test_lines_are_never_wider_than_the_terminal(facts: Facts, width: int, height: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True)
    lines = console.render_lines(summary(facts), pad=False)
    assert len(lines) <= 39
    copied = {*facts.places.values(), "autods", "open"}
    for segments in lines:
        text = "".join(segment.text for segment in segments)
        assert cell_len(text) <= width or any(part in text for part in copied)


@pytest.mark.parametrize(
    "facts",
    [empty(), one_class("cat"), one_class(None), one_class("\u0642\u0637\u0637")],
    ids=["nothing accepted", "one class", "no labels", "right to left"],
)
def test_small_versions_have_a_summary_too(facts: Facts) -> None:
    assert any("autods show cats@v3" in line for line in _printed(facts))


def test_many_splits_share_a_column() -> None:
    splits = dict.fromkeys(("train", "val", "test", "a", "b", "c"), 1)
    facts = one_class("cat", 6)
    wide = Facts(
        about=facts.about,
        counts=facts.counts,
        labels=type(facts.labels)(by_class_and_split={"cat": splits}),
    )
    lines = _printed(wide)
    head = next(line for line in lines if line.startswith("class"))
    assert head.split() == ["class", "train", "val", "test", "others", "total"]
    assert any(line.split()[:6] == ["cat", "1", "1", "1", "3", "6"] for line in lines)


@few
@given(any_facts())
def test_the_json_is_plain_and_holds_no_bytes(facts: Facts) -> None:
    made = to_json(facts)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["counts"]["accepted"] == facts.counts.accepted
    members = made["labels"]["by_class_and_split"]
    assert sum(sum(splits.values()) for splits in members.values()) == facts.counts.accepted


def test_the_json_names_the_version_and_its_sums() -> None:
    made = to_json(cats())
    assert made["name"] == "cats@v3"
    assert made["about"]["created_at"] == "2024-12-01T01:00:00+00:00"
    assert made["counts"]["outcomes"]["duplicates"] == 11
    assert made["labels"]["splits"] == {"train": 80, "val": 10, "test": 10}
    assert "data" not in made["examples"]["pairs"][0]["kept"]
