"""The one pass over an image's bytes: decoded once, judged, measured; and looks at what is held."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from autods import features, validate
from autods.features import Features, measure
from autods.records import Refusal
from autods.store import Store, read_asset, read_assets
from autods.validate import Limits, Picture

FINGERPRINT = f"{validate.FINGERPRINT}+{features.FINGERPRINT}"
PRELOAD = ("autods.recipes.passing", "autods.validate.reading", "autods.features.measures")
"""What every worker needs: imported once, before the workers are forked."""


@dataclass(frozen=True, slots=True)
class Found:
    """All that is known of an image from one decode: one row of `features`, and a thumb."""

    format: str
    width: int
    height: int
    mode: str
    frames: int
    orientation: int
    file_size: int
    pixel_checksum: str
    phash: int
    phash_algorithm: str
    brightness: float
    contrast: float
    sharpness: float
    entropy: float
    damage: str
    thumb: bytes


def inspect(data: bytes, *, limits: Limits) -> Found | Refusal:
    """Decode, judge and measure one image, in a worker: what C libraries print is lost there."""
    _silence_once()
    return look(data, limits=limits)


def look(data: bytes, *, limits: Limits) -> Found | Refusal:
    """Decode, judge and measure one image."""
    picture = validate.decode(data, limits)
    if isinstance(picture, Refusal):
        return picture
    return _found(picture, measure(picture))


def thumbnails(assets: Sequence[str], *, store: Store, side: int = 160) -> list[bytes]:
    """Make small JPEGs of stored assets to look at, empty bytes where one cannot be shown."""
    _silence_once()
    return [_thumbnail(data, side) for data in read_assets(store, assets)]


def same_bytes_pixels(store: Store, a: str, b: str) -> bool:
    """Compare two stored assets pixel by pixel, at full size."""
    return validate.same_pixels(read_asset(store, a), read_asset(store, b))


def _found(picture: Picture, seen: Features) -> Found:
    return Found(
        format=picture.format,
        width=picture.width,
        height=picture.height,
        mode=picture.mode,
        frames=picture.frames,
        orientation=picture.orientation,
        file_size=picture.file_size,
        pixel_checksum=picture.pixel_checksum,
        phash=seen.phash,
        phash_algorithm=seen.phash_algorithm,
        brightness=seen.brightness,
        contrast=seen.contrast,
        sharpness=seen.sharpness,
        entropy=seen.entropy,
        damage=picture.damage,
        thumb=seen.thumb,
    )


def _thumbnail(data: bytes, side: int) -> bytes:
    import io

    from PIL import Image

    picture = validate.decode(data)
    if isinstance(picture, Refusal):
        return b""
    image = Image.fromarray(picture.pixels)
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


@cache
def _silence_once() -> None:
    """Keep C libraries' chatter off the terminal, once per worker process."""
    validate.silence_native_stderr()
