"""What one answer leads to, whatever it was: links, images, other lists; and how a page ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autods.crawl.found import FoundImage
from autods.storable import storable


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """Where a page, a stylesheet or a sitemap leads, in the order in which it says so.

    >>> Leads.from_json(Leads(links=("https://a.org/b",)).to_json()).links
    ('https://a.org/b',)
    """

    links: tuple[str, ...] = ()
    images: tuple[FoundImage, ...] = ()
    stylesheets: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()
    redirect: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give what the catalog keeps: nothing for what is empty."""
        said: dict[str, Any] = {name: getattr(self, name) for name in (*_LISTS, "redirect")}
        said["images"] = [[i.url, i.caption, i.license, i.how] for i in self.images]
        return {name: storable(value) for name, value in said.items() if value}

    @classmethod
    def from_json(cls, said: Mapping[str, Any] | None) -> "Leads":
        """Read what `to_json` gave; what led nowhere has nothing kept."""
        said = said or {}
        images = tuple(
            FoundImage(url=url, caption=caption, license=license_, how=how)
            for url, caption, license_, how in said.get("images", ())
        )
        lists = {name: tuple(said.get(name, ())) for name in _LISTS}
        return cls(images=images, redirect=said.get("redirect"), **lists)

    def count(self) -> int:
        """Count what it leads to."""
        return sum(map(len, (self.links, self.images, self.stylesheets, self.sitemaps)))


_LISTS = ("links", "stylesheets", "sitemaps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A page in the queue that has no outcome yet, with what its server said of it last time."""

    id: int
    ordinal: int
    url: str
    kind: str
    etag: str | None = None
    last_modified: str | None = None
    reader: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a page of the queue ended.

    `status` is one of `read`, `unchanged`, `image` (the page is one), `redirect`, `rejected` and
    `failed`. `leads` is None where what an earlier round found is to be kept: the page has not
    changed, or cannot be had just now.
    """

    page_id: int
    status: str
    reason: str | None = None
    detail: str | None = None
    leads: Leads | None = Leads()
    reader: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    requests: int = 0
    bytes: int = 0
