"""A small, real, untidy collection to try autods on, made from scikit-learn's digits and photos."""

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from autods.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

CLASSES = ("digit", "flower", "temple")

RECIPE = """\
# A build: what goes in, what is asked of it, what comes out. Try changing something and run
# `autods build` again: only what changed is done.
name: demo
sources:
  - folder: labelled        # class folders are the labels
    license: BSD-3-Clause
  - folder: inbox           # nobody has labelled these; their captions are in NAME.txt
    labels: none
    license: BSD-3-Clause
validate:
  min_width: 32
  min_height: 32
label:
  classes: [digit, flower, temple]
  functions: labels.py
"""

LABELS = '''\
"""What we know of these pictures without looking at each: labeling functions."""

from autods import ABSTAIN, labeling_function

DIGIT, FLOWER, TEMPLE = range(3)


@labeling_function()
def lf_caption_mentions_flower(row):
    return FLOWER if "flower" in (row.caption or "") else ABSTAIN


@labeling_function()
def lf_caption_mentions_building(row):
    words = ("temple", "roof", "palace")
    return TEMPLE if any(word in (row.caption or "") for word in words) else ABSTAIN


@labeling_function()
def lf_small_is_a_digit(row):
    return DIGIT if max(row.width, row.height) <= 64 else ABSTAIN


@labeling_function()
def lf_grey_is_a_digit(row):
    return DIGIT if row.mode == "L" else ABSTAIN


@labeling_function()
def lf_outdoors_is_bright(row):
    if row.mode != "RGB":
        return ABSTAIN
    return TEMPLE if row.brightness > 0.4 else FLOWER
'''

WRITTEN = {"labels.py": LABELS, "recipe.yaml": RECIPE}


def write_demo(root: Path, count: int = 600, seed: int = 7) -> Path:
    """Write the example into a folder, and give its recipe's path.

    About `count` pictures in three classes, a third of them unlabelled but captioned, with exact,
    pixel and near duplicates and broken files among them. The same arguments give the same
    files. Raises UsageError if scikit-learn is missing, `count` is below 3 or the folder holds a
    recipe or labels that are not the example's.
    """
    if count < len(CLASSES):
        raise UsageError(f"count is {count}: one of each class is needed, {len(CLASSES)} in all")
    _refuse_to_overwrite(root)
    draw = random.Random(seed)  # noqa: S311 - an example, not a secret
    for number, (kind, picture) in enumerate(_pictures(count, draw)):
        labelled = draw.random() < 0.66
        folder = root / "labelled" / kind if labelled else root / "inbox"
        folder.mkdir(parents=True, exist_ok=True)
        suffix = ".png" if kind == "digit" else ".jpg"
        path = folder / f"{number:04d}{suffix}"
        path.write_bytes(_encoded(picture, suffix))
        if not labelled:
            path.with_suffix(".txt").write_text(_caption(kind, draw) + "\n")
        if number < len(CLASSES):
            _write_broken(root / "inbox", path)
        _make_untidy(path, picture, draw)
    for name, text in WRITTEN.items():
        (root / name).write_text(text)
    return root / "recipe.yaml"


def _refuse_to_overwrite(root: Path) -> None:
    for name, text in WRITTEN.items():
        path = root / name
        if path.exists() and path.read_bytes() != text.encode():
            raise UsageError(f"{path} is there and not the example's: give another folder")


def _pictures(count: int, draw: random.Random) -> Iterator[tuple[str, "Image.Image"]]:
    """Draw digits, enlarged, and crops of the two photos, in turn."""
    try:
        from sklearn.datasets import load_digits, load_sample_image
    except ImportError as error:
        raise UsageError("the demo needs scikit-learn: pip install 'autods[demo]'") from error
    from PIL import Image

    digits = load_digits().images
    photos = {"temple": "china.jpg", "flower": "flower.jpg"}
    opened = {kind: Image.fromarray(load_sample_image(name)) for kind, name in photos.items()}
    for number in range(count):
        kind = CLASSES[number % 3]
        if kind == "digit":
            grey = (digits[number // 3 % len(digits)] * 15).astype("uint8")
            yield kind, Image.fromarray(grey).resize((64, 64), Image.Resampling.BICUBIC)
        else:
            yield kind, _crop(opened[kind], draw)


def _crop(photo: "Image.Image", draw: random.Random) -> "Image.Image":
    side = draw.randint(96, 220)
    left, top = draw.randint(0, photo.width - side), draw.randint(0, photo.height - side)
    return photo.crop((left, top, left + side, top + side))


def _encoded(picture: "Image.Image", suffix: str, quality: int = 92) -> bytes:
    buffer = io.BytesIO()
    kind = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[suffix]
    options = {} if kind == "PNG" else {"quality": quality}
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _caption(kind: str, draw: random.Random) -> str:
    nouns = {
        "digit": ("a figure", "something written by hand"),
        "flower": ("a flower", "petals of a flower", "a close photo"),
        "temple": ("a temple", "the roof of a palace", "a photo from a journey"),
    }
    return draw.choice(nouns[kind])


def _make_untidy(path: Path, picture: "Image.Image", draw: random.Random) -> None:
    """Now and then leave the same picture beside itself: copied, re-saved, or recompressed."""
    stem, suffix = path.stem, path.suffix
    edits: list[tuple[str, Callable[[], bytes]]] = [
        (f"{stem}-copy{suffix}", path.read_bytes),
        (f"{stem}-saved.png", lambda: _resaved(path)),
        (f"{stem}-small.jpg", lambda: _encoded(picture.convert("RGB"), ".jpg", 60)),
    ]
    chance = draw.random()
    if chance < 0.09:
        name, data = edits[int(chance / 0.03)]
        path.with_name(name).write_bytes(data())


def _resaved(path: Path) -> bytes:
    """The same pixels in other bytes: without compression."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(path) as picture:
        picture.save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def _write_broken(folder: Path, good: Path) -> None:
    """Leave what every crawl has: cut downloads, pages saved as pictures, empty files, a bomb."""
    data = bytearray(good.read_bytes())
    side = (65535).to_bytes(2, "little") * 2  # 4.3 billion pixels, of which one is told.
    bomb = b"GIF89a" + side + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0" + side + b"\0\2\2L\1\0;"
    broken = {"page.jpg": b"<!doctype html><title>404</title>", "empty.jpg": b"", "bomb.gif": bomb}
    if good.suffix == ".jpg":
        broken["cut.jpg"] = bytes(data[: len(data) // 2])
    else:
        data[60] ^= 0xFF
        broken["damaged.png"] = bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in broken.items():
        (folder / name).write_bytes(content)
