"""The manifest of a version in seed 1's form, and the text of version.txt."""

import json
from typing import Any

from autods.report.facts import Facts
from autods.report.ranking import class_rows, ranked, split_totals


def manifest(facts: Facts) -> dict[str, Any]:
    """Describe a version by seed 1's ten keys in their order, and ours under `autods`.

    `version` is the alias the recipe gave (`2024-11-v1`), else the name (`cats@v3`). `created_at`
    is UTC, written without a zone as seed 1 does; `year` and `month` are the period the version
    stands for, else those of `created_at`. `gold_images` are the members that the parent version
    had already, `new_images` all others, so the two add up to `total_images`; without a parent all
    are new. `class_distribution` holds the labelled members, the largest class first; together
    with `autods.counts.unlabelled` it adds up to `total_images`.

    `autods.files` are the places of the version as the facts have them.
    """
    about = facts.about
    created = about.created
    year, month = about.period or (created.year, created.month)
    rows = class_rows(facts.labels)
    return {
        "dataset_type": about.dataset_type,
        "version": about.alias or facts.name,
        "created_at": created.replace(tzinfo=None).isoformat(timespec="seconds"),
        "year": year,
        "month": month,
        "total_images": facts.counts.accepted,
        "gold_images": facts.carried,
        "new_images": facts.counts.accepted - facts.carried,
        "collection_dates": list(about.collection_dates),
        "class_distribution": {row.name: row.total for row in rows if row.name},
        "autods": _ours(facts),
    }


def _ours(facts: Facts) -> dict[str, Any]:
    counts = facts.counts
    return {
        "name": facts.name,
        "digest": facts.about.digest,
        "parent": facts.about.parent,
        "splits": split_totals(facts.labels),
        "counts": {
            "inputs": counts.inputs,
            "accepted": counts.accepted,
            "flagged": counts.flagged,
            "exact_duplicates": counts.exact_duplicates,
            "repeated": counts.repeated,
            "pixel_duplicates": counts.pixel_duplicates,
            "near_duplicates": counts.near_duplicates,
            "withheld": counts.withheld,
            "rejected": dict(ranked(counts.rejected_by)),
            "failed": dict(ranked(counts.failed_by)),
            "unlabelled": facts.labels.unlabelled,
        },
        "quality_score": round(counts.quality_score, 2),
        "files": dict(facts.places),
    }


def manifest_json(facts: Facts) -> str:
    """Write the manifest as JSON, indented, ending in a newline."""
    return json.dumps(manifest(facts), indent=2, ensure_ascii=False) + "\n"


def version_txt(facts: Facts) -> str:
    r"""Name the version on the first line and its digest on the second.

    >>> import datetime as dt
    >>> from autods.report.facts import About, Counts, Labels
    >>> about = About(dataset="cats", number=3, digest="ab12", dataset_type="build", recipe={},
    ...               created_at=dt.datetime(2024, 12, 1, tzinfo=dt.UTC), command="autods build")
    >>> facts = Facts(about=about, counts=Counts(inputs=0, accepted=0),
    ...               labels=Labels(by_class_and_split={}))
    >>> version_txt(facts)
    'cats@v3\nab12\n'
    """
    return f"{facts.name}\n{facts.about.digest}\n"
