"""Many small requests at once, their answers in order and only so many of them in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from autods.store.protocol import Store

if TYPE_CHECKING:
    from concurrent.futures import Future

WIDTH = 16
"""How many requests at once: what the clients of FACTS.md were measured with."""
SMALL = 4 * 1024 * 1024
"""The most bytes of a blob that is read before its turn: 16 of them are 64 MB."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    width: int = WIDTH,
    ahead: int | None = None,
) -> Iterator[Result]:
    """Work on up to `width` items at once, in threads; the results come in the items' order.

    Items are taken only as results are asked for, so that both may be endless. `ahead` is how many
    results may wait behind a slow one, `width` if not said. The first error ends it; work already
    begun is waited for.

    >>> list(in_order(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    from concurrent.futures import ThreadPoolExecutor

    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(width) as pool:
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) == (ahead or width):
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()


def read_ahead(store: Store, keys: Iterable[str]) -> Iterator[bytes]:
    """Read blobs in order, up to 16 ahead; a large one waits until it is its turn."""
    for key, data in in_order(partial(_read_small, store), keys):
        yield store.get(key) if data is None else data


def _read_small(store: Store, key: str) -> tuple[str, bytes | None]:
    return key, store.get_within(key, SMALL)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Take items so many at a time, as they are asked for.

    >>> list(batches("abc", 2))
    [['a', 'b'], ['c']]
    """
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
