"""A generated web site with a known truth, served for real on the loopback.

    with Site(pages=60, images=300, seed=7) as site:
        ...                          # crawl site.url to site.truth.depth
        site.truth.read              # the page URLs that a correct crawl reads
        site.truth.images[url].end   # "asset", "duplicate", "rejected" or "failed"
        site.truth.unique            # images left where near-duplicates are dropped
        site.requests                # who asked for what, and how many bytes went out
        site.violations()            # requests that no correct crawl makes

Four origins: `site.url` is the seed on the first; `cdn` (localhost, another port, a Crawl-delay)
and `other` (localhost, a third port; no robots.txt) serve images, and pages that must not be
crawled; `closed` answers 503 for its robots.txt, so nothing of it may be asked for.

In it: a tree of pages with cross links in all spellings of a URL, pages in four charsets, base
href, every way to show an image, orphans in a compressed sitemap, redirects, loops, pages that
heal, bombs, 50 MB and endless drips, rules of robots.txt, meta and rel, and traps without end
(`truth.traps`). `pages` counts those that are read, `images` those that are shown; `truth` is
worked out by walking the plan, never by reading HTML.

Pictures are drawn from perceptual hashes that are at least 18 bits apart, and copies of them stay
within 4 (`site_pictures.py`). The same seed gives the same images; the same `ports` the same pages.
The server is a process of its own that ends with its parent. 10,000 images take some 15 s to make.
"""

import json
import os
import pickle
import signal
import sys
import urllib.request
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from services.processes import free_port, launch, scratch, stop, wait_for
from services.site_answers import Answer, Place, plain_path
from services.site_ground import ORIGINS, Shape
from services.site_photos import Photo
from services.site_plan import Plan
from services.site_truth import Truth

__all__ = ["Asked", "Change", "Site"]

_TESTS = Path(__file__).resolve().parents[1]
_ROOM = 1 << 30


class Asked(NamedTuple):
    """One request and its answer; `when`: s since 1970; `conditional`: it named a state.

    `path` with its query as it came in; `sent`: bytes of the body on the wire.
    """

    when: float
    origin: str
    path: str
    status: int
    sent: int
    conditional: bool
    agent: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """What `Site.change` did, as URLs."""

    changed: tuple[str, ...]
    gone: tuple[str, ...]
    pages: tuple[str, ...]
    images: tuple[str, ...]


class Site:
    """The site from `with` to its end."""

    def __init__(
        self, pages: int = 2000, images: int = 10_000, seed: int = 7, *, depth: int = 5,
        crawl_delay: float = 0.01, slow: float = 2.0, drips: int = 1,
        ports: tuple[int, int, int, int] | None = None,
    ) -> None:  # fmt: skip
        shape = Shape(
            pages=pages, images=images, seed=seed, depth=depth, crawl_delay=crawl_delay,
            slow=slow, drips=drips,
        )  # fmt: skip
        chosen = ports or _free_ports(len(ORIGINS))
        self.ports = dict(zip(ORIGINS, chosen, strict=True))
        self.origins = {name: f"http://{ORIGINS[name]}:{port}" for name, port in self.ports.items()}
        self.url = f"{self.origins['site']}/"
        self.plan = Plan(shape, self.origins)
        self.truth: Truth = self.plan.truth()
        self._answers: dict[Place, Answer] = self.plan.answers()
        self._changes = 0
        self._control = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._folder = self._stack.enter_context(scratch("site", _ROOM))
        self._control = _free_ports(1)[0]
        ports = {**self.ports, "control": self._control}
        self._pack("setup.pickle", {"ports": ports, "answers": self._answers})
        server = launch(
            [sys.executable, "-m", "services.site_server", self._folder],
            self._folder / "site.log",
            environment={**os.environ, "PYTHONPATH": str(_TESTS)},
        )
        self._stack.callback(stop, server, signal.SIGTERM)
        wait_for(self._is_up, server, self._folder / "site.log")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def requests(self) -> list[Asked]:
        """All requests since the last `reset_log`, in order."""
        return [Asked(*row) for row in json.loads(self._ask("/log"))]

    def reset_log(self) -> None:
        """Forget the requests so far."""
        self._ask("/reset", b"")

    def asked(self) -> Counter[str]:
        """Count requests by canonical URL."""
        return Counter(self.canonical(one) for one in self.requests)

    def canonical(self, one: Asked) -> str:
        """Return the URL of a request as the truth has it."""
        whole = self.origins[one.origin] + one.path
        if self.truth.what(whole) != "unknown":
            return whole
        return self.origins[one.origin] + plain_path(one.path)

    def violations(self) -> list[tuple[str, str]]:
        """List the requests that no correct crawl makes, with why."""
        urls = map(self.canonical, self.requests)
        said = ((url, self.truth.never.get(url) or self.truth.what(url)) for url in urls)
        return [(url, why) for url, why in said if url in self.truth.never or why == "unknown"]

    def trapped(self) -> dict[str, int]:
        """Count the different URLs that were asked for in each trap."""
        asked = self.asked()
        return {p: sum(url.startswith(p) for url in asked) for p in self.truth.traps}

    def change(self, images: int = 5, pages: int = 2, gone: int = 3) -> Change:
        """Change the bytes of some images, add pages with three new images each, remove images.

        All are images that have a picture of their own and a server that tells of changes.
        """
        alone = self._alone()
        changed, removed = alone[:images], alone[images : images + gone]
        for photo in changed:
            self.plan.photos.change(photo)
        for photo in removed:
            self.plan.photos.remove(photo)
        added = [self.plan.add_page() for _ in range(pages)]
        self._publish()
        return Change(
            changed=tuple(photo.url for photo in changed),
            gone=tuple(photo.url for photo in removed),
            pages=tuple(leaf.url for leaf, _ in added),
            images=tuple(photo.url for _, photos in added for photo in photos),
        )

    def _alone(self) -> list[Photo]:
        groups = self.truth.groups
        return [
            photo
            for photo in self.plan.photos.all
            if photo.role == "plain"
            and photo.picture is not None
            and len(groups[photo.picture]) == 1
            and photo.changes != "none"
        ]

    def _publish(self) -> None:
        """Hand the server what is new."""
        before = self._answers
        self._answers, self.truth = self.plan.answers(), self.plan.truth()
        new = {
            place: answer for place, answer in self._answers.items() if answer != before.get(place)
        }
        self._changes += 1
        name = f"change-{self._changes}.pickle"
        self._pack(name, new)
        self._ask(f"/change/{name}", b"")

    def _pack(self, name: str, what: object) -> None:
        (self._folder / name).write_bytes(pickle.dumps(what, pickle.HIGHEST_PROTOCOL))

    def _is_up(self) -> bool:
        with suppress(OSError):
            self._ask("/")
            return True
        return False

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self._control}{path}", data=body)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())


def _free_ports(count: int) -> tuple[int, ...]:
    """Choose different free ports."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return tuple(ports)
