"""The images that a page describes in JSON-LD, by the words of schema.org."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_LONGEST = 2**20
_DEEPEST = 32
_MOST = 100_000
_OF_IMAGE = ("image", "photo", "primaryImageOfPage")


class Described(NamedTuple):
    """An image as described: its URL as written, and what is said of it."""

    url: str
    caption: str | None = None
    license: str | None = None


def described(text: str) -> Iterator[Described]:
    """Give the images that a `<script type="application/ld+json">` describes; broken JSON has none.

    These are each `image` of anything, the `contentUrl` of an ImageObject, and the
    `thumbnailUrl` of what has nothing better.

    >>> [each.url for each in described('{"image": ["a.jpg", {"url": "b.jpg"}]}')]
    ['a.jpg', 'b.jpg']
    """
    text = text[:_LONGEST].strip().removeprefix("<!--").removesuffix("-->").strip(" \t\r\n;")
    text = text.removeprefix("<![CDATA[").removesuffix("]]>")
    try:
        data = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return
    left = [(data, 0, False)]
    for _ in range(_MOST):
        if not left:
            return
        value, depth, is_image = left.pop()
        if isinstance(value, str) and is_image:
            yield Described(value)
        if isinstance(value, Mapping):
            yield from _of_object(value, is_image=is_image)
        if depth < _DEEPEST:
            left.extend(reversed(_inside(value, depth + 1, is_image=is_image)))


def _inside(value: Any, depth: int, *, is_image: bool) -> list[tuple[Any, int, bool]]:
    """Give what stands in a value, in its order, and whether it stands where an image is named."""
    if isinstance(value, list):
        return [(each, depth, is_image) for each in value]
    if isinstance(value, Mapping):
        better = "ImageObject" in _words(value.get("@type"))
        keys = [key for key in value if not (better and key == "thumbnail")]
        return [(value[key], depth, key in _OF_IMAGE) for key in keys]
    return []


def _of_object(node: Mapping[str, Any], *, is_image: bool) -> Iterator[Described]:
    """Give the image that an object is, or the small one that stands for it."""
    is_image = is_image or "ImageObject" in _words(node.get("@type"))
    names = ("contentUrl", "url") if is_image else ()
    url = next((word for name in names for word in _words(node.get(name))), None)
    if url is None and (is_image or not any(node.get(name) for name in _OF_IMAGE)):
        url = next(iter(_words(node.get("thumbnailUrl"))), None)
    if url is not None:
        about = _first(node, "caption", "name") if is_image else None
        yield Described(url, about, _first(node, "license") if is_image else None)


def _first(node: Mapping[str, Any], *names: str) -> str | None:
    """Give the first text that stands under any of the names, in an object as its URL or name."""
    for name in names:
        for value in _listed(node.get(name)):
            word = _word(value) if isinstance(value, Mapping) else value
            if isinstance(word, str) and word.strip():
                return word
    return None


def _word(node: Mapping[str, Any]) -> Any:
    return node.get("url") or node.get("@id") or node.get("name")


def _words(value: Any) -> list[str]:
    return [each for each in _listed(value) if isinstance(each, str)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
