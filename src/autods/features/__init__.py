"""Measures one decoded picture: perceptual hash, thumbnail for comparison, quality figures.

One pass over one small array gives them all. Hash and thumbnail are computed exactly, in whole
numbers that a float holds without loss, and the quality figures are rounded to 6 decimals, so that
a picture gets the same features on every processor. There is no batch form: one picture takes 0.09
ms of CPU, a sixth of its decode, too little for a batch to win anything back.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "FINGERPRINT",
    "PHASH_ALGORITHM",
    "THUMB_BYTES",
    "Features",
    "Measurable",
    "measure",
    "phash_hex",
]

FINGERPRINT = "features-v1"
"""Version of the code that measured a row; it changes when any figure may."""

PHASH_ALGORITHM = "dct64-v1"
"""Name and version of the perceptual hash, to stand in every row that holds one."""

THUMB_BYTES = 384
"""Bytes of a `Features.thumb`: 16 x 16 luma, then 8 x 8 Cb, then 8 x 8 Cr, row by row."""


class Measurable(Protocol):
    """What `measure` needs of a picture; `autods.validate.Picture` has it."""

    @property
    def pixels(self) -> "NDArray[np.uint8]":
        """RGB, shape (rows, columns, 3), of any size."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Where the picture lies in `pixels`: top, left, bottom, right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What was measured; luma is ITU-R 601 (0.299 R + 0.587 G + 0.114 B), 0 black to 255 white.

    All figures are taken at a small scale (48 to 127 pixels a side for most pictures), so that they
    can be compared between pictures of different sizes.

    `phash`: unsigned 64-bit, method `phash_algorithm`: the 8 x 8 lowest frequencies of the DCT of
    the luma at 32 x 32, each bit whether it exceeds their median, most significant bit first; as
    imagehash 4.3 computes it (Krawetz 2011), within 4 bits of it on photos.

    `brightness`: mean luma / 255, 0 to 1. `contrast`: standard deviation of luma / 255, 0 to 0.5.
    `entropy`: Shannon entropy of the 256-bin luma histogram in bits, 0 (one colour) to 8.

    `sharpness`: 0 (smooth, blurred, or flat) to about 1 (as much detail as white noise), blind to
    contrast: with S(k) the mean square difference of pixels k apart, rows and columns together, it
    is (4 S(1) / S(2) - 1) / 3. S is the structure function of turbulence theory (Kolmogorov 1941),
    S(1) / S(2) being 1/4 for a smooth picture and 1 for an uncorrelated one. A picture of fine
    noise counts as sharp.

    `thumb`: `THUMB_BYTES` bytes, the picture squashed to a 16 x 16 YCbCr image with halved chroma
    (JFIF's formula), for `autods.dedup.confirm`.
    """

    phash: int
    brightness: float
    contrast: float
    entropy: float
    sharpness: float
    thumb: bytes
    phash_algorithm: str = PHASH_ALGORITHM


def measure(picture: Measurable) -> Features:
    """Measure a picture in about 0.1 ms.

    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> grey = np.full((48, 64, 3), 51, np.uint8)
    >>> seen = measure(SimpleNamespace(pixels=grey, bounds=(0.0, 0.0, 48.0, 64.0)))
    >>> seen.brightness, seen.contrast, seen.entropy, seen.sharpness, phash_hex(seen.phash)
    (0.2, 0.0, 0.0, 0.0, '8000000000000000')
    """
    from autods.features.measures import measure_picture

    return measure_picture(picture)


def phash_hex(phash: int) -> str:
    """The hash as imagehash prints it: 16 hex digits.

    >>> phash_hex(0xD6CD9BB2383264E4), phash_hex(1)
    ('d6cd9bb2383264e4', '0000000000000001')
    """
    return f"{phash:016x}"
