"""Objects of a bucket as inputs: their bytes, read a few ahead of their turn."""

from collections.abc import Generator, Iterable
from functools import partial

from autods.errors import UsageError
from autods.records import Refusal
from autods.store import DeniedError, MissingError, S3Store
from autods.store.ahead import SMALL, in_order


def read_objects(
    objects: S3Store | None, keys: Iterable[str], max_bytes: int
) -> Generator[bytes | Refusal]:
    """Read objects, each named BUCKET/KEY, in order: up to 16 and 64 MB ahead.

    One that is not there, not ours to read or too large is refused. Raises UnreachableError for a
    server that does not answer, PlaceError for a bucket or credentials that are wrong.
    """
    if objects is None:
        raise UsageError("objects are to be read, and no store of objects was given")
    small = min(SMALL, max_bytes)
    for key, found in in_order(partial(_read_within, objects, small), keys):
        yield _read_large(objects, key, max_bytes) if found is None else found


def too_large(size: int, max_bytes: int) -> Refusal:
    """Refuse what has more bytes than are allowed."""
    return Refusal("rejected", "too-large", f"{size:,} bytes, {max_bytes:,} allowed")


def _read_within(objects: S3Store, limit: int, key: str) -> tuple[str, bytes | Refusal | None]:
    try:
        return key, objects.get_within(key, limit)
    except MissingError:
        return key, _missing(key)
    except DeniedError as error:
        return key, Refusal("failed", "unreadable-object", str(error))
    except UsageError as error:
        return key, Refusal("rejected", "unsupported-key", str(error))


def _read_large(objects: S3Store, key: str, max_bytes: int) -> bytes | Refusal:
    """Read what did not fit in ahead, now that it is its turn."""
    _, found = _read_within(objects, max_bytes, key)
    if found is not None:
        return found
    size = objects.size(key)
    return _missing(key) if size is None else too_large(size, max_bytes)


def _missing(key: str) -> Refusal:
    return Refusal("failed", "missing-object", f"no object s3://{key}")
