"""Assets in a store: written under their SHA-256, and checked against it whenever they are read."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import tee

from autods.errors import PlaceError
from autods.store.protocol import Store

RAW = "raw"
"""The bucket of assets, as in seed 4; `processed` and `shards` lie beside it."""

_ASSET = re.compile(rf"{RAW}/([0-9a-f]{{2}})/(\1[0-9a-f]{{62}})")


def asset_key(sha256: str) -> str:
    """Give the key of an asset's bytes.

    One level of 256 folders, as git has: soon made for a small store (making a folder costs more
    than writing an image), 40,000 entries in each at ten million.

    >>> asset_key("ab12" + "0" * 60)[:11]
    'raw/ab/ab12'
    """
    return f"{RAW}/{sha256[:2]}/{sha256}"


def sha256_named(key: str) -> str | None:
    """Give the SHA-256 that a key promises, if it is an asset's.

    >>> sha256_named(asset_key("ab" * 32)) == "ab" * 32
    True
    >>> sha256_named("shards/cats/v1/000.tar")
    """
    found = _ASSET.fullmatch(key)
    return found[2] if found else None


def sha256_of(data: bytes) -> str:
    """Give the SHA-256 of bytes, in hex: the name of an asset.

    >>> sha256_of(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def sha256_in(store: Store, key: str) -> str:
    """Give the SHA-256 of a stored blob, read piece by piece."""
    digest = hashlib.sha256()
    for piece in store.stream(key):
        digest.update(piece)
    return digest.hexdigest()


def put_assets(store: Store, assets: Mapping[str, bytes]) -> None:
    """Write assets, given by their SHA-256."""
    store.put_many([(asset_key(sha256), data) for sha256, data in assets.items()])


def read_asset(store: Store, sha256: str) -> bytes:
    """Read an asset and check its SHA-256; raises PlaceError if it is missing or damaged."""
    return _checked(store, sha256, store.get(asset_key(sha256)))


def read_assets(store: Store, sha256s: Iterable[str]) -> Iterator[bytes]:
    """Read assets in the order given, each checked as `read_asset` does."""
    names, asked = tee(sha256s)
    for data in store.get_many(map(asset_key, asked)):
        yield _checked(store, next(names), data)


def _checked(store: Store, sha256: str, data: bytes) -> bytes:
    if sha256_of(data) != sha256:
        raise PlaceError(f"asset {sha256} is damaged in {store.url}: bring its bytes back")
    return data
