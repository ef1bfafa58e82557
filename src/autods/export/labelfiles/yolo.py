"""YOLO's label files: a line a box, lists of the images by split, and `data.yaml`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from autods.errors import UsageError
from autods.export.encode import utf8
from autods.export.labelfiles.boxes import Box, boxes_of
from autods.export.labelfiles.separate import Add, one_each
from autods.export.member import Sample
from autods.records import Refusal

_FIRST = ("train", "val", "test")
_LEAST = 1e-6
"""The narrowest a box may be written: six digits of a share, never a width of zero."""


@contextmanager
def yolo(folder: Path, classes: Sequence[str]) -> Iterator[Add]:
    """Write `labels/{split}/{name}.txt`, `{split}.txt` and `data.yaml`, as Ultralytics reads them.

    An image finds its labels by its path, in which `images` becomes `labels`. One without a label
    file would count as showing nothing: the lists name those alone of which something is known.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    lists: dict[str, BinaryIO] = {}

    def content(sample: Sample, _: str) -> tuple[str, bytes] | Refusal | None:
        boxes = boxes_of(sample)
        return ("txt", _lines(boxes, numbers)) if isinstance(boxes, list) else boxes

    with ExitStack() as files, one_each(folder / "labels", content) as write:

        def add(sample: Sample, file_name: str) -> Refusal | bool:
            _refuse_misleading(sample.split, file_name)
            written = write(sample, file_name)
            if written is True:
                if sample.split not in lists:
                    path = folder / f"{sample.split}.txt"
                    lists[sample.split] = files.enter_context(path.open("wb"))
                lists[sample.split].write(utf8(f"./images/{sample.split}/{file_name}\n"))
            return written

        yield add
    (folder / "data.yaml").write_bytes(_data_yaml(lists, classes))


def _lines(boxes: Sequence[Box], numbers: Mapping[str, int]) -> bytes:
    return b"".join(_line(box, numbers[box.label]) for box in boxes)


def _line(box: Box, number: int) -> bytes:
    x, y = box.x + box.width / 2, box.y + box.height / 2
    width, height = max(box.width, _LEAST), max(box.height, _LEAST)
    return b"%d %.6f %.6f %.6f %.6f\n" % (number, x, y, width, height)


def _refuse_misleading(split: str, file_name: str) -> None:
    for name in (split, file_name.partition("/")[0]):
        if name == "images":
            raise UsageError(
                "a label or split called 'images' misleads YOLO's readers, who find labels by that "
                "word in an image's path: rename it"
            )


def _data_yaml(splits: Mapping[str, Any], classes: Sequence[str]) -> bytes:
    """Say where the lists are and what the numbers mean.

    There is no `path`: readers take the folder of this file, wherever it is moved to. The names are
    a list, with their count, because some readers know no mapping.
    """
    import yaml

    known = [name for name in _FIRST if name in splits]
    names = [*known, *sorted(set(splits) - set(_FIRST))]
    said = {name: f"{name}.txt" for name in names} | {"nc": len(classes), "names": [*classes]}
    return utf8(yaml.safe_dump(said, sort_keys=False, allow_unicode=True))
