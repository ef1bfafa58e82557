"""Opens bytes with the allowed readers only, or says what they look like."""

import importlib
import io
from functools import cache
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from autods.records import Refusal
from autods.validate.shapes import FORMATS

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (8, b"WEBP", "WEBP"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    *((4, b"ftyp" + brand, "HEIF") for brand in (b"hei", b"hev", b"mif1", b"msf1")),
    (0, b"\0\0\0\x0cjP  ", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"8BPS", "PSD"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "gzip"),
    (4, b"ftyp", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
)
_MARKUP = ((b"<!doctype html", "HTML"), (b"<html", "HTML"), (b"<svg", "SVG"), (b"<?xml", "XML"))


@cache
def _readers(formats: tuple[str, ...]) -> tuple[str, ...]:
    """Load the readers of `formats`, and no other; the names under which Pillow knows them."""
    for name in formats:
        module = importlib.import_module(FORMATS[name])
        if name == "HEIF":
            module.register_heif_opener()
    # Pillow opens an MPO as the JPEG that it starts with.
    return tuple(dict.fromkeys("JPEG" if name == "MPO" else name for name in formats))


def open_image(data: bytes, formats: tuple[str, ...]) -> "ImageFile | Refusal":
    """The file opened, header read and no pixel decoded, or the Refusal of its format."""
    try:
        image = Image.open(io.BytesIO(data), formats=_readers(formats))
    except UnidentifiedImageError:
        return _refuse_format(look(data), formats)
    if image.format not in formats:
        return _refuse_format(str(image.format), formats)
    return image


def look(data: bytes) -> str | None:
    """What the first bytes look like, by signature; None where nothing is known.

    >>> look(b"%PDF-1.7"), look(b"hello")
    ('PDF', None)
    """
    for offset, signature, name in _SIGNATURES:
        if data.startswith(signature, offset):
            return name
    head = data[:256].lstrip().lower()
    return next((name for start, name in _MARKUP if head.startswith(start)), None)


def _refuse_format(name: str | None, formats: tuple[str, ...]) -> Refusal:
    if name is None:
        return Refusal("rejected", "unknown-format", "no known signature")
    if name in formats:
        return Refusal("rejected", "corrupt", f"starts like {name}, but its header cannot be read")
    detail = f"looks like {name}, which is not among the allowed formats"
    if name == "HEIF":
        detail += "; reading HEIC and HEIF needs the package pillow-heif"
    return Refusal("rejected", "unsupported-format", detail)
