"""From the answer of a server to the outcome of a page: what it is, and what it leads to."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from autods.crawl.css import image_urls, imports
from autods.crawl.found import FoundImage
from autods.crawl.html import read_page
from autods.crawl.leads import Leads, Outcome, Pending
from autods.crawl.sitemap import read_sitemap
from autods.crawl.urls import normalise
from autods.crawl.validators import validators
from autods.web.headers import directives
from autods.web.http import Fetched

READERS = {"page": "page/1", "css": "css/1", "sitemap": "sitemap/1"}
"""Who reads which kind; a change of what is read out of a text is a new reader."""

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_XML = frozenset({"application/xml", "text/xml"})
_VAGUE = frozenset({"", "text/plain", "application/octet-stream"})
_NO_LINKS = frozenset({"nofollow", "none"})
_NO_IMAGES = frozenset({"noindex", "none", "noimageindex", "noai", "noimageai"})


def read_answer(page: Pending, got: Fetched, agents: Collection[str]) -> Outcome:
    """Judge the answer to a request for a page, and read it out; its file is removed.

    `agents` are the names under which an `X-Robots-Tag` speaks to us; empty if none is heard.
    """
    try:
        outcome = _judge(page, got, agents)
    finally:
        if got.path is not None:
            got.path.unlink(missing_ok=True)
    return replace(outcome, requests=got.tries, bytes=got.size)


def _judge(page: Pending, got: Fetched, agents: Collection[str]) -> Outcome:
    if got.redirect is not None:
        return _redirected(page, got.redirect)
    if got.refusal is not None:
        refusal = got.refusal
        return _lost(page, _ended(page, refusal.status, refusal.reason, refusal.detail[:1000]))
    if got.path is None:
        return Outcome(page_id=page.id, status="unchanged", leads=None)
    return _heed(_read(page, got, got.path), got, agents)


def _redirected(page: Pending, target: str) -> Outcome:
    """Let the target join the queue like any link; what leads back to itself leads nowhere."""
    url = normalise(target)
    if url is None:
        return _ended(page, "failed", "bad-redirect", f"redirected to {target[:500]!r}")
    if url == page.url:
        return _ended(page, "failed", "redirect-loop", f"redirected back to {url}")
    return Outcome(page_id=page.id, status="redirect", detail=url, leads=Leads(redirect=url))


def _lost(page: Pending, outcome: Outcome) -> Outcome:
    """Keep what an earlier round has read of a page that cannot be had just now."""
    passing = outcome.status == "failed" and outcome.reason not in _GONE
    return replace(outcome, leads=None) if passing and page.reader else outcome


_GONE = frozenset({"http-404", "http-410", "redirect-loop"})


def _ended(page: Pending, status: str, reason: str, detail: str) -> Outcome:
    return Outcome(page_id=page.id, status=status, reason=reason, detail=detail)


def _read(page: Pending, got: Fetched, path: Path) -> Outcome:
    mime = (got.content_type or "").partition(";")[0].strip().lower()
    if mime.startswith("image/") and page.kind == "page":
        leads = Leads(images=(FoundImage(page.url, how="link"),))
        return _done(page, got, "image", leads)
    read = _leads(page, path.read_bytes(), mime, got.content_type)
    if read is None:
        detail = f"the server says it is {mime or 'of no type'}"
        return _ended(page, "rejected", f"not-a-{_WORDS[page.kind]}", detail)
    return _done(page, got, "read", *read)


_WORDS = {"page": "page", "css": "stylesheet", "sitemap": "sitemap"}


def _leads(
    page: Pending, data: bytes, mime: str, content_type: str | None
) -> tuple[Leads, str | None] | None:
    """Read a text as what was asked for, and say why not all of it; None if it cannot be that."""
    if page.kind == "sitemap":
        return None if mime in _HTML or mime.startswith("image/") else _sitemap(data, page.url)
    if page.kind == "css":
        return _stylesheet(data, page.url) if mime == "text/css" or mime in _VAGUE else None
    if mime in _XML or (mime.endswith("+xml") and mime not in _HTML):
        leads, reason = _sitemap(data, page.url)
        return replace(leads, sitemaps=()), reason
    if mime in _HTML or (mime in _VAGUE and data[:512].lstrip()[:1] == b"<"):
        return _page(data, page.url, content_type)
    return None


def _page(data: bytes, url: str, content_type: str | None) -> tuple[Leads, str | None]:
    """Read a page; what is not to be found by its text shows us no images either."""
    found = read_page(data, url, content_type)
    images = () if found.noindex else found.images
    asked = {"noindex": found.noindex, "noimageindex": found.noimageindex,
             "nofollow": found.nofollow}  # fmt: skip
    leads = Leads(links=found.links, images=images, stylesheets=found.stylesheets)
    return leads, next((word for word, is_asked in asked.items() if is_asked), None)


def _sitemap(data: bytes, url: str) -> tuple[Leads, str | None]:
    found = read_sitemap(data, url)
    leads = Leads(links=found.pages, sitemaps=found.sitemaps, images=found.images)
    return leads, found.reason


def _stylesheet(data: bytes, url: str) -> tuple[Leads, None]:
    text = data.decode(errors="replace")
    images = tuple(FoundImage(image, how="css") for image in image_urls(text, url))
    return Leads(images=images, stylesheets=tuple(imports(text, url))), None


def _done(
    page: Pending, got: Fetched, status: str, leads: Leads, reason: str | None = None
) -> Outcome:
    said = validators(got)
    return Outcome(
        page_id=page.id,
        status=status,
        reason=reason,
        leads=leads,
        reader=READERS[page.kind],
        etag=said["etag"],
        last_modified=said["last_modified"],
    )


def _heed(outcome: Outcome, got: Fetched, agents: Collection[str]) -> Outcome:
    """Leave what the header of a page asks us to leave."""
    said = set(directives(got.robots_tags, agents)) if agents else set()
    leads = outcome.leads
    if leads is None or not said & (_NO_LINKS | _NO_IMAGES):
        return outcome
    if said & _NO_LINKS:
        leads = replace(leads, links=())
    if said & _NO_IMAGES:
        leads = replace(leads, images=())
    word = min(said & (_NO_LINKS | _NO_IMAGES))
    detail = f"the server sent X-Robots-Tag: {word}"
    return replace(outcome, leads=leads, reason=word, detail=detail)
