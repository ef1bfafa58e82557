"""Reading `.env`: the lines a user keeps beside a workspace, each with its number."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autods.errors import UsageError

_REFERENCE = r"\$\{(\w+)(?::-([^}]*))?\}"
_LITERAL = r"\s*(?:export\s+)?[^=]*=[^\S\r\n]*'"


@dataclass(frozen=True, repr=False)
class Line:
    """One variable of the file, and the name it asks for that is set nowhere, if any."""

    number: int
    value: str
    missing: str = ""


def read_env_file(path: Path, environment: Mapping[str, str]) -> dict[str, Line]:
    """Read NAME=value lines as python-dotenv does; the last of two lines of one name counts.

    `${NAME}` and `${NAME:-default}` are filled in from the environment, then from the lines
    before, except in single quotes. No file is no line, and neither is a folder: some keep a
    virtual environment of that name. Raises UsageError with file and line; what stands in a line
    is never shown.
    """
    text = _text(path)
    if not text:
        return {}
    from dotenv.parser import parse_stream

    lines: dict[str, Line] = {}
    for binding in parse_stream(io.StringIO(text, newline="")):
        number = _number(binding.original)
        if binding.error or (binding.key is not None and binding.value is None):
            raise UsageError(f"{path}:{number}: NAME=value is wanted")
        if binding.key is not None:
            lines[binding.key] = _filled(binding, number, lines, environment)
    return lines


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return data.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8; save it as UTF-8") from error


def _number(original: Any) -> int:
    """Give the line of a binding: its text begins with the empty lines before it."""
    blank = original.string[: len(original.string) - len(original.string.lstrip())]
    return int(original.line) + len(re.findall(r"\r\n|\n|\r", blank))


def _filled(
    binding: Any, number: int, lines: Mapping[str, Line], environment: Mapping[str, str]
) -> Line:
    if re.match(_LITERAL, binding.original.string):
        return Line(number, binding.value)
    missing = ""

    def fill(reference: re.Match[str]) -> str:
        nonlocal missing
        name, default = reference.groups()
        before = lines.get(name, Line(0, "", name))
        known = environment.get(name) or before.value
        if default is None and name not in environment:
            missing = missing or before.missing
        return known or default or ""

    return Line(number, re.sub(_REFERENCE, fill, binding.value), missing)
