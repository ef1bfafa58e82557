"""A store on an S3 server: AWS, MinIO, Ceph's gateway, Swift or any other; obstore talks to it."""

import datetime as dt
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from autods.errors import UsageError
from autods.store.ahead import batches, in_order, read_ahead
from autods.store.files import PIECE, into_file, reading
from autods.store.protocol import Entry, MissingError, folder_of, key_parts
from autods.store.s3_client import (
    PATIENCE,
    checked_bucket,
    checked_endpoint,
    part_size,
    shared_client,
    signed_link,
)
from autods.store.s3_errors import Asked, OvertakenError, again, answering
from autods.store.s3_listing import pages, sorted_objects, stamp_of

if TYPE_CHECKING:
    from obstore.store import S3Store as Client

    from autods.settings import S3Access

SCHEME = "s3://"
_WHOLE = 16 * 1024 * 1024
"""The most bytes of an object that is sent as one request."""
_PARTS_AT_ONCE = 4
_BATCH, _BATCHES_AT_ONCE = 100, 4
"""How keys are removed: S3 takes a thousand by one request, but a server that is slow about them
would be silent for too long."""
_LONGEST_LINK = 7 * 24 * 3600
"""The longest life of a signed link, in seconds: what signature version 4 allows."""
_LONGEST_NAME = 1024
_EVERY_BUCKET = ""


class S3Store:
    """Blobs as objects of a bucket, beneath a prefix; without a bucket, a key begins with one.

    `s3://bucket/prefix` keeps `raw/ab` at `prefix/raw/ab`; `s3://` keeps it as `ab` in the bucket
    `raw`, as seed 4 does. A server that fails or is silent is tried again for `patience` seconds,
    then UnreachableError says so. The server decides nothing that matters: two writers of one key
    write the same bytes.
    """

    def __init__(
        self, url: str, access: "S3Access | None" = None, patience: float = PATIENCE
    ) -> None:
        from autods.settings import S3Access, shown_url

        bucket, _, prefix = url.removeprefix(SCHEME).rstrip("/").partition("/")
        if bucket or prefix:
            key_parts(f"{checked_bucket(bucket)}/{prefix}".rstrip("/"))
        self._root = "".join(f"{part}/" for part in (bucket, prefix) if part)
        """What stands before a key, to make it BUCKET/NAME."""
        self.url = SCHEME + self._root.rstrip("/")
        self.access = access or S3Access()
        endpoint = self.access.endpoint
        self.endpoint = shown_url(checked_endpoint(endpoint)) if endpoint else "AWS"
        self._patience = patience

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def put(self, key: str, data: bytes) -> None:
        """Write a blob; writing the same key again writes the same bytes again."""
        self._put(key, data, len(data))

    def put_many(self, blobs: Sequence[tuple[str, bytes]]) -> None:
        """Write many blobs, 16 at once."""
        for _ in in_order(lambda blob: self.put(*blob), blobs):
            pass

    def put_file(self, key: str, path: Path) -> None:
        """Write a blob from a file; above 16 MB in parts, four of them in memory."""
        with reading(path) as file:
            size = file.seek(0, os.SEEK_END)
        self._put(key, path, size)

    def replace(self, key: str, data: bytes) -> None:
        """Write a blob anew: an object is replaced whole."""
        self._put(key, data, len(data))

    def get(self, key: str) -> bytes:
        """Read a blob; raises MissingError if it is not there."""
        client, name = self._at(key)
        with self._doing("read", key):
            return bytes(client.get(name).bytes())

    def get_within(self, key: str, limit: int) -> bytes | None:
        """Read a blob unless it is longer than `limit` bytes."""
        client, name = self._at(key)
        with self._doing("read", key):
            found = client.get(name)
            return bytes(found.bytes()) if found.meta["size"] <= limit else None

    def get_many(self, keys: Iterable[str]) -> Iterator[bytes]:
        """Read blobs in order, up to 16 and 64 MB ahead."""
        return read_ahead(self, keys)

    def stream(self, key: str) -> Iterator[bytes]:
        """Read a blob in pieces of about 1 MB."""
        client, name = self._at(key)
        with self._doing("read", key):
            pieces = iter(client.get(name).stream(min_chunk_size=PIECE))
        while True:
            with self._doing("read", key):
                piece = next(pieces, None)
            if piece is None:
                return
            yield bytes(piece)

    def fetch(self, key: str, path: Path) -> None:
        """Bring a blob into a file, which is there whole or not at all."""
        into_file(path, self.stream(key))

    def has(self, key: str) -> bool:
        """Tell whether a blob is there; raises PlaceError if the bucket is not."""
        return self.size(key) is not None

    def size(self, key: str) -> int | None:
        """Tell how many bytes a blob has; None if it is not there."""
        client, name = self._at(key)
        try:
            with self._doing("look at", key):
                return client.head(name)["size"]
        except MissingError:
            with self._doing("look for", key):  # A bucket that is gone has looked the same so far.
                next(client.list(name), None)
            return None

    def copy(self, source: str, target: str) -> None:
        """Copy a blob within the server, up to 5 GB, from bucket to bucket as well."""
        self._copy(self, source, target)

    def copy_from(self, other: "S3Store", key: str, to: str = "") -> bool:
        """Copy a blob from another store of the same server; False if it is on another.

        It is called `to` here, or as it is called there.
        """
        if self.access != other.access:
            return False
        self._copy(other, key, to or key)
        return True

    def delete(self, key: str) -> None:
        """Remove a blob; removing a missing one is no error."""
        self.delete_many([key])

    def delete_many(self, keys: Iterable[str]) -> None:
        """Remove many blobs, a hundred by one request and four requests at once."""
        for _ in in_order(self._remove, batches(keys, _BATCH), _BATCHES_AT_ONCE):
            pass

    def written_at(self, key: str) -> dt.datetime:
        """Tell when a blob was written, in UTC, by the server's clock, to the second."""
        client, name = self._at(key)
        with self._doing("look at", key):
            return client.head(name)["last_modified"].astimezone(dt.UTC)

    def keys(self, prefix: str) -> Iterator[str]:
        """List the keys that begin with `prefix`, sorted, a thousand of them in memory.

        Raises UsageError for a prefix that names no bucket, where the store's URL does not either.
        """
        return (entry.key for entry in self.entries(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        """List as `keys` does; the stamp is the server's ETag, or when it was written."""
        folder_of(prefix)
        bucket, slash, beginning = f"{self._root}{prefix}".partition("/")
        if not slash:
            raise UsageError(f"{self.url} is listed bucket by bucket: ask for BUCKET/")
        client = self._client(checked_bucket(bucket))
        found = pages(client, beginning, partial(self._doing, "list", prefix))
        for one in sorted_objects(found, beginning):
            key = f"{bucket}/{one['path']}".removeprefix(self._root)
            yield Entry(key, one["size"], stamp_of(one))

    def share(self, key: str, seconds: int) -> str:
        """Give a signed link by which anyone can read a blob for so long, at most seven days.

        Raises UsageError for another time. The link is a secret: who has it can read.
        """
        if not 1 <= seconds <= _LONGEST_LINK:
            raise UsageError(f"a link lasts 1 to {_LONGEST_LINK} seconds, not {seconds}")
        client, name = self._at(key)
        with self._doing("share", key):
            return signed_link(client, name, seconds)

    def local_path(self, key: str) -> None:
        """Give None: no file of this machine holds the blob."""

    def sweep(self) -> int:
        """Find nothing to sweep, as objects appear whole; returns 0.

        Parts of an upload that a kill cut short stay hidden at the server, and obstore cannot list
        them: let the bucket drop them (a lifecycle rule with AbortIncompleteMultipartUpload).
        """
        return 0

    def _put(self, key: str, data: bytes | Path, size: int) -> None:
        client, name = self._at(key)
        try:
            with self._doing("write", key):
                client.put(
                    name,
                    data,
                    use_multipart=size > _WHOLE,
                    chunk_size=part_size(size),
                    max_concurrency=_PARTS_AT_ONCE,
                )
        except OvertakenError:
            if self.size(key) != size:  # Else it wrote the same bytes.
                raise

    def _copy(self, other: "S3Store", source: str, target: str) -> None:
        (bucket, name), (to_bucket, to_name) = other._place(source), self._place(target)
        if (bucket, name) == (to_bucket, to_name):
            return
        with other._doing("copy", source):
            if bucket == to_bucket:
                self._client(bucket).copy(name, to_name)
            else:
                self._client(_EVERY_BUCKET).copy(f"{bucket}/{name}", f"{to_bucket}/{to_name}")

    def _remove(self, keys: list[str]) -> None:
        by_bucket: dict[str, list[str]] = {}
        for bucket, name in map(self._place, keys):
            by_bucket.setdefault(bucket, []).append(name)
        doing = f"remove {keys[0]}" + (f" and {len(keys) - 1} more" if keys[1:] else "")
        for bucket, names in by_bucket.items():
            again(partial(self._remove_from, bucket, names, doing), self._patience)

    def _remove_from(self, bucket: str, names: list[str], doing: str) -> None:
        client = self._client(bucket)
        with self._asking(doing, bucket):
            client.delete(names)

    def _place(self, key: str) -> tuple[str, str]:
        """Split a key into its bucket and its name there."""
        key_parts(key)
        bucket, _, name = f"{self._root}{key}".partition("/")
        if not name:
            raise UsageError(f"not a key of {self.url}: {key!r} (write BUCKET/NAME)")
        if len(name.encode()) > _LONGEST_NAME:
            raise UsageError(f"not a key: {key[:50]}... ({_LONGEST_NAME} bytes at the most)")
        return checked_bucket(bucket), name

    def _at(self, key: str) -> "tuple[Client, str]":
        bucket, name = self._place(key)
        return self._client(bucket), name

    def _client(self, bucket: str) -> "Client":
        return shared_client(bucket, self.access, self._patience)

    def _doing(self, verb: str, key: str) -> AbstractContextManager[None]:
        return self._asking(f"{verb} {key}", f"{self._root}{key}".partition("/")[0])

    def _asking(self, doing: str, bucket: str) -> AbstractContextManager[None]:
        return answering(Asked(f"{doing} in {self.url}", bucket, self.endpoint))
