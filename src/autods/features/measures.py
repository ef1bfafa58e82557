"""The measuring itself: from RGB pixels to `Features`."""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from autods.features import Features, Measurable
from autods.features.resample import COARSE, FINE, LOW, UNIT, weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Bounds = tuple[float, float, float, float]

_WORK_SIDE = 64
# Above 10,000 numbers BLAS spreads a dot product over threads, which cost more than they bring when
# every core has a worker already: two workers on two cores lost a third of their rate to them.
_DOT_SIZE = 8192
_MIDDLE = LOW**2 // 2
# In thousandths: luma of ITU-R 601, then B - Y and R - Y, each over two rows of R, G, B.
_LUMA = np.array([299.0, 587.0, 114.0])
_DIFFERENCES = np.tile([[-299.0, -587.0, 886.0], [701.0, -587.0, -114.0]], 2)
# JFIF 1.02: Cb = 128 + (B - Y) / 1.772, Cr = 128 + (R - Y) / 1.402; of the two rows' mean.
_CHROMA_SCALE = 2 * 1000 * UNIT**2 * np.array([[1.772], [1.402]])
_LUMA_SCALE = 1000 * UNIT**2
_LUMA_32 = _LUMA.astype(np.float32)
_MOMENTS = np.vstack((np.arange(256.0), np.arange(256.0) ** 2))


def measure_picture(picture: Measurable) -> Features:
    """See `autods.features.measure`."""
    pixels, bounds = _shrink(picture.pixels, picture.bounds)
    colours = pixels.astype(np.float32)
    luma = np.rint(colours.reshape(-1, 3) @ _LUMA_32 / 1000)
    brightness, contrast, entropy = _tone(luma)
    small = _resample(colours, bounds)
    grey = _LUMA @ small / _LUMA_SCALE
    return Features(
        phash=_phash(grey[:LOW, :LOW]),
        brightness=brightness,
        contrast=contrast,
        entropy=entropy,
        sharpness=_sharpness(luma.astype(np.float64).reshape(colours.shape[:2])),
        thumb=_thumb(grey[LOW:, LOW : LOW + FINE], small[LOW:, :, LOW + FINE :]),
    )


def _shrink(pixels: "NDArray[np.uint8]", bounds: "Bounds") -> "tuple[NDArray[np.uint8], Bounds]":
    """Average blocks until each side is below twice `_WORK_SIDE`, so that no picture costs more."""
    rows, columns = (max(side // _WORK_SIDE, 1) for side in pixels.shape[:2])
    if rows == columns == 1:
        return pixels, bounds
    small = Image.fromarray(pixels).reduce((columns, rows))
    top, left, bottom, right = bounds
    return np.asarray(small), (top / rows, left / columns, bottom / rows, right / columns)


def _resample(colours: "NDArray[np.float32]", bounds: "Bounds") -> "Numbers":
    """(8 + 16 rows, 3 bands, 8 + 16 + 8 columns) of what `weights` names, times `UNIT` squared."""
    (height, width, _), (top, left, bottom, right) = colours.shape, bounds
    # Two rows at a time make products too small for BLAS to start threads for (see `_DOT_SIZE`).
    pairs = weights(height, top, bottom)[: LOW + FINE].reshape(-1, 2, height)
    rows = (pairs @ colours.reshape(height, width * 3)).reshape(-1, width, 3)
    bands = np.ascontiguousarray(rows.transpose(0, 2, 1), np.float64)
    columns = np.ascontiguousarray(weights(width, left, right).T, np.float64)
    small: Numbers = bands.reshape(-1, width) @ columns
    return small.reshape(LOW + FINE, 3, -1)


def _phash(low: "Numbers") -> int:
    """One bit a frequency, row by row: whether it is above the median of the 64."""
    # Steps finer than 1 are rounding of the weights; that of imagehash's 8-bit rows is coarser.
    values = np.rint(low).ravel()
    ranked = np.partition(values, (_MIDDLE - 1, _MIDDLE))
    above = 2 * values > ranked[_MIDDLE - 1] + ranked[_MIDDLE]
    return int.from_bytes(np.packbits(above).tobytes(), "big")


def _thumb(luma: "Numbers", colour: "Numbers") -> bytes:
    """The three planes, out of 16 x 16 means of luma and 16 x 8 means of R, G and B."""
    differences = _DIFFERENCES @ colour.reshape(COARSE, 6, COARSE)
    chroma = 128 + (differences / _CHROMA_SCALE).swapaxes(0, 1)
    levels = np.concatenate((luma.ravel(), chroma.ravel()))
    # Means of bytes are within 0 to 255; only the purest blue and red reach 255.5.
    return bytes(np.minimum(np.rint(levels), 255).astype(np.uint8))


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
    parts = [steps[start : start + _DOT_SIZE] for start in range(0, steps.size, _DOT_SIZE)]
    return sum([float(part.dot(part)) for part in parts]) / max(steps.size, 1)
