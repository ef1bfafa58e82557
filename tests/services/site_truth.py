"""What a correct crawl of the generated site ends in: plain data, all URLs in canonical form."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class PageEnd:
    """How a page URL ends that may be asked for.

    `read`: its links and images count. `redirect`: leads on, by itself nothing. `refused`: cannot
    be had, or is no page; `why` says in which way (`http-404`, `too-large`, `bomb`, `endless`,
    `redirect-loop`, `not-a-page`, `empty`). `image`: an image behind a link that does not look
    like one. `depth`: links away from the seed; a redirect leads no deeper.
    """

    end: Literal["read", "redirect", "refused", "image"]
    depth: int
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class ImageEnd:
    """How an image URL ends that a page shows.

    `asset`: its bytes are held; the first of its `group`. `duplicate`: of its group's asset, by
    `kind`: the same bytes, the same pixels in other bytes, or near. Which member of a group comes
    first depends on the order of arrival; that exactly one of them is kept does not. `rejected`
    (final) and `failed` (worth another run): for one of the `reasons`.

    `how` it is shown; `page`: where, or one of the places (for a stylesheet's, the section that
    links it); `caption`, `license`: as stated there, None where it is shown more than once.
    `changes` says how its server tells of changes: by "both" validators, "etag", "modified" or
    "none".
    """

    end: Literal["asset", "duplicate", "rejected", "failed"]
    how: str
    page: str
    reasons: tuple[str, ...] = ()
    group: int | None = None
    kind: Literal["", "bytes", "pixels", "near"] = ""
    sha256: str = ""
    caption: str | None = None
    license: str | None = None
    changes: Literal["both", "etag", "modified", "none"] = "both"


@dataclass(kw_only=True)
class Truth:
    """All of it.

    `pages`: page URLs that a crawl of `depth` asks for. `images`: image URLs that the pages read
    show; those with reason `robots` must not be asked for. `aids`: other URLs that may be asked
    for: robots.txt, sitemaps, stylesheets, targets of images that redirect. `never`: URLs that must
    not be asked for, with why. `traps`: URL prefixes without end, of which a correct crawl asks for
    a bounded number.
    """

    depth: int
    pages: dict[str, PageEnd] = field(default_factory=dict)
    images: dict[str, ImageEnd] = field(default_factory=dict)
    aids: dict[str, str] = field(default_factory=dict)
    never: dict[str, str] = field(default_factory=dict)
    traps: dict[str, str] = field(default_factory=dict)

    @property
    def read(self) -> set[str]:
        """The pages that are read."""
        return {url for url, page in self.pages.items() if page.end == "read"}

    @property
    def held(self) -> set[str]:
        """The image URLs whose bytes are held in the end."""
        return {url for url, image in self.images.items() if image.sha256}

    @property
    def groups(self) -> dict[int, set[str]]:
        """The held image URLs by picture; there are as many unique images as groups."""
        found: dict[int, set[str]] = {}
        for url, image in self.images.items():
            if image.group is not None:
                found.setdefault(image.group, set()).add(url)
        return found

    @property
    def unique(self) -> int:
        """How many images remain where near-duplicates are dropped."""
        return len(self.groups)

    @property
    def blobs(self) -> set[str]:
        """The SHA-256 of all bytes that decode, one for each asset before near ones are dropped."""
        return {image.sha256 for image in self.images.values() if image.sha256}

    def counts(self) -> dict[str, int]:
        """Count image URLs by end: `asset`, `duplicate:near`, `rejected:robots`, ..."""
        said = Counter(
            ":".join(filter(None, (image.end, image.kind or "/".join(image.reasons))))
            for image in self.images.values()
        )
        return dict(sorted(said.items()))

    def what(self, url: str) -> str:
        """Say what a URL is: `page`, `image`, `aid`, `never`, `trap`, or `unknown`."""
        if url in self.never:
            return "never"
        for name, urls in (("page", self.pages), ("image", self.images), ("aid", self.aids)):
            if url in urls:
                return name
        return "trap" if url.startswith(tuple(self.traps)) else "unknown"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain dictionaries, lists and words."""
        return asdict(self)
