"""From what a row says of its photos to where they are: a key of the photo place, and no other."""

import hashlib
import re
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from autods.errors import UsageError
from autods.ingest.work import object_location
from autods.recipes.candidates.work import bucket_of
from autods.store import S3Store, Store

UNFIT = "unfit-"
"""How the names begin of those whose ids cannot be part of an object's name."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def key_of(url: str, bucket: str) -> str | None:
    """Give the key that a URL names in a bucket; None if it is somewhere else.

    >>> key_of("/users/1/a.jpg", "photos"), key_of("s3://photos/users/1/a.jpg", "photos")
    ('users/1/a.jpg', 'users/1/a.jpg')
    >>> key_of("http://minio:9000/photos/a%20b.jpg", "photos")
    'a b.jpg'
    >>> key_of("https://photos.example.org/a.jpg", "photos"), key_of("http://else/a.jpg", "photos")
    ('a.jpg', None)
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.lstrip("/") or None
    if scheme == "s3":
        there, _, key = rest.partition("/")
        return key or None if there == bucket else None
    return _in_url(url, bucket) if scheme in {"http", "https"} else None


def _in_url(url: str, bucket: str) -> str | None:
    """Give the key in a web address that has the bucket in its host, or first in its path."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return None
    path = parts.path.lstrip("/")
    if host.startswith(f"{bucket.lower()}."):
        return unquote(path) or None
    first, _, rest = path.partition("/")
    return unquote(rest) or None if unquote(first) == bucket else None


def locator(place: Store) -> Callable[[str], str]:
    """Give what turns a photo's URL into its location, or into the reason why it has none."""
    if isinstance(place, S3Store):
        bucket = bucket_of(place)
        prefix = place.url.removeprefix(f"s3://{bucket}").strip("/")
        beginning = f"{prefix}/" if prefix else ""
        return lambda url: _location(
            url, bucket, lambda key: object_location(bucket, beginning + key)
        )
    folder = place.url.rstrip("/").rpartition("/")[2]
    return lambda url: _location(url, folder, lambda key: _file(place, key))


def _location(url: str, bucket: str, found: Callable[[str], str]) -> str:
    key = key_of(url, bucket)
    if key is None:
        return f"refused:photo-elsewhere:not in the bucket of photos: {url[:200]}"
    try:
        return found(key)
    except UsageError as error:
        return f"refused:unsupported-key:{error}"


def _file(place: Store, key: str) -> str:
    path = place.local_path(key)
    if path is None:
        raise UsageError(f"{place.url} is no folder of this machine")
    return path.as_uri()


def name_of(said: str) -> str:
    """Give an id as it may be part of an object's name; an unfit one gets a name by its hash.

    >>> name_of("9f0c-12"), name_of("../etc")
    ('9f0c-12', 'unfit-f7f9121fdb53d8de')
    """
    if _ID.fullmatch(said) and not said.startswith(UNFIT):
        return said
    return f"{UNFIT}{hashlib.sha256(said.encode(errors='replace')).hexdigest()[:16]}"
