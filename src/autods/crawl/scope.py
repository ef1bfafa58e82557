"""How far a crawl goes: where it begins, which hosts and URLs belong to it, and how many."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from typing import Annotated

from annotated_types import Ge, Gt

from autods.crawl.traps import trap
from autods.crawl.urls import normalise, origin_of
from autods.errors import UsageError
from autods.settings import shown_url

_HOST = re.compile(r"(?:\*|(?:\*\.)?[a-z0-9_][a-z0-9._-]*|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_LISTS = ("seeds", "hosts", "image_hosts", "include", "exclude", "sitemap_urls")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What belongs to a crawl, and how much of it.

    Where: it begins at `seeds` and at the sitemaps of `sitemap_urls`; with `sitemaps` those that
    robots.txt names and /sitemap.xml are read too. Pages are read of `hosts`, which are by default
    those of the seeds and sitemaps (`www.` before it or not, on its scheme's own port http as
    well as https); images are taken from `image_hosts`. A host is `example.org` (on any port),
    `example.org:8080`, `*.example.org` (all below it) or `*` (any).

    Which: `include` and `exclude` are globs on the whole URL (`*` also matches a slash); a page
    must match one of `include`, if there are any, unless it is a seed, and neither page nor image
    may match one of `exclude`.

    How much: `depth` links away from a seed, `pages` and `images` in all, pages of `page_bytes`
    at most. Of pages of one host whose URLs are alike but for numbers and ids, as those of a
    calendar without end, `per_shape` may be in the queue or have brought no new image; 0 asks for
    all. What a sitemap names does not count.

    Manners: with `robots` each host's robots.txt is obeyed. `stylesheets` are read for the images
    they name. `license` and `label` are those of images that have no other. Raises UsageError
    naming the value that cannot be.

    >>> scope = Scope(seeds=("https://example.org/",), exclude=("*/login*",))
    >>> scope.page_reason("http://www.example.org/a"), scope.page_reason("http://b.org/")
    (None, 'other-host')
    """

    seeds: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    image_hosts: tuple[str, ...] = ("*",)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    depth: Annotated[int, Ge(0)] = 5
    pages: Annotated[int, Gt(0)] = 10_000
    images: Annotated[int, Gt(0)] = 100_000
    per_shape: Annotated[int, Ge(0)] = 500
    sitemaps: bool = True
    sitemap_urls: tuple[str, ...] = ()
    robots: bool = True
    stylesheets: bool = True
    page_bytes: Annotated[int, Gt(0)] = 10 * 2**20
    license: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        for name in _LISTS:
            if isinstance(getattr(self, name), str):
                word = getattr(self, name)
                raise UsageError(f"{name}={word!r} must be a list of them, as ({word!r},)")
        if not self.seeds and not self.sitemap_urls:
            raise UsageError("nowhere to begin: name a page in `seeds` or one in `sitemap_urls`")
        for name in ("seeds", "sitemap_urls"):
            for url in getattr(self, name):
                _checked_url(name, url)
        for name in ("hosts", "image_hosts"):
            for host in getattr(self, name):
                _checked_host(name, host)

    def page_reason(self, url: str) -> str | None:
        """Say why a page, by its normalised URL, is not read; None if it belongs to the crawl.

        `other-host`, `excluded` (by `exclude`, or by no `include`), or why it looks like a trap.
        """
        if not self._page_hosts.covers(url):
            return "other-host"
        if _matches(self._excluded, url):
            return "excluded"
        if url in self._starts:
            return None
        if self.include and not _matches(self._included, url):
            return "excluded"
        return trap(url)

    def image_reason(self, url: str) -> str | None:
        """Say why an image, by its normalised URL, is not taken: `other-host` or `excluded`."""
        if not self._image_hosts.covers(url):
            return "other-host"
        return "excluded" if _matches(self._excluded, url) else None

    @cached_property
    def _starts(self) -> frozenset[str]:
        return frozenset(url for url in map(normalise, self.seeds) if url)

    @cached_property
    def _page_hosts(self) -> "_Hosts":
        starts = [url for url in map(normalise, (*self.seeds, *self.sitemap_urls)) if url]
        return _Hosts(self.hosts or [host for url in starts for host in _own_hosts(url)])

    @cached_property
    def _image_hosts(self) -> "_Hosts":
        return _Hosts(self.image_hosts)

    @cached_property
    def _included(self) -> re.Pattern[str] | None:
        return _globs(self.include)

    @cached_property
    def _excluded(self) -> re.Pattern[str] | None:
        return _globs(self.exclude)


class _Hosts:
    """Hosts as they are written in a scope, and whether a URL is of one of them."""

    def __init__(self, written: Iterable[str]) -> None:
        self.names = frozenset(name.lower() for name in written)
        self.ends = tuple(name[1:] for name in self.names if name.startswith("*."))
        self.any = "*" in self.names

    def covers(self, url: str) -> bool:
        """Tell whether a URL's host is one of these, or lies below one."""
        if self.any:
            return True
        place = origin_of(url).partition("://")[2]
        name = place.rpartition(":")[0]
        if place in self.names or name in self.names:
            return True
        return place.endswith(self.ends) or name.endswith(self.ends)


def _own_hosts(url: str) -> list[str]:
    """Give the hosts that are a seed's own: its port alone, or both schemes' with and without www.

    >>> _own_hosts("http://www.a.org/"), _own_hosts("http://127.0.0.1:8000/")
    (['a.org:80', 'a.org:443', 'www.a.org:80', 'www.a.org:443'], ['127.0.0.1:8000'])
    """
    scheme, _, place = origin_of(url).partition("://")
    name, _, port = place.rpartition(":")
    if port != _DEFAULT_PORTS[scheme]:
        return [place]
    bare = name.removeprefix("www.")
    return [f"{host}:{each}" for host in (bare, f"www.{bare}") for each in ("80", "443")]


def _checked_url(name: str, url: str) -> None:
    if normalise(url) is None:
        shown = shown_url(url)[:200]
        bare = "://" not in url and normalise(f"https://{url}")
        hint = f"; did you mean 'https://{shown}'?" if bare else ""
        raise UsageError(f"{name}: {shown!r} is no http(s) URL that can be asked for{hint}")


def _checked_host(name: str, host: str) -> None:
    if not _HOST.fullmatch(host.lower()):
        valid = "example.org, example.org:8080, *.example.org or *"
        raise UsageError(f"{name}: {host!r:.200} is no host; write it as {valid}")


def _globs(globs: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(translate, globs))) if globs else None


def _matches(pattern: re.Pattern[str] | None, url: str) -> bool:
    return pattern is not None and pattern.match(url) is not None
