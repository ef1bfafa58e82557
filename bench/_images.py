"""Makes the photographs that the ingest bench works on, cached and the same on every machine.

Each is a mosaic of six crops of scikit-learn's two photos, flipped, brightened and grained: the
texture of photographs, so that decoding costs what it costs, and no two alike unless planted.
Of every 100, one is broken, five are copies of others to the byte, five are others saved smaller.
"""

import io
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

SIZE = (640, 480)
CORRUPT, EXACT, NEAR = 1, 5, 5
"""Of every 100 files; the rest are originals."""


def images(count: int, cache: Path) -> Path:
    """Give a folder of `count` files 00000.jpg, ..., written once."""
    folder = cache / f"images-{count}"
    done = folder.with_suffix(".done")
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"writing {count:,} images into {folder} (once)", flush=True)
        with ProcessPoolExecutor() as pool:
            list(pool.map(partial(_write, folder, count), range(0, count, 100)))
        done.touch()
    return folder


def planted(count: int) -> dict[str, int]:
    """Tell what an ingest and a build must find among `count` files, a multiple of 100."""
    hundreds = count // 100
    return {"corrupt": CORRUPT * hundreds, "exact": EXACT * hundreds, "near": NEAR * hundreds}


def _write(folder: Path, count: int, start: int) -> None:
    """Write a hundred files (fewer at the end), shuffled among themselves."""
    names = list(range(start, min(start + 100, count)))
    random.Random(start).shuffle(names)
    for number, data in zip(names, _hundred(start), strict=False):
        (folder / f"{number:05d}.jpg").write_bytes(data)


def _hundred(seed: int) -> Iterator[bytes]:
    """Yield the originals first, then what is made of them."""
    draw = random.Random(f"mosaic {seed}")
    originals = [_photo(draw) for _ in range(100 - CORRUPT - EXACT - NEAR)]
    encoded = [_encoded(photo, 80) for photo in originals]
    yield from encoded
    yield from encoded[:EXACT]
    for photo in originals[EXACT : EXACT + NEAR]:
        yield _encoded(photo.resize((512, 384), Image.Resampling.LANCZOS), 75)
    for data in encoded[-CORRUPT:]:
        # Cut in the middle, which libjpeg alone forgives, or a page saved as a picture.
        yield data[: len(data) // 2] if seed % 200 else b"<!doctype html>" + data[:2000]


def _photo(draw: random.Random) -> Image.Image:
    mosaic = Image.new("RGB", SIZE)
    for left in range(0, 640, 214):
        for top in range(0, 480, 240):
            mosaic.paste(_crop(draw), (left, top))
    pixels = np.asarray(mosaic, np.int16)
    start = draw.randrange(1 << 20)
    grain = _grain()[start : start + pixels.size].reshape(pixels.shape)
    return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))


def _crop(draw: random.Random) -> Image.Image:
    photo = draw.choice(_photos())
    width = draw.randint(150, 300)
    height = width * 240 // 214
    left, top = draw.randint(0, photo.width - width), draw.randint(0, photo.height - height)
    crop = photo.crop((left, top, left + width, top + height)).resize((214, 240))
    if draw.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return ImageEnhance.Brightness(crop).enhance(draw.uniform(0.4, 1.6))


@cache
def _photos() -> list[Image.Image]:
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(photo) for photo in load_sample_images().images]


@cache
def _grain() -> Any:
    random_ = np.random.default_rng(0)
    return random_.normal(0, 2.0, 640 * 480 * 3 + (1 << 20)).astype(np.int16)


def _encoded(photo: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
