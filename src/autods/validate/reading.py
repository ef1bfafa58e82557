"""Reads one file of any format, and turns whatever goes wrong into a Refusal."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from autods.records import Refusal
from autods.validate.formats import open_image
from autods.validate.jpeg import read_jpeg, read_plain_jpeg
from autods.validate.metadata import orientation_of
from autods.validate.quiet import hush
from autods.validate.raster import canonical, checksum, digest, preview, reduction, turn
from autods.validate.shapes import Limits, Picture

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from autods.validate.raster import Deep

_Answer = TypeVar("_Answer")
_ENDS_EARLY = ("truncated", "unexpected end", "end of file", "premature", "incomplete")


def decode_picture(data: bytes, limits: Limits) -> Picture | Refusal:
    """See `autods.validate.decode`."""
    return _judge(data, limits, _decode)


def checksum_of_frames(data: bytes, limits: Limits) -> str | Refusal:
    """See `autods.validate.full_checksum`."""
    return _judge(data, limits, _checksum_of_frames)


def _judge(
    data: bytes, limits: Limits, read: "Callable[[bytes, Limits], _Answer | Refusal]"
) -> "_Answer | Refusal":
    if not data:
        return Refusal("rejected", "empty", "0 bytes")
    if len(data) > limits.max_bytes:
        detail = f"{len(data)} bytes are more than the limit of {limits.max_bytes}"
        return Refusal("rejected", "too-large", detail)
    try:
        return read(data, limits)
    # Decoders of hostile bytes raise nearly anything (OSError, SyntaxError, TypeError, IndexError,
    # NotImplementedError, struct.error, ...): here, and only here, all of it is a verdict on the
    # bytes and not a bug of ours.
    except Exception as error:  # noqa: BLE001
        return _refuse(error)


def _refuse(error: Exception) -> Refusal:
    detail = f"{type(error).__name__}: {error}"[:300]
    if isinstance(error, Image.DecompressionBombError):
        return Refusal("rejected", "too-many-pixels", detail)
    if isinstance(error, MemoryError):
        return Refusal("rejected", "out-of-memory", detail)
    early = isinstance(error, EOFError) or any(word in detail.lower() for word in _ENDS_EARLY)
    return Refusal("rejected", "truncated" if early else "corrupt", detail)


def _decode(data: bytes, limits: Limits) -> Picture | Refusal:
    plain = read_plain_jpeg(data, limits.max_pixels) if "JPEG" in limits.allowed else None
    if plain is not None:
        return plain
    with hush:
        image = _open(data, limits)
        if isinstance(image, Refusal):
            return image
        if image.format in ("JPEG", "MPO"):
            return read_jpeg(data, image)
        return _read_other(data, image)


def _open(data: bytes, limits: Limits) -> "ImageFile | Refusal":
    image = open_image(data, limits.allowed)
    if isinstance(image, Refusal) or image.width * image.height <= limits.max_pixels:
        return image
    detail = f"{image.width} x {image.height} is more than the limit of {limits.max_pixels} pixels"
    return Refusal("rejected", "too-many-pixels", detail)


def _read_other(data: bytes, image: "ImageFile") -> Picture:
    mode, stored_size, frames = image.mode, image.size, getattr(image, "n_frames", 1)
    orientation = orientation_of(image)
    _verify(data, image)
    full = _frame(image, orientation)
    height, width = full.shape[:2]
    scale = reduction(width, height)
    return Picture(
        format=str(image.format),
        width=width,
        height=height,
        stored_size=stored_size,
        mode=mode,
        frames=frames,
        orientation=orientation,
        file_size=len(data),
        scale=scale,
        pixels=preview(full, scale),
        bounds=(0.0, 0.0, height / scale, width / scale),
        pixel_checksum=checksum(full, (width, height), frames, 1),
    )


def _verify(data: bytes, image: "ImageFile") -> None:
    """Check the chunk checksums on a second opening, for `verify` leaves a file unusable."""
    second = open_image(data, (str(image.format),))
    if not isinstance(second, Refusal):
        second.verify()


def _checksum_of_frames(data: bytes, limits: Limits) -> str | Refusal:
    with hush:
        image = _open(data, limits)
        if isinstance(image, Refusal):
            return image
        parts = [digest(frame) for frame in _frames(image)]
    return digest(np.frombuffer("".join(parts).encode(), np.uint8), len(parts))


def _frames(image: "ImageFile") -> "Iterator[Deep]":
    for index in range(getattr(image, "n_frames", 1)):
        image.seek(index)
        yield _frame(image, orientation_of(image))


def _frame(image: "ImageFile", orientation: int) -> "Deep":
    """The current frame decoded in full, as seen; Pillow itself turns TIFF when it loads it."""
    image.load()
    return turn(canonical(image), 1 if image.format == "TIFF" else orientation)
