"""A version's label files, wherever its catalog lies: in every format, counted as they are."""

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import autods
from autods.errors import PlaceError, UsageError
from autods.export.labelfiles import KINDS
from autods.export.member import Sample
from autods.recipes.label_generator import CUSTOM, LabelGenerator
from autods.store import asset_key
from autods.versions import Version, freeze
from autods.workspace import Workspace, init
from test_export_member import picture

Tree = Callable[..., dict[str, str]]

TEXT = (
    "sha256", "split", "label", "label_kind", "caption", "license", "source", "uri", "near_of",
    "meta", "format",
)  # fmt: skip
SCHEMA = pa.schema(
    [(name, pa.string()) for name in TEXT]
    + [(name, pa.float64()) for name in ("probability", "weight")]
    + [(name, pa.int64()) for name in ("width", "height")]
)


@pytest.fixture
def workspace(
    tmp_path: Path, catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    monkeypatch.setenv("AUTODS_CATALOG", catalog_url)
    place = init(tmp_path / "place")
    yield place
    place.close()


def frozen(workspace: Workspace, count: int = 30, **facts: Any) -> Version:
    """Freeze true pictures, of which every third has no label."""
    rows = [row(workspace, i) | facts for i in range(count)]
    table = pa.Table.from_pylist(rows, SCHEMA)
    version, _ = freeze(
        workspace.catalog, workspace.store, dataset="cats", members=table, recipe={}, stats={}
    )
    return version


def row(workspace: Workspace, number: int) -> dict[str, Any]:
    data = picture(number)
    sha256 = hashlib.sha256(data).hexdigest()
    workspace.store.put(asset_key(sha256), data)
    size = {"width": 8 + number % 5, "height": 8, "format": "JPEG", "weight": 1.0}
    split = ("train", "val", "test")[number % 7 % 3]
    label = ("cat", "dog", None)[number % 3]
    said = {"label": label, "label_kind": label and "source", "caption": "seen", "source": "web"}
    meta = '{"boxes":[{"height":4,"label":"bird","width":4,"x":1,"y":1}]}' if number == 2 else "{}"
    return {"sha256": sha256, "split": split, "meta": meta, **size, **said}


def test_every_format_says_the_same_of_a_version(
    workspace: Workspace, tmp_path: Path, tree: Tree
) -> None:
    version = frozen(workspace)
    every = ("txt", "caption", "json", "yolo", "coco")
    generator = LabelGenerator(every, lambda row: row.label, images=True)
    done = asyncio.run(generator.generate(workspace, version, tmp_path / "a"))
    assert done.formats == (*every, "custom")
    assert (done.images_labeled, done.failed) == (20, 0)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(done.formats)
    marks = {f: json.loads((tmp_path / "a" / f / "labels.json").read_text()) for f in done.formats}
    assert {name: mark["written"] for name, mark in marks.items()} == {
        "txt": 20, "caption": 30, "json": 30, "yolo": 21, "coco": 21, "custom": 20
    }  # fmt: skip
    assert marks["yolo"]["classes"] == marks["coco"]["classes"] == ["bird", "cat", "dog"]
    assert done.files == sum(mark["files"] for mark in marks.values())
    again = asyncio.run(generator.generate(workspace, "cats@latest", tmp_path / "b"))
    assert again == done
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    texts = [p.relative_to(tmp_path / "a" / "txt") for p in tmp_path.glob("a/txt/*/*/*.txt")]
    assert all((tmp_path / "a/yolo/images" / text).with_suffix(".jpg").exists() for text in texts)


def test_a_missing_image_ends_only_what_would_copy_it(workspace: Workspace, tmp_path: Path) -> None:
    version = frozen(workspace, 3)
    for number in range(3):
        workspace.store.delete(asset_key(hashlib.sha256(picture(number)).hexdigest()))
    with pytest.raises(PlaceError):
        LabelGenerator(("yolo",), images=True).generate_now(workspace, version, tmp_path / "out")
    assert not (tmp_path / "out" / "yolo").exists()
    done = LabelGenerator(("yolo",)).generate_now(workspace, version, tmp_path / "out")
    assert done.images_labeled == 2


def test_a_function_may_be_named_and_its_failures_are_counted(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "def voc(row):\n    return f'<{row.label}/>' if row.label else None\n"
        "def bad(row):\n    return row.label.upper()\n"
    )
    version = frozen(workspace)
    voc = LabelGenerator((), f"{tmp_path / 'mine.py'}:voc", suffix="xml")
    done = voc.generate_now(workspace, version, tmp_path / "out")
    assert (done.files, done.failed, done.formats) == (20, 0, ("custom",))
    assert len(list((tmp_path / "out" / "custom").rglob("*.xml"))) == 20
    bad = LabelGenerator((), f"{tmp_path / 'mine.py'}:bad")
    done = bad.generate_now(workspace, version, tmp_path / "out")
    assert (done.images_labeled, done.files, done.failed) == (20, 21, 10)
    assert done.failures[0].startswith("mine.py:bad failed on sample ")


def test_a_format_or_function_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="no label function 'voc'"):
        LabelGenerator((), "voc")
    with pytest.raises(UsageError, match="did you mean 'yolo'"):
        LabelGenerator(("json", "yollo"))
    with pytest.raises(UsageError, match="no format to write"):
        LabelGenerator(())
    assert LabelGenerator().formats == ("json",)
    assert LabelGenerator("coco").formats == ("coco",)


@pytest.mark.slow
def test_boxes_and_labels_of_a_real_build_arrive_in_the_files(
    tmp_path: Path, build: Callable[..., dict[str, Any]]
) -> None:
    for i, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "a.png").write_bytes(picture(i * 100, "png"))
    boxes = [{"x": 1, "y": 2, "width": 4, "height": 3, "label": "ear"}]
    (tmp_path / "photos" / "cat" / "a.json").write_text(json.dumps({"boxes": boxes}))
    built = build(tmp_path / "photos", "-w", tmp_path / "place")
    with contextlib.closing(autods.open(tmp_path / "place")) as place:
        done = LabelGenerator(("coco",)).generate_now(place, built["version"], tmp_path / "out")
    assert (done.images_labeled, done.failed) == (2, 0)
    files = (tmp_path / "out" / "coco" / "annotations").glob("*.json")
    said = [json.loads(path.read_text()) for path in files]
    found = sorted(one["bbox"] for each in said for one in each["annotations"])
    assert found == [[0, 0, 8, 8], [1, 2, 4, 3]]


def test_the_documentation_names_every_format_field_and_argument() -> None:
    text = (Path(__file__).parents[1] / "docs" / "labels.md").read_text(encoding="utf-8")
    table = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert table == {*KINDS, CUSTOM}
    fields = text.partition("## JSON")[2].partition("##")[0]
    assert [f for f in Sample.__dataclass_fields__ if f"`{f}`" not in fields] == []
    arguments = list(signature(LabelGenerator).parameters)[2:]
    assert [name for name in arguments if f"{name}=" not in text] == []


def test_the_function_of_the_documentation_is_one(workspace: Workspace, tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "labels.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(# voc.py\n.*?)```", text, re.DOTALL)
    (tmp_path / "voc.py").write_text(code)
    generator = LabelGenerator((), f"{tmp_path / 'voc.py'}:voc", suffix="xml")
    done = generator.generate_now(workspace, frozen(workspace), tmp_path / "out")
    assert (done.files, done.failed) == (20, 0)
