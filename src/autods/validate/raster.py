"""Turns decoded images into arrays: one canonical form to hash, one small RGB form to measure."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from blake3 import blake3
from PIL import Image

from autods.validate.shapes import MIN_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Deep = NDArray[np.uint8 | np.uint16 | np.int32 | np.float32]

_Number = TypeVar("_Number", bound=np.generic)

_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
"""EXIF orientation as (transpose, then flip rows, then flip columns); Exif 2.32, tag 0x0112."""

_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_DEEP_TYPES = {"I": "<i4", "F": "<f4"}


def turn(array: "NDArray[_Number]", orientation: int) -> "NDArray[_Number]":
    """The array as it is to be seen; a view, not a copy."""
    transpose, flip_rows, flip_columns = _TURNS[orientation]
    array = array.swapaxes(0, 1) if transpose else array
    return array[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def turned_bounds(
    extent: tuple[float, float], shape: tuple[int, int], orientation: int
) -> tuple[float, float, float, float]:
    """Where `extent` (rows, columns, from the top left) lies after `turn` of that `shape`.

    >>> turned_bounds((60.0, 80.125), (60, 81), 6)
    (0.0, 0.0, 80.125, 60.0)
    >>> turned_bounds((60.0, 80.125), (60, 81), 2)
    (0.0, 0.875, 60.0, 81.0)
    """
    transpose, flip_rows, flip_columns = _TURNS[orientation]
    (high, wide), (rows, columns) = extent, shape
    if transpose:
        high, wide, rows, columns = wide, high, columns, rows
    top, left = (rows - high) * flip_rows, (columns - wide) * flip_columns
    return (top, left, top + high, left + wide)


def reduction(width: int, height: int) -> int:
    """The strongest of the scales 1/8, 1/4, 1/2 that keeps both sides at `MIN_SIDE`, else 1.

    >>> reduction(640, 480), reduction(640, 100), reduction(60, 60)
    (8, 2, 1)
    """
    return next((k for k in (8, 4, 2) if min(width, height) // k >= MIN_SIDE), 1)


def canonical(image: Image.Image) -> "Deep":
    """The current frame in one form for one picture, whatever its palette, depth or interlace.

    RGB uint8, RGBA where it is not opaque throughout (colours under full transparency, which nobody
    sees, are set to 0), or the numbers themselves for 16-bit, integer and float images: two depth
    maps that agree in their upper 8 bits are still two pictures.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return np.asarray(image).astype(_DEEP_TYPES.get(image.mode, "<u2"))
    if image.mode not in _ALPHA_MODES and "transparency" not in image.info:
        return np.asarray(image.convert("RGB"))
    pixels = np.array(image.convert("RGBA"))
    alpha = pixels[..., 3]
    if alpha.min() == 255:
        return np.ascontiguousarray(pixels[..., :3])
    pixels[alpha == 0] = 0
    return pixels


def preview(array: "Deep", scale: int) -> "Pixels":
    """RGB on white, reduced by averaging blocks of `scale` by `scale` pixels."""
    if array.ndim == 2:
        array = np.repeat(_to_8_bits(array)[..., None], 3, axis=2)
    image = Image.fromarray(array)
    if image.mode == "RGBA":
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        image = paper
    return np.asarray(image.reduce(scale) if scale > 1 else image)


def _to_8_bits(array: "Deep") -> "Pixels":
    """Scale deep grey to 0..255 by the sensor depth (8, 10, 12, 14, 16 bits) that holds it.

    Floats within 0..1 or 0..255 keep that range; anything else is stretched from its least to its
    greatest value. What is not finite counts as 0.
    """
    values = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = min(0.0, float(values.min())), float(values.max())
    steps = (1.0, 255.0) if array.dtype.kind == "f" else (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
    if low == 0.0:
        high = next((step for step in steps if high <= step), high)
    scaled = (values - low) * (255.0 / max(high - low, 1e-30))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def checksum(pixels: "Deep", size: tuple[int, int], frames: int, scale: int) -> str:
    """`px1:` over all pixels of a still, `dct1/N:` over a reduced JPEG, `frames-` before either."""
    scheme = "px1" if scale == 1 else f"dct1/{scale}"
    return f"{'frames-' if frames > 1 else ''}{scheme}:{digest(pixels, size, frames)}"


def digest(array: "Deep", *facts: object) -> str:
    """BLAKE3 over the pixels, their shape and type, and `facts`; 32 hex digits (128 bits)."""
    hasher = blake3(f"{array.shape} {array.dtype.str} {facts}".encode())
    hasher.update(np.ascontiguousarray(array).data.cast("B"))
    return str(hasher.hexdigest(length=16))
