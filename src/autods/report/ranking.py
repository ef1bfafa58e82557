"""In which order classes, splits and reasons are shown, the same on every face."""

from collections.abc import Mapping
from dataclasses import dataclass

from autods.report.facts import Labels

_SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassRow:
    """One class, or the unlabelled (name None): its members in each split, and in all."""

    name: str | None
    by_split: Mapping[str, int]
    total: int


def class_rows(labels: Labels) -> list[ClassRow]:
    """List the classes, the largest first, equal ones by name, the unlabelled last.

    >>> labels = Labels(by_class_and_split={None: {"train": 9}, "b": {"train": 2}, "a": {}})
    >>> [(row.name, row.total) for row in class_rows(labels)]
    [('b', 2), ('a', 0), (None, 9)]
    """
    merged: dict[str | None, dict[str, int]] = {}
    for name, splits in labels.by_class_and_split.items():
        row = merged.setdefault(name or None, {})
        for split, number in splits.items():
            row[split] = row.get(split, 0) + number
    rows = [ClassRow(name=n, by_split=s, total=sum(s.values())) for n, s in merged.items()]
    return sorted(rows, key=lambda row: (row.name is None, -row.total, row.name or ""))


def split_totals(labels: Labels) -> dict[str, int]:
    """Give the members of each split: train, validation, test, then all others by name.

    >>> split_totals(Labels(by_class_and_split={"a": {"test": 1, "train": 8, "extra": 2}}))
    {'train': 8, 'test': 1, 'extra': 2}
    """
    totals: dict[str, int] = {}
    for splits in labels.by_class_and_split.values():
        for split, number in splits.items():
            totals[split] = totals.get(split, 0) + number
    return {split: totals[split] for split in sorted(totals, key=_split_rank)}


def _split_rank(split: str) -> tuple[int, str]:
    return (_SPLITS.index(split) if split in _SPLITS else len(_SPLITS), split)


def ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """List names with their counts, the largest first, equal ones by name.

    >>> ranked({"b": 1, "c": 5, "a": 1})
    [('c', 5), ('a', 1), ('b', 1)]
    """
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def ranked_to(limit: int, counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Do as `ranked`, and add up what is beyond the first `limit` as '... and N more'.

    >>> ranked_to(1, {"b": 1, "c": 5, "a": 1})
    [('c', 5), ('and 2 more', 2)]
    """
    rows = ranked(counts)
    if len(rows) <= limit + 1:
        return rows
    rest = rows[limit:]
    return [*rows[:limit], (f"and {len(rest):,} more", sum(number for _, number in rest))]
