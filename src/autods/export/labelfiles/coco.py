"""COCO's annotation files, one a split, written as the samples come by."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Self

from autods.export.encode import json_bytes
from autods.export.labelfiles.boxes import Box, boxes_of
from autods.export.labelfiles.separate import Add
from autods.export.member import Sample
from autods.export.place import make_folder
from autods.records import Refusal

_LEAST = 0.01
"""The narrowest a box may be written, in pixels: coordinates have two decimals, as COCO's own."""


@contextmanager
def coco(
    folder: Path, classes: Sequence[str], *, licenses: Sequence[str], name: str
) -> Iterator[Add]:
    """Write `annotations/instances_{split}.json`; `file_name` counts from `images/{split}`.

    All ids begin at 1 (COCO's evaluation takes an annotation 0 for none) and follow the order in
    which the samples come; images count over all splits. An image of which nothing is known is
    left out: it would count as showing nothing.
    """
    make_folder(folder / "annotations")
    head = _head(classes, licenses, name)
    categories, terms = _numbered(classes), _numbered(licenses)
    images, annotations = count(1), count(1)
    with ExitStack() as files:
        splits: dict[str, _Split] = {}

        def add(sample: Sample, file_name: str) -> Refusal | bool:
            boxes = boxes_of(sample)
            if boxes is None or isinstance(boxes, Refusal):
                return boxes or False
            if not sample.width or not sample.height:
                return Refusal("failed", "no-size", f"sample {sample.key} has no known size")
            if sample.split not in splits:
                path = folder / "annotations" / f"instances_{sample.split}.json"
                splits[sample.split] = files.enter_context(_Split(path, head))
            number = next(images)
            term = terms.get(sample.license) if sample.license else None
            splits[sample.split].image(_image(sample, file_name, number, term))
            for box in boxes:
                named = {"image_id": number, "category_id": categories[box.label]}
                said = _annotation(sample, box, (sample.width, sample.height))
                splits[sample.split].annotation({"id": next(annotations), **named, **said})
            return True

        yield add


class _Split:
    """A file as it grows: images go into it, annotations wait beside it for its end."""

    def __init__(self, path: Path, head: bytes) -> None:
        self._waiting = path.with_suffix(".waiting")
        self._file, self._beside = path.open("wb"), self._waiting.open("w+b")
        self._file.write(head + b',"images":[')
        self._images = self._annotations = b"\n"

    def image(self, said: Mapping[str, Any]) -> None:
        self._file.write(self._images + json_bytes(said))
        self._images = b",\n"

    def annotation(self, said: Mapping[str, Any]) -> None:
        self._beside.write(self._annotations + json_bytes(said))
        self._annotations = b",\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file, self._beside:
            self._file.write(b'],\n"annotations":[')
            self._beside.seek(0)
            shutil.copyfileobj(self._beside, self._file)
            self._file.write(b"]}\n")
        self._waiting.unlink()


def _head(classes: Sequence[str], licenses: Sequence[str], name: str) -> bytes:
    """Write all but images and annotations, without the closing brace."""
    terms = [
        {"id": number, "name": one, "url": one if "://" in one else ""}
        for one, number in _numbered(licenses).items()
    ]
    kinds = [
        {"id": number, "name": one, "supercategory": ""}
        for one, number in _numbered(classes).items()
    ]
    said = {"info": {"description": name}, "licenses": terms, "categories": kinds}
    return json_bytes(said).removesuffix(b"}")


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, 1)}


def _image(sample: Sample, file_name: str, number: int, term: int | None) -> dict[str, Any]:
    said = {
        "id": number,
        "file_name": file_name,
        "width": sample.width,
        "height": sample.height,
        "sha256": sample.sha256,
    }
    return said | ({"license": term} if term else {})


def _annotation(sample: Sample, box: Box, size: tuple[int, int]) -> dict[str, Any]:
    width, height = size
    across = max(round(box.width * width, 2), _LEAST)
    down = max(round(box.height * height, 2), _LEAST)
    said = {"label_kind": sample.label_kind, "probability": sample.probability, "whole": box.whole}
    return {
        "bbox": [round(box.x * width, 2), round(box.y * height, 2), across, down],
        "area": round(across * down, 4),
        "iscrowd": 0,
        "segmentation": [],
        "attributes": said,
    }
