"""Pictures with a known relation to each other: all different, equal to the pixel, or near.

A picture is drawn from its perceptual hash: 64 low frequencies whose signs are the bits of a code,
each code at least `APART` bits from all others. Encoding changes no bit of it, so that what is
near and what is far is known by construction, for any number of pictures.
"""

import io
import struct
import zlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

APART = 18
"""Bits between the hashes of any two pictures, at least."""

_SIDES = (128, 201)
_FORMATS = {"GIF": range(1), "PNG": range(1, 5), "WEBP": range(5, 12)}
"""Which of 50 pictures have which format; all others are JPEG."""

TYPES = {"GIF": "image/gif", "PNG": "image/png", "WEBP": "image/webp", "JPEG": "image/jpeg"}
ENDINGS = {"GIF": ".gif", "PNG": ".png", "WEBP": ".webp", "JPEG": ".jpg"}


class Pictures:
    """Any number of pictures, by number; the same seed draws the same ones.

    >>> Pictures(7).plain(3) == Pictures(7).plain(3) != Pictures(8).plain(3)
    True
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._codes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._drawn = 0
        self._random = np.random.default_rng(seed)

    def code(self, number: int) -> int:
        """Return the perceptual hash that a picture is drawn from."""
        while self._drawn <= number:
            self._add_code()
        return int(self._codes[number])

    def draw(self, number: int) -> Image.Image:
        """Draw a picture of 128 to 200 pixels a side, in YCbCr."""
        bits = np.unpackbits(np.frombuffer(self.code(number).to_bytes(8, "big"), np.uint8))
        random = np.random.default_rng((self._seed, number))
        height, width = (int(side) for side in random.integers(*_SIDES, 2))
        luma = np.where(bits, 1.0, -1.0) * random.uniform(8, 12, 64)
        luma[0] = random.uniform(-15, 15)  # The mean; its bit is always set.
        chroma = random.normal(0, 6, (2, 8, 8)) * (np.add.outer(range(8), range(8)) < 5)
        planes = np.concatenate([luma.reshape(1, 8, 8), chroma]).astype(np.float32)
        levels = 128 + _waves(height).T @ planes @ _waves(width)
        pixels = np.clip(np.rint(levels), 0, 255).astype(np.uint8).transpose(1, 2, 0)
        return Image.fromarray(np.ascontiguousarray(pixels), "YCbCr")

    def plain(self, number: int) -> bytes:
        """Return a picture as a file in its format."""
        image = self.draw(number)
        match format_of(number):
            case "GIF":
                few = image.convert("RGB").quantize(
                    128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
                )
                return _saved(few, "GIF")
            case "PNG":
                return _saved(image.convert("RGB"), "PNG", compress_level=1)
            case "WEBP":
                return _saved(image.convert("RGB"), "WEBP", quality=88, method=0)
            case _:
                return _saved(image, "JPEG", quality=92)

    def same_pixels(self, number: int, turn: int) -> bytes:
        """Return other bytes of the same pixels and the same format, PNG or JPEG."""
        note = f"copy {turn}"
        if format_of(number) == "PNG":
            text = PngImagePlugin.PngInfo()
            text.add_text("Comment", note)
            return _saved(self.draw(number).convert("RGB"), "PNG", compress_level=6, pnginfo=text)
        return _saved(self.draw(number), "JPEG", quality=92, comment=note)

    def nearly(self, number: int, turn: int) -> bytes:
        """Return a JPEG of the same picture: recompressed, or recompressed and a tenth smaller."""
        image = self.draw(number)
        if turn % 2:
            size = (round(image.width * 0.9), round(image.height * 0.9))
            image = image.resize(size, Image.Resampling.LANCZOS)
        return _saved(image, "JPEG", quality=84 - turn % 12)

    def truncated(self, number: int) -> bytes:
        """Return the first half of a JPEG."""
        data = _saved(self.draw(number), "JPEG", quality=92)
        return data[: len(data) // 2]

    def garbage(self, number: int) -> bytes:
        """Return bytes that are nothing."""
        return b"\x01" + np.random.default_rng((self._seed, 1, number)).bytes(3000)

    def _add_code(self) -> None:
        """Find a code far from all before it: 32 bits of 64, for that many exceed the median."""
        if self._drawn == len(self._codes):
            self._codes = np.resize(self._codes, max(1024, 2 * self._drawn))
        while True:
            bits = np.zeros(64, np.uint8)
            bits[0] = 1
            bits[1 + self._random.permutation(63)[:31]] = 1
            code = np.uint64(int.from_bytes(np.packbits(bits).tobytes(), "big"))
            others = self._codes[: self._drawn]
            if not self._drawn or np.bitwise_count(others ^ code).min() >= APART:
                break
        self._codes[self._drawn] = code
        self._drawn += 1


def format_of(number: int) -> str:
    """Return the format of a picture.

    >>> [format_of(n) for n in (0, 1, 5, 12)]
    ['GIF', 'PNG', 'WEBP', 'JPEG']
    """
    return next((name for name, those in _FORMATS.items() if number % 50 in those), "JPEG")


def huge_png(side: int = 60_000) -> bytes:
    """Return a PNG of a hundred bytes that claims `side` x `side` pixels."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@cache
def _waves(length: int) -> NDArray[np.float32]:
    """(8, length): the eight lowest cosines along a side."""
    places = np.outer(np.arange(8), 2 * np.arange(length) + 1)
    return np.cos(np.pi * places / (2 * length)).astype(np.float32)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
