"""Functions that users write into files of their own, found by `path/to/file.py:name`."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autods.errors import UsageError


def load_function(where: str, what: str) -> Callable[..., Any]:
    """Load a function; `what` it is for goes into the sentence if it cannot be.

    Raises UsageError that names the file and what it holds, or why it cannot be run.
    """
    path, _, name = where.rpartition(":")
    if not path or not Path(path).is_file():
        raise UsageError(f"no {what} {where!r}: give FILE.py:FUNCTION, the file must exist")
    try:
        found: dict[str, Any] = runpy.run_path(path)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    if not callable(found.get(name)):
        there = [key for key, value in found.items() if callable(value) and key[0] != "_"]
        raise UsageError(f"{path} has no function {name!r} (there: {', '.join(there) or 'none'})")
    return found[name]  # type: ignore[no-any-return]
