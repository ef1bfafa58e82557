"""Features: a hash that is imagehash's, quality figures that order known defects, one thumbnail."""

import io
import pickle
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from autods.dedup import confirm
from autods.features import PHASH_ALGORITHM, THUMB_BYTES, Features, measure, phash_hex
from autods.features.resample import UNIT, weights
from autods.validate import Picture, decode

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
QUALITIES = ("brightness", "contrast", "entropy", "sharpness")


@dataclass(frozen=True)
class Bare:
    """Pixels alone, all of which are picture."""

    pixels: Pixels

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        return (0.0, 0.0, float(self.pixels.shape[0]), float(self.pixels.shape[1]))


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    """The two photos that scikit-learn brings along, and crops of them."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        pytest.skip("scikit-learn, which brings two photos, is not installed")
    folder = Path(package.origin).parent / "datasets" / "images"
    whole = [Image.open(folder / name).convert("RGB") for name in ("china.jpg", "flower.jpg")]
    boxes = [(0, 0, 640, 427), (0, 0, 320, 240), (200, 100, 640, 427), (100, 50, 500, 350)]
    return [image.crop(box) for image in whole for box in boxes]


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def measured(data: bytes) -> Features:
    picture = decode(data)
    assert isinstance(picture, Picture)
    return measure(picture)


def bits_apart(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def of_imagehash(data: bytes) -> int:
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return int(str(imagehash.phash(shown.convert("RGB"))), 16)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP"])
def test_the_hash_of_a_photo_is_within_4_bits_of_imagehash(
    photos: list[Image.Image], kind: str
) -> None:
    chance = np.random.default_rng(5)
    apart = []
    for number in range(40):
        width, height = (int(side) for side in chance.integers(48, 900, 2))
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        image = photos[number % len(photos)].resize((width, height), Image.Resampling.BICUBIC)
        data = encoded(image, kind, exif=exif)
        apart.append(bits_apart(measured(data).phash, of_imagehash(data)))
    assert max(apart) <= 4
    assert np.mean(np.array(apart) == 0) > 0.75


def test_the_hash_survives_recompression_scaling_and_a_change_of_format(
    photos: list[Image.Image],
) -> None:
    for photo in photos:
        original = measured(encoded(photo, "BMP")).phash
        half = photo.resize((photo.width // 2, photo.height // 2))
        copies = (encoded(photo, quality=30), encoded(half), encoded(half, "WEBP"))
        assert max(bits_apart(original, measured(copy).phash) for copy in copies) <= 4


def test_the_hash_is_printed_as_imagehash_prints_it(photos: list[Image.Image]) -> None:
    data = encoded(photos[0], "PNG")
    printed = phash_hex(measured(data).phash)
    assert len(printed) == 16
    assert bits_apart(int(printed, 16), of_imagehash(data)) <= 4
    assert measured(data).phash_algorithm == PHASH_ALGORITHM


def test_dark_light_flat_and_blurred_copies_are_told_from_their_originals(
    photos: list[Image.Image],
) -> None:
    def figures(images: list[Image.Image], quality: str) -> list[float]:
        return [getattr(measured(encoded(image, quality=90)), quality) for image in images]

    dark = [ImageEnhance.Brightness(photo).enhance(0.25) for photo in photos]
    light = [Image.blend(photo, Image.new("RGB", photo.size, "white"), 0.75) for photo in photos]
    flat = [ImageEnhance.Contrast(photo).enhance(0.12) for photo in photos]
    blurred = [photo.filter(ImageFilter.GaussianBlur(3)) for photo in photos]
    assert max(figures(dark, "brightness")) < min(figures(photos, "brightness"))
    assert min(figures(light, "brightness")) > max(figures(photos, "brightness"))
    assert max(figures(flat, "contrast")) < min(figures(photos, "contrast"))
    assert max(figures(flat, "entropy")) < min(figures(photos, "entropy"))
    assert max(figures(blurred, "sharpness")) < min(figures(photos, "sharpness"))


def test_sharpness_does_not_depend_on_brightness_or_contrast(photos: list[Image.Image]) -> None:
    for photo in photos:
        sharp = measured(encoded(photo, "BMP")).sharpness
        dim = measured(encoded(ImageEnhance.Brightness(photo).enhance(0.4), "BMP")).sharpness
        assert dim == pytest.approx(sharp, abs=0.02)


def test_figures_of_generated_pictures_are_what_their_formulas_say() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 1), np.uint8)
    random = measure(Bare(np.repeat(noise, 3, axis=2)))
    assert random.sharpness == pytest.approx(1, abs=0.05)
    assert random.brightness == pytest.approx(0.5, abs=0.02)
    assert random.contrast == pytest.approx(1 / 12**0.5, abs=0.02)
    assert random.entropy > 7.9

    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:, 32:] = 255
    two_toned = measure(Bare(halves))
    assert (two_toned.brightness, two_toned.contrast, two_toned.entropy) == (0.5, 0.5, 1.0)

    slope = np.broadcast_to(np.arange(0, 256, 4)[:, None], (64, 64, 3)).astype(np.uint8)
    assert measure(Bare(slope)).sharpness == 0


@given(st.tuples(*[st.integers(0, 255)] * 3), st.integers(1, 300), st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_a_flat_picture_of_any_colour_and_size_measures_as_flat(
    colour: tuple[int, int, int], width: int, height: int
) -> None:
    features = measure(Bare(np.full((height, width, 3), colour, np.uint8)))
    assert (features.contrast, features.entropy, features.sharpness) == (0, 0, 0)
    assert phash_hex(features.phash) in ("8000000000000000", "0000000000000000")
    assert len(set(features.thumb[:256])) == len(set(features.thumb[256:320])) == 1


@given(st.integers(1, 260), st.integers(1, 260), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_every_size_is_measured_and_every_figure_is_in_its_range(
    width: int, height: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    features = measure(Bare(pixels))
    assert 0 <= features.phash < 2**64
    assert len(features.thumb) == THUMB_BYTES
    highest = {"brightness": 1.0, "contrast": 0.5, "entropy": 8.0, "sharpness": 1.0}
    assert all(0 <= getattr(features, name) <= highest[name] for name in QUALITIES)


def test_a_very_long_picture_costs_no_more_than_another() -> None:
    pixels = np.zeros((3, 200_000, 3), np.uint8)
    pixels[:, 100_000:] = 255
    assert measure(Bare(pixels)).brightness == 0.5


def test_how_pixels_lie_in_memory_does_not_change_a_figure(photos: list[Image.Image]) -> None:
    pixels = np.asarray(photos[0])
    turned = np.ascontiguousarray(pixels.swapaxes(0, 1)).swapaxes(0, 1)
    assert not turned.flags.c_contiguous
    assert measure(Bare(turned)) == measure(Bare(pixels))


@pytest.mark.parametrize(
    ("name", "levels"),
    [("white", (255, 128, 128)), ("red", (76, 85, 255)), ("blue", (29, 255, 107))],
)
def test_a_thumbnail_holds_luma_and_chroma_as_jpeg_defines_them(
    name: str, levels: tuple[int, int, int]
) -> None:
    thumb = measured(encoded(Image.new("RGB", (30, 20), name), "PNG")).thumb
    assert (thumb[0], thumb[256], thumb[320]) == levels


def test_a_thumbnail_keeps_the_picture_in_its_place() -> None:
    quarters = np.zeros((96, 160, 3), np.uint8)
    quarters[:48, 80:] = 255
    thumb = np.frombuffer(measure(Bare(quarters)).thumb, np.uint8)
    luma = thumb[:256].reshape(16, 16)
    assert luma[:8, 8:].min() == 255
    assert luma[8:].max() == luma[:8, :8].max() == 0


def test_the_thumbnail_is_the_one_that_confirmation_reads() -> None:
    assert confirm.THUMB_BYTES == THUMB_BYTES


@given(st.integers(1, 127), st.floats(0, 0.99), st.floats(0, 0.99))
@settings(max_examples=60, deadline=None)
def test_all_arithmetic_is_exact_so_that_every_processor_agrees(
    pixels: int, before: float, after: float
) -> None:
    axis = weights(pixels, before / 2, pixels - after / 2)
    assert np.array_equal(axis, np.rint(axis))
    gain = np.abs(axis.astype(np.float64)).sum(axis=1).max()
    assert 255 * gain < 2**24
    assert 255 * gain * gain * 1000 < 2**53
    assert (axis[8:].sum(axis=1) == UNIT).all()
    assert (axis[1:8].sum(axis=1) == 0).all()


def test_features_travel_between_processes(photos: list[Image.Image]) -> None:
    features = measured(encoded(photos[0]))
    assert pickle.loads(pickle.dumps(features)) == features
    assert pickle.loads(pickle.dumps(measure)) is measure
