"""The images of the generated site: their bytes, how they are served, and how each of them ends."""

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Literal
from urllib.parse import quote

from services.site_answers import Answer, Place, redirect
from services.site_pictures import ENDINGS, TYPES, Pictures, format_of, huge_png
from services.site_words import slugs

SHARES = {
    "bytes": 600, "pixels": 200, "near": 500, "truncated": 60, "garbage": 40, "html": 40,
    "empty": 20, "huge": 5, "bomb": 3, "http-404": 60, "http-410": 20, "http-403": 20,
    "http-500": 3, "heals": 20, "busy": 10, "slow": 5, "moved": 50, "moved-loop": 3,
    "moved-barred": 3, "mistyped": 50, "barred": 100, "noai": 10, "closed": 10,
}  # fmt: skip
"""How many of 10,000 image URLs are of which kind, at least one each; the rest are plain."""

BEGAN = 1_704_067_200
"""When the first image was last modified: 2024-01-01, in s since 1970."""

_REASONS = {
    "truncated": ("truncated", "corrupt", "damaged"),
    "garbage": ("unknown-format",),
    "html": ("unsupported-format",),
    "empty": ("empty",),
    "huge": ("too-many-pixels",),
    "bomb": ("unsupported-format", "too-large", "bad-encoding"),
    "noai": ("x-robots-noai",),
    "barred": ("robots",),
    "closed": ("robots-unreachable",),
    "moved-barred": ("robots",),
    "moved-loop": ("redirect-loop", "too-many-redirects"),
}
_FAILED = frozenset({"http-404", "http-410", "http-403", "http-500", "moved-loop"})
_ERROR = b"<!doctype html><title>Sorry</title><p>Not now, or never.</p>"


@dataclass(kw_only=True)
class Photo:
    """One image URL and how it ends; `picture` is the number it is drawn from."""

    url: str
    role: str
    picture: int | None = None
    kind: Literal["", "bytes", "pixels", "near"] = ""
    sha256: str = ""
    changes: Literal["both", "etag", "modified", "none"] = "both"
    caption: str | None = None
    license: str | None = None
    how: str = ""
    pages: list[str] = field(default_factory=list)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is no asset, if it is none."""
        return () if self.sha256 else _REASONS.get(self.role, (self.role,))

    @property
    def end(self) -> Literal["asset", "duplicate", "rejected", "failed"]:
        """How it ends."""
        if self.sha256:
            return "duplicate" if self.kind else "asset"
        return "failed" if self.role in _FAILED else "rejected"


class Photos:
    """Draws images, puts them on the servers and keeps what becomes of them."""

    def __init__(self, seed: int, origins: dict[str, str], slow: float) -> None:
        self.origins = origins
        self.answers: dict[Place, Answer] = {}
        self.all: list[Photo] = []
        self.targets: dict[str, str] = {}
        self.barred: dict[str, str] = {}
        self._pictures = Pictures(seed)
        self._chance = random.Random(f"photos {seed}")
        self._names = slugs(seed)
        self._delay = slow
        self._made = 0
        self._drawn = 0

    def fill(self, count: int) -> None:
        """Make `count` images, all kinds among them, in no order."""
        numbers = {role: max(1, round(share * count / 10_000)) for role, share in SHARES.items()}
        alone = count - sum(numbers.values())
        plain = [self.plain() for _ in range(alone)]
        for role, number in numbers.items():
            for turn in range(number):
                self._make(role, plain, turn)
        self._chance.shuffle(self.all)

    def _make(self, role: str, plain: list[Photo], turn: int) -> None:
        match role:
            case "bytes":
                self._bytes(self._chance.choice(plain))
            case "pixels":
                self._pixels(self._base(plain, "PNG", "JPEG"), turn)
            case "near":
                self._near(self._base(plain, "PNG", "JPEG", "WEBP"), turn)
            case "heals":
                self.plain(role, before=(Answer(status=500, body=_ERROR),))
            case "slow":
                self.plain(role, delay=self._delay)
            case "busy":
                self._busy(turn)
            case "mistyped":
                self._mistyped(turn)
            case "moved":
                self._moved(plain, turn)
            case "moved-loop" | "moved-barred":
                self._misled(role)
            case _:
                self._refused(role)

    def plain(
        self, role: str = "plain", *,
        origin: str = "", before: tuple[Answer, ...] = (), delay: float = 0.0,
    ) -> Photo:  # fmt: skip
        """Make an image that is like no other."""
        number = self._number()
        body = self._pictures.plain(number)
        kind = TYPES[format_of(number)]
        return self._held(role, number, body, kind, origin=origin, before=before, delay=delay)

    def stray(self, why: str) -> Photo:
        """Make an image that no correct crawl finds; it is not among `all`."""
        photo = self.plain(f"stray-{why}", origin="site")
        self.all.remove(photo)
        return photo

    def change(self, photo: Photo) -> None:
        """Put another picture in the place of one that is there."""
        place = self.place(photo.url)
        number = self._number()
        body = self._pictures.plain(number)
        photo.picture, photo.sha256 = number, sha256(body).hexdigest()
        later = (self.answers[place].modified or BEGAN) + 86_400
        self.answers[place] = _served(photo, body, TYPES[format_of(number)], later)

    def remove(self, photo: Photo) -> None:
        """Take an image off its server."""
        photo.role, photo.sha256, photo.picture = "http-404", "", None
        self.answers[self.place(photo.url)] = Answer(status=404, body=_ERROR)

    def place(self, url: str) -> Place:
        """Return where a URL is served."""
        origin = next(name for name, base in self.origins.items() if url.startswith(f"{base}/"))
        return origin, url.removeprefix(self.origins[origin])

    def _number(self) -> int:
        self._drawn += 1
        return self._drawn - 1

    def _held(
        self, role: str, number: int, body: bytes, content_type: str, *,
        ending: str = "", origin: str = "", before: tuple[Answer, ...] = (), delay: float = 0.0,
        kind: Literal["", "bytes", "pixels", "near"] = "",
    ) -> Photo:  # fmt: skip
        """Serve bytes that decode, with the validators that are their turn."""
        photo = Photo(
            url=self._url(ending or ENDINGS[format_of(number)], origin),
            role=role,
            picture=number,
            kind=kind,
            sha256=sha256(body).hexdigest(),
            changes=_validators(self._made),
        )
        modified = BEGAN + 60 * self._made
        answer = _served(photo, body, content_type, modified, before=before, delay=delay)
        self.answers[self.place(photo.url)] = answer
        self.all.append(photo)
        return photo

    def _url(self, ending: str, origin: str = "", folder: str = "images") -> str:
        """Name a new image; some names need escapes, some end in a query."""
        self._made += 1
        turn = self._made
        name = next(self._names)
        if turn % 97 == 5:
            name = quote(f"größe-{name}")
        query = "?v=3&b=2&a=1" if turn % 89 == 7 else ""
        origin = origin or self._chance.choices(("site", "cdn", "other"), (82, 12, 6))[0]
        return f"{self.origins[origin]}/{folder}/{name}{ending}{query}"

    def _bytes(self, base: Photo) -> None:
        assert base.picture is not None
        answer = self.answers[self.place(base.url)]
        kind = answer.content_type or ""
        self._held("bytes", base.picture, answer.body, kind, kind="bytes")

    def _pixels(self, number: int, turn: int) -> None:
        body, kind = self._pictures.same_pixels(number, turn), TYPES[format_of(number)]
        self._held("pixels", number, body, kind, kind="pixels")

    def _near(self, number: int, turn: int) -> None:
        body = self._pictures.nearly(number, turn)
        self._held("near", number, body, "image/jpeg", ending=".jpg", kind="near")

    def _base(self, plain: list[Photo], *formats: str) -> int:
        """Choose a picture of one of some formats."""
        while True:
            number = self._chance.choice(plain).picture
            if number is not None and format_of(number) in formats:
                return number

    def _busy(self, turn: int) -> None:
        """Come back in 0 s; one of them in 1 s, for a host as a whole is left alone so long."""
        later = (("Retry-After", "0" if turn else "1"),)
        busy = Answer(status=503, body=_ERROR, headers=later)
        self.plain("busy", before=(busy,), origin="site" if turn else "other")

    def _mistyped(self, turn: int) -> None:
        number = self._number()
        kinds = ("text/html", "application/octet-stream", "image/x-icon", "text/plain")
        self._held("mistyped", number, self._pictures.plain(number), kinds[turn % len(kinds)])

    def _moved(self, plain: list[Photo], turn: int) -> None:
        """Redirect to an image that a page shows too, or (every other) to one that none shows.

        On the own host, for validators are not sent on to another.
        """
        shown = bool(turn % 2)
        here = [photo for photo in plain if photo.url.startswith(self.origins["site"])]
        aim = self._chance.choice(here) if shown else self.plain(origin="site")
        photo = Photo(
            url=self._url(".jpg", "site"), role="moved", picture=aim.picture, sha256=aim.sha256,
            kind="bytes" if shown else "", changes=aim.changes,
        )  # fmt: skip
        if not shown:
            self.all.remove(aim)
            self.targets[aim.url] = "target of a redirect"
        self._point(photo, aim.url)

    def _misled(self, role: str) -> None:
        """Redirect to and fro, or to what robots.txt bars."""
        photo = Photo(url=self._url(".jpg", "site"), role=role)
        barred = role == "moved-barred"
        there = self._url(".jpg", "site", "images/barred" if barred else "images")
        if barred:
            self.barred[there] = "robots"
        else:
            self.targets[there] = "the other half of a loop"
            self.answers[self.place(there)] = redirect(photo.url)
        self._point(photo, there)

    def _point(self, photo: Photo, to: str) -> None:
        self.answers[self.place(photo.url)] = redirect(to)
        self.all.append(photo)

    def _refused(self, role: str) -> None:
        """Serve what is no image, or what is not to be had."""
        url = {
            "barred": lambda: self._url(".jpg", "site", "images/barred"),
            "closed": lambda: self._url(".jpg", "closed"),
            "huge": lambda: self._url(".png"),
        }.get(role, lambda: self._url(".jpg"))()
        self.answers[self.place(url)] = self._wrong(role)
        self.all.append(Photo(url=url, role=role))

    def _wrong(self, role: str) -> Answer:
        if role.startswith("http-"):
            return Answer(status=int(role[5:]), body=_ERROR, content_type="text/html")
        packed = (("Content-Encoding", "gzip"),)
        noai = (("X-Robots-Tag", "noai, noimageai"),)
        bodies: dict[str, Callable[[], bytes]] = {
            "truncated": lambda: self._pictures.truncated(self._number()),
            "garbage": lambda: self._pictures.garbage(self._number()),
            "html": lambda: _ERROR,
            "empty": lambda: b"",
            "huge": huge_png,
            "bomb": gzip_bomb,
        }
        body = bodies.get(role, lambda: self._pictures.plain(self._number()))()
        said = packed if role == "bomb" else noai if role == "noai" else ()
        return Answer(
            body=body, content_type="image/png" if role == "huge" else "image/jpeg", headers=said,
            etag=f'"{sha256(body).hexdigest()[:16]}"',
        )  # fmt: skip


@cache
def gzip_bomb() -> bytes:
    """Return 80 KB that unpack to 80 MB of zeros."""
    return gzip.compress(bytes(80 << 20), 6, mtime=0)


def _validators(turn: int) -> Literal["both", "etag", "modified", "none"]:
    """By what a server tells of changes: 1 in 50 by nothing at all."""
    if turn % 50 < 11:
        return "none" if not turn % 50 else "etag" if turn % 50 < 6 else "modified"
    return "both"


def _served(
    photo: Photo, body: bytes, content_type: str, modified: int,
    before: tuple[Answer, ...] = (), delay: float = 0.0,
) -> Answer:  # fmt: skip
    tag = f'"{sha256(body).hexdigest()[:16]}"'
    return Answer(
        body=body, content_type=content_type, before=before, delay=delay,
        etag=tag if photo.changes in {"both", "etag"} else None,
        modified=modified if photo.changes in {"both", "modified"} else None,
    )  # fmt: skip
