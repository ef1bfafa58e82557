"""A page while it is read: the links, images and sheets noted so far, each URL in full and once."""

import re
from collections.abc import Iterable

from autods.crawl.css import image_urls, imports
from autods.crawl.found import MOST, Found, FoundImage, Images
from autods.crawl.srcset import Offer
from autods.crawl.tags import attributes, tags
from autods.crawl.urls import looks_like_image, normalise
from autods.storable import printable

_MOST_URLS = 50_000
_LONGEST_CAPTION = 1000
_LONGEST_LICENSE = 500
_BASE = re.compile(r"<base[\t\n\f\r /]", re.IGNORECASE)
_NO_IMAGES = frozenset({"noindex", "none", "noimageindex", "noai", "noimageai"})


class Page:
    """What has been read of a page at `url`.

    `said` is what its author asks of robots; `templates` tells how many are open, `picture` the
    sources of an open one, and `figure` the images without words of an open one.
    """

    def __init__(self, text: str, url: str, *, xml: bool) -> None:
        self.text, self.xml = text, xml
        self.base = _base(text, url, xml=xml)
        self.links: dict[str, None] = {}
        self.sheets: dict[str, None] = {}
        self.images = Images()
        self.said: set[str] = set()
        self.asked = self.templates = 0
        self.picture: list[Offer] | None = None
        self.figure: list[tuple[str, str | None]] | None = None
        self.figcaption: str | None = None
        self.caption_from = 0
        self.last_meta: str | None = None

    def link(self, href: str, title: str | None = None) -> None:
        """Note where the page leads; what looks like an image is one."""
        if not href.strip() or href.lstrip().startswith("#"):
            return
        url = self._full(href, keep_query=False)
        if url is None:
            return
        if looks_like_image(url):
            self.image(href, "link", title)
        elif len(self.links) < MOST:
            self.links[url] = None

    def image(
        self, src: str, how: str, caption: str | None = None, terms: str | None = None
    ) -> str | None:
        """Note an image by its URL as written, which is given in full, or None if it is none."""
        if not src.strip():
            return None
        url = self._full(src, keep_query=True)
        if url is not None:
            caption, terms = told(caption), told(terms, _LONGEST_LICENSE)
            self.images.add(FoundImage(url, caption, terms, how))
        return url

    def largest(self, sizes: Iterable[Offer], how: str, caption: str | None = None) -> str | None:
        """Note the largest image that can be asked for; of equals the first."""
        for offer in sorted(sizes, key=lambda offer: offer.size, reverse=True):
            if url := self.image(offer.url, how, caption):
                return url
        return None

    def style(self, css: str) -> None:
        """Note the images of a style, and the sheets that it imports."""
        self.asked += 1
        if self.asked > _MOST_URLS:
            return
        for url in image_urls(css, self.base):
            self.images.add(FoundImage(url, how="style"))
        self.sheet(*imports(css, self.base))

    def sheet(self, *hrefs: str) -> None:
        """Note stylesheets."""
        for href in hrefs:
            url = self._full(href, keep_query=True) if href.strip() else None
            if url is not None and len(self.sheets) < MOST:
                self.sheets[url] = None

    def end_picture(self) -> None:
        """Take the largest source of a `picture` that had no `img`."""
        self.largest(self.picture or [], "picture")
        self.picture = None

    def end_figure(self) -> None:
        """Give the images of a `figure` that say nothing themselves its caption, or their title."""
        for url, title in self.figure or ():
            self.images.add(FoundImage(url, self.figcaption or title))
        self.figure = None

    def found(self) -> Found:
        """Give what has been read, less what its author asks us to leave."""
        self.end_picture()
        self.end_figure()
        nofollow, noimages = bool(self.said & {"nofollow", "none"}), self.said & _NO_IMAGES
        images = () if noimages else self.images.all()
        return Found(
            links=() if nofollow else tuple(self.links),
            images=tuple(image for image in images if not (nofollow and image.how == "link")),
            stylesheets=() if noimages else tuple(self.sheets),
            nofollow=nofollow,
            noindex=bool(self.said & {"noindex", "none"}),
            noimageindex=bool(self.said & {"noimageindex", "noai", "noimageai"}),
        )

    def _full(self, url: str, *, keep_query: bool) -> str | None:
        """Give a URL in full; after very many of one page it is none."""
        self.asked += 1
        if self.asked > _MOST_URLS:
            return None
        return normalise(url, self.base, keep_query=keep_query)


def told(text: str | None, longest: int = _LONGEST_CAPTION) -> str | None:
    """Give what is said in one storable line, or None if nothing is.

    >>> told(" a red  cat "), told(" ")
    ('a red cat', None)
    """
    return printable(" ".join((text or "")[: 4 * longest].split()))[:longest] or None


def _base(text: str, url: str, *, xml: bool) -> str:
    """Give what relative URLs are relative to: the first `base` that has one, if it can be had."""
    if _BASE.search(text):
        for tag in tags(text, xml=xml):
            if tag.name == "base" and "href" in (has := attributes(tag.written)):
                return normalise(has["href"], url, keep_query=True) or url
    return url
