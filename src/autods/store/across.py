"""Copying blobs from any store to any other, under other keys, without their bytes where it can."""

from collections.abc import Iterable, Iterator
from functools import partial

from autods.store.ahead import WIDTH, in_order
from autods.store.carrying import bring, put_file
from autods.store.local import LocalStore
from autods.store.near import far_of
from autods.store.protocol import Store
from autods.store.tiered import TieredStore


def copy_between(source: Store, key: str, target: Store, to: str) -> int:
    """Copy a blob to a key of another store; returns how many bytes came through this process.

    None do where both are on one S3 server, which copies by itself. On one disk nothing is linked:
    whoever edits a copy must not edit the original. Raises MissingError if `source` has no such
    blob. What lies at `to` already is what it should be.
    """
    target, near = _written(target), source.local_path(key)
    if isinstance(target, LocalStore) and near is not None and near.is_file():
        return put_file(target, to, near)
    source = far_of(source)
    if isinstance(source, TieredStore):
        return source.copy_out(key, lambda tier: bring(tier, key, target, to))
    return bring(source, key, target, to)


def copy_many(
    pairs: Iterable[tuple[str, str]], source: Store, target: Store, width: int = WIDTH
) -> Iterator[int]:
    """Copy blobs, given as (key, key in `target`), `width` at once; gives what each one cost.

    In the order of the pairs, which are taken as results are asked for. On one disk they are copied
    one after the other: it is not faster otherwise.
    """
    copy = partial(_copy_pair, source, target)
    if isinstance(source, LocalStore) and isinstance(target, LocalStore):
        return map(copy, pairs)
    return in_order(copy, pairs, width, ahead=8 * width)


def _copy_pair(source: Store, target: Store, pair: tuple[str, str]) -> int:
    return copy_between(source, pair[0], target, pair[1])


def _written(store: Store) -> Store:
    """Give the store that is written to behind a near copy and two tiers."""
    store = far_of(store)
    return store.hot if isinstance(store, TieredStore) else store
