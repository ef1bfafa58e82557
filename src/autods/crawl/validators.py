"""What a server says of an answer by which it can be asked later whether it has changed."""

from autods.web.http import Fetched

LONGEST = 1000
"""Characters of an ETag or a date that are kept; a longer one could not be said again."""


def validators(got: Fetched) -> dict[str, str | None]:
    """Give the `etag` and the `last_modified` of an answer, each None if it is none to keep.

    >>> validators(Fetched(index=1, url="", etag='"7"', last_modified="x" * 2000))
    {'etag': '"7"', 'last_modified': None}
    """
    said = {"etag": got.etag, "last_modified": got.last_modified}
    return {name: value if _is_fit(value) else None for name, value in said.items()}


def _is_fit(value: str | None) -> bool:
    return value is not None and 0 < len(value) <= LONGEST and value.isprintable()
