"""Judges the bytes of one file: a `Picture` with its pixels, or a `Refusal` with its reason.

Everything here is a free function over bytes, picklable, with no database and no store, made for
worker processes: a worker calls `silence_native_stderr()` once and `decode` for every file. Pillow
and numpy are imported by the first call, not by importing this package.
"""

from typing import TYPE_CHECKING

from autods.validate.shapes import FORMATS, MIN_SIDE, SAFE_FORMATS, Limits, Picture

if TYPE_CHECKING:
    from autods.records import Refusal

__all__ = [
    "FINGERPRINT",
    "FORMATS",
    "MIN_SIDE",
    "SAFE_FORMATS",
    "Limits",
    "Picture",
    "decode",
    "full_checksum",
    "is_exact",
    "same_pixels",
    "silence_native_stderr",
]

FINGERPRINT = "validate-v1"
"""Version of the code that judged a row; it changes when a verdict, size or checksum may."""

_DEFAULT = Limits()


def decode(data: bytes, limits: Limits = _DEFAULT) -> "Picture | Refusal":
    """Decode one picture in full, or say why it cannot be one.

    Both Pillow's `verify` (checksums of chunks) and a decode of every pixel are done: of 34
    undecodable files `verify` alone passed 13, and a decode alone passes a PNG with a bad CRC. The
    verdict is Pillow's; a JPEG's pixels come from simplejpeg at a reduced DCT scale, which walks
    the whole entropy-coded stream all the same, and Pillow is asked again where simplejpeg objects.

    A Refusal is always `rejected`, with one of the reasons `empty`, `too-large`, `too-many-pixels`,
    `unknown-format`, `unsupported-format`, `truncated`, `corrupt`, `out-of-memory`. No error is
    raised and no Python warning is shown, whatever the bytes; native libraries may still write to
    file descriptor 2 (see `silence_native_stderr`).

    >>> decode(b"").reason
    'empty'
    >>> decode(b"<!doctype html><p>404").detail
    'looks like HTML, which is not among the allowed formats'
    """
    from autods.validate.reading import decode_picture

    return decode_picture(data, limits)


def full_checksum(data: bytes, limits: Limits = _DEFAULT) -> "str | Refusal":
    """BLAKE3 of every frame at full resolution, as seen (orientation applied), as 32 hex digits.

    >>> full_checksum(b"").reason
    'empty'
    """
    from autods.validate.reading import checksum_of_frames

    return checksum_of_frames(data, limits)


def same_pixels(a: bytes, b: bytes, limits: Limits = _DEFAULT) -> bool:
    """Whether two files show the same pixels in every frame, both decoded at full resolution.

    A file that cannot be decoded is never the same as anything.

    >>> same_pixels(b"", b"")
    False
    """
    left = full_checksum(a, limits)
    return isinstance(left, str) and left == full_checksum(b, limits)


def is_exact(pixel_checksum: str) -> bool:
    """Whether equality of this checksum proves equal pixels, or only makes a candidate.

    `px1:` is taken over all pixels of the only frame. Any other scheme (`dct1/8:` over a JPEG
    reduced to an eighth, `frames-...` where only the first of many frames was hashed) has to be
    confirmed by `same_pixels`.

    >>> is_exact("px1:0c5d"), is_exact("dct1/8:0c5d"), is_exact("frames-px1:0c5d")
    (True, False, False)
    """
    return pixel_checksum.startswith("px1:")


def silence_native_stderr() -> None:
    """Send what C libraries print on file descriptor 2 to nowhere; call once at a worker's start.

    libtiff prints up to hundreds of lines on one bad file. Python's own `sys.stderr` is moved to a
    copy of the descriptor first and goes on working, and so does an enabled `faulthandler`. Streams
    that hold the old `sys.stderr` object (a logging handler made earlier) fall silent as well.
    """
    from autods.validate.quiet import silence_descriptor

    silence_descriptor()
