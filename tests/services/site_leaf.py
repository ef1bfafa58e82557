"""One page of the generated site: its links and images in every way that HTML knows."""

import json
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from typing import Literal
from urllib.parse import unquote, urlsplit

from services.site_answers import Answer
from services.site_photos import BEGAN, Photo

ORIGIN = re.compile(r"http://[^/]+")
_ENCODED = re.compile(r"(?:%[C-F][0-9A-F](?:%[89AB][0-9A-F])+)+")
_BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
LICENSE = "https://creativecommons.org/licenses/by/4.0/"

Style = Literal[
    "absolute", "path", "relative", "scheme", "loud", "fragment", "tracked", "session", "escaped",
    "dots",
]  # fmt: skip
"""How a URL may be written so that it still names the same thing."""

STYLES: tuple[Style, ...] = (
    "absolute", "path", "relative", "scheme", "loud", "fragment", "tracked", "session", "escaped",
    "dots",
)  # fmt: skip
FOR_IMAGES: tuple[Style, ...] = ("path", "relative", "absolute", "path", "scheme", "loud", "dots")

WAYS = (
    *["img"] * 22, *["lazy"] * 6, *["srcset"] * 5, *["density"] * 2, *["picture"] * 4,
    *["figure"] * 2, *["json-ld"] * 3, *["link"] * 3, *["noscript"] * 2, *["style"] * 2,
    *["sheet"] * 2, *["css"] * 2, *["og"] * 2, "css-import", "twitter", "image_src", "preload",
    "poster", "input", "svg",
)  # fmt: skip
"""How images are shown, as often as each."""

_CAPTIONED = frozenset({"img", "lazy", "srcset", "density", "picture", "figure", "noscript"})


@dataclass(kw_only=True)
class Leaf:
    """A page while it is written.

    `why` no correct crawl reads it, if none does. `base` is what relative URLs are relative to.
    `follows` are the pages it leads to as a crawler should see it, `shows` its images, `unwanted`
    the URLs in it that nobody should ask for, with why.
    """

    url: str
    title: str
    why: str = ""
    base: str = ""
    charset: str = "utf-8"
    declares: Literal["header", "meta", "bom"] = "header"
    robots: tuple[tuple[str, str], ...] = ()
    kind: str = "text/html"
    text: str = ""
    sheet: str = ""
    only: tuple[str, ...] = WAYS
    head: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    follows: list[str] = field(default_factory=list)
    shows: list[Photo] = field(default_factory=list)
    unwanted: list[tuple[str, str]] = field(default_factory=list)
    number: int = 0
    edits: int = 0
    before: tuple[Answer, ...] = ()

    @property
    def origin(self) -> str:
        """Where it is served."""
        return origin_of(self.url)

    def link(self, to: str, style: Style = "path", *, text: str = "", follow: bool = True) -> None:
        """Lead to another page; not `follow`: by a link that says nofollow."""
        if follow:
            self.follows.append(to)
        rel = "" if follow else ' rel="nofollow"'
        written = escape(spell(to, self.base or self.url, style))
        self.body.append(f'<li><a href="{written}"{rel}>{text or to[-20:]}</a></li>')

    def show(self, photo: Photo, how: str, style: Style) -> None:
        """Show an image in one of the ways."""
        photo.how = photo.how or how
        self.shows.append(photo)
        url = spell(photo.url, self.base or self.url, style)
        caption = "A " + re.split(r"[/.]", photo.url.partition("?")[0])[-2].replace("-", " ")
        caption = unquote(caption)
        if how in _CAPTIONED or how == "json-ld":
            photo.caption = photo.caption or caption
        if how == "json-ld":
            photo.license = photo.license or LICENSE
        if how in {"srcset", "density", "picture", "json-ld"}:
            here = origin_of(self.base or self.url)
            self.unwanted.append((f"{here}/small/{_file(photo.url)}", "smaller"))
        head, body = _WAYS[how](url, photo.url, caption, f"/small/{_file(photo.url)}")
        (self.head if head else self.body).append(head or body)

    def answer(self) -> Answer:
        """Write the page."""
        said = {"header": f"; charset={self.charset}"}.get(self.declares, "")
        body = self._html().encode(self.charset, "xmlcharrefreplace")
        digest = sha256(body).hexdigest()[:16]
        return Answer(
            body=body,
            content_type=self.kind + said,
            etag=None if self.number % 20 in (3, 4) else f'W/"{digest}"',
            modified=None
            if self.number % 20 in (4, 5)
            else BEGAN + 3600 * self.number + 86_400 * self.edits,
            zips=True,
            before=self.before,
        )

    def _html(self) -> str:
        base = f'<base href="{self.base}">' if self.base else ""
        meta = f'<meta charset="{self.charset}">' if self.declares == "meta" else ""
        robots = "".join(f'<meta name="{who}" content="{what}">' for who, what in self.robots)
        sheet = f'<link rel="stylesheet" href="{self.sheet}">' if self.sheet else ""
        xmlns = ' xmlns="http://www.w3.org/1999/xhtml"' if "xhtml" in self.kind else ""
        return (
            f'<!doctype html>\n<html lang="en"{xmlns}><head>{meta}<title>{self.title}</title>'
            f'{base}{robots}{sheet}<link rel="icon" href="{self.origin}/favicon.ico">'
            f"{''.join(self.head)}</head>\n<body><h1>{self.title}</h1><ul>{''.join(self.body)}</ul>"
            f'<img src="{self.origin}/pixel.gif?from={self.number}" width="1" height="1">'
            f"<p>{self.text}</p></body></html>"
        )


def origin_of(url: str) -> str:
    """Return scheme, host and port.

    >>> origin_of("http://localhost:8080/a/b")
    'http://localhost:8080'
    """
    found = ORIGIN.match(url)
    assert found is not None
    return found[0]


def spell(url: str, base: str, style: Style) -> str:
    """Write a URL in another way; what needs one host is absolute where there are two.

    >>> [spell("http://h:1/a/b/?c=1", "http://h:1/a/d.html", style) for style in STYLES[1:5]]
    ['/a/b/?c=1', 'b/?c=1', '//h:1/a/b/?c=1', 'HTTP://H:1/a/b/?c=1']
    """
    origin = origin_of(url)
    rest = url[len(origin) :]
    near = origin_of(base) == origin
    more = "&" if "?" in rest else "?"
    match style:
        case "path" if near:
            return rest
        case "relative" if near:
            return _relative(rest, urlsplit(base).path)
        case "scheme":
            return url.removeprefix("http:")
        case "loud":
            return origin.upper() + rest
        case "fragment":
            return f"{url}#{len(url)}"
        case "tracked":
            return f"{url}{more}utm_source=letter&gclid={len(url)}"
        case "session":
            return f"{url}{more}PHPSESSID={sha256(url.encode()).hexdigest()[:26]}"
        case "escaped" if len(rest) > 1 and rest[1].isalpha():
            return f"{origin}/%{ord(rest[1]):02X}{rest[2:]}"
        case "dots":
            return f"{origin}/./nowhere/..{rest}"
        case _:
            return url


def _relative(rest: str, here: str) -> str:
    path, mark, query = rest.partition("?")
    found = posixpath.relpath(path, posixpath.dirname(here) or "/")
    return found + ("/" if path.endswith("/") else "") + mark + query


def _file(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _attribute(url: str) -> str:
    """Write a URL as an attribute's value, its letters as letters."""
    return escape(_ENCODED.sub(lambda found: unquote(found[0]), url))


def _json_ld(whole: str, caption: str, small: str) -> str:
    image = {
        "@type": "ImageObject", "contentUrl": whole, "caption": caption, "license": LICENSE,
        "thumbnailUrl": small,
    }  # fmt: skip
    thing = {"@context": "https://schema.org", "@type": "Article", "image": [image]}
    return f'<script type="application/ld+json">{json.dumps({"@graph": [thing]})}</script>'


def _lazy(url: str, whole: str, caption: str) -> str:
    name = ("data-src", "data-original", "data-lazy-src")[len(whole) % 3]
    return f'<img src="{_BLANK}" {name}="{_attribute(url)}" alt="{caption}">'


def _both(head: str = "", body: str = "") -> tuple[str, str]:
    return head, body


_WAYS: dict[str, Callable[[str, str, str, str], tuple[str, str]]] = {
    "img": lambda u, w, c, s: _both(body=f'<img src="{_attribute(u)}" alt="{c}">'),
    "lazy": lambda u, w, c, s: _both(body=_lazy(u, w, c)),
    "srcset": lambda u, w, c, s: _both(
        body=f'<img src="{s}" srcset="{s} 320w,\n {_attribute(u)} 1280w" sizes="100vw" alt="{c}">'
    ),
    "density": lambda u, w, c, s: _both(
        body=f'<img src="{s}" srcset="{s}, {_attribute(u)} 2x" alt="{c}">'
    ),
    "picture": lambda u, w, c, s: _both(
        body=f'<picture><source srcset="{_attribute(u)} 1200w, {s} 400w"><img src="{s}" alt="{c}">'
        "</picture>"
    ),
    "figure": lambda u, w, c, s: _both(
        body=f'<figure><img src="{_attribute(u)}"><figcaption>{c}</figcaption></figure>'
    ),
    "noscript": lambda u, w, c, s: _both(
        body=f'<noscript><img src="{_attribute(u)}" alt="{c}"></noscript>'
    ),
    "link": lambda u, w, c, s: _both(body=f'<li><a href="{_attribute(u)}">large</a></li>'),
    "poster": lambda u, w, c, s: _both(body=f'<video poster="{_attribute(u)}"></video>'),
    "input": lambda u, w, c, s: _both(body=f'<input type="image" src="{_attribute(u)}">'),
    "svg": lambda u, w, c, s: _both(
        body=f'<svg width="9" height="9"><image href="{_attribute(u)}"/></svg>'
    ),
    "style": lambda u, w, c, s: _both(
        body=f"<div style=\"background: #fff url('{escape(u)}') no-repeat\">.</div>"
    ),
    "sheet": lambda u, w, c, s: _both(head=f"<style>.a{{background-image:url({u})}}</style>"),
    "og": lambda u, w, c, s: _both(head=f'<meta property="og:image" content="{escape(w)}">'),
    "twitter": lambda u, w, c, s: _both(head=f'<meta name="twitter:image" content="{escape(w)}">'),
    "image_src": lambda u, w, c, s: _both(head=f'<link rel="image_src" href="{escape(u)}">'),
    "preload": lambda u, w, c, s: _both(head=f'<link rel="preload" as="image" href="{escape(u)}">'),
    "json-ld": lambda u, w, c, s: _both(head=_json_ld(w, c, s)),
}
