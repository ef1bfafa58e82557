"""The second signal: whether two pictures that a perceptual hash brings together are really one.

A perceptual hash alone merges different drawings and different cars. Candidates within `RADIUS`
bits are therefore compared by their thumbnails (`autods.features.Features.thumb`), always with the
kept representative of a group and never along a chain.

Measured on 1,240 edits of 40 crops out of 4 photos (recompression at quality 30 to 95, scaling 0.25
to 2, blur, sharpening, noise, brightness, contrast and gamma by 10 to 20 %, colour by 30 to 40 %,
crops of 1 to 4 %) and on drawings, cards, flags and digits, which are different pictures however
near their hashes: see `Likeness` for where each threshold lies between them. The thresholds were
set on these same pictures; on others expect somewhat less.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autods.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Thumbs = NDArray[np.uint8]
    Planes = NDArray[np.float32]

__all__ = ["FINGERPRINT", "RADIUS", "THUMB_BYTES", "Likeness", "same_picture", "stack_thumbs"]

FINGERPRINT = "confirm-v1"
"""Version of the rule that confirmed a pair; it changes when a verdict may."""

RADIUS = 8
"""Bits between two hashes up to which a pair is worth confirming: every edit measured lies within
8, most within 2, and a wider radius brings more pairs of different pictures only."""

THUMB_BYTES = 384
"""A thumbnail: 16 x 16 luma, then 8 x 8 Cb, then 8 x 8 Cr, uint8, row by row."""

_LUMA, _CHROMA = 16, 8
_PAIRS_AT_ONCE = 8192


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """What two thumbnails must have in common to be one picture; every condition has to hold.

    `correlation`: of the luma, at least; blind to brightness and contrast. All edits of a photo
    reach 0.985, save crops beyond 2 %.

    `local`: the greatest difference in any 1/8 x 1/8 of the picture, in standard deviations of the
    luma, at most. Strong sharpening reaches 0.40, a crop of 2 % 0.33, a brightness of 1.2 that
    clips 0.51; of 1,797 handwritten digits, 8 would still merge at 0.5 and none at 0.42.

    `tint`: the mean distance in the Cb-Cr plane, in levels of 255, at most. A saturation of 0.7 or
    1.4 moves it by 14; exchanging red and blue by 15 to 88.

    `spot`: how far the most distant of the 64 chroma cells may lie above that mean. Edits reach 17,
    a logo of 1/8 x 1/8 47 and more.

    `contrast`: standard deviation of the luma in levels of 255, at least, on both sides. A paler
    thumbnail cannot vouch for the picture: 60 different line drawings, with deviations up to 18,
    are alike to within rounding. Such pictures, flat ones among them, are the same only by their
    exact pixels.

    Details below 1/16 of the side are not seen: two forms that differ in one figure are alike.
    The aspect ratio is not compared, for a squashed picture is still the same.
    """

    correlation: float = 0.98
    local: float = 0.42
    tint: float = 16.0
    spot: float = 18.0
    contrast: float = 20.0


_DEFAULT = Likeness()


def stack_thumbs(thumbs: "Sequence[bytes]") -> "Thumbs":
    """Thumbnails as the array (n, 384) that `same_picture` takes; `UsageError` on another length.

    >>> stack_thumbs([bytes(384), bytes(384)]).shape
    (2, 384)
    """
    import numpy as np

    for thumb in thumbs:
        if len(thumb) != THUMB_BYTES:
            raise UsageError(f"a thumbnail of {len(thumb)} bytes, not {THUMB_BYTES}")
    return np.frombuffer(b"".join(thumbs), np.uint8).reshape(-1, THUMB_BYTES)


def same_picture(
    a: "Thumbs", b: "Thumbs", rule: Likeness = _DEFAULT
) -> "tuple[NDArray[np.bool_], NDArray[np.float32]]":
    """For each pair of rows of two uint8 arrays (n, 384): one picture or not, and how alike.

    The score is the correlation of the luma, -1 to 1, and 0 where one side is flat. It is symmetric
    in `a` and `b`; about 5 microseconds a pair. Raises `UsageError` on arrays of any other shape.

    >>> import numpy as np
    >>> photo = np.random.default_rng(0).integers(0, 256, (1, 384), np.uint8)
    >>> verdict, score = same_picture(photo, photo)
    >>> bool(verdict[0]), round(float(score[0]), 3)
    (True, 1.0)
    """
    import numpy as np

    if _checked(a).shape != _checked(b).shape:
        raise UsageError(f"{len(a)} thumbnails cannot be paired with {len(b)}")
    verdict, score = np.zeros(len(a), np.bool_), np.zeros(len(a), np.float32)
    for start in range(0, len(a), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        verdict[part], score[part] = _compare(a[part], b[part], rule)
    return verdict, score


def _checked(thumbs: "Thumbs") -> "Thumbs":
    if thumbs.ndim != 2 or thumbs.shape[1] != THUMB_BYTES:
        raise UsageError(f"thumbnails of shape {thumbs.shape}, not (n, {THUMB_BYTES})")
    return thumbs


def _compare(
    a: "Thumbs", b: "Thumbs", rule: Likeness
) -> "tuple[NDArray[np.bool_], NDArray[np.float32]]":
    import numpy as np

    (left, left_contrast), (right, right_contrast) = _standard_luma(a), _standard_luma(b)
    score = (left * right).mean(axis=1)
    tint, spot = _chroma_distance(a, b)
    verdict = (
        (score >= rule.correlation)
        & (_greatest_local_difference(left, right) <= rule.local)
        & (tint <= rule.tint)
        & (spot <= rule.spot)
        & (np.minimum(left_contrast, right_contrast) >= rule.contrast)
    )
    return verdict, score


def _standard_luma(thumbs: "Thumbs") -> "tuple[Planes, Planes]":
    """The luma with mean 0 and deviation 1 (all 0 where it is flat), and its deviation."""
    import numpy as np

    luma = thumbs[:, : _LUMA * _LUMA].astype(np.float32)
    luma -= luma.mean(axis=1, keepdims=True)
    contrast = np.sqrt(np.square(luma).mean(axis=1))
    return luma / np.maximum(contrast, 1e-6)[:, None], contrast


def _greatest_local_difference(left: "Planes", right: "Planes") -> "Planes":
    import numpy as np

    half = _LUMA // 2
    blocks = (left - right).reshape(-1, half, 2, half, 2).mean(axis=(2, 4))
    greatest: Planes = np.abs(blocks).max(axis=(1, 2))
    return greatest


def _chroma_distance(a: "Thumbs", b: "Thumbs") -> "tuple[Planes, Planes]":
    """The mean distance of the chroma cells, and how far the greatest lies above it."""
    import numpy as np

    moved = a[:, _LUMA * _LUMA :].astype(np.float32) - b[:, _LUMA * _LUMA :]
    cells = _CHROMA * _CHROMA
    distance = np.hypot(moved[:, :cells], moved[:, cells:])
    mean = distance.mean(axis=1)
    return mean, distance.max(axis=1) - mean
