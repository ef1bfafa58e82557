"""Label files of a user's making: a function from a row to what its file holds."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autods.errors import UsageError
from autods.export.encode import json_bytes, utf8
from autods.export.labelfiles.separate import Content, facts
from autods.export.member import Sample
from autods.records import Refusal

if TYPE_CHECKING:
    from autods.label.rows import Row

Function = Callable[["Row"], str | bytes | Mapping[str, Any] | None]
"""Gives what an image's label file holds: text, bytes, a mapping for JSON, or None for no file."""

_SUFFIX = re.compile(r"[A-Za-z0-9]{1,16}")


def made_by(function: Function, suffix: str | None = None) -> Content:
    """Ask `function` for each image's file; where it raises, that costs the image its file.

    The file ends in `suffix`, by itself in `txt`, `bin` or `json`. The row answers to names by
    attribute and by key, as a labeling function's does.
    """
    from autods.label.rows import Row

    if suffix is not None and not _SUFFIX.fullmatch(suffix):
        raise UsageError(f"{suffix!r} cannot be a suffix: give 1 to 16 letters and digits, as xml")
    name = _name(function)

    def content(sample: Sample, file_name: str) -> tuple[str, bytes] | Refusal | None:
        try:
            said: Any = function(Row(facts(sample, file_name)))
            return None if said is None else _encoded(said, suffix)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge to the user's code
            why = f"{type(error).__name__}: {error}"
            return Refusal("failed", "function", f"{name} failed on sample {sample.key}: {why}")

    return content


def _encoded(said: Any, suffix: str | None) -> tuple[str, bytes]:
    if isinstance(said, str):
        return suffix or "txt", utf8(said)
    if isinstance(said, bytes):
        return suffix or "bin", said
    if isinstance(said, Mapping):
        return suffix or "json", json_bytes(dict(said)) + b"\n"
    raise UsageError(f"it gave {type(said).__name__}; valid are str, bytes, dict and None")


def _name(function: Function) -> str:
    code = getattr(function, "__code__", None)
    file = f"{Path(code.co_filename).name}:" if code else ""
    return file + str(getattr(function, "__name__", type(function).__name__))
