"""One matrix an axis that shrinks pixels, in whole numbers so that products of it are exact.

A plane of pixels is shrunk as `weights(rows) @ plane @ weights(columns).T`. The matrices hold whole
numbers, weights times `UNIT`. The first product stays below 2**24 and the second below 2**43, where
float32 and float64 lose nothing: the order of the additions, which differs between processors,
cannot matter.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

UNIT = 2.0**9
"""What a weight of 1 is held as; the most that keeps sums of 8-bit pixels below 2**24."""

GRID = 32
"""Side of the picture that the DCT is taken of, as in imagehash (8 times `hash_factor` 4)."""

LOW, FINE, COARSE = 8, 16, 8
"""How many numbers come of an axis: lowest frequencies, means of 16 parts, means of 8 parts."""

# The type-II DCT as scipy.fft.dct scales it: 2 sum x[n] cos(pi k (2n + 1) / 2N).
_COSINES = 2 * np.cos(np.pi * np.arange(LOW)[:, None] * (2 * np.arange(GRID) + 1) / (2 * GRID))


# Pictures of all sizes come down to some 640 axes (48 to 127 pixels, in eighths), 12 KB each.
@lru_cache(maxsize=1500)
def weights(pixels: int, start: float, stop: float) -> "NDArray[np.float32]":
    """(8 + 16 + 8, pixels): the lowest frequencies, the means of 16 equal parts and of 8.

    The picture fills `start` to `stop` of the axis; a pixel partly outside counts for its part.
    """
    parts = (
        _frequencies(pixels, start, stop),
        _means(pixels, start, stop, FINE),
        _means(pixels, start, stop, COARSE),
    )
    return _whole(np.vstack(parts)).astype(np.float32)


def _frequencies(pixels: int, start: float, stop: float) -> "Matrix":
    """(8, pixels): the lowest DCT frequencies of the axis resampled to 32 by Pillow's Lanczos-3."""
    step = (stop - start) / GRID
    centres = start + (np.arange(GRID)[:, None] + 0.5) * step
    distance = (np.arange(pixels) + 0.5 - centres) / max(step, 1.0)
    kernel = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)
    index = np.arange(pixels)
    kernel *= (np.minimum(index + 1, stop) - np.maximum(index, start)).clip(0.0, 1.0)
    low: Matrix = _COSINES @ (kernel / kernel.sum(axis=1, keepdims=True))
    return low


def _means(pixels: int, start: float, stop: float, count: int) -> "Matrix":
    """(count, pixels): the mean of each of `count` equal parts."""
    edges = np.linspace(start, stop, count + 1)
    index = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], index + 1) - np.maximum(edges[:-1, None], index)
    share = overlap.clip(0.0, None)
    means: Matrix = share / share.sum(axis=1, keepdims=True)
    return means


def _whole(exact: "Matrix") -> "Matrix":
    """Round times `UNIT`, each row keeping its sum, so that a flat picture stays flat."""
    whole = np.rint(exact * UNIT)
    lost = np.rint(exact.sum(axis=1) * UNIT) - whole.sum(axis=1)
    whole[np.arange(len(whole)), np.abs(whole).argmax(axis=1)] += lost
    return whole
