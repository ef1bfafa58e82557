"""Boxes as YOLO and COCO want them: drawn ones, whole images, and those that will not do."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autods.errors import UsageError
from autods.export import Sample
from autods.export.labelfiles import write_labels
from autods.export.labelfiles.boxes import boxes_of
from autods.records import Refusal
from test_export_member import make_members, tree

CAT = Sample(sha256="a" * 64, split="train", label="cat", width=200, height=100, format="jpeg")

_NUMBERED = {"type": "integer", "minimum": 1}
COCO: dict[str, Any] = {
    "type": "object",
    "required": ["info", "licenses", "images", "annotations", "categories"],
    "additionalProperties": False,
    "properties": {
        "info": {"type": "object"},
        "licenses": {
            "type": "array",
            "items": {
                "required": ["id", "name", "url"],
                "properties": {"id": _NUMBERED, "name": {"type": "string"}},
            },
        },
        "categories": {
            "type": "array",
            "items": {
                "required": ["id", "name", "supercategory"],
                "properties": {"id": _NUMBERED, "name": {"type": "string"}},
            },
        },
        "images": {
            "type": "array",
            "items": {
                "required": ["id", "file_name", "width", "height"],
                "properties": {
                    "id": _NUMBERED,
                    "file_name": {"type": "string", "minLength": 1},
                    "width": _NUMBERED,
                    "height": _NUMBERED,
                    "license": _NUMBERED,
                },
            },
        },
        "annotations": {
            "type": "array",
            "items": {
                "required": ["id", "image_id", "category_id", "bbox", "area", "iscrowd"],
                "properties": {
                    "id": _NUMBERED,
                    "image_id": _NUMBERED,
                    "category_id": _NUMBERED,
                    "bbox": {
                        "type": "array",
                        "minItems": 4,
                        "maxItems": 4,
                        "items": {"type": "number", "minimum": 0},
                    },
                    "area": {"type": "number", "exclusiveMinimum": 0},
                    "segmentation": {"type": "array"},
                    "iscrowd": {"enum": [0, 1]},
                },
            },
        },
    },
}


def drawn(*boxes: dict[str, Any], **facts: Any) -> Sample:
    return replace(CAT, meta={"boxes": [*boxes]}, **facts)


def box(x: float, y: float, width: float, height: float, **more: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "width": width, "height": height, **more}


def coco_of(out: Path, split: str = "train") -> dict[str, Any]:
    """Read a file as pycocotools would, and hold it against the schema; every id must lead home."""
    said = json.loads((out / "annotations" / f"instances_{split}.json").read_text())
    jsonschema.validate(said, COCO)
    ids = {kind: {one["id"] for one in said[kind]} for kind in said if kind != "info"}
    assert all(len(ids[kind]) == len(said[kind]) for kind in ids)
    for one in said["annotations"]:
        assert one["image_id"] in ids["images"]
        assert one["category_id"] in ids["categories"]
    assert {one["license"] for one in said["images"] if "license" in one} <= ids["licenses"]
    return dict(said)


def yolo_lines(out: Path) -> list[str]:
    texts = [path.read_text() for path in sorted(out.glob("labels/*/*/*"))]
    return "".join(texts).splitlines()


def test_pixels_shares_and_their_json_are_one_box(tmp_path: Path) -> None:
    pixels, shares = box(20, 10, 100, 50, label="dog"), box(0.1, 0.1, 0.5, 0.5, label="dog")
    text = replace(CAT, meta={"boxes": json.dumps([pixels])})
    found = [boxes_of(sample) for sample in (drawn(pixels), drawn(shares), text)]
    assert found[0] == found[1] == found[2]
    write_labels([drawn(pixels)], tmp_path / "yolo", kind="yolo")
    assert yolo_lines(tmp_path / "yolo") == ["0 0.350000 0.350000 0.500000 0.500000"]
    write_labels([drawn(pixels)], tmp_path / "coco", kind="coco")
    [said] = coco_of(tmp_path / "coco")["annotations"]
    assert (said["bbox"], said["area"]) == ([20, 10, 100, 50], 5000)
    assert said["attributes"]["whole"] is False


def test_a_label_without_a_box_is_one_around_the_whole_image(tmp_path: Path) -> None:
    write_labels([CAT], tmp_path / "yolo", kind="yolo")
    assert yolo_lines(tmp_path / "yolo") == ["0 0.500000 0.500000 1.000000 1.000000"]
    weak = replace(CAT, label_kind="weak", probability=0.7)
    write_labels([weak], tmp_path / "coco", kind="coco")
    [said] = coco_of(tmp_path / "coco")["annotations"]
    assert said["bbox"] == [0, 0, 200, 100]
    assert said["attributes"] == {"label_kind": "weak", "probability": 0.7, "whole": True}


def test_what_nobody_labelled_is_left_out_and_what_is_known_to_be_empty_is_not(
    tmp_path: Path,
) -> None:
    empty = replace(CAT, sha256="b" * 64, label=None, meta={"boxes": []})
    unknown = replace(CAT, sha256="c" * 64, label=None)
    for kind in ("yolo", "coco"):
        done = write_labels([CAT, empty, unknown], tmp_path / kind, kind=kind)
        assert (done.images, done.written, done.failed) == (3, 2, 0)
    listed = (tmp_path / "yolo" / "train.txt").read_text().split()
    assert listed == [
        f"./images/train/cat/{CAT.key}.jpg",
        f"./images/train/unlabelled/{'b' * 20}.jpg",
    ]
    assert (tmp_path / f"yolo/labels/train/unlabelled/{'b' * 20}.txt").read_bytes() == b""
    said = coco_of(tmp_path / "coco")
    assert [image["sha256"][0] for image in said["images"]] == ["a", "b"]
    assert len(said["annotations"]) == 1


def test_what_sticks_out_is_cut_off() -> None:
    boxes = boxes_of(drawn(box(-20, 50, 60, 100), box(150, -5, 100, 25)))
    assert isinstance(boxes, list)
    sides = [(one.x, one.y, one.width, one.height) for one in boxes]
    assert sides == [(0, 0.5, pytest.approx(0.2), 0.5), (0.75, 0, 0.25, pytest.approx(0.2))]


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (drawn(box(250, 0, 10, 10)), "that of 'cat' has no area within the image"),
        (drawn(box(10, 10, 0, 10)), "has no area"),
        (drawn(box(10, 10, -5, 10)), "has no area"),
        (drawn(box(10, 10, 5, float("nan"))), "height is nan, a number is wanted"),
        (drawn({"x": 1, "y": 1, "width": "5"}), "width is '5', a number is wanted"),
        (drawn({"x": True}), "x is True"),
        (drawn(box(1, 1, 5, 5), label=None), "one has no label, nor has the image"),
        (drawn(box(1, 1, 5, 5), width=None), "the size of the image is not known"),
        (replace(CAT, meta={"boxes": "[{"}), "Expecting property name"),
        (replace(CAT, meta={"boxes": {"x": 1}}), "a list of x, y, width, height and label"),
        (replace(CAT, meta={"boxes": [[1, 2, 3, 4]]}), "a list of x, y, width, height and label"),
    ],
)  # fmt: skip
def test_boxes_that_cannot_be_read_cost_their_image_and_say_why(
    tmp_path: Path, sample: Sample, why: str
) -> None:
    found = boxes_of(sample)
    assert isinstance(found, Refusal)
    assert why in found.detail
    good = replace(CAT, sha256="b" * 64)
    for kind in ("yolo", "coco"):
        done = write_labels([sample, good], tmp_path / kind, kind=kind)
        assert (done.written, done.failed, done.failures) == (1, 1, (found.detail,))
    assert (tmp_path / "yolo" / "train.txt").read_text().count("\n") == 1
    assert len(coco_of(tmp_path / "coco")["images"]) == 1


def test_coco_needs_a_size_and_yolo_does_not(tmp_path: Path) -> None:
    unmeasured = replace(CAT, width=None)
    assert write_labels([unmeasured], tmp_path / "yolo", kind="yolo").written == 1
    done = write_labels([unmeasured], tmp_path / "coco", kind="coco")
    assert done.failures == (f"sample {CAT.key} has no known size",)


def test_yolo_is_laid_out_as_its_trainers_look_for_it(tmp_path: Path) -> None:
    members, blobs = make_members(range(60), formats=("jpeg", "png"))
    members = [replace(s, label="a: cat # 1") if s.label == "cat" else s for s in members]
    out = tmp_path / "out"
    write_labels(members, out, kind="yolo", read=blobs.__getitem__)
    said = yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8"))
    assert said == {
        "train": "train.txt",
        "test": "test.txt",
        "nc": 2,
        "names": ["a: cat # 1", "dog"],
    }
    by_key = {s.key: s for s in members}
    seen = 0
    for split in ("train", "test"):
        for line in (out / said[split]).read_text().splitlines():
            image = Path(line.replace("./", f"{out}/", 1))
            assert image.read_bytes() == blobs[by_key[image.stem].sha256]
            label = Path("/labels/".join(str(image).rsplit("/images/", 1))).with_suffix(".txt")
            number, *sides = label.read_text().split()
            assert said["names"][int(number)] == by_key[image.stem].label
            assert all(0 <= float(side) <= 1 for side in sides)
            seen += 1
    assert seen == sum(s.label is not None for s in members)


def test_copies_of_images_share_no_bytes_with_anything(tmp_path: Path) -> None:
    members, blobs = make_members(range(6))
    write_labels(members, tmp_path / "out", kind="coco", read=blobs.__getitem__)
    images = [p for p in (tmp_path / "out" / "images").rglob("*") if p.suffix == ".jpg"]
    assert len(images) == 6
    assert {path.stat().st_nlink for path in images} == {1}


def test_coco_joins_images_annotations_categories_and_licenses(tmp_path: Path) -> None:
    members, _ = make_members(range(60))
    terms = ("CC0", "https://example.org/terms", None)
    members = [replace(s, license=terms[i % 3]) for i, s in enumerate(members)]
    write_labels(members, tmp_path / "out", kind="coco", name="cats@v3")
    by_name = {f"{s.label}/{s.key}.jpg": s for s in members}
    images: list[int] = []
    for split in ("train", "test"):
        said = coco_of(tmp_path / "out", split)
        assert said["info"] == {"description": "cats@v3"}
        kinds = {one["id"]: one["name"] for one in said["categories"]}
        names = {one["id"]: one["name"] for one in said["licenses"]}
        held = {one["id"]: one for one in said["images"]}
        assert len(said["annotations"]) == len(held)
        for one in said["annotations"]:
            image = held[one["image_id"]]
            sample = by_name[image["file_name"]]
            assert (sample.split, sample.sha256) == (split, image["sha256"])
            assert kinds[one["category_id"]] == sample.label
            assert names.get(image.get("license")) == sample.license
        images += held
    assert sorted(images) == list(range(1, 41))
    assert [p.name for p in (tmp_path / "out" / "annotations").glob("*.waiting")] == []


def test_class_numbers_are_sorted_labels_or_those_given(tmp_path: Path) -> None:
    members, _ = make_members(range(9))
    write_labels(members, tmp_path / "out", kind="yolo", classes=["dog", "bird", "cat"])
    numbers = {line.split()[0] for line in yolo_lines(tmp_path / "out")}
    assert numbers == {"0", "2"}
    with pytest.raises(UsageError, match="label 'dog' is none of the classes cat, bird"):
        write_labels(members, tmp_path / "out", kind="coco", classes=["cat", "bird"])
    with pytest.raises(UsageError, match="named twice: cat, cat"):
        write_labels(members, tmp_path / "out", kind="coco", classes=["cat", "cat"])
    assert numbers == {line.split()[0] for line in yolo_lines(tmp_path / "out")}


def test_a_label_that_would_mislead_yolo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rename it"):
        write_labels([replace(CAT, label="images")], tmp_path / "out", kind="yolo")
    assert tree(tmp_path) == {}


sides = st.floats(-0.5, 1.5) | st.floats(-1e6, 1e6) | st.integers(-300, 300)


@given(st.lists(st.tuples(sides, sides, sides, sides), max_size=4))
def test_a_box_lies_within_its_image_or_is_refused(given: list[tuple[float, ...]]) -> None:
    found = boxes_of(drawn(*(box(*four) for four in given)))
    if isinstance(found, Refusal):
        return
    assert found is not None
    for one in found:
        assert 0 <= one.x < one.x + one.width <= 1 + 1e-9
        assert 0 <= one.y < one.y + one.height <= 1 + 1e-9
