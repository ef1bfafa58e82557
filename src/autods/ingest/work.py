"""The pass over the bytes: read once, named, inspected, stored; one arrival per input."""

import os
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from autods.errors import PlaceError, UnreachableError
from autods.ingest.objects import read_objects, too_large
from autods.records import Refusal
from autods.store import S3Store, Store, asset_key, read_asset, sha256_of
from autods.store.protocol import key_parts

Inspect = Callable[[bytes], Any]
"""Looks at an asset's bytes: gives what is to be known of them, or a Refusal."""


@dataclass(frozen=True, slots=True)
class Input:
    """One ref whose bytes lie in a file here or an object, or are held, or are refused already.

    `object` is BUCKET/KEY. `held` is the name of bytes that the store has already. A spooled file
    is a download: it is removed by `discard` once its outcome is written, not before, for a batch
    may be run again around an item that crashed its worker. With it comes what its server said of
    it, by which it can be asked whether it has changed.
    """

    ref_id: int
    path: str | None
    spooled: bool = False
    refusal: Refusal | None = None
    held: str = ""
    etag: str | None = None
    last_modified: str | None = None
    object: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How an input ended: as bytes with a name and what was found in them, or refused."""

    ref_id: int
    sha256: str = ""
    size: int = 0
    found: Any = None
    refusal: Refusal | None = None


def take_in(
    items: Sequence[Input],
    *,
    store: Store,
    inspect: Inspect,
    max_bytes: int,
    keep_refused: bool = False,
    objects: S3Store | None = None,
) -> list[Arrival]:
    """Take a batch in; whatever is wrong with one input stays with that input.

    With `keep_refused` bytes that did not pass the inspection are stored all the same, as an
    asset of which nothing is known but the reason. Objects are read through `objects`, 16 ahead.
    """
    stored = _Outbox(store)
    # Of a copy: who goes through `items` itself is seen to stand at what it takes.
    wanted = [item.object for item in items[:] if item.object]
    with closing(read_objects(objects, wanted, max_bytes)) as ahead:
        arrivals = []
        for item in items:
            data = item.refusal or _bytes_of(item, store, ahead, max_bytes)
            arrivals.append(_arrive(item, data, stored, inspect, keep_refused))
    stored.send()
    return arrivals


class _Outbox:
    """Bytes on their way to the store, a few at once: a place far away answers slowly.

    Sent before the next item is looked at, so that a slow place is no reason to think of an item
    that it hangs.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._blobs: list[tuple[str, bytes]] = []
        self._bytes = 0

    def add(self, key: str, data: bytes) -> None:
        self._blobs.append((key, data))
        self._bytes += len(data)
        if len(self._blobs) >= 16 or self._bytes >= 8 << 20:
            self.send()

    def send(self) -> None:
        self.store.put_many(self._blobs)
        self._blobs, self._bytes = [], 0


def discard(inputs: Sequence[Input]) -> None:
    """Remove the downloads of a batch that is done with."""
    for item in inputs:
        if item.spooled and item.path:
            Path(item.path).unlink(missing_ok=True)


def input_of(ref_id: int, location: str, buckets: AbstractSet[str] = frozenset()) -> Input:
    """Resolve where a ref's bytes are: a file, an object, or a refusal its source gave already.

    Objects only of `buckets`: no list of URLs gets at what only we can read.

    >>> input_of(1, "file:///photos/a%20b.jpg").path
    '/photos/a b.jpg'
    """
    if "://" not in location and not location.startswith("refused:"):
        return Input(ref_id, location)  # A source of the user's may give a plain path.
    scheme, _, rest = location.partition(":")
    if scheme == "refused":
        reason, _, detail = rest.partition(":")
        return Input(ref_id, None, refusal=Refusal("rejected", reason, detail))
    if scheme == "s3" and object_at(location)[0] in buckets:
        return Input(ref_id, None, object="/".join(object_at(location)))
    if scheme != "file":
        detail = f"no way to fetch {scheme[:20]!r}: http, https and files are"
        return Input(ref_id, None, refusal=Refusal("rejected", "unsupported-scheme", detail))
    return Input(ref_id, os.fsdecode(unquote_to_bytes(rest.removeprefix("//"))))


def object_location(bucket: str, key: str) -> str:
    """Give the location of an object: all but letters, digits, `-._~` and `/` of its key quoted.

    Raises UsageError for what is no key (see `store.protocol.key_parts`).

    >>> object_location("photos", "users/1/a #1?.jpg")
    's3://photos/users/1/a%20%231%3F.jpg'
    """
    key_parts(f"{bucket}/{key}")
    return f"s3://{bucket}/{quote(key)}"


def object_at(location: str) -> tuple[str, str]:
    """Give the bucket and the key of a location that `object_location` gave.

    >>> object_at("s3://photos/users/1/a%20%231%3F.jpg")
    ('photos', 'users/1/a #1?.jpg')
    """
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bucket, unquote_to_bytes(key).decode("utf-8", "surrogateescape")


def _bytes_of(
    item: Input, store: Store, ahead: Iterator[bytes | Refusal], max_bytes: int
) -> bytes | Refusal:
    if item.object:
        return next(ahead)
    return _held(item, store) if item.held else _read(item.path or "", max_bytes)


def _arrive(
    item: Input, data: bytes | Refusal, stored: _Outbox, inspect: Inspect, keep_refused: bool
) -> Arrival:
    if isinstance(data, Refusal):
        return Arrival(item.ref_id, refusal=data)
    found = inspect(data)
    refusal = found if isinstance(found, Refusal) else None
    if refusal and not keep_refused:
        return Arrival(item.ref_id, refusal=refusal)
    sha256 = sha256_of(data)
    if not item.held:
        stored.add(asset_key(sha256), data)
    return Arrival(item.ref_id, sha256, len(data), None if refusal else found, refusal)


def _held(item: Input, store: Store) -> bytes | Refusal:
    """Read what the store has; if it has lost it, the next run asks the source again."""
    try:
        return read_asset(store, item.held)
    except UnreachableError:
        raise
    except PlaceError as error:
        return Refusal("failed", "missing-blob", str(error))


def _read(path: str, max_bytes: int) -> bytes | Refusal:
    """Read a file whole, unless it is larger than allowed; the size is not taken on trust."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - the hot path
            size = os.fstat(file.fileno()).st_size
            data = file.read(max_bytes + 1) if size <= max_bytes else b""
            size = max(size, len(data))  # It may have grown since.
            if size > max_bytes:
                return too_large(size, max_bytes)
            return data
    except FileNotFoundError:
        return Refusal("failed", "missing-file", f"no file {path}")
    except OSError as error:
        return Refusal("failed", "unreadable-file", f"{path}: {error.strerror}")


def writable(store: Store) -> None:
    """Try the store before an hour of work; raises PlaceError with its sentence."""
    try:
        store.put("raw/probe/empty", b"")
    except PlaceError as error:
        if str(error).startswith("the store"):
            raise  # It says all by itself.
        raise type(error)(f"the store {store.url} cannot be written: {error}") from error
