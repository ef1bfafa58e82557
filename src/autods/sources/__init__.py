"""Where Refs come from: a source is a function that yields them; adding one is writing one.

A recipe's entry `{folder: photos, license: cc0}` calls `folder(folder=Path("photos"),
license="cc0")`: the first key names the function, all keys are its arguments.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from autods.records import Ref
from autods.sources.files import folder, folder_name
from autods.sources.lists import list_name, table, urls

Source = Callable[..., Iterator[Ref]]

SOURCES: dict[str, Source] = {"folder": folder, "urls": urls, "table": table}
"""The sources a recipe may name; besides these, `function: file.py:name` is one of the user's."""

__all__ = ["SOURCES", "Source", "folder", "load_source", "name_of", "table", "urls"]


def load_source(function: str) -> Source:
    """Load a user's source, `path/to/file.py:name`.

    Raises UsageError that names the file and what it holds, or why it cannot be run.
    """
    import runpy
    from pathlib import Path

    from autods.errors import UsageError

    path, _, name = function.rpartition(":")
    if not path or not Path(path).is_file():
        raise UsageError(f"no source {function!r}: give FILE.py:FUNCTION, the file must exist")
    try:
        found: dict[str, Any] = runpy.run_path(path)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    if not callable(found.get(name)):
        there = [key for key, value in found.items() if callable(value) and key[0] != "_"]
        raise UsageError(f"{path} has no function {name!r} (there: {', '.join(there) or 'none'})")
    return found[name]  # type: ignore[no-any-return]


def name_of(kind: str, arguments: Mapping[str, Any]) -> str | None:
    """Tell under which name a source's Refs are kept; None for a function that does not say.

    >>> from pathlib import Path
    >>> name_of("urls", {"urls": Path("lists/crawl.csv")}), name_of("folder", {"name": "mine"})
    ('crawl', 'mine')
    """
    defaults = {"folder": folder_name, "urls": list_name, "table": list_name}
    given = arguments.get("name")
    if given or kind not in defaults:
        return given or None
    return defaults[kind](arguments[kind])
