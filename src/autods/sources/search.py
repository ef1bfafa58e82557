"""Image search as a source: a function of the user's answers each query with URLs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from autods.errors import SourceError
from autods.records import Ref
from autods.settings import shown_url
from autods.sources.functions import load_function
from autods.sources.lists import place_of
from autods.storable import printable

Search = Callable[[str], Iterable[Any]]
"""A search back end: a query in; URLs out, or mappings with a `url` and what is known of it."""


def search(
    search: str,
    *,
    queries: tuple[str, ...],
    name: str | None = None,
    license: str | None = None,
    label_by_query: bool = False,
    per_query: int = 100,
) -> Iterator[Ref]:
    """Ask `FILE.py:NAME` each query, and yield a Ref for each of the first `per_query` answers.

    An answer is a URL, or a mapping with `url` and, if known, `license`, `label` and `caption`; all
    else in it becomes metadata. With `label_by_query` the query is the label where none is given.
    A URL that two queries find is one input. Raises SourceError if the function fails or answers
    what is no URL, UsageError if there is no such function.
    """
    find: Search = load_function(search, "search")
    source = name or search_name(search)
    for query in queries:
        for answer in islice(_asked(find, search, query), per_query):
            said = dict(answer) if isinstance(answer, Mapping) else {"url": answer}
            url = said.pop("url", None)
            if not isinstance(url, str):
                shown = printable(repr(answer)[:80])
                raise SourceError(f"{search} answered {query!r} with {shown}, which is no URL")
            known = {key: _text(said.pop(key, None)) for key in ("license", "label", "caption")}
            yield Ref(
                uri=shown_url(url),
                source=source,
                location=place_of(url),
                license=known["license"] or license,
                label=known["label"] or (query if label_by_query else None),
                caption=known["caption"],
                meta={**said, "query": query},
            )


def search_name(search: str) -> str:
    """Name a search by its function.

    >>> search_name("engines/flickr.py:photos")
    'photos'
    """
    return search.rpartition(":")[2]


def _asked(find: Search, search: str, query: str) -> Iterator[Any]:
    try:
        yield from find(query)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise SourceError(f"{search} failed on {query!r}: {said}") from error


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
