"""The boxes of an image: those its metadata names, else one around the whole of it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autods.export.member import Sample
from autods.records import Refusal

_SIDES = ("x", "y", "width", "height")


@dataclass(frozen=True, slots=True)
class Box:
    """Where a label stands: corner, width and height as shares of the image, from its top left.

    `whole` tells a box that was put around the image for its label from one that somebody drew.
    """

    label: str
    x: float
    y: float
    width: float
    height: float
    whole: bool = False


def boxes_of(sample: Sample) -> list[Box] | Refusal | None:
    """Give an image's boxes; None where nothing is known of what it shows.

    `meta["boxes"]`, a list or its JSON text, has a mapping for each: x, y, width and height, and
    its label where that is not the image's. The numbers are pixels of the image as it is seen, or
    shares of it where none of them exceeds 1; what sticks out is cut off. An empty list says that
    nothing is there. Without it an image with a label has one box, the whole image.

    >>> boxes_of(Sample(sha256="0" * 64, split="train", label="cat"))
    [Box(label='cat', x=0.0, y=0.0, width=1.0, height=1.0, whole=True)]
    """
    said = sample.meta.get("boxes")
    if said is None:
        return _around(sample.label)
    try:
        return _read(sample, json.loads(said) if isinstance(said, str) else said)
    except (ValueError, RecursionError) as error:
        return Refusal("failed", "bad-boxes", f"sample {sample.key}: boxes: {error}")


def _around(label: str | None) -> list[Box] | None:
    return None if label is None else [Box(label, 0.0, 0.0, 1.0, 1.0, whole=True)]


def _read(sample: Sample, said: Any) -> list[Box]:
    if not isinstance(said, list) or not all(isinstance(one, Mapping) for one in said):
        raise ValueError(f"a list of x, y, width, height and label is wanted, not {said!r:.80}")
    sides = [[_number(one, name) for name in _SIDES] for one in said]
    across, down = _scale(sample, sides)
    return [
        _clipped(_label(one, sample), x / across, y / down, width / across, height / down)
        for one, (x, y, width, height) in zip(said, sides, strict=True)
    ]


def _number(one: Mapping[str, Any], name: str) -> float:
    value = one.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, a number is wanted")
    return float(value)


def _scale(sample: Sample, sides: list[list[float]]) -> tuple[float, float]:
    """Tell what the numbers count: pixels, unless no box reaches beyond one pixel."""
    if all(number <= 1 for box in sides for number in box):
        return 1.0, 1.0
    if not sample.width or not sample.height:
        raise ValueError("they are in pixels, and the size of the image is not known")
    return float(sample.width), float(sample.height)


def _label(one: Mapping[str, Any], sample: Sample) -> str:
    label = one.get("label")
    if label is not None:
        return str(label)
    if sample.label is None:
        raise ValueError("one has no label, nor has the image")
    return sample.label


def _clipped(label: str, x: float, y: float, width: float, height: float) -> Box:
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, 1.0), min(y + height, 1.0)
    if right <= left or bottom <= top:
        raise ValueError(f"that of {label!r} has no area within the image")
    return Box(label, left, top, right - left, bottom - top)
