"""The report of a version: one HTML file that asks for nothing outside itself."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autods.report.facts import Examples, Facts, Pair, Picture
from autods.report.plots import draw
from autods.report.ranking import ClassRow, class_rows, ranked, ranked_to, split_totals
from autods.report.wording import count, duration, plain, share, size, things, yaml_text
from autods.report.write import write_texts

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_CLASSES, MORE_CLASSES = 24, 1000
MAX_GROUPS, MAX_PICTURES, PICTURES_A_CLASS = 40, 200, 8
MAX_PAIRS, MAX_REFUSED, MAX_REASONS = 24, 100, 12
"""What the page shows of long lists; it says so where it leaves something out."""

_SPLIT_TONES = 6  # colours in report.css: s0 to s5
_TONES = {
    "accepted": "kept",
    "duplicates": "twin",
    "withheld": "held",
    "rejected": "refused",
    "failed": "failed",
}

_MAGIC = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The pictures of one class that are shown, and how many members the class has."""

    name: str | None
    total: int
    pictures: Sequence[Picture]


def render_report(facts: Facts) -> str:
    """Write the report as HTML; the same facts give the same text.

    Styles and pictures are inside, there is no script, and a content security policy forbids every
    request. Labels, captions, uris and reasons are foreign text: they are escaped, and characters
    that could mislead a reader are shown as their escapes.
    """
    page = environment().get_template("report.html.j2")
    return page.render(facts=facts, **_page(facts))


def write_report(facts: Facts, path: Path) -> Path:
    """Write the report to `path`, complete or not at all; PlaceError if it cannot be written."""
    path = Path(path)
    return write_texts({path.name: render_report(facts)}, path.parent)[path.name]


@cache
def environment() -> "Environment":
    """Give what the pages of a version are rendered with: every text escaped, every name known."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("autods.report"),
        autoescape=True,
        finalize=lambda value: plain(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"count": count, "share": share, "duration": duration, "size": size}
    found.filters |= {"data_uri": data_uri, "things": things}
    return found


def _page(facts: Facts) -> dict[str, Any]:
    """Gather what the template shows, in order and cut to size."""
    rows = class_rows(facts.labels)
    counts, contents = facts.counts, facts.contents
    groups = gallery_groups(facts.examples, rows)
    return {
        "outcomes": [(name, n, _TONES[name]) for name, n in counts.outcomes.items()],
        "splits": [
            (name, f"s{index % _SPLIT_TONES}", total)
            for index, (name, total) in enumerate(split_totals(facts.labels).items())
        ],
        "classes": rows[:MAX_CLASSES],
        "more_classes": rows[MAX_CLASSES:MORE_CLASSES],
        "hidden_classes": len(rows[MORE_CLASSES:]),
        "class_count": sum(1 for row in rows if row.name),
        "largest": max((row.total for row in rows), default=0),
        "kinds": ranked(facts.labels.kinds),
        "groups": groups[:MAX_GROUPS],
        "hidden_groups": len(groups[MAX_GROUPS:]),
        "pairs": facts.examples.pairs[:MAX_PAIRS],
        "pairs_total": _pairs_total(facts),
        "refused": facts.examples.refused[:MAX_REFUSED],
        "refused_total": max(counts.rejected + counts.failed, len(facts.examples.refused)),
        "reasons": {
            "rejected": ranked_to(MAX_REASONS, counts.rejected_by),
            "failed": ranked_to(MAX_REASONS, counts.failed_by),
        },
        "makeup": {
            "File formats": ranked_to(MAX_REASONS, contents.formats),
            "Licenses": ranked_to(MAX_REASONS, _named(contents.licenses, "not stated")),
            "Sources": ranked_to(MAX_REASONS, contents.sources),
            "Storage tiers": [
                (f"{tier}, {size(held.size)}", held.members)
                for tier, held in contents.storage.items()
            ],
        },
        "plots": [draw(name, data) for name, data in contents.distributions.items()],
        "total_seconds": sum(facts.timing.seconds.values()),
        "recipe": yaml_text(facts.about.recipe),
    }


def gallery_groups(examples: Examples, rows: Sequence[ClassRow]) -> list[Group]:
    """Sort the gallery into its classes, the largest first; of each only the first few pictures."""
    found: dict[str | None, list[Picture]] = {}
    for picture in examples.gallery:
        found.setdefault(picture.label or None, []).append(picture)
    totals = {row.name: row.total for row in rows if row.name in found}
    totals |= {name: len(found[name]) for name in found if name not in totals}
    shown = min(len(totals), MAX_GROUPS) or 1
    each = max(2, min(PICTURES_A_CLASS, MAX_PICTURES // shown))
    return [Group(name=n, total=t, pictures=found[n][:each]) for n, t in totals.items()]


def data_uri(data: bytes) -> str:
    """Write picture bytes as a `data:` URI, or "" if they are not a JPEG, PNG, GIF or WebP.

    >>> data_uri(b"GIF89a")
    'data:image/gif;base64,R0lGODlh'
    >>> data_uri(b"<svg onload=alert(1)>")
    ''
    """
    kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
    return f"data:{kind};base64,{base64.b64encode(data).decode()}" if kind else ""


def _named(counts: Mapping[str, int], blank: str) -> dict[str, int]:
    return {name or blank: number for name, number in counts.items()}


def _pairs_total(facts: Facts) -> int:
    """Tell of how many duplicates the pairs are examples: those of the kinds among them."""
    counts, pairs = facts.counts, facts.examples.pairs
    by_kind = {
        "exact": counts.exact_duplicates,
        "pixels": counts.pixel_duplicates,
        "near": counts.near_duplicates,
    }
    return max(sum(by_kind.get(kind, 0) for kind in _kinds(pairs)), len(pairs))


def _kinds(pairs: Sequence[Pair]) -> set[str]:
    return {pair.kind for pair in pairs}
