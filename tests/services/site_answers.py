"""What the generated site answers, as data: written by the plan, read by the server's process."""

import gzip
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode

Place = tuple[str, str]
"""An origin's name and a path with its query, percent-encoded."""

TRACKING = ("utm_", "gclid", "fbclid", "PHPSESSID")
"""Parameters, or how they begin, that change nothing about what a URL names."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer; the answers `before` it are given first, one request each.

    With `etag` or `modified` (s since 1970) a request with the same is answered 304. `zips`: sent
    compressed to who accepts that. `repeat`: the body as often, its length stated only if `sized`.
    `pause`: s between the bodies of an endless answer; 0 where it has an end. `delay`: s before.
    """

    status: int = 200
    body: bytes = b""
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    etag: str | None = None
    modified: int | None = None
    zips: bool = False
    repeat: int = 1
    sized: bool = True
    pause: float = 0.0
    delay: float = 0.0
    before: tuple["Answer", ...] = ()

    @property
    def streamed(self) -> bool:
        """Whether the body goes out in pieces."""
        return self.repeat > 1 or self.pause > 0

    def unchanged(self, headers: dict[str, str]) -> bool:
        """Tell whether a request names this very state; an ETag counts before a date."""
        asked = headers.get("if-none-match")
        if asked is not None:
            return self.etag is not None and self.etag in (tag.strip() for tag in asked.split(","))
        since = headers.get("if-modified-since")
        if since is None or self.modified is None:
            return False
        return parsedate_to_datetime(since).timestamp() >= self.modified

    def head(self, status: int, length: int | None, encoding: str | None) -> bytes:
        """Write the status line and the header lines."""
        fields: list[tuple[str, object]] = [*self.headers]
        if self.etag:
            fields.append(("ETag", self.etag))
        if self.modified is not None:
            fields.append(("Last-Modified", formatdate(self.modified, usegmt=True)))
        if self.content_type and status != 304:
            fields.append(("Content-Type", self.content_type))
        if encoding:
            fields += [("Content-Encoding", encoding), ("Vary", "Accept-Encoding")]
        if status != 304:
            fields.append(
                ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", length)
            )
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode("latin-1")

    def zipped(self) -> bytes:
        """Return the body compressed, the same bytes every time."""
        return gzip.compress(self.body, 6, mtime=0)


def plain_path(target: str) -> str:
    """Return what a path names: escapes as they should be, tracking parameters gone.

    >>> plain_path("/%61/b?utm_source=x&page=2")
    '/a/b?page=2'
    """
    path, _, query = target.partition("?")
    kept = [(k, v) for k, v in parse_qsl(query, True) if not k.startswith(TRACKING)]
    return quote(unquote(path), safe="/~") + (f"?{urlencode(kept)}" if kept else "")


def redirect(to: str, status: Literal[301, 302, 307] = 302) -> Answer:
    """Return an answer that points elsewhere.

    >>> redirect("/b").headers
    (('Location', '/b'),)
    """
    return Answer(status=status, headers=(("Location", to),))
