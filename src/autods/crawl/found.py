"""What a page says that there is: where it leads, and the images it shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autods.storable import storable

MOST = 10_000
"""Links, and images, that are taken from one page at most."""


@dataclass(frozen=True)
class FoundImage:
    """An image that a page names.

    `how` says by what: `img`, `picture`, `meta`, `preload`, `poster`, `input`, `svg`, `object`,
    `background`, `style`, `json-ld`, `link` (a link to it) or `sitemap`.
    """

    url: str
    caption: str | None = None
    license: str | None = None
    how: str = "img"


@dataclass(frozen=True)
class Found:
    """What a page holds, in its order, each URL once; what its author asks us to leave is left.

    `nofollow`, `noindex` and `noimageindex` tell what was asked.
    """

    links: tuple[str, ...] = ()
    images: tuple[FoundImage, ...] = ()
    stylesheets: tuple[str, ...] = ()
    nofollow: bool = False
    noindex: bool = False
    noimageindex: bool = False


def to_json(found: Found) -> dict[str, Any]:
    """Give what was found as JSON holds it: nothing for what is empty.

    >>> to_json(Found(links=("http://a.org/",)))
    {'links': ['http://a.org/']}
    """
    said = dict(vars(found)) | {"images": [list(vars(image).values()) for image in found.images]}
    return {name: storable(value) for name, value in said.items() if value}


def from_json(said: Mapping[str, Any]) -> Found:
    """Read what `to_json` gave.

    >>> from_json(to_json(Found(images=(FoundImage("http://a.org/b.jpg"),)))).images[0].how
    'img'
    """
    images = tuple(FoundImage(*image) for image in said.get("images", ()))
    links, sheets = (tuple(said.get(name, ())) for name in ("links", "stylesheets"))
    asked = (bool(said.get(name)) for name in ("nofollow", "noindex", "noimageindex"))
    return Found(links, images, sheets, *asked)


class Images:
    """The images of one page as they are found: each URL once, with what any place says of it."""

    def __init__(self, most: int = MOST) -> None:
        self._found: dict[str, FoundImage] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._found)

    def add(self, image: FoundImage) -> None:
        """Take an image; one that is known learns what it was not told before."""
        known = self._found.get(image.url)
        if known is not None:
            image = FoundImage(
                image.url,
                known.caption or image.caption,
                known.license or image.license,
                known.how,
            )
        elif len(self._found) == self._most:
            return
        self._found[image.url] = image

    def all(self) -> tuple[FoundImage, ...]:
        """Give them in the order in which they were found first."""
        return tuple(self._found.values())
