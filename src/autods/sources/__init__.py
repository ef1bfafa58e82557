"""Where Refs come from: a source is a function that yields them; adding one is writing one.

A recipe's entry `{folder: photos, license: cc0}` calls `folder(folder=Path("photos"),
license="cc0")`: the first key names the function, all keys are its arguments.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from autods.records import Ref
from autods.sources.files import folder, folder_name
from autods.sources.lists import list_name, table, urls
from autods.sources.search import search, search_name

Source = Callable[..., Iterator[Ref]]

SOURCES: dict[str, Source] = {"folder": folder, "urls": urls, "table": table, "search": search}
"""The sources a recipe may name; besides these, `function: file.py:name` is one of the user's."""

__all__ = ["SOURCES", "Source", "folder", "load_source", "name_of", "search", "table", "urls"]


def load_source(function: str) -> Source:
    """Load a user's source, `path/to/file.py:name`; raises UsageError."""
    from autods.sources.functions import load_function

    return load_function(function, "source")


def name_of(kind: str, arguments: Mapping[str, Any]) -> str | None:
    """Tell under which name a source's Refs are kept; None for a function that does not say.

    >>> from pathlib import Path
    >>> name_of("urls", {"urls": Path("lists/crawl.csv")}), name_of("folder", {"name": "mine"})
    ('crawl', 'mine')
    """
    defaults: dict[str, Callable[[Any], str]] = {
        "folder": folder_name, "urls": list_name, "table": list_name, "search": search_name,
    }  # fmt: skip
    given = arguments.get("name")
    if given or kind not in defaults:
        return given or None
    return defaults[kind](arguments[kind])
