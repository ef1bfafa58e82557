"""Listing a bucket: by any beginning of a name, in order, a thousand names in memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from autods.errors import PlaceError

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store as Client

_PAGE = 1000
"""How many names S3 gives by one request."""


def pages(
    client: "Client", beginning: str, answering: Callable[[], AbstractContextManager[None]]
) -> "Iterator[Sequence[ObjectMeta]]":
    """Ask for the objects from `beginning` on, page by page.

    obstore lists whole folders only, so that a beginning within a name is where to start instead;
    the object of just that name, which such a listing leaves out, is looked up.
    """
    folder, _, rest = beginning.rpartition("/")
    within = bool(rest.strip("."))  # Dots alone are no name that obstore would start after.
    if within:
        with answering():
            yield _just(client, beginning)
    offset = beginning if within else None
    listing = iter(client.list(folder or None, offset=offset, chunk_size=_PAGE))
    while True:
        with answering():
            page = next(listing, None)
        if page is None:
            return
        yield page


def _just(client: "Client", name: str) -> "Sequence[ObjectMeta]":
    try:
        return [client.head(name)]
    except FileNotFoundError:
        return []


def sorted_objects(
    found: "Iterator[Sequence[ObjectMeta]]", beginning: str
) -> "Iterator[ObjectMeta]":
    """Give the objects whose names begin so, up to the first beyond them.

    S3 lists by the bytes of its names, as Python sorts. Raises PlaceError for a server that does
    not (a directory bucket of S3 Express): the merge of two tiers relies on it. What stands out of
    order and is empty is a folder that a console made: obstore takes its last '/' away.
    """
    last = ""
    for page in found:
        for entry in page:
            name = entry["path"]
            if name > beginning and not name.startswith(beginning):
                return
            if name > last and name.startswith(beginning):
                last = name
                yield entry
            elif entry["size"]:
                raise PlaceError(f"the bucket lists {name} after {last}: autods needs it in order")


def stamp_of(entry: "ObjectMeta") -> str:
    """Give what is another when the object is: its ETag without quotes, else when it was written.

    >>> stamp_of({"e_tag": '"ab12"'})
    'ab12'
    """
    return (entry["e_tag"] or "").strip('"') or entry["last_modified"].isoformat()
