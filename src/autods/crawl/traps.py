"""Telling a URL that leads into a trap: a corner of a site that makes ever more URLs.

The rules are those that the large crawlers found enough, and the bounds theirs: Heritrix
(TooManyPathSegmentsDecideRule: 20; PathologicalPathDecideRule: no segments twice over),
StormCrawler's BasicURLFilter (3 repetitions, 1,024 characters), Nutch's `regex-urlfilter`. A trap
that no single URL gives away (a calendar, session ids) is bounded by counting `shape`s.
"""

import re

LONGEST = 1024
DEEPEST = 20
MOST_PARAMETERS = 10
MOST_REPEATS = 3

_ID = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # UUID
    r"|(?<![0-9a-z])(?=[a-f]*[0-9])[0-9a-f]{8,}(?![0-9a-z])"  # Hexadecimal, with a digit
    r"|(?<![0-9a-z])(?=[a-z]*[0-9])[0-9a-z]{16,}(?![0-9a-z])",  # Any long word with a digit
    re.IGNORECASE,
)
_DIGITS = re.compile(r"[0-9]+")
_MONTH = re.compile(
    r"(?<![a-z])(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?=[-_./]?[0-9])",
    re.IGNORECASE,
)
_MOST_NAMES = 3


def trap(url: str) -> str | None:
    """Say why a URL looks like one of endlessly many; None if it does not.

    `path-too-deep` is above 20 segments, `repeating-path` the same segments three times in a
    row, `too-many-parameters` above 10, `url-too-long` above 1,024 characters.

    >>> trap("http://a.org/news/img/news/img/news/img/"), trap("http://a.org/news/img/")
    ('repeating-path', None)
    """
    path, _, query = url.partition("#")[0].partition("?")
    segments = [part for part in path.split("/")[3:] if part]
    if len(segments) > DEEPEST:
        return "path-too-deep"
    if _repeats(segments):
        return "repeating-path"
    if query.count("&") >= MOST_PARAMETERS:
        return "too-many-parameters"
    return "url-too-long" if len(url) > LONGEST else None


def shape(url: str) -> str:
    """Give what is alike in URLs that one rule makes, their host included.

    In the path numbers, dates and ids are masked; of the query the names are left, whose own
    numbers are masked, each once, in their order; of more than three none is, for they are the
    filters of a search. The same shape may be asked for so often and no more.

    >>> shape("http://a.org/calendar/2024-05/day7?view=list&id=3")
    'http://a.org/calendar/0-0/day0?id&view'
    >>> shape("http://a.org/s/9f86d081884c7d65/basket"), shape("http://a.org/May-2024/")
    ('http://a.org/s/*/basket', 'http://a.org/month-0/')
    """
    head, _, query = url.partition("#")[0].partition("?")
    scheme, _, rest = head.partition("://")
    host, slash, path = rest.partition("/")
    path = _DIGITS.sub("0", _MONTH.sub("month", _ID.sub("*", path)))
    names = sorted({_DIGITS.sub("0", part.partition("=")[0]) for part in query.split("&")} - {""})
    asked = "many" if len(names) > _MOST_NAMES else "&".join(names)
    return f"{scheme}://{host}{slash}{path}" + (f"?{asked}" if asked else "")


def _repeats(segments: list[str]) -> bool:
    """Tell whether some segments stand three times in a row; there are 20 at most."""
    for length in range(1, len(segments) // MOST_REPEATS + 1):
        for start in range(len(segments) - MOST_REPEATS * length + 1):
            once = segments[start : start + length]
            if segments[start : start + MOST_REPEATS * length] == once * MOST_REPEATS:
                return True
    return False
