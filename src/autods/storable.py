"""Making what sources say fit for any database: no lone surrogates, no NUL, no NaN in JSON."""

import math
import re
from collections.abc import Mapping
from typing import Any

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Make text storable; undecodable bytes of a file's name, lone surrogates and NUL are escaped.

    >>> print(printable("caf\udce9.jpg\0"))
    caf\xe9.jpg\x00
    """
    return _UNSTORABLE.sub(_escape, text) if _UNSTORABLE.search(text) else text


def storable(value: Any) -> Any:
    r"""Make a value what JSON holds on any database: NaN becomes null, what has no JSON text.

    Bytes that are no UTF-8 are not kept: an image in a table's cell is not a description.

    >>> storable({"a": float("nan"), "b": (1, b"text", b"\xff\xfe")})
    {'a': None, 'b': [1, 'text', '(2 bytes)']}
    """
    if isinstance(value, str):
        return printable(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, bytes):
        return _decoded(value)
    if isinstance(value, Mapping):
        return {printable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return printable(str(value))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for a byte that is no text (PEP 383).
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _decoded(value: bytes) -> str:
    try:
        return printable(value.decode())
    except UnicodeDecodeError:
        return f"({len(value):,} bytes)"
