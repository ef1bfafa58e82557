"""Bring samples in webdataset's form (a dict of extension to value) to bytes, or refuse them."""

import json
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from autods.errors import UsageError

_KEY = re.compile(r"(?!__)[!-\-0-\[\]-~]+")
_EXTENSION = re.compile(r"[!-\-0-\[\]-~]+(\.[!-\-0-\[\]-~]+)*")
_JSON = ("json", "jsn")


class Encoded(NamedTuple):
    """A sample ready to be written: its key, and (extension, bytes) in the order of extensions."""

    key: str
    parts: tuple[tuple[str, bytes], ...]


def encoded(samples: Iterable[Mapping[str, Any]], *, strict: bool = True) -> Iterator[Encoded]:
    """Yield every sample as bytes; keys are made up (`sample-000000`) where there is no `__key__`.

    With `strict` all samples must have one set of extensions, because Hugging Face's reader fails
    on a shard where they differ. Raises `UsageError` for that, for a key or extension that readers
    would misread, and for a value that has no bytes (see `encode`).

    >>> next(encoded([{"jpg": b"...", "cls": 3}]))
    Encoded(key='sample-000000', parts=(('cls', b'3'), ('jpg', b'...')))
    """
    first: tuple[str, ...] | None = None
    for number, sample in enumerate(samples):
        key = _checked_key(sample.get("__key__", f"sample-{number:06d}"))
        names = tuple(sorted(name for name in sample if not name.startswith("_")))
        if names != first:
            _check_extensions(key, names)
            if strict and first is not None:
                raise _differs(key, names, first)
            first = names
        yield Encoded(key, tuple((name, encode(key, name, sample[name])) for name in names))


def encode(key: str, ext: str, value: Any) -> bytes:
    """Return the bytes of one component, by its type and its extension.

    Bytes stay as they are, text becomes UTF-8, a whole number (`cls`, `id`) its digits, and the
    value of a `json` component canonical JSON. Raises `UsageError` for anything else.

    >>> encode("0001", "json", {"b": 1, "a": "é"}).decode()
    '{"a":"é","b":1}'
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return utf8(value)
    if ext.rpartition(".")[2] in _JSON:
        return json_bytes(value)
    if not isinstance(value, bool):
        try:
            return b"%d" % operator.index(value)
        except TypeError:
            pass
    raise UsageError(
        f"sample {key!r}: {ext} is of type {type(value).__name__}; valid are bytes, str, "
        "a whole number, or any JSON value where the extension is json"
    )


def json_bytes(value: Any) -> bytes:
    """Return canonical JSON (sorted keys, no spaces, UTF-8); `UsageError` where there is none."""
    try:
        return utf8(_CANONICAL.encode(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot be written as JSON: {error}") from error


def utf8(text: str) -> bytes:
    """Return the text as UTF-8, a lone surrogate (which has no UTF-8) as a question mark."""
    return text.encode("utf-8", "replace")


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def _checked_key(key: Any) -> str:
    if isinstance(key, str) and _KEY.fullmatch(key):
        return key
    raise UsageError(
        f"{key!r} cannot be a sample's key: it must be printable ASCII without spaces, dots and "
        "slashes (readers split names at them) and not begin with __ (readers skip those)"
    )


def _check_extensions(key: str, names: tuple[str, ...]) -> None:
    if not names:
        raise UsageError(f"sample {key!r} has no components: give at least one, such as jpg")
    for name in names:
        if not _EXTENSION.fullmatch(name):
            raise UsageError(
                f"sample {key!r}: {name!r} cannot be an extension: "
                "it must be printable ASCII without spaces and slashes, such as jpg or seg.png"
            )
    if len({name.lower() for name in names}) < len(names):
        raise UsageError(
            f"sample {key!r}: extensions {', '.join(names)} differ in case alone; "
            "webdataset reads them as one"
        )


def _differs(key: str, names: tuple[str, ...], first: tuple[str, ...]) -> UsageError:
    return UsageError(
        f"sample {key!r} has the extensions {', '.join(names)}, the samples before it "
        f"{', '.join(first)}: Hugging Face's reader needs one set in all; strict=False allows it"
    )
