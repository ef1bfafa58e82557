"""The pages, further sitemaps and images that a sitemap, a feed or a plain list of URLs names."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from autods.crawl.charset import text_of
from autods.crawl.found import FoundImage, Images
from autods.crawl.page import told
from autods.crawl.tags import Tag, attributes, decoded, tags
from autods.crawl.urls import looks_like_image, normalise

LONGEST = 50 * 2**20
MOST = 50_000
"""What the sitemap protocol allows: bytes once unpacked, and entries; more is not read."""

_MOST_TAGS = 2_000_000
_DEEPEST = 64
_LONGEST_VALUE = 4096
_PIECE = 2**16
_MEMBERS = 16
_LINE = re.compile(r"[^\r\n]+")
# What the text of an element means, by its parent's name and its own, without their prefixes.
_MEANINGS = {
    ("url", "loc"): "page",
    ("item", "link"): "page",
    ("sitemap", "loc"): "sitemap",
    ("image", "loc"): "image",
    ("image", "caption"): "caption",
    ("image", "title"): "title",
    ("image", "license"): "license",
}


@dataclass(frozen=True)
class Sitemap:
    """What a sitemap names, in its order, each URL once.

    `reason` says why not all of it was read: `too-large`, `damaged` (its gzip), `too-many` or
    `too-deep`; None if it was.
    """

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()
    images: tuple[FoundImage, ...] = ()
    reason: str | None = None


def read_sitemap(data: bytes, url: str) -> Sitemap:
    """Read a sitemap or an index of them, an RSS or Atom feed, or a list with a URL on each line.

    It may be packed by gzip, and may break the rules of XML: what can be read is. No entity is
    ever expanded and no DTD heeded, so there is nothing in it that could grow.

    >>> read_sitemap(b"<urlset><url><loc>http://a.org/b</loc></url></urlset>", "http://a.org/").pages
    ('http://a.org/b',)
    """
    data, reason = _unpacked(data)
    text = text_of(data)
    reading = _Reading(text, url)
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        for tag in islice(tags(text, xml=True), _MOST_TAGS):
            if not reading.take(tag):
                break
    else:
        reading.lines()
    return reading.found(reason)


class _Reading:
    """A sitemap while its tags are read: where we are, and what has been named."""

    def __init__(self, text: str, url: str) -> None:
        self.text, self.url = text, url
        self.reason: str | None = None
        self.path: list[str] = []
        self.value_from = 0
        self.named: dict[str, dict[str, None]] = {"page": {}, "sitemap": {}}
        self.images = Images(MOST)
        self.image: dict[str, str] = {}

    def take(self, tag: Tag) -> bool:
        """Take the next tag, and tell whether there is a point in going on."""
        name = tag.name.rpartition(":")[2]
        if tag.kind == "close":
            self.close(name, tag.start)
        else:
            self.refer(name, tag)
        if tag.kind == "open":
            self.path.append(name)
            self.value_from = tag.end
        if len(self.path) > _DEEPEST:
            self.reason = "too-deep"
        return self.reason is None

    def close(self, name: str, at: int) -> None:
        """End an element, and all that stands open in it."""
        if name not in self.path:
            return
        while self.path[-1] != name:
            self.path.pop()
        self.path.pop()
        meaning = _MEANINGS.get((self.path[-1] if self.path else "", name))
        if meaning and self.value_from:
            self.keep(meaning, _value(self.text[self.value_from : at]))
        if name == "image":
            self.end_image()
        self.value_from = 0

    def keep(self, meaning: str, value: str) -> None:
        """Keep what an element says."""
        if meaning in self.named:
            self.name(meaning, value)
        else:
            self.image.setdefault(meaning, value)

    def name(self, kind: str, written: str) -> None:
        """Note a page or a sitemap."""
        known = self.named[kind]
        url = normalise(written, self.url) if written else None
        if url is not None and len(known) == MOST and url not in known:
            self.reason = "too-many"
        elif url is not None:
            known[url] = None

    def end_image(self) -> None:
        """Note the image that was described."""
        said, self.image = self.image, {}
        caption = said.get("caption") or said.get("title")
        self.show(said.get("image", ""), caption, said.get("license"))

    def show(self, written: str, caption: str | None = None, terms: str | None = None) -> None:
        """Note an image."""
        url = normalise(written, self.url, keep_query=True) if written else None
        if url is not None and len(self.images) < MOST:
            image = FoundImage(url, told(caption), told(terms, 500), "sitemap")
            self.images.add(image)

    def refer(self, name: str, tag: Tag) -> None:
        """Note what feeds name in attributes: an entry's page, and what is enclosed with it."""
        inside = self.path[-1] if self.path else ""
        if name not in ("link", "enclosure", "content") or inside not in ("entry", "item", "group"):
            return
        has = attributes(tag.written)
        target = has.get("href") or has.get("url", "")
        kind, rel = has.get("type", ""), has.get("rel", "alternate")
        if has.get("medium") == "image" or kind.startswith("image/"):
            self.show(target)
        elif name == "content" and not kind and (url := normalise(target, self.url)):
            if looks_like_image(url):
                self.show(target)
        elif name == "link" and rel == "alternate" and "href" in has:
            self.name("page", target)

    def lines(self) -> None:
        """Read a plain list."""
        for line in islice(_LINE.finditer(self.text), _MOST_TAGS):
            if self.reason is None and (url := normalise(line[0].strip())):
                self.name("page", url)

    def found(self, reason: str | None) -> Sitemap:
        """Give what has been named."""
        pages, sitemaps = (tuple(self.named[kind]) for kind in ("page", "sitemap"))
        return Sitemap(pages, sitemaps, self.images.all(), self.reason or reason)


def _value(text: str) -> str:
    """Give what stands in an element, which may be CDATA."""
    text = text.strip()
    if text.startswith("<![CDATA["):
        return text[9 : 9 + _LONGEST_VALUE].partition("]]>")[0].strip()
    return decoded(text[:_LONGEST_VALUE])


def _unpacked(data: bytes) -> tuple[bytes, str | None]:
    """Give what was packed by gzip, up to a bound, and why it is not all."""
    if not data.startswith(b"\x1f\x8b"):
        return data[:LONGEST], "too-large" if len(data) > LONGEST else None
    found = bytearray()
    try:
        for piece in _pieces(data):
            found += piece
            if len(found) > LONGEST:
                return bytes(found[:LONGEST]), "too-large"
    except (zlib.error, EOFError):
        return bytes(found), "damaged"
    return bytes(found), None


def _pieces(data: bytes) -> Iterator[bytes]:
    """Unpack piece by piece, so that nothing is lost that stands before what is damaged."""
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        for at in range(0, len(data), _PIECE):
            left = data[at : at + _PIECE]
            while left and not member.eof:
                yield member.decompress(left, _PIECE)
                left = member.unconsumed_tail
            if member.eof:
                data = member.unused_data + data[at + _PIECE :]
                break
        else:
            raise EOFError
        if not data.startswith(b"\x1f\x8b"):
            return
