"""The card of a month's dataset, dataset_info.md: what is in it, whence, and what to mind."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autods.recipes.candidates.breakdown import (
    EXAMPLES,
    ORIGINS,
    by_origin,
    classes_part,
    conflicts_part,
    grid,
    left_out_part,
    named,
    short,
    splits_part,
    tally,
    unknown_part,
)
from autods.recipes.candidates.papers import in_utc
from autods.report.card import escape, fenced, size_category
from autods.report.ranking import ranked
from autods.report.wording import count, one_line, plain, share, size, things, yaml_text

if TYPE_CHECKING:
    import pyarrow as pa

_COPIED = """\
import pandas as pd
from PIL import Image

samples = pd.read_parquet("samples.parquet")
print(samples.groupby(["label", "origin"]).size())
first = samples.iloc[0]
image = Image.open(first["path"])
print(image.size, first["label"])"""

_LISTED = """\
import io
import pandas as pd
from PIL import Image
{imports}

samples = pd.read_parquet("samples.parquet")
print(samples.groupby(["label", "origin"]).size())
store = {store}
first = samples.iloc[0]
image = Image.open(io.BytesIO(store.get(first["asset"])))
print(image.size, first["label"])"""

_ALIKE = (
    "Near-duplicates are found by perceptual hash: some that a person would see may remain, and "
    "some look-alikes may have been left out."
)
_CONSENT = (
    "No license is recorded for these images, and no consent of the users whose photos they are. A "
    "prediction that is gone from the database when the month is built is left out; revisions made "
    "before still have its images."
)

_SERVER = """\
from pathlib import Path
from autods.settings import Settings
from autods.store import open_store"""


def card(
    *,
    kind: str,
    version: str,
    created_at: dt.datetime,
    samples: "pa.Table",
    excluded: "pa.Table",
    days: Sequence[str],
    month_days: int,
    classes: Sequence[str],
    settings: Mapping[str, Any],
    diff: Mapping[str, Any] | None = None,
    before: str | None = None,
    materialize: str = "copy",
    store_url: str = "",
    gold: str | None = None,
) -> str:
    """Write the card of a folder from its tables; the same arguments give the same text.

    `settings` are shown as they are given, so no secret may be in them. `diff` is what
    `papers.differences` found, or has numbers in place of its lists; `before` names the release
    it compares with, unless `diff` says so. `store_url` is where the keys in `asset` lead, `gold`
    the version of gold that was used. Foreign text is escaped, so that none becomes markup.
    """
    name = f"{kind} {version}"
    parts = [
        _front_matter(name, samples.num_rows),
        _opening(name, created_at, samples, excluded.num_rows),
        classes_part(samples, classes),
        splits_part(samples),
        _whence(samples, sorted(days), month_days, gold),
        left_out_part(excluded, samples.num_rows),
        conflicts_part(excluded),
        unknown_part(excluded),
        _changes(diff, before),
        _reading(samples, materialize, store_url),
        _making(settings),
        _mind(samples, excluded),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(name: str, images: int) -> str:
    matter = {
        "pretty_name": one_line(name),
        "license": "unknown",
        "task_categories": ["image-classification"],
        "size_categories": [size_category(images)],
        "tags": ["autods", "image"],
    }
    return f"---\n{yaml_text(matter)}---"


def _opening(name: str, created_at: dt.datetime, samples: "pa.Table", excluded: int) -> str:
    images, origins = samples.num_rows, by_origin(samples)
    gold = origins.pop("gold", 0)
    parts = [f"{count(number)} {ORIGINS.get(o, named(o))}" for o, number in origins.items()]
    new = f" ({', '.join(parts)})" if parts else ""
    return (
        f"# {escape(name)}\n\n"
        f"{things(images, 'image')} in {things(len(tally(samples, 'label')), 'class', 'classes')}: "
        f"{count(gold)} gold and {count(images - gold)} new{new}. Of "
        f"{things(images + excluded, 'photo')} looked at, {count(excluded)} were left out. "
        f"Made on {in_utc(created_at):%Y-%m-%d %H:%M} UTC."
    )


def _whence(samples: "pa.Table", days: Sequence[str], month_days: int, gold: str | None) -> str:
    span = f": the first {escape(days[0])}, the last {escape(days[-1])}" if days else ""
    lines = [f"{len(days)} of {things(month_days, 'day')} had candidates{span}."]
    lines += [*_new(samples), *_gold(samples, gold), *_files(samples)]
    return "## Where it comes from\n\n" + "\n".join(f"- {line}" for line in lines)


def _new(samples: "pa.Table") -> Iterable[str]:
    import pyarrow.compute as pc

    new = samples.filter(pc.not_equal(pc.fill_null(samples["origin"], ""), "gold"))
    if new.num_rows:
        predictions, users = (
            pc.count_distinct(new[name]).as_py() for name in ("prediction_id", "user_id")
        )
        yield (
            f"{things(new.num_rows, 'new image')}, of {things(predictions, 'prediction')} for "
            f"{things(users, 'user')}."
        )


def _gold(samples: "pa.Table", gold: str | None) -> Iterable[str]:
    number = tally(samples, "origin").get("gold", 0)
    if number:
        yield f"{things(number, 'gold image')}{f', of {escape(gold)}' if gold else ''}."


def _files(samples: "pa.Table") -> Iterable[str]:
    import pyarrow.compute as pc

    if samples.num_rows:
        formats = [f"{named(name)} {count(n)}" for name, n in ranked(tally(samples, "format"))]
        spans = [_span(samples, side) for side in ("width", "height")]
        whole = size(pc.sum(samples["size"]).as_py() or 0)
        yield f"Files: {', '.join([*formats, f'{whole} together', *spans])}."


def _span(samples: "pa.Table", side: str) -> str:
    import pyarrow.compute as pc

    ends = pc.min_max(samples[side]).as_py()
    if ends["min"] is None:
        return f"{side} not known"
    most = f" to {count(ends['max'])}" if ends["max"] > ends["min"] else ""
    return f"{side} {count(ends['min'])}{most} pixels"


def _changes(diff: Mapping[str, Any] | None, before: str | None) -> str:
    if diff is None:
        return f"## What changed\n\nThe release before is {escape(before)}." if before else ""
    since = str(diff.get("from") or before or "the release before")
    numbers = {key: _number(diff.get(key, 0)) for key in ("added", "removed", "relabelled")}
    text = ", ".join(f"{count(number)} {key}" for key, number in numbers.items())
    text += f", {count(_number(diff['unchanged']))} unchanged." if "unchanged" in diff else "."
    if not any(numbers.values()):
        text += " The images and their classes are the same; what is known of them is not."
    moved = diff.get("relabelled", ())
    rows = [
        [short(row["path"]), named(row["old"]), named(row["new"])]
        for row in ([] if isinstance(moved, int) else moved[:EXAMPLES])
    ]
    examples = "\n\n" + grid(["relabelled", "was", "is"], rows, "lll") if rows else ""
    return f"## What changed since {escape(since)}\n\n{text}{examples}"


def _number(what: Any) -> int:
    return what if isinstance(what, int) else len(what)


def _reading(samples: "pa.Table", materialize: str, store_url: str) -> str:
    if not samples.num_rows:
        return ""
    if materialize == "copy":
        return f"## How to read it\n\nIn this folder:\n\n{fenced(_COPIED, 'python')}"
    imports, store = _store(store_url)
    return (
        "## How to read it\n\nThe images are listed and not copied: `path` says where each would "
        "lie, `asset` under which key of the store its bytes are. In this folder:\n\n"
        + fenced(_LISTED.format(imports=imports, store=store), "python")
    )


def _store(url: str) -> tuple[str, str]:
    """Give the imports and the expression that open a store; without a URL the workspace's."""
    quoted = plain(json.dumps(url, ensure_ascii=False))
    if not url:
        return "import autods", "autods.open().store  # Of the workspace around this folder."
    if url.startswith("s3://"):
        return _SERVER, f"open_store({quoted}, Settings.read(Path()).s3_access())"
    return "from autods.store import open_store", f"open_store({quoted})"


def _making(settings: Mapping[str, Any]) -> str:
    return f"## How it was made\n\n{fenced(yaml_text(settings), 'yaml')}" if settings else ""


def _mind(samples: "pa.Table", excluded: "pa.Table") -> str:
    lines = [*_machine(samples), *_measured(samples), *_people(samples)]
    failed = tally(excluded, "status").get("failed", 0)
    if failed:
        lines.append(f"{things(failed, 'photo')} could not be had and may join a later revision.")
    lines += [_ALIKE, _CONSENT]
    return "## What to mind\n\n" + "\n".join(f"- {line}" for line in lines)


def _machine(samples: "pa.Table") -> Iterable[str]:
    """Warn of labels that only a model gave, and say how sure it was."""
    import pyarrow.compute as pc

    alone = samples.filter(pc.equal(samples["origin"], "model"))
    if alone.num_rows:
        median = pc.quantile(alone["confidence"], 0.5)[0].as_py()
        sure = "" if median is None else f" The model's median confidence in them is {median:.2f}."
        labels = things(alone.num_rows, "label is a model's", "labels are a model's")
        yield f"{labels}, which no person has checked.{sure}"


def _measured(samples: "pa.Table") -> Iterable[str]:
    """Warn of metrics on labels that only a model gave."""
    import pyarrow.compute as pc

    alone = samples.filter(pc.equal(samples["origin"], "model"))
    splits = tally(alone, "split") if "split" in samples.column_names else {}
    held = splits.get("val", 0) + splits.get("test", 0)
    if held:
        yield (
            f"{count(held)} of them are in val and test: a metric on these measures agreement with "
            "that model, not with people."
        )


def _people(samples: "pa.Table") -> Iterable[str]:
    """Say how often the model was right where a person looked."""
    import pyarrow.compute as pc

    seen = samples.filter(pc.equal(samples["origin"], "human"))
    agreed = pc.equal(seen["label"], seen["initial_prediction"]).drop_null()
    if len(agreed):
        right = pc.sum(agreed).as_py()
        yield (
            f"Of {things(len(agreed), 'new image')} that a person verified, {count(right)} "
            f"({share(right, len(agreed))}) have the class that the model gave first; nothing says "
            "that those looked at were chosen at random."
        )
