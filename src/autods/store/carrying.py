"""Bringing blobs from one place to another by the shortest way, and checking them there."""

import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from autods.errors import PlaceError
from autods.store.ahead import SMALL, in_order
from autods.store.assets import sha256_in, sha256_named
from autods.store.protocol import MissingError, Store
from autods.store.s3 import S3Store


def bring(source: Store, key: str, target: Store, to: str) -> int:
    """Copy within one server where both are on it, else through memory, or a file if large.

    Returns how many bytes came through this process. Raises MissingError if there is no such blob.
    """
    if (
        isinstance(source, S3Store)
        and isinstance(target, S3Store)
        and target.copy_from(source, key, to)
    ):
        return 0
    data = source.get_within(key, SMALL)
    if data is not None:
        target.put(to, data)
        return len(data)
    if path := source.local_path(key):
        return put_file(target, to, path)
    with tempfile.TemporaryDirectory(prefix="autods-") as folder:
        source.fetch(key, Path(folder, "blob"))
        return put_file(target, to, Path(folder, "blob"))


def put_file(target: Store, key: str, path: Path) -> int:
    """Write a blob from a file; returns its bytes."""
    target.put_file(key, path)
    return path.stat().st_size


def carry(source: Store, target: Store, keys: Iterable[str]) -> int:
    """Copy blobs from one store to another and check them there; returns how many are there now.

    What is there already, and sound, is not copied again. Raises MissingError for one that
    neither has, PlaceError for one that is damaged or arrives so.
    """
    return sum(1 for _ in in_order(partial(_carry, source, target), keys))


def _carry(source: Store, target: Store, key: str) -> None:
    """Bring one blob from store to store and check it there."""
    size = source.size(key)
    if size is None:
        if not target.has(key):
            raise MissingError(f"cannot move {key}: neither {source.url} nor {target.url} has it")
        return  # An earlier move brought it, and it was forgotten here.
    if target.has(key):
        if _is_sound(target, key, size):
            return
        target.delete(key)  # A local store would keep what it has.
    bring(source, key, target, key)
    if not _is_sound(target, key, size):
        target.delete(key)
        damaged = "arrives damaged in" if _is_sound(source, key, size) else "is damaged in"
        place = target.url if damaged.startswith("arrives") else source.url
        raise PlaceError(f"{key} {damaged} {place}: it was not moved; bring its bytes back")


def _is_sound(store: Store, key: str, size: int) -> bool:
    """Tell whether a stored asset has its SHA-256, another blob its size."""
    sha256 = sha256_named(key)
    return sha256_in(store, key) == sha256 if sha256 else store.size(key) == size
