"""Opening obstore's clients: the one module that knows how obstore is set up."""

import os
import re
import threading
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from autods.errors import PlaceError, UsageError

if TYPE_CHECKING:
    from obstore.store import (
        ClientConfig,
        RetryConfig,
        S3Config,
        S3Credential,
        S3CredentialProvider,
    )
    from obstore.store import S3Store as Client

    from autods.settings import S3Access

PATIENCE = 30.0
"""Seconds for which a server that fails or does not answer is tried again."""
PART = 8 * 1024 * 1024
"""The bytes of one part of a large upload; four of them are under way, 32 MB in memory."""
_MOST_PARTS = 10_000
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_opened_in: set[int] = set()

# One thread imports obstore and opens a client, the others wait for it.
_OPENING = threading.Lock()


def checked_bucket(name: str) -> str:
    """Check a bucket's name by the rules of S3; raises UsageError.

    >>> checked_bucket("raw")
    'raw'
    """
    if not _BUCKET.fullmatch(name):
        raise UsageError(
            f"not a bucket: {name!r} (3 to 63 lower-case letters, digits, '-' and '.', "
            "beginning and ending with a letter or digit)"
        )
    return name


def checked_endpoint(url: str) -> str:
    """Check where an S3 server is said to be; raises UsageError.

    >>> checked_endpoint("http://minio:9000")
    'http://minio:9000'
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"not an S3 endpoint: {url!r} (write http://HOST:PORT or https://HOST)")
    return url


def shared_client(bucket: str, access: "S3Access", patience: float) -> "Client":
    """Give this process's client for a bucket: a worker gets its store anew with each batch.

    Raises PlaceError in a process forked from one that uses S3, and where obstore is missing.
    """
    refuse_forked()
    with _OPENING:
        return open_client(bucket, access, patience)


@lru_cache(maxsize=64)
def open_client(bucket: str, access: "S3Access", patience: float) -> "Client":
    """Open a client for one bucket, or for all of them if the name is empty (see `S3Store.copy`).

    Raises PlaceError where obstore is not installed.
    """
    try:
        from obstore.store import S3Store as Client
    except ImportError as error:
        raise PlaceError(f"the store s3://{bucket} needs obstore: pip install obstore") from error
    _opened_in.add(os.getpid())
    seconds = timedelta(seconds=patience)
    retry: RetryConfig = {
        "max_retries": 20,
        "retry_timeout": seconds,
        "backoff": {"max_backoff": timedelta(seconds=5)},
    }
    return Client(
        bucket,
        config=_config(access, every_bucket=not bucket),
        client_options=_options(access, seconds),
        retry_config=retry,
        credential_provider=_provider(access),
    )


def refuse_forked() -> None:
    """Refuse to use S3 in a process forked from one that has: without its threads, it would hang.

    Raises PlaceError.
    """
    if _opened_in and os.getpid() not in _opened_in:
        raise PlaceError(
            "this process was forked from one that uses S3, which cannot work: "
            "start workers by 'forkserver' or 'spawn' instead of 'fork'"
        )


def signed_link(client: "Client", name: str, seconds: int) -> str:
    """Sign a link by which an object can be read without credentials."""
    from obstore import sign

    return sign(client, "GET", name, timedelta(seconds=seconds))


def part_size(size: int) -> int:
    """Give the bytes of one part of an upload: S3 takes 10,000 parts at the most.

    >>> part_size(500_000_000) == PART, part_size(1_000_000_000_000)
    (True, 100000000)
    """
    return max(PART, -(-size // _MOST_PARTS))


def _config(access: "S3Access", *, every_bucket: bool) -> "S3Config":
    # With no bucket before it, the path itself begins with one.
    config: S3Config = {"region": access.region, "virtual_hosted_style_request": every_bucket}
    if access.endpoint:
        # By this name it wins over AWS_ENDPOINT_URL_S3 of the environment.
        config["aws_endpoint_url_s3"] = access.endpoint.rstrip("/")
    elif every_bucket:
        config["aws_endpoint_url_s3"] = f"https://s3.{access.region}.amazonaws.com"
    return config


def _options(access: "S3Access", seconds: timedelta) -> "ClientConfig":
    """Bound each silence, not the whole request: a large blob may take its time."""
    return {
        "allow_http": (access.endpoint or "").startswith("http://"),
        "connect_timeout": min(seconds, timedelta(seconds=5)),
        "read_timeout": seconds,
        "timeout": "7days",
    }


def _provider(access: "S3Access") -> "S3CredentialProvider | None":
    """Hand over the keys as they are: obstore would add a session token of the environment."""
    if not access.access_key or not access.secret_key:
        return None
    keys: S3Credential = {
        "access_key_id": access.access_key,
        "secret_access_key": access.secret_key,
        "token": access.session_token,
        "expires_at": None,
    }
    return lambda: keys
