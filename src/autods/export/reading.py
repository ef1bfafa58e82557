"""Reading the members of an export: one after another, or many ahead where they lie far away."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, runtime_checkable

Read = Callable[[str], bytes]
"""Gives the bytes of an asset by its SHA-256."""


@runtime_checkable
class ReadsAhead(Protocol):
    """A `Read` that is quicker when it is told what comes next."""

    def many(self, names: Iterable[str]) -> Iterator[bytes]:
        """Yield the bytes of each asset, in order."""
        ...


def each(read: Read, names: Iterable[str]) -> Iterator[bytes]:
    """Yield the bytes of each asset, in order.

    >>> list(each(str.encode, ["a", "b"]))
    [b'a', b'b']
    """
    return read.many(names) if isinstance(read, ReadsAhead) else map(read, names)
