"""What an HTTP answer says of itself: status, kind, when to come back, whether to keep out."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

_WANTED = frozenset({b"content-type", b"etag", b"last-modified", b"location", b"retry-after"})
_STATUS = re.compile(rb"HTTP/[0-9.]+ +([0-9]{3})\b")
_AGENT = re.compile(r"[a-z0-9_*-]+")
# `none` is Google's short form of `noindex, nofollow`.
_REFUSING = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
# Directives that themselves hold a colon, so that they are not read as the name of an agent.
_VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})


@dataclass(frozen=True, slots=True)
class Head:
    """The head of one answer: `status` is 0 until it has come in whole."""

    status: int = 0
    fields: dict[bytes, str] = field(default_factory=dict)
    robots: tuple[str, ...] = ()

    def get(self, name: bytes) -> str | None:
        """Return the value of one of the few fields that are kept, by its lower-case name."""
        return self.fields.get(name)


def read_head(lines: Sequence[bytes]) -> Head:
    r"""Read the last head among the raw header lines of one exchange (1xx answers come before it).

    >>> read_head([b"HTTP/1.1 200 OK\r\n", b"ETag: 7\r\n", b"\r\n"]).get(b"etag")
    '7'
    """
    start = max((i for i, line in enumerate(lines) if line.startswith(b"HTTP/")), default=None)
    if start is None or not {b"\r\n", b"\n"} & set(lines[start:]):
        return Head()
    status = _STATUS.match(lines[start])
    fields: dict[bytes, str] = {}
    robots = []
    for line in lines[start + 1 :]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in _WANTED:
            fields[name] = value.strip().decode("latin-1")
        elif name == b"x-robots-tag":
            robots.append(value.strip().decode("latin-1"))
    return Head(int(status[1]) if status else 0, fields, tuple(robots))


def robots_refusal(tags: Sequence[str], agents: Collection[str]) -> str | None:
    """Return the first directive of `X-Robots-Tag` fields that tells us to keep out, else None.

    A directive counts if no agent is named before it in its field, or the agent is `*` or among
    `agents` (lower case). The form is Google's ("Robots meta tag, X-Robots-Tag specifications");
    noai and noimageai are DeviantArt's, which img2dataset obeys too.

    >>> robots_refusal(["googlebot: noindex", "max-image-preview: large, noai"], {"autods"})
    'noai'
    >>> robots_refusal(["otherbot: noai, noindex"], {"autods"}) is None
    True
    """
    return next((word for word in directives(tags, agents) if word in _REFUSING), None)


def directives(tags: Sequence[str], agents: Collection[str]) -> Iterator[str]:
    """Yield the directives of `X-Robots-Tag` fields that are said to us, in lower case.

    >>> list(directives(["nofollow", "otherbot: noai"], {"autods"}))
    ['nofollow']
    """
    for tag in tags:
        agent = "*"
        for part in tag.lower().split(","):
            name, colon, rest = (piece.strip() for piece in part.partition(":"))
            if colon and name not in _VALUED and _AGENT.fullmatch(name):
                agent, name = name, rest
            if name and (agent == "*" or agent in agents):
                yield name


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds a `Retry-After` field asks for, from its number or its date; None if none.

    >>> retry_after("120"), retry_after("soon")
    (120.0, None)
    >>> retry_after("Wed, 21 Oct 2015 07:28:00 GMT", datetime(2015, 10, 21, 7, 27, tzinfo=UTC))
    60.0
    """
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # A year of twenty digits.
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
