"""Corners of the generated site that have no end: every URL under them is answered."""

from hashlib import blake2b
from itertools import product
from urllib.parse import parse_qsl, urlencode

from services.site_answers import Answer, redirect

TRAPS = {
    "/calendar/": "a calendar: each month leads to other months and years",
    "/session/": "a new session id in the path of every link",
    "/find": "a faceted search: every page leads to more parameters",
    "/rel/": "a relative link that nests the path deeper each time",
    "/forever/": "a redirect to the next number, for ever",
}
"""Where each begins, and what it is."""

ENTRIES = ("/calendar/2024/01", "/session/", "/find?color=red", "/rel/", "/forever/1")
"""Where the home page leads into each."""

_FACETS = {"color": ("red", "green"), "size": ("s", "m", "l"), "sort": ("up", "down")}


def trapped(target: str) -> Answer | None:
    """Return the answer to a URL inside a trap, None for one outside.

    >>> trapped("/forever/7").headers
    (('Location', '/forever/8'),)
    """
    path, _, query = target.partition("?")
    if path.startswith("/calendar/"):
        return _page("Calendar", _months(path))
    if path.startswith("/session/"):
        return _page("Your visit", _sessions(path))
    if path == "/find":
        return _page("Search", _searches(query))
    if path.startswith("/rel/"):
        return _page("Further", ["loop/again/"])
    if path.startswith("/forever/"):
        number = path.removeprefix("/forever/")
        return redirect(f"/forever/{int(number) + 1}" if number.isdigit() else "/forever/1", 307)
    return None


def _page(title: str, links: list[str]) -> Answer:
    items = "".join(f'<li><a href="{link.replace("&", "&amp;")}">{link[-9:]}</a>' for link in links)
    page = f"<!doctype html><title>{title}</title><h1>{title}</h1><a href='/'>home</a><ul>{items}"
    return Answer(body=page.encode(), content_type="text/html; charset=utf-8", zips=True)


def _months(path: str) -> list[str]:
    digits = [part for part in path.split("/") if part.isdigit()]
    year = int(digits[0]) if digits else 2024
    month = int(digits[1]) if len(digits) > 1 else 1
    following = f"/calendar/{year + month // 12:04}/{month % 12 + 1:02}"
    years = [f"/calendar/{max(1, year + step):04}/{month:02}" for step in (-100, -1, 1, 10)]
    return [following, *years, *(f"/calendar/{year:04}/{m:02}" for m in range(1, 13))]


def _sessions(path: str) -> list[str]:
    names = (blake2b(f"{path} {n}".encode(), digest_size=16).hexdigest() for n in range(3))
    return [
        f"/session/{name}/{page}" for name, page in product(names, ("", "basket.html", "help.html"))
    ]


def _searches(query: str) -> list[str]:
    given = dict(parse_qsl(query))
    more = [{**given, key: value} for key, values in _FACETS.items() for value in values]
    more.append({**given, f"filter{len(given)}": "on"})
    return [f"/find?{urlencode(asked)}" for asked in more]
