"""One door to every store: a URL or a path, and who enters."""

from pathlib import Path
from typing import TYPE_CHECKING

from autods.errors import UsageError
from autods.store.local import LocalStore
from autods.store.protocol import Store
from autods.store.s3 import SCHEME, S3Store
from autods.store.s3_client import PATIENCE
from autods.store.tiered import TieredStore

if TYPE_CHECKING:
    from autods.settings import S3Access


def open_store(
    url: str,
    access: "S3Access | None" = None,
    cold: str | None = None,
    patience: float = PATIENCE,
) -> Store:
    """Open the store behind a URL; a path or `file://` is a local folder, `s3://` an S3 server.

    With `cold`, the URL of a second store, it is two tiers. An S3 server that does not answer is
    tried again for `patience` seconds. Nothing is asked of a server yet. Raises UsageError for a
    scheme that no store understands.
    """
    hot = _open(url, access, patience)
    return hot if cold is None else TieredStore(hot, _open(cold, access, patience))


def _open(url: str, access: "S3Access | None", patience: float) -> Store:
    scheme, separator, rest = url.partition("://")
    if not separator:
        return LocalStore(Path(url))
    if scheme == "file" and rest.startswith("/"):
        return LocalStore(Path(rest))
    if scheme == "s3" and "@" not in url:
        return S3Store(url, access, patience)
    raise UsageError(_no_store(url))


def _no_store(url: str) -> str:
    from autods.settings import shown_url

    valid = f"give a folder's path, file://PATH or {SCHEME}BUCKET/PREFIX"
    if url.startswith(SCHEME):
        return f"no store for {shown_url(url)!r}: keys have no place in a URL; {valid}"
    return f"no store for {shown_url(url)!r}: {valid}"
