"""Judging assets by what is known of them; a limit that changes is judged anew without decoding."""

import inspect
import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from autods.errors import UsageError

Check = Callable[[Mapping[str, Any]], str | None]
"""Looks at an asset's features and description: None, or the reason to reject it."""


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What an input must be to become a member, and how strictly that is meant.

    `strict` rejects what fails any check; `lenient` rejects only what cannot be decoded and notes
    the rest; `report-only` filters nothing, not even what cannot be decoded. In every mode the
    run ends with an error once more than `error_budget` of its inputs were refused (1 is never).
    Sizes are pixels after EXIF orientation, `max_bytes` and `min_bytes` those of the file.
    """

    mode: Literal["strict", "lenient", "report-only"] = "strict"
    min_width: Annotated[int, Ge(0)] = 1
    min_height: Annotated[int, Ge(0)] = 1
    max_width: Annotated[int, Gt(0)] | None = None
    max_height: Annotated[int, Gt(0)] | None = None
    min_bytes: Annotated[int, Ge(0)] = 0
    max_bytes: Annotated[int, Gt(0)] = 64 * 2**20
    max_pixels: Annotated[int, Gt(0)] = 178_956_970
    max_aspect: Annotated[float, Ge(1)] | None = None
    formats: tuple[str, ...] = field(default=())
    checks: Path | None = None
    error_budget: Annotated[float, Ge(0), Le(1)] = 1.0

    def __post_init__(self) -> None:
        for what in ("width", "height", "bytes"):
            low, high = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if high is not None and low > high:
                raise UsageError(f"min_{what} {low} exceeds max_{what} {high}: nothing would pass")


def judges(checks: Checks) -> list[tuple[str, Check]]:
    """Give the checks as named functions, the user's own last.

    >>> [name for name, _ in judges(Checks(min_width=64))]
    ['damaged', 'too-small', 'too-large', 'aspect', 'format']
    """
    ours: list[tuple[str, Check]] = [
        ("damaged", _damaged),
        ("too-small", lambda row: _too_small(row, checks)),
        ("too-large", lambda row: _too_large(row, checks)),
        ("aspect", lambda row: _aspect(row, checks)),
        ("format", lambda row: _format(row, checks)),
    ]
    return ours + (load_checks(checks.checks) if checks.checks else [])


def judge(row: Mapping[str, Any], named: Sequence[tuple[str, Check]]) -> tuple[str, str] | None:
    """Give the first reason against an asset, with its detail; None if there is none.

    A check that raises, or answers what is no reason, rejects nothing silently: its own failing
    is the reason. It sees the row, and cannot change it.
    """
    seen = MappingProxyType(row)
    for name, check in named:
        try:
            reason: Any = check(seen)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge to the user's code
            return f"{name}-failed", _told(f"{type(error).__name__}: {error}")
        if isinstance(reason, str):
            return name, _told(reason)
        if reason is not None:
            return f"{name}-failed", _told(f"answered {reason!r}: None or a reason is wanted")
    return None


def _told(detail: str) -> str:
    """Keep what a database can hold of what user's code says."""
    return detail[:1000].replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def format_name(name: str) -> str:
    """Give a format's name as we keep it, from one of those in use.

    >>> format_name("jpg"), format_name("png")
    ('JPEG', 'PNG')
    """
    known = {"JPG": "JPEG", "TIF": "TIFF", "HEIC": "HEIF"}
    return known.get(name.upper(), name.upper())


def load_checks(path: Path) -> list[tuple[str, Check]]:
    """Load a user's checks: the functions of a Python file whose names begin with `check_`.

    Raises UsageError if the file is missing, cannot be run, or holds none.
    """
    if not path.is_file():
        raise UsageError(f"no file of checks {path}")
    try:
        found = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        raise UsageError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    named: list[tuple[str, Check]] = [
        (name.removeprefix("check_").replace("_", "-"), value)
        for name, value in found.items()
        if name.startswith("check_") and inspect.isfunction(value)
    ]
    if not named:
        raise UsageError(f"{path} holds no check: write a function whose name begins with check_")
    return named


def _damaged(row: Mapping[str, Any]) -> str | None:
    """Tell a JPEG whose picture data ends early or is broken; stray bytes in it are harmless."""
    damage = str(row.get("damage") or "")
    grave = ("premature end", "huffman", "arithmetic")
    return damage if any(word in damage.lower() for word in grave) else None


def _too_small(row: Mapping[str, Any], checks: Checks) -> str | None:
    width, height, size = row["width"], row["height"], row["file_size"]
    if width < checks.min_width or height < checks.min_height:
        return f"{width}x{height} pixels, {checks.min_width}x{checks.min_height} wanted"
    if size < checks.min_bytes:
        return f"{size:,} bytes, {checks.min_bytes:,} wanted"
    return None


def _too_large(row: Mapping[str, Any], checks: Checks) -> str | None:
    for side in ("width", "height"):
        limit = getattr(checks, f"max_{side}")
        if limit is not None and row[side] > limit:
            return f"{side} {row[side]}, {limit} allowed"
    return None


def _aspect(row: Mapping[str, Any], checks: Checks) -> str | None:
    width, height = row["width"], row["height"]
    aspect = max(width, height) / max(1, min(width, height))
    if checks.max_aspect is not None and aspect > checks.max_aspect:
        return f"sides at {aspect:.4g} to 1, {checks.max_aspect:g} allowed"
    return None


def _format(row: Mapping[str, Any], checks: Checks) -> str | None:
    allowed = {format_name(name) for name in checks.formats}
    if allowed and row["format"] not in allowed:
        return f"{row['format']}, allowed: {', '.join(sorted(allowed))}"
    return None
