"""The images and the further sheets that a stylesheet names.

It is searched for what matters (comments, strings, `url()`, `image-set()`) and not parsed: a parser
takes ten times as long, and some 250 bytes of memory for each byte of a hostile sheet. Of escapes
those in URLs are read, not those in the names of functions and rules, which no one writes.
"""

import re
from collections.abc import Iterator
from itertools import islice

from autods.crawl.urls import normalise

MOST = 10_000
LONGEST = 4 * 2**20
"""In characters; what comes after in a sheet is not read."""

_BLANK = r"[\t\n\f\r ]*+"
# Counted, for a repetition without end is remembered step by step.
_STRING = r"""(?:"(?:[^"\\\n]++|\\[\s\S]){0,9999}"|'(?:[^'\\\n]++|\\[\s\S]){0,9999}')"""
_BARE = r"(?:[^\s\"'()\\]++|\\[^\n]){1,9999}"
_URL = rf"url\({_BLANK}(?:(?P<quoted>{_STRING})|(?P<bare>{_BARE})){_BLANK}\)"
_TOKENS = re.compile(
    rf"""(?P<comment>/\*)
    |(?<![\w-])(?:{_URL}|(?P<bad>url\({_BLANK}(?!["']))|(?P<set>(?:-webkit-)?image-set\())
    |@(?P<rule>import|namespace|font-face)(?![\w-])
    |(?P<string>{_STRING})
    |(?P<open>["'])
    """,
    re.IGNORECASE | re.VERBOSE,
)
_TOKENS_OF_SET = re.compile(rf"(?:{_TOKENS.pattern})|(?P<other>[()])", _TOKENS.flags)
_NEXT = re.compile(rf"{_BLANK}(?:(?P<comment>/\*)|{_URL}|(?P<string>{_STRING}))", re.IGNORECASE)
_BAD_END = re.compile(r"\\[\s\S]|[)\n]")
_RESOLUTION = re.compile(
    rf"{_BLANK}([0-9]{{0,6}}(?:\.[0-9]{{1,6}})?)(x|dppx|dpi|dpcm)\b", re.IGNORECASE
)
_PER_DOT = {"x": 1.0, "dppx": 1.0, "dpi": 1 / 96, "dpcm": 2.54 / 96}
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})[\t\n\f\r ]?|\n|([\s\S]))")
_NO_IMAGE = re.compile(
    r"#|data:|[^?#]*\.(?:woff2?|ttf|otf|eot|cur|htc|xml|css)(?:[?#]|$)", re.IGNORECASE
)


def image_urls(css: str, base: str) -> list[str]:
    """Give the images that a sheet at `base` names, in their order, each once; at most 10,000.

    Of an `image-set()` it is the one of the highest resolution. Fonts, cursors, references into
    the page itself (`url(#shadow)`) and `data:` are none.

    >>> image_urls("a { background: url( 'i/cat.png' ) } /* url(no.png) */", "http://a.org/s.css")
    ['http://a.org/i/cat.png']
    """
    return _named(css, base, "image")


def imports(css: str, base: str) -> list[str]:
    """Give the sheets that a sheet at `base` imports, in their order, each once.

    >>> imports("@import 'more.css' screen; @import url(/most.css);", "http://a.org/s/s.css")
    ['http://a.org/s/more.css', 'http://a.org/most.css']
    """
    return _named(css, base, "sheet")


def _named(css: str, base: str, wanted: str) -> list[str]:
    found: dict[str, None] = {}
    for kind, written in islice(_references(css[:LONGEST]), 5 * MOST):
        if kind != wanted or (kind == "image" and _NO_IMAGE.match(written)):
            continue
        url = normalise(written, base, keep_query=True) if written else None
        if url is not None:
            found[url] = None
        if len(found) == MOST:
            break
    return list(found)


def _references(css: str) -> Iterator[tuple[str, str]]:
    """Give what a sheet refers to: an image or a sheet, and its URL as written."""
    at = 0
    while token := _TOKENS.search(css, at):
        at = token.end()
        if token["comment"]:
            at = _after(css, "*/", at)
        elif token["rule"]:
            if token["rule"].lower() == "import":
                sheet, at = _imported(css, at)
                yield "sheet", sheet
            else:  # Its URLs are no images.
                at = _after(css, "}" if "f" in token["rule"].lower() else ";", at)
        elif mark := token["bad"] or token["open"]:
            at = _after_bad(css, mark, at)
        elif token["set"]:
            best, at = _largest(css, at)
            if best is not None:
                yield "image", best
        elif written := _written(token):
            yield "image", written


def _imported(css: str, at: int) -> tuple[str, int]:
    """Give the URL of an `@import`, a string or `url()` that follows at once, and where it ends."""
    while token := _NEXT.match(css, at):
        if not token["comment"]:
            return _written(token) or _unquoted(token["string"] or ""), token.end()
        at = _after(css, "*/", token.end())
    return "", at


def _largest(css: str, at: int) -> tuple[str | None, int]:
    """Read an `image-set()` up to its end, and give its image of the highest resolution."""
    best, highest, depth = None, 0.0, 1
    while depth and (token := _TOKENS_OF_SET.search(css, at)):
        at = token.end()
        if token["comment"]:
            at = _after(css, "*/", at)
        elif mark := token["bad"] or token["open"]:
            at = _after_bad(css, mark, at)
        elif token["other"] or token["set"]:
            depth += -1 if token["other"] == ")" else 1
        elif depth == 1 and (written := _written(token) or _unquoted(token["string"] or "")):
            resolution = _resolution(css, at)
            if resolution > highest:
                best, highest = written, resolution
    return best, at if not depth else len(css)


def _resolution(css: str, at: int) -> float:
    found = _RESOLUTION.match(css, at)
    if found is None:
        return 1.0
    return float(found[1] or 0) * _PER_DOT[found[2].lower()]


def _written(token: re.Match[str]) -> str:
    """Give the URL that a `url()` holds; what is no such token holds none."""
    return _unquoted(token["quoted"]) if token["quoted"] else _unescaped(token["bare"] or "")


def _unquoted(string: str) -> str:
    return _unescaped(string[1:-1])


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[2] or ""
    code = int(found[1], 16)
    return chr(code) if 0 < code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else "\ufffd"


def _after_bad(css: str, mark: str, at: int) -> int:
    """Give where a `url(` ends that is none, or with its line a string that has no end."""
    stop = "\n" if mark in "'\"" else ")"
    while found := _BAD_END.search(css, at):
        at = found.end()
        if found[0] == stop:
            return at
    return len(css)


def _after(css: str, mark: str, at: int) -> int:
    found = css.find(mark, at)
    return found + len(mark) if found >= 0 else len(css)
