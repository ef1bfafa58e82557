"""Reads JPEGs quickly: the header by hand where it is plain, the pixels once at a reduced scale."""

from dataclasses import dataclass
from struct import unpack
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from autods.validate.metadata import orientation_of
from autods.validate.raster import checksum, reduction, turn, turned_bounds
from autods.validate.shapes import Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    Pixels = NDArray[np.uint8]

_FRAME_MARKERS = (0xC0, 0xC1, 0xC2)
_SCAN_MARKER, _PROFILE_MARKER = 0xDA, 0xE2
# Tables, restart interval, comment, JFIF, Photoshop, Adobe: nothing that turns or multiplies.
_PLAIN_MARKERS = (0xDB, 0xC4, 0xDD, 0xFE, 0xE0, 0xED, 0xEE)
_MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True, slots=True)
class _Header:
    mode: str
    width: int
    height: int
    format: str = "JPEG"
    frames: int = 1
    orientation: int = 1


def read_plain_jpeg(data: bytes, max_pixels: int) -> Picture | None:
    """The Picture of a sound JPEG without EXIF, XMP or further frames; None for any other bytes.

    Spares such files, most of what a crawl brings, the opening by Pillow: 40 of 590 microseconds
    for a photo of 60 KB. Colour costs 8 % more here than grey, and is what tells two variants of
    one product apart.
    """
    header = _plain_header(data)
    if header is None or not 0 < header.width * header.height <= max_pixels:
        return None
    pixels = _decode(data, header)
    return _picture(data, header, pixels) if isinstance(pixels, np.ndarray) else None


def read_jpeg(data: bytes, image: "ImageFile") -> Picture:
    """The Picture of any JPEG or MPO that Pillow has opened; raises what Pillow raises."""
    header = _Header(
        image.mode,
        *image.size,
        format=str(image.format),
        frames=getattr(image, "n_frames", 1),
        orientation=orientation_of(image),
    )
    pixels = _decode(data, header)
    if isinstance(pixels, np.ndarray):
        return _picture(data, header, pixels)
    # Both use libjpeg-turbo with the same settings and agree to the bit.
    scale = reduction(header.width, header.height)
    image.draft(None, (header.width // scale, header.height // scale))
    return _picture(data, header, np.asarray(image.convert("RGB")), damage=pixels)


def _plain_header(data: bytes) -> _Header | None:
    """Walk the segments up to the frame header; None at anything out of the ordinary."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    header, at, end = None, 2, len(data) - 16
    while at < end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _SCAN_MARKER:
            return header
        if marker in _FRAME_MARKERS and header is None:
            header = _frame_header(data[at + 4 : at + 10])
        elif not (marker in _PLAIN_MARKERS or _is_profile(data, at)):
            return None
        at += 2 + (data[at + 2] << 8 | data[at + 3])
    return None


def _is_profile(data: bytes, at: int) -> bool:
    return data[at + 1] == _PROFILE_MARKER and data.startswith(b"ICC_PROFILE\0", at + 4)


def _frame_header(frame: bytes) -> _Header | None:
    depth, height, width, components = unpack(">BHHB", frame)
    mode = _MODES.get(components)
    return _Header(mode, width, height) if mode and depth == 8 else None


def _decode(data: bytes, header: _Header) -> "Pixels | str":
    """RGB at the reduced scale as stored, or simplejpeg's objection; CMYK is left to Pillow.

    The entropy-coded stream is walked to its end all the same; only the inverse DCT is smaller.
    """
    if header.mode not in _MODES.values():
        return ""
    scale = reduction(header.width, header.height)
    rows, columns = -(-header.height // scale), -(-header.width // scale)
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=rows, min_width=columns)
    except (ValueError, TypeError, RuntimeError) as error:
        return str(error)
    return pixels


def _picture(data: bytes, header: _Header, stored: "Pixels", damage: str = "") -> Picture:
    scale = reduction(header.width, header.height)
    pixels = turn(stored, header.orientation)
    extent = (header.height / scale, header.width / scale)
    size = (header.width, header.height)
    width, height = size[::-1] if header.orientation >= 5 else size
    return Picture(
        format=header.format,
        width=width,
        height=height,
        stored_size=size,
        mode=header.mode,
        frames=header.frames,
        orientation=header.orientation,
        file_size=len(data),
        scale=scale,
        pixels=pixels,
        bounds=turned_bounds(extent, stored.shape[:2], header.orientation),
        pixel_checksum=checksum(pixels, (width, height), header.frames, scale),
        damage=damage,
    )
