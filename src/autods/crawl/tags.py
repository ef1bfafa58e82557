"""Reading the tags of HTML and XML one after another, in time and memory that grow with the text.

No tree is built on purpose. HTML's rules for one (reopened formatting, what is in scope) take time
and memory that grow with the square of what is nested: 39 KB of `<p><font size=1><font size=2>...`
become 1.8 GB. What a crawl wants stands in the tags, and the text between them is there by its
place. Only what hides tags is heeded: comments, scripts and their like, CDATA in XML.
"""

import re
from collections.abc import Iterator
from html.entities import html5
from typing import NamedTuple

_SPACE = "\t\n\f\r "
_NAME = rf"[^{_SPACE}/>]"
_TAG = re.compile(rf"<(?:(/?)([a-zA-Z]{_NAME}*)|(!--|!\[CDATA\[)|[!?/])")
# An attribute: its name, and its value in quotes or bare. Where a quote is left open there is none.
_ATTRIBUTE = re.compile(
    rf"({_NAME}[^{_SPACE}/>=]*+)"
    rf"(?:[{_SPACE}]*+=[{_SPACE}]*+(?:\"([^\"]*+)\"|'([^']*+)'|(?![\"'])([^{_SPACE}>]*+))"
    rf"|(?![{_SPACE}]*+=))"
)
_PIECE = re.sub(r"(?<!\\)\((?!\?)", "(?:", _ATTRIBUTE.pattern)
# Counted, for a repetition without end is remembered step by step.
_PIECES = re.compile(rf"(?:[{_SPACE}/]++|{_PIECE}){{1,256}}")
_COMMENT_END = re.compile(r"--!?>")
_NO_COMMENT = re.compile("-?>")
_ENTITY = re.compile(
    r"&(?:#(?:[0-9]{1,8}(?![0-9])|[xX][0-9a-fA-F]{1,8}(?![0-9a-fA-F]))|[a-zA-Z][a-zA-Z0-9]{1,31});?"
)
_MOST_ATTRIBUTES = 200

_RAW = ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
_RAW_END = {name: re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE) for name in _RAW}


class Tag(NamedTuple):
    """A tag as it stands in a text, from `start` to `end`; its name is in lower case.

    `written` are its attributes as they stand there; `text` is what a script and its like hold.
    `kind` is `open`, `close` or `empty` (closed at once, which only XML knows).
    """

    name: str
    kind: str
    start: int
    end: int
    written: str = ""
    text: str = ""


def tags(text: str, *, xml: bool = False) -> Iterator[Tag]:
    """Give the tags of a text in their order; a tag that is cut off by its end is none.

    A script, a style and in HTML some more hold text up to their end; in XML, CDATA does, too.

    >>> [tag.name for tag in tags("<p class=a><!-- <b> --><script>'<i>'</script>")]
    ['p', 'script', 'script']
    """
    at = 0
    while found := _TAG.search(text, at):
        closing, name, hidden = found.groups()
        if name is None:
            at = _after_hidden(text, found, hidden, xml=xml)
            continue
        stop = _end_of_attributes(text, found.end())
        if text[stop : stop + 1] != ">":
            return
        at = stop + 1
        name, written = name.lower(), text[found.end() : stop]
        kind = "close" if closing else "empty" if xml and text[stop - 1] == "/" else "open"
        held = _raw_end(text, at, name, xml=xml) if kind == "open" else at
        yield Tag(name, kind, found.start(), at, written, text[at:held])
        at = held


def attributes(written: str) -> dict[str, str]:
    """Read a tag's attributes: names in lower case, the first of a name counts, values decoded.

    >>> attributes("href='?a=1&copy=2&amp;b' CLASS=x href=no hidden")
    {'href': '?a=1&copy=2&b', 'class': 'x', 'hidden': ''}
    """
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(written):
        name, double, single, bare = match.groups()
        found.setdefault(name.lower(), decoded(double or single or bare or ""))
        if len(found) == _MOST_ATTRIBUTES:
            break
    return found


def decoded(value: str) -> str:
    """Replace the character references of an attribute's value.

    As the standard says, `&copy=` in a query is none: without its semicolon a name counts only
    if neither a letter, a digit nor an equals sign follows it.

    >>> decoded("a&amp;b&#x41;&copy=1&nope;")
    'a&bA&copy=1&nope;'
    """
    return _ENTITY.sub(_character, value) if "&" in value else value


def plain(text: str) -> str:
    """Give what a reader sees of a short text: without its tags, blanks drawn together.

    >>> plain(" A <b>red</b>   cat &amp; dog ")
    'A red cat & dog'
    """
    return " ".join(decoded(re.sub(r"<[^>]*+>", " ", text)).split())


def _character(found: re.Match[str]) -> str:
    word = found[0][1:]
    if word.startswith("#"):
        digits = word[1:].rstrip(";")
        code = int(digits[1:], 16) if digits[0] in "xX" else int(digits)
        return chr(code) if 0 < code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else "\ufffd"
    if not word.endswith(";") and found.string[found.end() : found.end() + 1] == "=":
        return found[0]
    return html5.get(word, found[0])


def _after_hidden(text: str, found: re.Match[str], hidden: str | None, *, xml: bool) -> int:
    """Give where a comment, a declaration or CDATA ends."""
    at = found.end()
    if hidden == "!--":
        empty = _NO_COMMENT.match(text, at)
        end = empty or _COMMENT_END.search(text, at)
        return end.end() if end else len(text)
    mark = "]]>" if hidden and xml else ">"
    stop = text.find(mark, at)
    return stop + len(mark) if stop >= 0 else len(text)


def _end_of_attributes(text: str, at: int) -> int:
    while pieces := _PIECES.match(text, at):
        at = pieces.end()
    return at


def _raw_end(text: str, at: int, name: str, *, xml: bool) -> int:
    """Give where the text ends that a script and its like hold, which in XML are these two only."""
    if name == "plaintext" and not xml:
        return len(text)
    if name not in _RAW_END or (xml and name not in ("script", "style")):
        return at
    end = _RAW_END[name].search(text, at)
    return end.start() if end else len(text)
