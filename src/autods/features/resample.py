"""Matrices that shrink an axis of pixels, in whole numbers so that products of them are exact.

RGB pixels, taken as a plane of (rows, 3 columns) numbers, are shrunk as
`row_weights @ plane @ column_weights`. The matrices hold whole numbers: weights times `ROW_UNIT` or
`COLUMN_UNIT`. The first product stays below 2**24 and the second below 2**53, where float32 and
float64 lose nothing: the order of the additions, which differs between processors, cannot matter.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

ROW_UNIT, COLUMN_UNIT = 2.0**9, 2.0**14
"""What a weight of 1 is held as; 2**9 is the most that keeps sums of 8-bit pixels below 2**24."""

GRID = 32
"""Side of the picture that the DCT is taken of, as in imagehash (8 times `hash_factor` 4)."""

FREQUENCIES, LUMA_CELLS, CHROMA_CELLS = 8, 16, 8

# The type-II DCT as scipy.fft.dct scales it: 2 sum x[n] cos(pi k (2n + 1) / 2N).
_COSINES = 2 * np.cos(
    np.pi * np.arange(FREQUENCIES)[:, None] * (2 * np.arange(GRID) + 1) / (2 * GRID)
)
# ITU-R 601 luma, and JFIF 1.02's Cb and Cr without their offset of 128, of (R, G, B).
LUMA = np.array([0.299, 0.587, 0.114])
_CB = (np.array([0.0, 0.0, 1.0]) - LUMA) / 1.772
_CR = (np.array([1.0, 0.0, 0.0]) - LUMA) / 1.402


@lru_cache(maxsize=512)
def row_weights(pixels: int, start: float, stop: float) -> "NDArray[np.float32]":
    """(8 + 16, pixels): the lowest frequencies, then the means of 16 equal parts.

    The picture fills `start` to `stop` of the axis; a pixel partly outside counts for its part.
    """
    low = _frequencies(pixels, start, stop)
    means = _means(pixels, start, stop, LUMA_CELLS)
    return _whole(np.vstack((low, means)), ROW_UNIT).astype(np.float32)


@lru_cache(maxsize=512)
def column_weights(pixels: int, start: float, stop: float) -> "Matrix":
    """(3 pixels, 8 + 16 + 8 + 8), for pixels laid out R G B R G B ...

    The outputs are of the luma: frequencies and means as in `row_weights`; then the means of Cb and
    of Cr over 8 equal parts.
    """
    low = _frequencies(pixels, start, stop)
    means = _means(pixels, start, stop, LUMA_CELLS)
    coarse = _means(pixels, start, stop, CHROMA_CELLS)
    bands = [
        _whole(np.vstack((low * luma, means * luma, coarse * blue, coarse * red)), COLUMN_UNIT)
        for luma, blue, red in zip(LUMA, _CB, _CR, strict=True)
    ]
    outputs = len(bands[0])
    return np.ascontiguousarray(np.stack(bands, axis=2).reshape(outputs, 3 * pixels).T)


def _frequencies(pixels: int, start: float, stop: float) -> "Matrix":
    """(8, pixels): the lowest DCT frequencies of the axis resampled to 32 by Pillow's Lanczos-3."""
    step = (stop - start) / GRID
    centres = start + (np.arange(GRID)[:, None] + 0.5) * step
    distance = (np.arange(pixels) + 0.5 - centres) / max(step, 1.0)
    kernel = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)
    index = np.arange(pixels)
    weights = kernel * (np.minimum(index + 1, stop) - np.maximum(index, start)).clip(0.0, 1.0)
    low: Matrix = _COSINES @ (weights / weights.sum(axis=1, keepdims=True))
    return low


def _means(pixels: int, start: float, stop: float, count: int) -> "Matrix":
    """(count, pixels): the mean of each of `count` equal parts."""
    edges = np.linspace(start, stop, count + 1)
    index = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], index + 1) - np.maximum(edges[:-1, None], index)
    weights = overlap.clip(0.0, None)
    means: Matrix = weights / weights.sum(axis=1, keepdims=True)
    return means


def _whole(weights: "Matrix", unit: float) -> "Matrix":
    """Round `weights` times `unit`, each row keeping its sum, so that a flat picture stays flat."""
    whole = np.rint(weights * unit)
    lost = np.rint(weights.sum(axis=1) * unit) - whole.sum(axis=1)
    whole[np.arange(len(whole)), np.abs(whole).argmax(axis=1)] += lost
    return whole
