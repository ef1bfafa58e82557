"""How numbers, sizes, times and foreign text are written for a person."""

import re
from collections.abc import Mapping
from typing import Any

# Control characters drive a terminal, lone surrogates cannot be written as UTF-8, and the
# characters that turn the direction of text can make a name read as another one.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0\ufffe\uffff]"
)


def count(number: int) -> str:
    """Write a whole number with its thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,}"


def things(number: int, one: str, many: str = "") -> str:
    """Write a number with its noun.

    >>> things(1, "class", "classes"), things(1200, "input")
    ('1 class', '1,200 inputs')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def share(part: float, whole: float = 1.0) -> str:
    """Write a part of a whole in percent; neither something as 0 nor less than all as 100.

    >>> [share(part, 100_000) for part in (33_333, 1, 99_999, 0, 100_000)]
    ['33.3 %', '<0.1 %', '>99.9 %', '0 %', '100 %']
    >>> share(0, 0)
    '–'
    """
    if not whole:
        return "–"
    percent = 100 * part / whole
    if percent in {0, 100}:
        return f"{percent:.0f} %"
    if percent < 0.1:
        return "<0.1 %"
    return ">99.9 %" if 99.9 < percent < 100 else f"{percent:.1f} %"


def decimal(number: float) -> str:
    """Write a measure to three significant digits, and no decimals it does not need.

    >>> [decimal(x) for x in (0, 0.0012345, 3.14159, 42.5, 1234.5, 1e7)]
    ['0', '0.00123', '3.14', '42.5', '1,234', '10,000,000']
    """
    if abs(number) >= 100 or number == 0:
        return f"{number:,.0f}"
    text = f"{number:.3g}"
    return text if "e" in text else f"{float(text):g}"


def size(number: float) -> str:
    """Write bytes in decimal units, as disks and file managers do.

    >>> size(999), size(1500), size(2_000_000)
    ('999 B', '1.5 kB', '2 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{decimal(number)} {unit}"
        number /= 1000
    return f"{decimal(number)} TB"


def duration(seconds: float) -> str:
    """Write a time span with the two units that matter.

    >>> duration(0.042), duration(12.34), duration(245), duration(3723)
    ('42 ms', '12.3 s', '4 min 05 s', '1 h 02 min')
    """
    if seconds < 0.9995:
        return f"{decimal(round(seconds * 1000, 1))} ms"
    if seconds < 59.95:
        return f"{decimal(seconds)} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plain(text: str) -> str:
    r"""Write what could steer a terminal or mislead a reader as its escape; keep all else.

    Line breaks and tabs stay.

    >>> plain("caf\u00e9 \x1b[2J \u202egpj")
    'café \\x1b[2J \\u202egpj'
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def one_line(text: str) -> str:
    r"""Do as `plain`, and write line breaks and runs of blanks as one blank.

    >>> one_line("a\n  b\t")
    'a b'
    """
    return " ".join(plain(text).split())


def yaml_text(data: Mapping[str, Any]) -> str:
    r"""Write a recipe as YAML in the order of its keys.

    >>> yaml_text({"dataset": "cats", "sources": [{"folder": "in"}]})
    'dataset: cats\nsources:\n- folder: in\n'
    """
    import yaml

    return yaml.safe_dump(_simple(data), sort_keys=False, allow_unicode=True, width=88)


def _simple(value: Any) -> Any:
    """Turn what YAML's safe writer does not know (a Path, a tuple) into what it does."""
    if isinstance(value, Mapping):
        return {str(key): _simple(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_simple(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
