"""A version on one screen of the terminal, and the same as JSON."""

import datetime as dt
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from autods.report.facts import Facts
from autods.report.ranking import ClassRow, class_rows, ranked, split_totals
from autods.report.screen import Part, Screen
from autods.report.wording import count, duration, share, things

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

MAX_LINES, MIN_CLASSES, MAX_CLASSES = 38, 3, 15
"""A screen of 40 lines, less the prompt; how many lines of classes there are at least and most."""

_NAME, _NUMBER, _BAR = 12, 10, 24  # cells
_DETAIL = _NAME + 1 + _NUMBER + 2 + 7 + 2  # where the remark behind a count and its share begins
_REASONS, _PLACES, _SPLITS = 5, 5, 4
_STYLES = {"accepted": "green", "duplicates": "yellow", "rejected": "red"}

Line = list[Part]


def summary(facts: Facts) -> "Summary":
    """Make what rich prints of a version: at most one screen of 40 lines, or of 24 if it is small.

    Lines are cut to the terminal's width, except that commands and paths stay whole, to be copied
    (rich crops those too, unless printed with `soft_wrap=True`, as `print_summary` does). Where the
    terminal's encoding lacks a character, its escape stands there. No colour is needed to read it.
    """
    return Summary(facts)


def print_summary(facts: Facts, console: "Console") -> None:
    """Print the summary to a rich console."""
    console.print(summary(facts), soft_wrap=True)


class Summary:
    """What a version looks like in a terminal; rich asks it for its lines when it prints."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> Iterator["Text"]:
        """Give the lines for a terminal of this width, height and encoding."""
        height = min(options.size.height - 1, MAX_LINES) if console.is_terminal else MAX_LINES
        yield from _lines(
            self._facts, Screen(width=options.max_width, height=height, encoding=options.encoding)
        )


def _lines(facts: Facts, screen: Screen) -> Iterator["Text"]:
    head, ends = [*_head(facts)], [*_ends(facts, screen), *_labels(facts)]
    time, places, commands = [*_time(facts)], [*_places(facts)], [*_next(facts)]
    fixed = sum(map(len, (head, ends, time, places, commands))) + 2  # the table's head and sum
    blanks = 4 if screen.height - fixed - 4 >= MIN_CLASSES else 0
    room = min(max(screen.height - fixed - blanks, MIN_CLASSES), MAX_CLASSES)
    groups = [head, ends, [*_classes(facts, room, screen)], [*time, *places], commands]
    for index, group in enumerate(groups):
        if blanks and index:
            yield screen.line([])
        for line in group:
            yield screen.line(line, whole=line in places or line in commands)


def _head(facts: Facts) -> Iterator[Line]:
    about, what = facts.about, facts.changes
    made = f"{about.created:%Y-%m-%d %H:%M} UTC"
    yield [
        (facts.name, "bold"),
        (f"   {about.dataset_type}   {made}   {about.digest[:16]}", "dim"),
    ]
    if about.parent and what:
        changed = {one.name: getattr(what, one.name) for one in fields(what)}
        said = ", ".join(f"{count(number)} {name}" for name, number in changed.items() if number)
        yield [(f"since {about.parent}: ", "dim"), (said or "nothing left", "")]


def _ends(facts: Facts, screen: Screen) -> Iterator[Line]:
    counts = facts.counts
    room = screen.width - _DETAIL
    details = {
        "accepted": f"quality score {counts.quality_score:.1f} of 100",
        "duplicates": (
            f"exact {count(counts.exact_duplicates)}, pixels {count(counts.pixel_duplicates)}, "
            f"near {count(counts.near_duplicates)}"
        ),
        "withheld": "like members of two splits",
        "rejected": _listed(counts.rejected_by, room),
        "failed": _listed(counts.failed_by, room),
    }
    yield [_name("inputs"), (f"{count(counts.inputs):>{_NUMBER}}", "bold")]
    for sign, (name, number) in zip("=++++", counts.outcomes.items(), strict=False):
        yield [
            _name(f"{sign} {name}"),
            (f"{count(number):>{_NUMBER}}", _STYLES.get(name, "") if number else ""),
            (f"  {share(number, counts.inputs):>7}", "dim"),
            (f"  {details[name]}", ""),
        ]


def _name(text: str) -> Part:
    return (f"{text:<{_NAME}} ", "dim")


def _listed(counts: Mapping[str, int], room: int) -> str:
    """Name the most frequent reasons, as many as the room allows, and add up the others."""
    rows, text = ranked(counts), ""
    for shown in range(min(_REASONS, len(rows)), 0, -1):
        rest = rows[shown:]
        parts = [f"{name} {count(number)}" for name, number in rows[:shown]]
        if rest:
            parts.append(f"{count(sum(n for _, n in rest))} for {things(len(rest), 'more reason')}")
        text = ", ".join(parts)
        if len(text) <= room:
            break
    return text


def _labels(facts: Facts) -> Iterator[Line]:
    labels = facts.labels
    kinds = ", ".join(f"{kind} {count(number)}" for kind, number in ranked(labels.kinds))
    said = [things(labels.conflicts, "conflict") if labels.conflicts else "", kinds]
    yield [
        _name("labelled"),
        (f"{count(labels.labelled):>{_NUMBER}}", ""),
        (f"  {share(labels.labelled, labels.members):>7}", "dim"),
        (f"  {'; '.join(text for text in said if text)}", ""),
    ]


def _classes(facts: Facts, room: int, screen: Screen) -> Iterator[Line]:
    """Give the table of classes and splits, its rows in `room` lines, the largest class first."""
    rows, totals = class_rows(facts.labels), split_totals(facts.labels)
    if not rows:
        yield [_name("classes"), ("this version has no members", "")]
        return
    shown = rows if len(rows) <= room else rows[: room - 1]
    columns = _columns(totals)
    heads = ["class", *columns, "total"]
    body = [
        [row.name or "(unlabelled)", *_cells(row.by_split, row.total, columns)] for row in shown
    ]
    sums = ["all", *_cells(totals, facts.counts.accepted, columns)]
    widths = _widths([heads, *body, sums], screen)
    bars = _bars(shown, screen.width - sum(widths) - len(widths) - 1)
    yield [(_row(heads, widths, screen), "dim")]
    for cells, bar in zip(body, bars, strict=True):
        yield [(_row(cells, widths, screen), ""), (f"  {bar}", "cyan")]
    if len(shown) < len(rows):
        yield [(f"... and {things(len(rows) - len(shown), 'more class', 'more classes')}", "dim")]
    yield [(_row(sums, widths, screen), "bold")]


def _columns(totals: Mapping[str, int]) -> dict[str, list[str]]:
    """Map each column to its splits; those beyond the first few share the column 'others'."""
    names = list(totals)
    few = names if len(names) <= _SPLITS else names[: _SPLITS - 1]
    rest = {"others": names[len(few) :]} if len(few) < len(names) else {}
    return {name: [name] for name in few} | rest


def _cells(row: Mapping[str, int], total: int, columns: Mapping[str, list[str]]) -> list[str]:
    among = [sum(row.get(split, 0) for split in splits) for splits in columns.values()]
    return [count(number) for number in (*among, total)]


def _widths(rows: Sequence[Sequence[str]], screen: Screen) -> list[int]:
    """Give each column the cells it needs, the first one what the others leave of them."""
    needs = [max(screen.cells(cell) for cell in column) for column in zip(*rows, strict=True)]
    numbers = [min(need, _NUMBER + 2) for need in needs[1:]]
    room = screen.width - sum(numbers) - 2 * len(numbers)
    return [max(_NAME, min(needs[0], room, screen.width // 3)), *(n + 1 for n in numbers)]


def _row(cells: Sequence[str], widths: Sequence[int], screen: Screen) -> str:
    name, *numbers = cells
    right = [screen.right(text, cells) for text, cells in zip(numbers, widths[1:], strict=True)]
    return " ".join([screen.left(name, widths[0]), *right])


def _bars(rows: Sequence[ClassRow], room: int) -> list[str]:
    """Draw each class as long as its share of the largest; nothing where the room is too small."""
    largest = max(row.total for row in rows)
    longest = min(room, _BAR) if room >= _BAR // 4 else 0
    return ["█" * math.ceil(longest * row.total / (largest or 1)) for row in rows]


def _time(facts: Facts) -> Iterator[Line]:
    seconds, rate = facts.timing.seconds, facts.timing.items_per_second
    if seconds:
        speed = f", {things(round(rate), 'input')} a second" if rate is not None else ""
        long = {name: spent for name, spent in seconds.items() if spent >= 0.1} or seconds
        steps = ", ".join(f"{name} {duration(spent)}" for name, spent in long.items())
        yield [_name("time"), (f"{duration(sum(seconds.values()))}{speed}: {steps}", "")]


def _places(facts: Facts) -> Iterator[Line]:
    places = [(name, path) for name, path in facts.places.items() if name != "report"]
    for name, path in places[:_PLACES]:
        yield [_name(name[:_NAME]), (path, "")]


def _next(facts: Facts) -> Iterator[Line]:
    root = facts.places.get("workspace")
    where = f" -w {shlex.quote(root)}" if root else ""
    commands = [f"autods show {facts.name}{where}"]
    if facts.about.parent:
        commands.append(f"autods diff {facts.about.parent} {facts.name}{where}")
    if "report" in facts.places:
        commands.append(f"python -m webbrowser {facts.places['report']}")
    for index, command in enumerate(commands):
        yield [_name("" if index else "try next"), (command, "bold")]


def to_json(facts: Facts) -> dict[str, Any]:
    """Give the facts as plain JSON-able values, without the bytes of pictures.

    The names are those of `Facts`; its sums (name, outcomes, quality_score, labelled, ...) stand
    beside what was given. The class "" holds the unlabelled. Times are ISO 8601 in UTC, and numbers
    that are not finite are null.
    """
    plain = {one.name: _plain(getattr(facts, one.name)) for one in fields(facts)}
    counts, labels = facts.counts, facts.labels
    plain["about"]["created_at"] = facts.about.created.isoformat()
    plain["counts"] |= {"outcomes": counts.outcomes, "quality_score": counts.quality_score}
    plain["counts"] |= {"score_equation": counts.score_equation}
    plain["labels"] |= {
        "labelled": labels.labelled,
        "unlabelled": labels.unlabelled,
        "splits": split_totals(labels),
        "by_class_and_split": {row.name or "": dict(row.by_split) for row in class_rows(labels)},
    }
    return {"name": facts.name, **plain}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        named = {one.name: getattr(value, one.name) for one in fields(value)}
        return {k: _plain(item) for k, item in named.items() if not isinstance(item, bytes)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dt.date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | str) else str(value)
