"""The measuring itself: from RGB pixels to `Features`."""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from autods.features import Features, Measurable
from autods.features.resample import (
    CHROMA_CELLS,
    COLUMN_UNIT,
    FREQUENCIES,
    LUMA,
    LUMA_CELLS,
    ROW_UNIT,
    column_weights,
    row_weights,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Bounds = tuple[float, float, float, float]

_WORK_SIDE = 64
_MIDDLE = FREQUENCIES**2 // 2
_LUMA_THOUSANDTHS = (LUMA * 1000).astype(np.float32)
_MOMENTS = np.vstack((np.arange(256.0), np.arange(256.0) ** 2))


def measure_picture(picture: Measurable) -> Features:
    """See `autods.features.measure`."""
    pixels, (top, left, bottom, right) = _shrink(picture.pixels, picture.bounds)
    height, width, _ = pixels.shape
    colours = pixels.astype(np.float32)
    rows = row_weights(height, top, bottom) @ colours.reshape(height, width * 3)
    small = rows.astype(np.float64) @ column_weights(width, left, right)
    luma = np.rint(colours.reshape(-1, 3) @ _LUMA_THOUSANDTHS / 1000)
    brightness, contrast, entropy = _tone(luma)
    return Features(
        phash=_phash(small[:FREQUENCIES, :FREQUENCIES]),
        brightness=brightness,
        contrast=contrast,
        entropy=entropy,
        sharpness=_sharpness(luma.astype(np.float64).reshape(height, width)),
        thumb=_thumb(small[FREQUENCIES:, FREQUENCIES:]),
    )


def _shrink(pixels: "NDArray[np.uint8]", bounds: "Bounds") -> "tuple[NDArray[np.uint8], Bounds]":
    """Average blocks until each side is below twice `_WORK_SIDE`, so that no picture costs more."""
    rows, columns = (max(side // _WORK_SIDE, 1) for side in pixels.shape[:2])
    if rows == columns == 1:
        return pixels, bounds
    small = Image.fromarray(pixels).reduce((columns, rows))
    top, left, bottom, right = bounds
    return np.asarray(small), (top / rows, left / columns, bottom / rows, right / columns)


def _phash(low: "Numbers") -> int:
    """One bit a frequency, row by row: whether it is above the median of the 64."""
    # Steps finer than 1 are rounding of the weights; a median of 32 8-bit rows is coarser by far.
    values = np.rint(low / (ROW_UNIT * COLUMN_UNIT)).ravel()
    ranked = np.partition(values, (_MIDDLE - 1, _MIDDLE))
    above = 2 * values > ranked[_MIDDLE - 1] + ranked[_MIDDLE]
    return int.from_bytes(np.packbits(above).tobytes(), "big")


def _thumb(means: "Numbers") -> bytes:
    """Luma, Cb and Cr planes out of 16 rows of means (16 of luma, 8 of Cb, 8 of Cr)."""
    levels = means / (ROW_UNIT * COLUMN_UNIT)
    colour = (levels[::2, LUMA_CELLS:] + levels[1::2, LUMA_CELLS:]) / 2 + 128
    planes = (levels[:, :LUMA_CELLS], colour[:, :CHROMA_CELLS], colour[:, CHROMA_CELLS:])
    flat = np.concatenate([plane.ravel() for plane in planes])
    return bytes(np.rint(flat).clip(0, 255).astype(np.uint8))


def _tone(luma: "NDArray[np.float32]") -> tuple[float, float, float]:
    """Brightness, contrast and entropy, out of the histogram."""
    share = np.bincount(luma.astype(np.uint8), minlength=256) / luma.size
    mean, square = _MOMENTS.dot(share).tolist()
    deviation = max(square - mean * mean, 0.0) ** 0.5
    present = share[share > 0]
    entropy = abs(float(present.dot(np.log2(present))))
    return round(mean / 255, 6), round(deviation / 255, 6), round(entropy, 6)


def _sharpness(luma: "Numbers") -> float:
    height, width = luma.shape
    down, across = luma.ravel(), luma.T.ravel()
    near = _roughness(down, width) + _roughness(across, height)
    far = _roughness(down, 2 * width) + _roughness(across, 2 * height)
    return round(min(max((4 * near / far - 1) / 3, 0.0), 1.0), 6) if far else 0.0


def _roughness(line: "Numbers", lag: int) -> float:
    """Mean square difference of values `lag` apart; exact, being a sum of whole numbers."""
    steps = line[lag:] - line[:-lag]
    return float(steps.dot(steps)) / steps.size if steps.size else 0.0
