"""Copying blobs from any store to any other, under other keys, without their bytes where it can."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from autods.store.ahead import WIDTH, in_order
from autods.store.carrying import bring
from autods.store.local import LocalStore
from autods.store.near import far_of
from autods.store.protocol import MissingError, Store
from autods.store.tiered import TieredStore


def copy_between(source: Store, key: str, target: Store, to: str) -> int:
    """Copy a blob to a key of another store; returns how many bytes came through this process.

    None do where both are on one S3 server, which copies by itself, or both on one disk: a file
    that nobody may write any more, as every blob of ours is, is linked. Raises MissingError if
    `source` has no such blob. What lies at `to` already is what it should be.
    """
    target = _written(target)
    if isinstance(target, LocalStore) and _linked(source, key, target, to):
        return 0
    source = far_of(source)
    if isinstance(source, TieredStore):
        return source.copy_out(key, lambda tier: bring(tier, key, target, to))
    return bring(source, key, target, to)


def copy_many(
    pairs: Iterable[tuple[str, str]], source: Store, target: Store, width: int = WIDTH
) -> Iterator[int]:
    """Copy blobs, given as (key, key in `target`), `width` at once; gives what each one cost.

    In the order of the pairs, which are taken as results are asked for. Links are made one after
    the other: a disk is not faster otherwise.
    """
    copy = partial(_copy_pair, source, target)
    if isinstance(source, LocalStore) and isinstance(target, LocalStore):
        return map(copy, pairs)
    return in_order(copy, pairs, width)


def _copy_pair(source: Store, target: Store, pair: tuple[str, str]) -> int:
    return copy_between(source, pair[0], target, pair[1])


def _written(store: Store) -> Store:
    """Give the store that is written to behind a near copy and two tiers."""
    store = far_of(store)
    return store.hot if isinstance(store, TieredStore) else store


def _linked(source: Store, key: str, target: LocalStore, to: str) -> bool:
    path = source.local_path(key)
    with suppress(MissingError):  # Gone, or on its way to another tier: it is looked for again.
        return path is not None and _is_settled(path) and target.link(to, path)
    return False


def _is_settled(path: Path) -> bool:
    """Tell whether a file is there that nobody may write any more."""
    try:
        return not path.stat().st_mode & 0o222
    except OSError:
        return False
