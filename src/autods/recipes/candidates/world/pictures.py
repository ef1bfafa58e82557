"""Small pictures with a known relation to each other: all different, equal to the pixel, or near.

A picture is drawn from its perceptual hash: 64 low frequencies whose signs are the bits of a code,
each code at least `APART` bits from all others. Encoding changes hardly a bit of it, so that what
is near and what is far is known by construction, for any number of pictures.
"""

import io
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from autods.recipes.candidates.world.shapes import File

APART = 18
"""Bits between the codes of any two pictures, at least."""

_SIDES = (96, 161)


class Pictures:
    """Any number of pictures, by number; the same seed draws the same ones.

    >>> Pictures(7).data(File(3)) == Pictures(7).data(File(3)) != Pictures(8).data(File(3))
    True
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._codes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._drawn = 0
        self._random = np.random.default_rng(seed)
        self._digests: dict[File, str] = {}

    def data(self, file: File) -> bytes:
        """Make the bytes of a file, in less than a millisecond."""
        match file.form:
            case "empty":
                return b""
            case "page":
                return f"<!doctype html><title>404</title><p>Photo {file.picture}".encode()
            case "cut":
                whole = _saved(self.draw(file.picture), "JPEG", quality=90)
                return whole[: len(whole) // 2]
            case "near":
                return self._near(file)
            case form:
                return self._own(file, f"saved again, {file.turn}" if form == "resaved" else "")

    def digest(self, file: File) -> str:
        """Give the SHA-256 of a file, computed once."""
        if file not in self._digests:
            self._digests[file] = sha256(self.data(file)).hexdigest()
        return self._digests[file]

    def code(self, number: int) -> int:
        """Give the perceptual hash that a picture is drawn from."""
        while self._drawn <= number:
            self._add_code()
        return int(self._codes[number])

    def draw(self, number: int) -> Image.Image:
        """Draw a picture of 96 to 160 pixels a side, in YCbCr."""
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

    def _own(self, file: File, note: str) -> bytes:
        image = self.draw(file.picture)
        match file.kind:
            case "png":
                text = PngImagePlugin.PngInfo()
                if note:
                    text.add_text("Comment", note)
                return _saved(image.convert("RGB"), "PNG", compress_level=1, pnginfo=text)
            case "webp":
                return _saved(image.convert("RGB"), "WEBP", quality=88, method=0)
            case _:
                return _saved(image, "JPEG", quality=90, **({"comment": note} if note else {}))

    def _near(self, file: File) -> bytes:
        image = self.draw(file.picture)
        if file.turn % 2:
            size = (round(image.width * 0.9), round(image.height * 0.9))
            image = image.resize(size, Image.Resampling.LANCZOS)
        return _saved(image, "JPEG", quality=84 - file.turn % 12)

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


@cache
def _waves(length: int) -> NDArray[np.float32]:
    """(8, length): the eight lowest cosines along a side."""
    places = np.outer(np.arange(8), 2 * np.arange(length) + 1)
    return np.cos(np.pi * places / (2 * length)).astype(np.float32)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
