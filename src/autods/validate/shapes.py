"""The shapes of validation: what is allowed in (`Limits`) and what comes out (`Picture`)."""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from autods.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMATS = {
    "AVIF": "PIL.AvifImagePlugin",
    "BMP": "PIL.BmpImagePlugin",
    "GIF": "PIL.GifImagePlugin",
    "HEIF": "pillow_heif",
    "ICO": "PIL.IcoImagePlugin",
    "JPEG": "PIL.JpegImagePlugin",
    "JPEG2000": "PIL.Jpeg2KImagePlugin",
    "MPO": "PIL.MpoImagePlugin",
    "PNG": "PIL.PngImagePlugin",
    "PPM": "PIL.PpmImagePlugin",
    "QOI": "PIL.QoiImagePlugin",
    "TGA": "PIL.TgaImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
    "WEBP": "PIL.WebPImagePlugin",
}
"""Formats that may be allowed, and the module that reads each. Readers that start another program
or interpret a language (EPS, PDF, WMF) and layered documents (PSD) cannot be asked for at all."""

SAFE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "MPO")
"""What `Limits.formats=None` allows, with HEIF behind them where pillow-heif is installed."""

MAX_PIXELS = 178_956_970
"""Pillow's own limit: twice its `MAX_IMAGE_PIXELS`, where it raises DecompressionBombError."""

MIN_SIDE = 48
"""Both sides of `Picture.pixels` have at least this many pixels, or the picture is not reduced.

Measured on 800 photo crops: with the true `bounds` taken into account, a perceptual hash from 48
pixels a side agrees with imagehash's as well as one from the full picture (never more than 2 bits
away); without the bounds even 64 pixels are up to 8 bits off.
"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a file may be before it is refused.

    `max_bytes`: size of the file; 64 MiB. `max_pixels`: width times height of one frame; no more
    than Pillow's own limit of 178,956,970. `formats`: names out of `FORMATS`; None is
    `SAFE_FORMATS`. Raises `UsageError` on a value that cannot be.

    >>> Limits(formats=("PNG", "JPEG")).allowed
    ('PNG', 'JPEG')
    >>> Limits(formats=("EPS",))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    autods.errors.UsageError: format 'EPS' is not one of AVIF, BMP, GIF, HEIF, ...
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = MAX_PIXELS
    formats: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.max_pixels <= MAX_PIXELS:
            raise UsageError(f"max_pixels {self.max_pixels} is not between 1 and {MAX_PIXELS}")
        if self.max_bytes < 1:
            raise UsageError(f"max_bytes {self.max_bytes} is not positive")
        for name in self.formats or ():
            if name not in FORMATS:
                raise UsageError(f"format {name!r} is not one of {', '.join(FORMATS)}")
            if name == "HEIF" and not can_read_heif():
                raise UsageError("format 'HEIF' needs the package pillow-heif")

    @property
    def allowed(self) -> tuple[str, ...]:
        """The formats in force, None resolved."""
        if self.formats is not None:
            return self.formats
        return (*SAFE_FORMATS, "HEIF") if can_read_heif() else SAFE_FORMATS


@cache
def can_read_heif() -> bool:
    """Whether the optional package pillow-heif is there."""
    return find_spec("pillow_heif") is not None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """What was learnt from one decode; sizes are (width, height) in pixels of the full picture.

    `width`, `height`: as seen, after the EXIF orientation. `stored_size`: as Pillow reports it
    before (Pillow already turns TIFF sizes). `mode`: Pillow's, of the file. `frames`: pages or
    frames, 1 for a still. `orientation`: EXIF's 1 to 8, 1 where none is given. `file_size`: bytes.

    `pixels`: uint8 RGB, shape (rows, columns, 3), orientation applied, first frame, alpha on white,
    deep modes brought to 8 bits; at 1/1, 1/2, 1/4 or 1/8 of full size (`scale` 1, 2, 4, 8), the
    smallest with both sides >= `MIN_SIDE`. `bounds`: where the picture truly lies in `pixels` as
    (top, left, bottom, right): a width of 641 at scale 8 fills 80.125 of 81 columns.

    `pixel_checksum`: see `is_exact`. `damage`: what libjpeg complained of in a JPEG that Pillow
    accepts all the same (stray bytes, a bad Huffman code), else empty.
    """

    format: str
    width: int
    height: int
    stored_size: tuple[int, int]
    mode: str
    frames: int
    orientation: int
    file_size: int
    scale: int
    pixels: "NDArray[np.uint8]"
    bounds: tuple[float, float, float, float]
    pixel_checksum: str
    damage: str = ""
