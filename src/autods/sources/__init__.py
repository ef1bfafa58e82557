"""Where Refs come from: a source is a function that yields them; adding one is writing one.

A recipe's entry `{folder: photos, license: cc0}` calls `folder(folder=Path("photos"),
license="cc0")`: the first key names the function, all keys are its arguments.
"""

from collections.abc import Callable, Iterator
from typing import Any

from autods.records import Ref
from autods.sources.files import folder
from autods.sources.lists import table, urls

Source = Callable[..., Iterator[Ref]]

SOURCES: dict[str, Source] = {"folder": folder, "urls": urls, "table": table}
"""The sources a recipe may name; besides these, `function: file.py:name` is one of the user's."""

__all__ = ["SOURCES", "Source", "folder", "load_source", "table", "urls"]


def load_source(function: str) -> Source:
    """Load a user's source, `path/to/file.py:name`.

    Raises UsageError that names the file and what it holds.
    """
    import runpy
    from pathlib import Path

    from autods.errors import UsageError

    path, _, name = function.rpartition(":")
    if not path or not Path(path).is_file():
        raise UsageError(f"no source {function!r}: give FILE.py:FUNCTION, the file must exist")
    found: dict[str, Any] = runpy.run_path(path)
    if not callable(found.get(name)):
        there = [key for key, value in found.items() if callable(value) and key[0] != "_"]
        raise UsageError(f"{path} has no function {name!r} (there: {', '.join(there) or 'none'})")
    return found[name]  # type: ignore[no-any-return]
