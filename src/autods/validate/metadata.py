"""Reads the one piece of metadata that changes what is seen: the orientation."""

from struct import error as struct_error
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_ORIENTATION_TAG = 0x0112
_BAD_METADATA = (AttributeError, LookupError, OSError, SyntaxError, TypeError, ValueError)


def orientation_of(image: "ImageFile") -> int:
    """EXIF's (or else XMP's) orientation, 1 to 8; broken metadata is no reason to refuse pixels."""
    if image.format in ("JPEG", "MPO") and not image.info.keys() & {"exif", "xmp"}:
        return 1
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except (*_BAD_METADATA, struct_error):
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
