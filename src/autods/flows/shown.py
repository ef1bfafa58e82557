"""What a scheduled run leaves to look at, as plain values: tables, cards, links, one sentence."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

Result = Mapping[str, Any]
Row = dict[str, Any]

KINDS = ("verified", "full")
"""A month's datasets."""


class Link(NamedTuple):
    """Where a report lies; `name` is part of what the link itself is called."""

    name: str
    url: str
    text: str


class Shown(NamedTuple):
    """What a run shows: `said` in a sentence, a table, cards in Markdown by name, links."""

    said: str
    table: list[Row]
    cards: dict[str, str]
    links: list[Link]


def shown_of_day(found: Result, root: Path) -> Shown:
    """Show what a day brought: images by class, what came and went, and where its manifest is."""
    date = found["date"]
    links = [
        Link("report", url_of(it["folder"], "manifest.json", root), f"manifest.json of {date}")
        for it in found["published"]
        if it["day"] == date
    ]
    counts = found["class_distribution"]
    rows = [{"class": name, "images": count} for name, count in counts.items()]
    total = sum(counts.values())
    table = [*rows, {"class": "all", "images": total}]
    card = "\n".join(_day_lines(found))
    return Shown(f"{date}: {_images(total)}", table, {"card": card}, links)


def shown_of_month(found: Result, root: Path) -> Shown:
    """Show a month's datasets: images by class in each, their cards, and where these are.

    One that had no image was not made, and has neither.
    """
    made = {kind: found[kind] for kind in KINDS if found[kind]["version"]}
    return Shown(
        said="; ".join(_said(kind, found[kind]) for kind in KINDS),
        table=month_table({kind: found[kind].get("class_distribution", {}) for kind in KINDS}),
        cards={f"{kind}-card": its["card"] for kind, its in made.items()},
        links=[_card_link(kind, its, root) for kind, its in made.items()],
    )


def month_table(counts: Mapping[str, Mapping[str, int]]) -> list[Row]:
    """Give a row a class and a column a dataset, the last row for all.

    >>> month_table({"verified": {"Soft": 2}, "full": {"Soft": 2, "Warm": 1}})[1:]
    [{'class': 'Warm', 'verified': 0, 'full': 1}, {'class': 'all', 'verified': 2, 'full': 3}]
    """
    names = dict.fromkeys(name for its in counts.values() for name in its)
    rows = [{"class": n} | {kind: its.get(n, 0) for kind, its in counts.items()} for n in names]
    return [*rows, {"class": "all"} | {kind: sum(its.values()) for kind, its in counts.items()}]


def url_of(folder: str, name: str, root: Path) -> str:
    """Give the URL of a file in a folder that is one itself, or lies in the workspace.

    >>> url_of("s3://ml/datasets/full/2024-11", "dataset_info.md", Path("/srv"))
    's3://ml/datasets/full/2024-11/dataset_info.md'
    >>> url_of("datasets/full/2024-11", "dataset_info.md", Path("/srv"))
    'file:///srv/datasets/full/2024-11/dataset_info.md'
    """
    if "://" in folder:
        return f"{folder.rstrip('/')}/{name}"
    return (root.absolute() / folder / name).as_uri()


def _card_link(kind: str, made: Result, root: Path) -> Link:
    url = url_of(made["folder"], "dataset_info.md", root)
    return Link(f"{kind}-report", url, f"dataset_info.md of {kind} {made['version']}")


def _said(kind: str, made: Result) -> str:
    if not made["version"]:
        return f"{kind}: no image, nothing to make"
    told = f"{kind} {made['version']}: {_images(made['images'])}"
    return told if made.get("new", True) else f"{told} (nothing new)"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _day_lines(found: Result) -> Iterator[str]:
    yield f"# Candidates of {found['date']}\n"
    for what in ("predictions", "photos"):
        yield f"## {what.capitalize()}\n"
        for name, count in found[what].items():
            yield f"- {name.replace('_', ' ')}: {count}"
        yield ""
    yield "## Published\n"
    for published in found["published"]:
        yield f"- {published['day']}: {_images(published['images'])}"
