"""What the generated site is made on: its origins, and the pages and answers put there so far."""

import random
from dataclasses import dataclass
from typing import Any, Literal

from services.site_answers import Answer, Place
from services.site_leaf import Leaf, Style
from services.site_photos import Photos
from services.site_words import prose, slugs

ORIGINS = {"site": "127.0.0.1", "cdn": "localhost", "other": "localhost", "closed": "localhost"}
"""Each origin by its host name; the port tells the last three apart."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How large the site is, how slow, and how deep a crawl of it is to go."""

    pages: int = 2000
    images: int = 10_000
    seed: int = 7
    depth: int = 5
    crawl_delay: float = 0.01
    slow: float = 2.0
    drips: int = 1

    def __post_init__(self) -> None:
        if self.pages < 60 or self.images < 200 or self.depth < 4:
            raise ValueError(f"{self}: at least 60 pages, 200 images, depth 4")


@dataclass(frozen=True)
class End:
    """What becomes of a URL that is no leaf; a redirect leads `to` another."""

    end: Literal["redirect", "refused", "image"]
    why: str = ""
    to: str = ""


class Ground:
    """Pages (`leaves`), other ends of links, and what may or must not be asked for besides."""

    def __init__(self, shape: Shape, origins: dict[str, str]) -> None:
        self.shape = shape
        self.origins = origins
        self.site = origins["site"]
        self.leaves: dict[str, Leaf] = {}
        self.ends: dict[str, End] = {}
        self.never: dict[str, str] = {}
        self.aids: dict[str, str] = {}
        self.orphans: list[Leaf] = []
        self.chance = random.Random(f"plan {shape.seed}")
        self.names = slugs(shape.seed + 1)
        self.photos = Photos(shape.seed, origins, shape.slow)
        self.served: dict[Place, Answer] = {}
        self.home = self.leaf("/")

    def leaf(self, path: str, why: str = "", *, origin: str = "site", **options: Any) -> Leaf:
        """Make a page; one that no correct crawl reads, for `why`, shows an image of its own."""
        url = self.origins[origin] + path
        title = (path.strip("/").rpartition("/")[2] or "home").partition(".")[0].replace("-", " ")
        text = prose(self.chance, 60 + self.chance.randrange(200))
        made = Leaf(url=url, title=title, why=why, number=len(self.leaves), text=text, **options)
        self.leaves[url] = made
        if why:
            made.show(self.photos.stray(why), "img", "absolute")
        return made

    def child(
        self, parent: Leaf, path: str, why: str = "", *, style: Style = "path", **options: Any
    ) -> Leaf:
        """Make a page that another one leads to."""
        leaf = self.leaf(path, why, **options)
        parent.link(leaf.url, style)
        return leaf

    def serve(self, path: str, answer: Answer, origin: str = "site") -> str:
        """Serve something that is no page; returns its URL."""
        self.served[origin, path] = answer
        return self.origins[origin] + path

    def end(self, parent: Leaf | None, path: str, end: End, answer: Answer) -> str:
        """Serve what is no page where a page might be, and let a page lead there."""
        url = self.serve(path, answer)
        self.ends[url] = end
        if parent is not None:
            parent.link(url)
        return url
