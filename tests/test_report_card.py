"""The card is Markdown that no label can break, and the code on it runs."""

import hashlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from PIL import Image

from autods.export import Sample, write_folder, write_version_shards
from autods.report.card import dataset_info
from autods.report.facts import Contents, Facts
from test_report_facts import HOSTILE, any_facts, cats, empty, few, many_classes, one_class


def _outside_of_code(card: str) -> Iterator[str]:
    fence = ""
    for line in card.splitlines():
        mark = re.match("`{3,}", line)
        if mark and not fence:
            fence = mark[0]
        elif fence and line == fence:
            fence = ""
        elif not fence:
            yield line


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_adds_no_heading_no_cell_and_no_markup(text: str) -> None:
    made = list(_outside_of_code(dataset_info(cats(text))))
    usual = list(_outside_of_code(dataset_info(cats("harmless"))))
    assert len(made) == len(usual)
    for line, plain in zip(made, usual, strict=True):
        assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", plain))
        assert line.startswith("#") == plain.startswith("#")
        assert not re.search(r"<[a-z/!]", line)


@few
@given(any_facts())
def test_any_facts_make_a_card_with_front_matter(facts: Facts) -> None:
    card = dataset_info(facts)
    _, matter, rest = card.split("---\n", 2)
    assert yaml.safe_load(matter)["pretty_name"] == "cats@v3"
    assert rest.lstrip().startswith("# cats@v3\n")
    card.encode("utf-8", "backslashreplace")


def test_the_card_counts_members_by_class_and_split() -> None:
    card = dataset_info(cats())
    assert "| class | train | val | test | total |" in card
    assert "| cat | 50 | 0 | 10 | 60 |" in card
    assert "| *unlabelled* | 0 | 10 | 0 | 10 |" in card
    assert "| **all** | **80** | **10** | **10** | **100** |" in card


def test_the_card_tells_why_inputs_were_refused_and_what_to_mind() -> None:
    card = dataset_info(cats())
    assert cats().counts.equation in card
    assert "| rejected: too-small | 5 | 3.8 % |" in card
    assert "| *not stated* | 10 |" in card
    for limit in ("10 members without a label", "For 10 members nobody stated a license"):
        assert f"- {limit}" in card


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        ({}, "unknown"),
        ({"": 5}, "unknown"),
        ({"CC0-1.0": 5}, "cc0-1.0"),
        ({"CC0-1.0": 4, "": 1}, "other"),
        ({"my own": 5}, "other"),
    ],
)
def test_the_license_is_one_that_the_hub_knows(licenses: dict[str, int], expected: str) -> None:
    facts = replace(one_class("cat"), contents=Contents(licenses=licenses))
    assert f"\nlicense: {expected}\n" in dataset_info(facts)


@pytest.mark.parametrize(
    "facts", [empty(), one_class("cat"), one_class(None)], ids=["empty", "one class", "no labels"]
)
def test_small_versions_have_a_card_too(facts: Facts) -> None:
    assert "## Known limits" in dataset_info(facts)


def test_many_classes_are_cut_and_the_card_says_so() -> None:
    assert "Showing 50 of 1,500 classes" in dataset_info(many_classes(1500))


_COLOURS = {"cat": (200, 30, 30), "dog": (30, 200, 30)}


def _png(colour: tuple[int, ...], width: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, 8), colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["plain", "odd [1] 'name' {x}"])
def test_the_code_on_the_card_runs_on_what_the_export_wrote(folder: str, tmp_path: Path) -> None:
    root = tmp_path / folder
    images = [_png(_COLOURS[("cat", "dog")[n % 2]], 8 + n) for n in range(8)]
    pictures = {hashlib.sha256(data).hexdigest(): data for data in images}
    members = [
        Sample(
            sha256=name,
            split="train" if n < 6 else "test",
            label=("cat", "dog")[n % 2],
            format="PNG",
        )
        for n, name in enumerate(pictures)
    ]
    write_version_shards(members, out=root / "shards", read=pictures.__getitem__)
    write_folder(members, root / "images", read=pictures.__getitem__)
    facts = one_class("cat", 8)
    labels = replace(
        facts.labels,
        by_class_and_split={"cat": {"train": 3, "test": 1}, "dog": {"train": 3, "test": 1}},
    )
    places = {
        "shards": str(root / "shards"),
        "parquet": str(root / "shards" / "data.parquet"),
        "folder": str(root / "images"),
    }
    card = dataset_info(replace(facts, labels=labels, places=places))
    snippets = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(snippets) == 4
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(snippets)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\(\d+, 8\) (cat|dog)", done.stdout)
    assert done.stdout.count("num_rows: 6") == 2
    assert re.search(r"dog +test +1\n +train +3\n", done.stdout)


def test_where_the_members_lie_is_told_by_tier() -> None:
    card = dataset_info(cats())
    assert "| hot | 60 | 1.5 MB |" in card
    assert "| cold | 40 | 900 B |" in card
