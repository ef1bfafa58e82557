"""Validation: every good file becomes its true Picture, every bad one a Refusal with its reason."""

import io
import json
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from autods.errors import UsageError
from autods.records import Refusal
from autods.validate import (
    MIN_SIDE,
    Limits,
    Picture,
    decode,
    full_checksum,
    is_exact,
    same_pixels,
)


def photo(width: int = 640, height: int = 480) -> Image.Image:
    """A smooth picture with some detail, the same on every call."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).integers(0, 24, (height, width, 3))
    waves = np.stack([np.sin(x / 37), np.cos(y / 23), np.sin((x + y) / 51)], axis=-1)
    return Image.fromarray((115 + 100 * waves + noise).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def accepted(data: bytes, limits: Limits | None = None) -> Picture:
    answer = decode(data, limits or Limits())
    assert isinstance(answer, Picture), answer
    return answer


def refused(data: bytes, limits: Limits | None = None) -> str:
    answer = decode(data, limits or Limits())
    assert isinstance(answer, Refusal)
    assert answer.status == "rejected"
    assert answer.detail
    return answer.reason


def pillow_accepts(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


@pytest.mark.slow
def test_every_good_file_gives_its_size_format_mode_frames_and_orientation(data: Path) -> None:
    expected = json.loads((data / "images" / "EXPECTED.json").read_text())
    good = {name: truth for name, truth in expected.items() if truth["ok"]}
    assert len(good) == 297
    for name, truth in good.items():
        picture = accepted((data / name).read_bytes())
        assert picture.format == truth["format"], name
        assert list(picture.stored_size) == truth["size"], name
        assert picture.mode == truth["mode"], name
        assert picture.frames == truth["n_frames"], name
        assert picture.orientation == (truth["orientation"] or 1), name


@pytest.mark.slow
def test_every_good_file_is_seen_as_pillow_shows_it(data: Path) -> None:
    for path in sorted((data / "images" / "accept").iterdir()):
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            shown = ImageOps.exif_transpose(image).size
        picture = accepted(path.read_bytes())
        assert (picture.width, picture.height) == shown, path.name
        top, left, bottom, right = picture.bounds
        assert picture.pixels.shape == (*picture.pixels.shape[:2], 3)
        assert right - left == pytest.approx(picture.width / picture.scale)
        assert bottom - top == pytest.approx(picture.height / picture.scale)


def test_every_bad_file_is_refused(data: Path) -> None:
    reasons = {p.name: refused(p.read_bytes()) for p in (data / "images" / "reject").iterdir()}
    assert len(reasons) == 18
    assert reasons["decompression_bomb.gif"] == "too-many-pixels"
    assert reasons["bmp__b__reallybig.bmp"] == "too-many-pixels"
    assert reasons["bmp__b__shortfile.bmp"] == "truncated"
    assert reasons["pngsuite__xs1n0g01.png"] == "unknown-format"
    assert reasons["pngsuite__xcsn0g01.png"] == "corrupt"


@pytest.mark.skipif(find_spec("pillow_heif") is not None, reason="pillow-heif reads them")
def test_heif_without_its_package_is_refused_with_the_name_of_the_package(data: Path) -> None:
    for path in (data / "images" / "heif").iterdir():
        answer = decode(path.read_bytes())
        assert isinstance(answer, Refusal)
        assert answer.reason == "unsupported-format"
        assert "pillow-heif" in answer.detail


def test_two_pngs_of_one_picture_are_equal_whatever_their_palette_and_depth(data: Path) -> None:
    folder = data / "pixel_dups"
    different = [
        path.name
        for path in sorted((folder / "primary").iterdir())
        if accepted(path.read_bytes()).pixel_checksum
        != accepted((folder / "primary_check" / path.name).read_bytes()).pixel_checksum
    ]
    assert different == ["tbbn0g04.png"]


@pytest.mark.slow
def test_the_cliparts_have_320_distinct_pictures(data: Path) -> None:
    files = sorted((data / "clipart").rglob("*.png"))
    assert len({accepted(path.read_bytes()).pixel_checksum for path in files}) == 320


def test_a_picture_that_is_fine_comes_out_as_it_went_in() -> None:
    picture = accepted(encoded(photo(60, 50), "PNG"))
    assert np.array_equal(picture.pixels, np.asarray(photo(60, 50)))
    assert (picture.scale, picture.bounds) == (1, (0.0, 0.0, 50.0, 60.0))
    assert is_exact(picture.pixel_checksum)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
def test_a_jpeg_cut_off_anywhere_is_refused(options: dict[str, bool]) -> None:
    whole = encoded(photo(), "JPEG", quality=85, **options)
    assert accepted(whole).damage == ""
    for percent in range(5, 100, 5):
        assert refused(whole[: len(whole) * percent // 100]) == "truncated", percent
    assert refused(whole[:-1]) == "truncated"


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
def test_other_formats_cut_in_half_are_refused(kind: str) -> None:
    whole = encoded(photo(200, 150), kind)
    accepted(whole)
    assert refused(whole[: len(whole) // 2]) in ("truncated", "corrupt")


def test_of_a_jpeg_with_a_flipped_byte_the_verdict_is_that_of_a_full_decode_by_pillow() -> None:
    whole = encoded(photo(320, 240), "JPEG", quality=85)
    chance = np.random.default_rng(1)
    damaged = 0
    for at in chance.integers(2, len(whole) - 2, 120).tolist():
        flipped = bytearray(whole)
        flipped[at] ^= int(chance.integers(1, 256))
        answer = decode(bytes(flipped))
        assert isinstance(answer, Picture) == pillow_accepts(bytes(flipped)), at
        damaged += isinstance(answer, Refusal) or bool(answer.damage)
    # A JPEG has no checksum: the flips that leave a valid stream cannot be seen by anybody.
    assert damaged > 10


def test_a_png_with_a_flipped_byte_in_its_data_is_refused() -> None:
    whole = encoded(photo(64, 64), "PNG")
    for at in range(whole.index(b"IDAT") + 4, len(whole) - 16, 997):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        assert refused(bytes(flipped)) in ("corrupt", "truncated")


def test_a_jpeg_that_pillow_accepts_in_spite_of_stray_bytes_is_accepted_and_marked() -> None:
    whole = encoded(photo(), "JPEG")
    tables = whole.index(b"\xff\xdb")
    stray = whole[:tables] + b"\0\0\0" + whole[tables:]
    sound, marked = accepted(whole), accepted(stray)
    assert "extraneous" in marked.damage
    assert np.array_equal(sound.pixels, marked.pixels)
    assert sound.pixel_checksum == marked.pixel_checksum


def test_a_jpeg_read_by_hand_and_one_opened_by_pillow_give_the_same() -> None:
    exif = Image.Exif()
    exif[0x010E] = "makes autods ask Pillow for the header"
    plain, opened = (
        accepted(encoded(photo(), "JPEG")),
        accepted(encoded(photo(), "JPEG", exif=exif)),
    )
    for field in ("format", "stored_size", "mode", "frames", "orientation", "pixel_checksum"):
        assert getattr(plain, field) == getattr(opened, field)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpegs_of_every_colour_space_are_read_as_pillow_reads_them(mode: str) -> None:
    data = encoded(photo(90, 70).convert(mode), "JPEG", quality=95)
    picture = accepted(data)
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert picture.mode == mode
    assert np.array_equal(picture.pixels, shown)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(photo(90, 70), kind, exif=exif, **options)
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    picture = accepted(data)
    assert (picture.width, picture.height) == shown.size
    assert picture.orientation == orientation
    assert np.array_equal(picture.pixels, np.asarray(shown.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_bounds_name_the_part_of_the_reduced_pixels_that_is_picture(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = accepted(encoded(photo(641, 481), "JPEG", exif=exif))
    top, left, bottom, right = picture.bounds
    rows, columns = picture.pixels.shape[:2]
    assert picture.scale == 8
    assert {rows, columns} == {81, 61}
    assert (right - left, bottom - top) == (picture.width / 8, picture.height / 8)
    assert (top == 0) != (bottom == rows)
    assert (left == 0) != (right == columns)


@given(st.integers(1, 700), st.integers(1, 700))
@settings(max_examples=25, deadline=None)
def test_a_reduced_jpeg_keeps_both_sides_long_enough(width: int, height: int) -> None:
    picture = accepted(encoded(Image.new("RGB", (width, height), "teal"), "JPEG"))
    rows, columns = picture.pixels.shape[:2]
    assert (rows, columns) == (-(-height // picture.scale), -(-width // picture.scale))
    assert picture.scale == 1 or min(rows, columns) >= MIN_SIDE


def test_equal_reduced_pixels_are_a_candidate_that_same_pixels_settles() -> None:
    flat = np.full((480, 640, 3), 128, np.uint8)
    # Rows of +3 and -3 leave the mean of every 8 x 8 block, all that 1/8 sees, as it was.
    striped = flat + np.resize([3, -3], 480).astype(np.int8)[:, None, None].view(np.uint8)
    one, other = (encoded(Image.fromarray(a), "JPEG", quality=100) for a in (flat, striped))
    assert accepted(one).pixel_checksum == accepted(other).pixel_checksum
    assert accepted(one).pixel_checksum.startswith("dct1/8:")
    assert not is_exact(accepted(one).pixel_checksum)
    assert not same_pixels(one, other)
    assert same_pixels(one, one)


def test_the_same_pixels_in_two_formats_are_the_same() -> None:
    image = photo(100, 80)
    png, bmp, tiff = (encoded(image, kind) for kind in ("PNG", "BMP", "TIFF"))
    assert same_pixels(png, bmp)
    assert accepted(png).pixel_checksum == accepted(tiff).pixel_checksum
    assert not same_pixels(png, encoded(image, "JPEG"))
    assert not same_pixels(png, b"not a picture")


def test_an_animation_never_equals_a_still_or_another_animation() -> None:
    first, second, third = (Image.new("RGB", (20, 20), c) for c in ("red", "green", "blue"))
    still = encoded(first, "GIF")
    moving = encoded(first, "GIF", save_all=True, append_images=[second])
    other = encoded(first, "GIF", save_all=True, append_images=[third])
    assert (accepted(still).frames, accepted(moving).frames) == (1, 2)
    assert accepted(still).pixel_checksum != accepted(moving).pixel_checksum
    assert not is_exact(accepted(moving).pixel_checksum)
    assert not same_pixels(moving, other)
    assert full_checksum(moving) == full_checksum(bytes(moving))


def test_colours_that_nobody_can_see_do_not_make_another_picture() -> None:
    seen = np.zeros((10, 10, 4), np.uint8)
    seen[:5] = (200, 100, 50, 255)
    hidden = seen.copy()
    hidden[5:, :, :3] = 77
    one, other = (accepted(encoded(Image.fromarray(a), "PNG")) for a in (seen, hidden))
    assert one.pixel_checksum == other.pixel_checksum
    assert one.pixels[0, 0].tolist() == [200, 100, 50]
    assert one.pixels[9, 9].tolist() == [255, 255, 255]


def test_two_deep_pictures_that_agree_in_8_bits_are_two_pictures() -> None:
    masks = [np.full((20, 20), value, np.uint16) for value in (3, 4)]
    one, other = (accepted(encoded(Image.fromarray(a), "PNG")) for a in masks)
    assert one.mode == "I;16"
    assert one.pixel_checksum != other.pixel_checksum


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (np.array([[0, 65535]], np.uint16), [0, 255]),
        (np.array([[0, 4095]], np.uint16), [0, 255]),
        (np.array([[0, 100]], np.uint16), [0, 100]),
        (np.array([[0.0, 1.0]], np.float32), [0, 255]),
        (np.array([[0.0, 200.0]], np.float32), [0, 200]),
        (np.array([[-4.0, 4.0]], np.float32), [0, 255]),
        (np.array([[np.nan, 1.0]], np.float32), [0, 255]),
        (np.array([[0, 0]], np.int32), [0, 0]),
    ],
)
def test_deep_grey_is_scaled_to_what_a_person_would_see(
    values: np.ndarray[Any, Any], shown: list[int]
) -> None:
    picture = accepted(encoded(Image.fromarray(values), "TIFF"))
    assert picture.pixels[0, :, 0].tolist() == shown


def test_limits_refuse_what_is_too_large() -> None:
    data = encoded(photo(100, 80), "PNG")
    jpeg = encoded(photo(100, 80), "JPEG")
    assert refused(data, Limits(max_bytes=len(data) - 1)) == "too-large"
    assert refused(data, Limits(max_pixels=7_999)) == "too-many-pixels"
    assert refused(jpeg, Limits(max_pixels=7_999)) == "too-many-pixels"
    accepted(data, Limits(max_bytes=len(data), max_pixels=8_000))


def test_limits_allow_only_the_formats_named() -> None:
    png, jpeg = encoded(photo(30, 30), "PNG"), encoded(photo(30, 30), "JPEG")
    accepted(png, Limits(formats=("PNG",)))
    assert refused(jpeg, Limits(formats=("PNG",))) == "unsupported-format"
    assert refused(encoded(photo(30, 30), "JPEG2000")) == "unsupported-format"
    accepted(encoded(photo(30, 30), "JPEG2000"), Limits(formats=("JPEG2000",)))


def test_limits_that_cannot_be_name_the_value_and_the_choices() -> None:
    with pytest.raises(UsageError, match=r"'EPS' is not one of AVIF, BMP"):
        Limits(formats=("PNG", "EPS"))
    with pytest.raises(UsageError, match="200000000"):
        Limits(max_pixels=200_000_000)
    with pytest.raises(UsageError, match="-1"):
        Limits(max_bytes=-1)


@pytest.mark.parametrize(
    ("data", "reason", "word"),
    [
        (b"", "empty", "0 bytes"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) run", "unsupported-format", "PostScript"),
        (b"%PDF-1.7\n", "unsupported-format", "PDF"),
        (b"8BPS\0\1", "unsupported-format", "PSD"),
        (b"\n <!DOCTYPE HTML><title>404", "unsupported-format", "HTML"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "unsupported-format", "pillow-heif"),
        (b"hello, world", "unknown-format", "signature"),
        (b"\x89PNG\r\n\x1a\n", "corrupt", "PNG"),
        (b"\xff\xd8\xff", "corrupt", "JPEG"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_it_looks_like(
    data: bytes, reason: str, word: str
) -> None:
    answer = decode(data)
    assert isinstance(answer, Refusal)
    assert (answer.reason, word in answer.detail) == (reason, True), answer


@given(st.binary(max_size=300), st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"]))
@settings(max_examples=150, deadline=None)
def test_no_bytes_make_decode_raise(noise: bytes, kind: str) -> None:
    whole = encoded(photo(40, 30), kind)
    cut = len(noise) % len(whole)
    for data in (noise, whole[:12] + noise, whole[:cut] + noise + whole[cut + len(noise) :]):
        assert isinstance(decode(data), Picture | Refusal)


def test_threads_that_decode_together_leave_the_warning_filters_as_they_were() -> None:
    data = encoded(photo(300, 200), "PNG")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(decode, [data] * 64))
    assert all(isinstance(answer, Picture) for answer in answers)
    assert list(warnings.filters) == before


def test_a_picture_travels_between_processes() -> None:
    picture = accepted(encoded(photo(), "JPEG"))
    copy = pickle.loads(pickle.dumps(picture))
    assert np.array_equal(copy.pixels, picture.pixels)
    assert copy.pixel_checksum == picture.pixel_checksum
    assert pickle.loads(pickle.dumps(decode)) is decode


def run_python(script: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )


@pytest.mark.slow
def test_a_silenced_worker_loses_native_chatter_and_keeps_its_own_stderr() -> None:
    script = (
        "import faulthandler, os, sys; faulthandler.enable()\n"
        "from autods.validate import silence_native_stderr\n"
        "silence_native_stderr(); silence_native_stderr()\n"
        "os.write(2, b'chatter of a C library'); print('a word of ours', file=sys.stderr)\n"
        "faulthandler.dump_traceback()"
    )
    said = run_python(script).stderr
    assert "chatter" not in said
    assert "a word of ours" in said
    assert "most recent call first" in said


@pytest.mark.slow
def test_importing_the_package_does_not_import_a_decoder() -> None:
    script = "import sys, autods.validate; print({'PIL', 'numpy', 'simplejpeg'} & set(sys.modules))"
    assert run_python(script).stdout == "set()\n"
