"""A name for what a labeling function does, new when its text or what it leans on changes.

Followed from the function: its source, defaults, closure, and the names it uses from its own file
(helpers by their source, data by value). Not followed: code imported from other modules, which is
named only, and state behind an object whose text does not show it.
"""

import hashlib
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def fingerprint(function: Any, *leanings: Any) -> str:
    """SHA-256 (hex) over a function and whatever else its answers depend on.

    >>> def is_short(row): return 1 if len(row.caption) < LIMIT else -1
    >>> fingerprint(is_short, {"limit": 50}) == fingerprint(is_short, {"limit": 50})
    True
    >>> fingerprint(is_short, {"limit": 50}) == fingerprint(is_short, {"limit": 60})
    False
    """
    home = getattr(_innermost(function), "__module__", None)
    text = "\n".join(_Describer(home).describe(part) for part in (function, *leanings))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _innermost(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


class _Describer:
    """Writes values as text that depends on nothing but their content."""

    def __init__(self, home: str | None) -> None:
        self._home = home
        self._open: set[int] = set()

    def describe(self, value: Any) -> str:
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return f"{type(value).__name__}:{value!r}"
        if id(value) in self._open:
            return "recursion"
        self._open.add(id(value))
        try:
            return self._compound(value)
        finally:
            self._open.discard(id(value))

    def _compound(self, value: Any) -> str:
        if isinstance(value, Mapping):
            return "{" + ",".join(sorted(self._pairs(value.items()))) + "}"
        if isinstance(value, set | frozenset):
            return "set(" + ",".join(sorted(map(self.describe, value))) + ")"
        if isinstance(value, list | tuple):
            return type(value).__name__ + "(" + ",".join(map(self.describe, value)) + ")"
        if isinstance(value, np.ndarray):
            return f"array:{value.dtype}:{self.describe(value.tolist())}"
        if isinstance(value, partial):
            return "partial:" + self.describe([value.func, value.args, value.keywords])
        return self._named(value)

    def _named(self, value: Any) -> str:
        if isinstance(value, ModuleType):
            return f"module:{value.__name__}"
        if isinstance(value, FunctionType):
            return self._function(value) if value.__module__ == self._home else _title(value)
        if isinstance(value, type):
            return _source(value) if value.__module__ == self._home else _title(value)
        if callable(value) and hasattr(value, "__qualname__"):
            return _title(value)
        state = getattr(value, "__dict__", None)
        shown = _ADDRESS.sub("", repr(value)) if not state else self.describe(state)
        return f"{_title(type(value))}:{shown}"

    def _function(self, function: FunctionType) -> str:
        held = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
        used = {
            name: function.__globals__[name]
            for name in _names(function.__code__)
            if name in function.__globals__
        }
        parts = (function.__defaults__, function.__kwdefaults__, held, used)
        return _source(function) + "".join(map(self.describe, parts))

    def _pairs(self, items: Iterable[tuple[Any, Any]]) -> Iterator[str]:
        return (f"{self.describe(key)}={self.describe(value)}" for key, value in items)


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _names(code: CodeType) -> set[str]:
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _title(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{value.__qualname__}"


def _source(value: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(value))
    except (OSError, TypeError):
        code = getattr(value, "__code__", None)
        return _title(value) if code is None else f"{code.co_code.hex()}{code.co_names}"
