"""What an HTML page shows and where it leads: every way in which one names an image or a page."""

import re
from collections.abc import Callable
from itertools import islice

from autods.crawl.charset import text_of
from autods.crawl.found import MOST, Found, FoundImage, from_json, to_json
from autods.crawl.jsonld import described
from autods.crawl.page import Page, told
from autods.crawl.srcset import Offer, offers
from autods.crawl.tags import Tag, attributes, plain, tags
from autods.crawl.urls import looks_like_image

__all__ = ["Found", "FoundImage", "from_json", "read_page", "to_json"]

Attributes = dict[str, str]

_MOST_TAGS = 500_000
_STYLED = re.compile(r"\bstyle[\t\n\f\r ]*=", re.IGNORECASE)
_REFRESH = re.compile(r"[^;,]*+[;,]\s*+(?:url\s*+=\s*+)?[\"']?([^\"']*+)", re.IGNORECASE)
_MIN_WIDTH = re.compile(r"min-width\s*:\s*([0-9]{1,6})", re.IGNORECASE)
_SPACER = re.compile(r"\s*[012](?:\.0+)?(?:px)?\s*")

_LAZY = ("data-original", "data-src", "data-lazy-src", "src")
_META_IMAGES = frozenset(
    "og:image og:image:url og:image:secure_url twitter:image twitter:image:src".split()
)
_META_CAPTIONS = frozenset({"og:image:alt", "twitter:image:alt"})
_TO_PAGES = frozenset({"next", "prev", "previous", "canonical"})
_PAGES = frozenset({"", "text/html", "application/xhtml+xml"})
_UNDECODABLE = frozenset({"image/jxl", "image/svg+xml"})


def read_page(data: bytes, url: str, content_type: str | None) -> Found:
    """Read what a page at `url` leads to and shows, from bytes that may be anything.

    Links are those of `a`, `area`, `iframe`, `frame`, `<link rel>` next, prev and canonical (and
    alternate, if that is no feed), and a meta refresh; not those with `rel=nofollow`. Of the sizes
    of one image it is the largest. A `meta` robots or autods that says nofollow leaves no
    links; noindex, noimageindex, noai or noimageai leave no images.

    >>> read_page(b'<img srcset="s.jpg 9w, l.jpg 99w">', "http://a.org/", None).images[0].url
    'http://a.org/l.jpg'
    """
    text = text_of(data, content_type)
    mime = (content_type or "").partition(";")[0].strip().lower()
    page = Page(text, url, xml=mime.endswith("xml"))
    for tag in islice(tags(text, xml=page.xml), _MOST_TAGS):
        if tag.name == "template":
            page.templates = max(0, page.templates + {"open": 1, "close": -1}.get(tag.kind, 0))
        elif not page.templates:
            _take(page, tag)
    return page.found()


def _take(page: Page, tag: Tag) -> None:
    """Take a tag that is on the page itself, which what stands in a template is not."""
    if tag.kind == "close":
        if tag.name in _CLOSERS:
            _CLOSERS[tag.name](page, tag)
        return
    if tag.name in _READERS:
        _READERS[tag.name](page, tag, attributes(tag.written))
    if _STYLED.search(tag.written):
        page.style(attributes(tag.written).get("style", ""))


def read_anchor(page: Page, _: Tag, has: Attributes) -> None:
    """Read `a` and `area`."""
    if "nofollow" not in _rel(has):
        page.link(has.get("href", ""), has.get("title"))


def read_frame(page: Page, _: Tag, has: Attributes) -> None:
    """Read `iframe` and `frame`."""
    page.link(has.get("src", ""), has.get("title"))


def read_link(page: Page, _: Tag, has: Attributes) -> None:
    """Read `link` by what it says it is; an icon is nothing to us."""
    rel, href, kind = _rel(has), has.get("href", ""), has.get("type", "").strip().lower()
    if "stylesheet" in rel and kind in ("", "text/css"):
        page.sheet(href)
    elif "preload" in rel and has.get("as", "").lower() == "image":
        page.largest([*offers(has.get("imagesrcset", "")), Offer(href)], "preload")
    elif "image_src" in rel or has.get("itemprop") == "image":
        page.image(href, "meta")
    elif rel & _TO_PAGES or ("alternate" in rel and kind in _PAGES):
        page.link(href)


def read_meta(page: Page, _: Tag, has: Attributes) -> None:
    """Read `meta`: what it asks of robots, where it leads on to, the image it presents."""
    content = has.get("content", "")
    name = (has.get("property") or has.get("name") or has.get("itemprop") or "").strip().lower()
    if name in ("robots", "autods"):
        parts = [part for part in content.lower().split(",") if ":" not in part]
        page.said.update(word for part in parts for word in part.split())
    elif has.get("http-equiv", "").strip().lower() == "refresh":
        if target := _REFRESH.match(content):
            page.link(target[1])
    elif name in _META_IMAGES or has.get("itemprop") == "image":
        page.last_meta = page.image(content, "meta")
    elif name in _META_CAPTIONS and page.last_meta:
        page.image(page.last_meta, "meta", content)


def read_image(page: Page, _: Tag, has: Attributes) -> None:
    """Read `img`, with the sources of the `picture` that it ends."""
    if any(_SPACER.fullmatch(has.get(side, "")) for side in ("width", "height")):
        page.picture = None
        return
    sizes = [size for name in ("srcset", "data-srcset") for size in offers(has.get(name, ""))]
    sizes += [Offer(has[name]) for name in _LAZY if name in has]
    how = "img" if page.picture is None else "picture"
    alt, title = told(has.get("alt")), told(has.get("title"))
    in_figure = page.figure is not None and alt is None
    url = page.largest(sizes + (page.picture or []), how, alt or (None if in_figure else title))
    page.picture = None
    if page.figure is not None and url and in_figure and len(page.figure) < MOST:
        page.figure.append((url, title))


def read_source(page: Page, _: Tag, has: Attributes) -> None:
    """Read a `source` of a `picture`; that of a film or a sound is nothing to us."""
    if page.picture is None or has.get("type", "").strip().lower() in _UNDECODABLE:
        return
    media = has.get("media", "")
    width = _MIN_WIDTH.search(media)
    found = [
        size
        for name in ("srcset", "data-srcset")
        for size in offers(has.get(name, ""), int(width[1]) if width else 0)
    ]
    if "max-width" in media.lower():  # Cut for a small screen, unless it tells its width.
        found = [Offer(url, size if size[0] == 1 else (-2, *size[1:])) for url, size in found]
    page.picture += found[: MOST - len(page.picture)]


def start_picture(page: Page, _: Tag, __: Attributes) -> None:
    """Wait for the sources of a `picture`."""
    page.end_picture()
    page.picture = []


def start_figure(page: Page, _: Tag, __: Attributes) -> None:
    """Wait for the caption of a `figure`."""
    page.end_figure()
    page.figure, page.figcaption = [], None


def start_caption(page: Page, tag: Tag, _: Attributes) -> None:
    """Note where a `figcaption` begins."""
    page.caption_from = tag.end


def end_caption(page: Page, tag: Tag) -> None:
    """Keep what a `figcaption` said."""
    start = page.caption_from
    if page.figure is not None and start:
        page.figcaption = told(plain(page.text[start : min(tag.start, start + 4000)]))
    page.caption_from = 0


def read_input(page: Page, _: Tag, has: Attributes) -> None:
    """Read a button that is an image."""
    if has.get("type", "").strip().lower() == "image":
        page.image(has.get("src", ""), "input", has.get("alt"))


def read_video(page: Page, _: Tag, has: Attributes) -> None:
    """Read the still that stands for a film."""
    page.image(has.get("poster", ""), "poster", has.get("title"))


def read_svg_image(page: Page, _: Tag, has: Attributes) -> None:
    """Read an `image` in a drawing."""
    page.image(has.get("href") or has.get("xlink:href") or has.get("src", ""), "svg")


def read_object(page: Page, _: Tag, has: Attributes) -> None:
    """Read an `object` or `embed` that is an image."""
    data = has.get("data") or has.get("src", "")
    if has.get("type", "").strip().lower().startswith("image/") or looks_like_image(data):
        page.image(data, "object", has.get("title"))


def read_background(page: Page, _: Tag, has: Attributes) -> None:
    """Read the background of a page or table of old."""
    page.image(has.get("background", ""), "background")


def read_script(page: Page, tag: Tag, has: Attributes) -> None:
    """Read what a page says of itself for machines."""
    if has.get("type", "").partition(";")[0].strip().lower() == "application/ld+json":
        for each in described(tag.text):
            page.image(each.url, "json-ld", each.caption, each.license)


def read_style(page: Page, tag: Tag, _: Attributes) -> None:
    """Read a sheet within the page."""
    page.style(tag.text)


_READERS: dict[str, Callable[[Page, Tag, Attributes], None]] = {
    "a": read_anchor,
    "area": read_anchor,
    "iframe": read_frame,
    "frame": read_frame,
    "link": read_link,
    "meta": read_meta,
    "img": read_image,
    "source": read_source,
    "picture": start_picture,
    "figure": start_figure,
    "figcaption": start_caption,
    "input": read_input,
    "video": read_video,
    "image": read_svg_image,
    "object": read_object,
    "embed": read_object,
    "body": read_background,
    "table": read_background,
    "td": read_background,
    "script": read_script,
    "style": read_style,
}
_CLOSERS: dict[str, Callable[[Page, Tag], None]] = {
    "picture": lambda page, _: page.end_picture(),
    "figcaption": end_caption,
    "figure": lambda page, _: page.end_figure(),
}


def _rel(has: Attributes) -> set[str]:
    return set(has.get("rel", "").lower().split())
