"""The sizes in which a page offers one image, and which of them is the largest."""

import re
from typing import NamedTuple

_MOST = 1000
_URL = re.compile(r"[\t\n\f\r ,]*+([^\t\n\f\r ]++)")
_DESCRIPTORS = re.compile(r"(?:[^,(]++|\([^)]*+\)?){0,100}")
_WIDTH = re.compile(r"([0-9]{1,9})w")
_DENSITY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})x")
_HEIGHT = re.compile(r"[0-9]{1,9}h")


class Offer(NamedTuple):
    """One of an image's URLs, as written, and how it compares: the greatest `size` is the largest.

    A size is its kind, its number and a hint: widths in pixels (kind 1) before densities (0)
    before what has neither (-1).
    """

    url: str
    size: tuple[int, float, int] = (-1, 0.0, 0)


def offers(srcset: str, hint: int = 0) -> list[Offer]:
    """Read a `srcset` as the HTML standard says; what has a wrong descriptor is left out.

    >>> [tuple(offer) for offer in offers("a.jpg 480w, b.jpg 2x, c.jpg")]
    [('a.jpg', (1, 480.0, 0)), ('b.jpg', (0, 2.0, 0)), ('c.jpg', (0, 1.0, 0))]
    """
    found: list[Offer] = []
    at = 0
    while len(found) < _MOST and (match := _URL.match(srcset, at)):
        url, at = match[1], match.end()
        size: tuple[int, float] | None = (0, 1.0)
        if url.endswith(","):
            url = url.rstrip(",")
        elif said := _DESCRIPTORS.match(srcset, at):
            size, at = _size(said[0].split()), said.end()
        if url and size is not None:
            found.append(Offer(url, (*size, hint)))
    return found


def _size(descriptors: list[str]) -> tuple[int, float] | None:
    """Read what stands behind a URL; a height says nothing that a width does not."""
    told = [word for word in descriptors if not _HEIGHT.fullmatch(word)]
    if not told:
        return (0, 1.0) if not descriptors else None
    if len(told) > 1:
        return None
    if width := _WIDTH.fullmatch(told[0]):
        return (1, float(width[1])) if int(width[1]) else None
    density = _DENSITY.fullmatch(told[0])
    return (0, float(density[1])) if density else None
