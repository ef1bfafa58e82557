"""The second signal: edits of one picture are confirmed, different pictures are not."""

import gzip
import io
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter

from autods.dedup.confirm import RADIUS, Likeness, same_picture, stack_thumbs
from autods.errors import UsageError
from autods.features import Features, measure
from autods.validate import Picture, decode

Array = np.ndarray[Any, Any]
Edit = Callable[[Image.Image], Image.Image]

RULE = Likeness()
ANYTHING = Likeness(correlation=-2, local=1e9, tint=1e9, spot=1e9, contrast=0)


def sklearn_datasets() -> Path:
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        pytest.skip("scikit-learn, which brings photos and digits, is not installed")
    return Path(package.origin).parent / "datasets"


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    """Two photos and five crops of each."""
    folder = sklearn_datasets() / "images"
    whole = [Image.open(folder / name).convert("RGB") for name in ("china.jpg", "flower.jpg")]
    corners = [(0, 0), (240, 0), (0, 127), (240, 127), (120, 60)]
    crops = [image.crop((x, y, x + 400, y + 300)) for image in whole for x, y in corners]
    return whole + crops


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def read(data: bytes) -> tuple[Picture, Features]:
    picture = decode(data)
    assert isinstance(picture, Picture)
    return picture, measure(picture)


def alike(a: bytes, b: bytes) -> bool:
    """Both signals on one pair: hashes within the radius, and thumbnails that agree."""
    one, other = read(a)[1], read(b)[1]
    verdict, _ = same_picture(stack_thumbs([one.thumb]), stack_thumbs([other.thumb]))
    return (one.phash ^ other.phash).bit_count() <= RADIUS and bool(verdict[0])


def kept(files: Iterable[bytes], rule: Likeness = RULE) -> int:
    """How many are left when each is compared with those kept before it, in order.

    Equal pixels are removed first, as they are in a real run.
    """
    checksums: set[str] = set()
    hashes, thumbs = np.zeros(0, np.uint64), np.zeros((0, 384), np.uint8)
    for picture, features in map(read, files):
        if picture.pixel_checksum in checksums:
            continue
        checksums.add(picture.pixel_checksum)
        thumb, phash = stack_thumbs([features.thumb]), np.uint64(features.phash)
        near = np.bitwise_count(hashes ^ phash) <= RADIUS
        verdict, _ = same_picture(thumbs[near], np.repeat(thumb, near.sum(), axis=0), rule)
        if not verdict.any():
            hashes, thumbs = np.append(hashes, phash), np.vstack((thumbs, thumb))
    return len(thumbs)


def scaled(factor: float) -> Edit:
    return lambda image: image.resize((int(image.width * factor), int(image.height * factor)))


def cropped(share: float) -> Edit:
    def crop(image: Image.Image) -> Image.Image:
        x, y = image.width * share / 2, image.height * share / 2
        return image.crop((round(x), round(y), round(image.width - x), round(image.height - y)))

    return crop


def with_logo(image: Image.Image) -> Image.Image:
    copy = image.copy()
    copy.paste("red", (0, 0, image.width // 8, image.height // 8))
    return copy


EDITS: dict[str, Edit] = {
    "quarter size": scaled(0.25),
    "half size": scaled(0.5),
    "double size": scaled(2),
    "squashed": lambda image: image.resize((256, 256)),
    "blurred a little": lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    "sharpened": lambda image: image.filter(ImageFilter.UnsharpMask(2, 150)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    "more colour": lambda image: ImageEnhance.Color(image).enhance(1.3),
    "cropped by 1 %": cropped(0.01),
    "cropped by 2 %": cropped(0.02),
}
OTHERS: dict[str, Edit] = {
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "red and blue exchanged": lambda image: Image.merge("RGB", image.split()[::-1]),
    "cropped by 15 %": cropped(0.15),
    "with a logo": with_logo,
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edit_of_a_photo_is_the_same_picture(photos: list[Image.Image], edit: Edit) -> None:
    assert all(alike(encoded(photo, quality=95), encoded(edit(photo))) for photo in photos)


@pytest.mark.parametrize("quality", [30, 50, 75, 95])
def test_a_recompressed_photo_is_the_same_picture(photos: list[Image.Image], quality: int) -> None:
    for photo in photos:
        assert alike(encoded(photo, "BMP"), encoded(photo, quality=quality))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "GIF"])
def test_a_photo_in_another_format_is_the_same_picture(
    photos: list[Image.Image], kind: str
) -> None:
    for photo in photos[2:]:
        assert alike(encoded(photo), encoded(photo, kind))


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS.keys())
def test_another_picture_is_not_confirmed(photos: list[Image.Image], change: Edit) -> None:
    assert not any(alike(encoded(photo), encoded(change(photo))) for photo in photos)


def test_crops_of_different_places_stay_different(photos: list[Image.Image]) -> None:
    assert kept(encoded(photo) for photo in photos) == len(photos)


def test_twelve_edits_of_one_photo_leave_one(data: Path) -> None:
    files = sorted((data / "neardup" / "bridge-mods").iterdir())
    assert len(files) == 12
    assert kept(path.read_bytes() for path in files) == 1
    assert kept(path.read_bytes() for path in reversed(files)) == 1


def test_nine_orientations_of_one_photo_leave_one(data: Path) -> None:
    files = sorted((data / "exif").iterdir())
    assert len(files) == 9
    assert kept(path.read_bytes() for path in files) == 1


@pytest.mark.slow
def test_drawings_that_the_hash_collapses_are_all_kept(data: Path) -> None:
    files = [path.read_bytes() for path in sorted((data / "clipart").rglob("*.png"))]
    assert len(files) == 346
    assert kept(files) >= 314
    assert kept(files, ANYTHING) < 270


@pytest.mark.slow
def test_different_digits_of_one_class_are_kept() -> None:
    with gzip.open(sklearn_datasets() / "data" / "digits.csv.gz") as table:
        rows = np.loadtxt(table, delimiter=",", dtype=np.uint8)[:600, :64]
    pictures = [Image.fromarray((row.reshape(8, 8) * 15.9).astype(np.uint8)) for row in rows]
    files = [
        encoded(image.resize((128, 128), Image.Resampling.BICUBIC), "BMP") for image in pictures
    ]
    assert kept(files) >= 599
    assert kept(files, ANYTHING) < 520


def thumb(luma: Array, blue: int | Array = 128, red: int | Array = 128) -> Array:
    """One thumbnail out of its planes, as an array of one row."""
    planes = [np.broadcast_to(luma, (16, 16)), *(np.broadcast_to(c, (8, 8)) for c in (blue, red))]
    return np.concatenate([plane.ravel() for plane in planes]).astype(np.uint8)[None]


SLOPE = np.add.outer(np.arange(16) * 6, np.arange(16) * 7)


def verdict(a: Array, b: Array) -> bool:
    return bool(same_picture(a, b)[0][0])


def test_two_flat_pictures_are_never_confirmed_not_even_equal_ones() -> None:
    grey = thumb(np.full((16, 16), 90))
    confirmed, score = same_picture(grey, grey)
    assert (confirmed[0], score[0]) == (False, 0)


def test_a_pale_thumbnail_cannot_vouch() -> None:
    pale = thumb(120 + SLOPE // 10)
    assert not verdict(pale, pale)
    assert verdict(thumb(SLOPE), thumb(SLOPE))


def test_brightness_and_contrast_do_not_matter() -> None:
    assert verdict(thumb(SLOPE), thumb(30 + SLOPE))
    assert verdict(thumb(SLOPE), thumb(20 + SLOPE * 0.7))


def test_a_negative_is_another_picture() -> None:
    assert same_picture(thumb(SLOPE), thumb(200 - SLOPE))[1][0] == pytest.approx(-1, abs=0.01)
    assert not verdict(thumb(SLOPE), thumb(200 - SLOPE))


def test_one_changed_place_makes_another_picture() -> None:
    changed = SLOPE.copy()
    changed[4:6, 4:6] += 60
    score = same_picture(thumb(SLOPE), thumb(changed))[1][0]
    assert score > RULE.correlation
    assert not verdict(thumb(SLOPE), thumb(changed))


def test_another_colour_all_over_or_in_one_spot_makes_another_picture() -> None:
    spot = np.full((8, 8), 128)
    spot[2, 3] = 160
    assert verdict(thumb(SLOPE, blue=128), thumb(SLOPE, blue=138))
    assert not verdict(thumb(SLOPE, blue=128), thumb(SLOPE, blue=150))
    assert not verdict(thumb(SLOPE), thumb(SLOPE, red=spot))


@given(st.integers(0, 2**32), st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_the_verdict_is_symmetric(seed: int, change: int) -> None:
    chance = np.random.default_rng(seed)
    a = chance.integers(0, 256, (20, 384), np.uint8)
    b = (a + chance.integers(-change, change + 1, a.shape)).clip(0, 255).astype(np.uint8)
    for forth, back in zip(same_picture(a, b), same_picture(b, a), strict=True):
        assert np.allclose(forth, back)


def test_many_pairs_at_once_give_what_each_gives_alone() -> None:
    chance = np.random.default_rng(3)
    a = chance.integers(0, 256, (9000, 384), np.uint8)
    b = (a + chance.integers(-90, 91, a.shape)).clip(0, 255).astype(np.uint8)
    b[::2] = a[::2]
    together, scores = same_picture(a, b)
    assert together[::2].all()
    for row in (0, 1, 8191, 8192, 8999):
        alone, score = same_picture(a[row : row + 1], b[row : row + 1])
        assert (alone[0], score[0]) == (together[row], pytest.approx(scores[row], abs=1e-5))


def test_no_pairs_give_no_verdicts() -> None:
    nothing = np.zeros((0, 384), np.uint8)
    assert [len(part) for part in same_picture(nothing, nothing)] == [0, 0]


def test_no_thumbnails_stack_to_no_rows() -> None:
    assert stack_thumbs([]).shape == (0, 384)


def test_thumbnails_of_another_shape_are_an_error_that_names_it() -> None:
    right = np.zeros((2, 384), np.uint8)
    with pytest.raises(UsageError, match=r"\(2, 100\), not \(n, 384\)"):
        same_picture(right, np.zeros((2, 100), np.uint8))
    with pytest.raises(UsageError, match="2 thumbnails cannot be paired with 3"):
        same_picture(right, np.zeros((3, 384), np.uint8))
    with pytest.raises(UsageError, match="7 bytes"):
        stack_thumbs([bytes(7), bytes(7)])
