"""The dataset card of a version: Markdown that a person reads and Hugging Face understands."""

import re
from collections.abc import Iterable, Mapping, Sequence

from autods.report.facts import Facts
from autods.report.loading import loading
from autods.report.ranking import class_rows, ranked, ranked_to, split_totals
from autods.report.wording import (
    count,
    duration,
    one_line,
    plain,
    share,
    size,
    things,
    yaml_text,
)

MAX_CLASSES, MAX_REASONS = 50, 30
_SMALL = 10  # members of a class in a split below which a metric on them says little

# Hugging Face accepts only identifiers from its own list; these are the ones a crawl meets.
_LICENSES = frozenset(
    "apache-2.0 mit bsd-2-clause bsd-3-clause cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 "
    "cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 "
    "cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 "
    "odc-by odbl pddl gpl-3.0 lgpl-3.0 unlicense".split()
)

_ALWAYS = (
    "Near-duplicates are found by perceptual hash: some that a person would see may remain, and "
    "some look-alikes may have been left out."
)

_KINDS = {
    "human": "a person said so",
    "source": "came with the input",
    "weak": "labeling functions, weighed against each other",
    "model": "predicted by a model",
}


def dataset_info(facts: Facts) -> str:
    """Write the card: what is in the version, how it was made, how to load it, what to mind.

    It opens with the front matter of Hugging Face's hub (license, size, splits). Foreign text is
    escaped, so that no label or reason becomes markup. The same facts give the same text.
    """
    parts = [
        _front_matter(facts),
        _opening(facts),
        _classes(facts),
        _labels(facts),
        _inputs(facts),
        _provenance(facts),
        loading(facts),
        _making(facts),
        _changes(facts),
        _limits(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    r"""Write foreign text so that Markdown shows it as it is, in a table's cell too.

    >>> escape("a|b <b> [x](y)\n*z*")
    'a\\|b &lt;b&gt; \\[x\\](y) \\*z\\*'
    """
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]|~$])", r"\\\1", text)
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; the first column is text, the others are numbers.

    >>> print(table(["class", "total"], [["cat", "1,204"]]))
    | class | total |
    |---|---:|
    | cat | 1,204 |
    """
    rule = "|---|" + "---:|" * (len(heads) - 1)
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([f"| {' | '.join(heads)} |", rule, *lines])


def _front_matter(facts: Facts) -> str:
    matter = {
        "pretty_name": plain(facts.name),
        "license": _license(facts),
        "size_categories": [size_category(facts.counts.accepted)],
        "tags": ["autods", "image"],
    }
    return f"---\n{yaml_text(matter)}---"


def _license(facts: Facts) -> str:
    named = [name for name in facts.contents.licenses if name]
    if not named:
        return "unknown"
    only = named[0].lower().replace(" ", "-")
    return only if len(facts.contents.licenses) == 1 and only in _LICENSES else "other"


def size_category(members: int) -> str:
    """Name the size as Hugging Face's hub does.

    >>> size_category(999), size_category(1000)
    ('n<1K', '1K<n<10K')
    """
    steps = (
        (10**3, "n<1K"),
        (10**4, "1K<n<10K"),
        (10**5, "10K<n<100K"),
        (10**6, "100K<n<1M"),
        (10**7, "1M<n<10M"),
        (10**8, "10M<n<100M"),
    )
    return next((name for limit, name in steps if members < limit), "100M<n<1B")


def _opening(facts: Facts) -> str:
    about, counts = facts.about, facts.counts
    classes = [row for row in class_rows(facts.labels) if row.name]
    splits = split_totals(facts.labels)
    origin = f", grown from {escape(about.parent)}" if about.parent else ""
    return (
        f"# {escape(facts.name)}\n\n"
        f"{things(counts.accepted, 'image')} in {things(len(classes), 'class', 'classes')} and "
        f"{things(len(splits), 'split')}, chosen from {things(counts.inputs, 'input')}. "
        f"A dataset of type {escape(about.dataset_type)}, made on "
        f"{about.created:%Y-%m-%d %H:%M} UTC{origin}. It never changes; its digest is "
        f"`{one_line(about.digest)}`."
    )


def _classes(facts: Facts) -> str:
    rows, splits = class_rows(facts.labels), split_totals(facts.labels)
    if not rows:
        return "## Classes and splits\n\nThis version has no members."
    heads = ["class", *(escape(split) for split in splits), "total"]
    lines = [
        [
            escape(row.name) if row.name else "*unlabelled*",
            *(count(row.by_split.get(split, 0)) for split in splits),
            count(row.total),
        ]
        for row in rows[:MAX_CLASSES]
    ]
    sums = [*splits.values(), facts.counts.accepted]
    lines.append([f"**{text}**" for text in ("all", *map(count, sums))])
    text = f"## Classes and splits\n\n{table(heads, lines)}"
    hidden = len(rows) - MAX_CLASSES
    more = f"\n\nShowing {MAX_CLASSES} of {count(len(rows))} classes; `manifest.json` lists all."
    return text + (more if hidden > 0 else "")


def _labels(facts: Facts) -> str:
    labels = facts.labels
    text = (
        f"## Labels\n\n{count(labels.labelled)} of {things(labels.members, 'member')} carry a label"
        f" ({share(labels.labelled, labels.members)}). "
    )
    disagree = f"The labels of {things(labels.conflicts, 'member')} disagree."
    text += disagree if labels.conflicts else "No labels disagree."
    if labels.kinds:
        kinds = [
            [f"{escape(kind)}: {_KINDS[kind]}" if kind in _KINDS else escape(kind), count(number)]
            for kind, number in ranked(labels.kinds)
        ]
        text += "\n\n" + table(["who gave the label in force", "members"], kinds)
    if labels.functions:
        heads = ["labeling function", "coverage", "overlaps", "conflicts", "accuracy", "faults"]
        rows = [
            [
                escape(one.name),
                *(share(value) for value in (one.coverage, one.overlaps, one.conflicts)),
                "–" if one.accuracy is None else share(one.accuracy),
                count(one.faults),
            ]
            for one in labels.functions
        ]
        text += "\n\n" + table(heads, rows)
    return text


def _inputs(facts: Facts) -> str:
    counts = facts.counts
    ends = [
        ("accepted", counts.accepted),
        ("duplicate: same bytes", counts.exact_duplicates),
        ("duplicate: same pixels", counts.pixel_duplicates),
        ("duplicate: same looks", counts.near_duplicates),
        ("withheld: like members of two splits", counts.withheld),
        *_reasons("rejected", counts.rejected_by),
        *_reasons("failed", counts.failed_by),
    ]
    rows = [[name, count(number), share(number, counts.inputs)] for name, number in ends if number]
    rows.append(["**inputs**", f"**{count(counts.inputs)}**", ""])
    return (
        f"## What came in, and what stayed\n\n{counts.equation}\n\n"
        f"{table(['how it ended', 'inputs', 'share'], rows)}\n\n"
        f"Quality score: {counts.quality_score:.1f} of 100 = {counts.score_equation}."
    )


def _reasons(status: str, reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(f"{status}: {escape(reason)}", n) for reason, n in ranked_to(MAX_REASONS, reasons)]


def _provenance(facts: Facts) -> str:
    contents = facts.contents
    text = "## Where it comes from"
    for title, counts in (
        ("source", contents.sources),
        ("license", contents.licenses),
        ("file format", contents.formats),
    ):
        rows = ranked_to(MAX_REASONS, counts)
        lines = [[escape(name) if name else "*not stated*", count(number)] for name, number in rows]
        text += "\n\n" + table([title, "members"], lines) if lines else ""
    if contents.storage:
        tiers = [
            [escape(tier), count(held.members), size(held.size)]
            for tier, held in contents.storage.items()
        ]
        text += "\n\n" + table(["storage tier", "members", "bytes"], tiers)
    return text if "|" in text else f"{text}\n\nNeither sources nor licenses were recorded."


def _making(facts: Facts) -> str:
    seconds = facts.timing.seconds
    steps = ", ".join(f"{escape(name)} {duration(spent)}" for name, spent in seconds.items())
    took = f"\n\nIt took {duration(sum(seconds.values()))}: {steps}." if seconds else ""
    return (
        f"## How it was made\n\n{fenced(facts.about.command, 'sh')}\n\n"
        "The same inputs and the same recipe give the same digest. The recipe:\n\n"
        f"{fenced(yaml_text(facts.about.recipe), 'yaml')}{took}"
    )


def _changes(facts: Facts) -> str:
    what = facts.changes
    if what is None:
        return ""
    since = f" since {escape(facts.about.parent)}" if facts.about.parent else ""
    return (
        f"## What changed{since}\n\n{count(what.added)} added, {count(what.removed)} removed, "
        f"{count(what.relabelled)} relabelled, {count(what.moved)} moved to another split, "
        f"{count(what.unchanged)} unchanged."
    )


def _limits(facts: Facts) -> str:
    lines = [line for line in _known_limits(facts) if line]
    return "## Known limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _known_limits(facts: Facts) -> list[str]:
    labels, counts, contents = facts.labels, facts.counts, facts.contents
    machine = sum(labels.kinds.get(kind, 0) for kind in ("weak", "model"))
    unstated = contents.licenses.get("", 0)
    scarce = _scarce(facts)
    return [
        f"{things(labels.unlabelled, 'member')} without a label." if labels.unlabelled else "",
        f"{things(machine, 'label')} by a machine, which no person has checked." if machine else "",
        f"For {things(unstated, 'member')} nobody stated a license." if unstated else "",
        f"{things(scarce, 'class', 'classes')} with fewer than {_SMALL} members in some split."
        if scarce
        else "",
        f"{things(counts.failed, 'input')} could not be had and may join a later version."
        if counts.failed
        else "",
        _ALWAYS,
    ]


def _scarce(facts: Facts) -> int:
    """Count the classes that some split holds too few of to measure anything."""
    splits = split_totals(facts.labels)
    rows = [row for row in class_rows(facts.labels) if row.name]
    return sum(any(row.by_split.get(split, 0) < _SMALL for split in splits) for row in rows)


def fenced(text: str, language: str = "") -> str:
    r"""Put text in a code fence longer than any run of backticks in it.

    >>> fenced("a ``` b")
    '````\na ``` b\n````'
    """
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{plain(text).rstrip()}\n{fence}"
