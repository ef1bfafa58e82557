"""Write a version as WebDataset shards of which the next version reuses all that did not change.

The members of each split are divided by `plan_shards`, and a shard's name in the cache is a digest
of what it will hold (key and canonical JSON of each member, in order), known before a byte is read.
A shard that lies in the cache under its digest is hard-linked into the export, any other is written
into the cache first. So a version costs what it changed, and a killed export goes on from the
shards it had finished. Two facts are the whole version's and change every shard when they change:
the common extension, and whether there are captions.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from autods.errors import UsageError
from autods.export.encode import utf8
from autods.export.member import Sample, checked, extension, row_json
from autods.export.order import placing
from autods.export.parquet import write_shard_table
from autods.export.place import link_or_copy, make_folder, publishing, rebuilding, sweep
from autods.export.plan import plan_shards
from autods.export.reading import Read, each
from autods.export.tar import TarWriter
from autods.export.webdataset import Shard, write_stats

_FORMAT_VERSION = "autods-shard-1"
"""Goes into every digest; to be raised when the same members are to give other bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What all samples of a version share: the extension of their files, and a `.txt` or none.

    Hugging Face's reader fails on samples that differ in either. In a version of several formats
    every file is called `.jpg`; image readers go by the content (Pillow and OpenCV do), and the
    json holds the true format.
    """

    extension: str
    captions: bool

    @classmethod
    def of(cls, members: Sequence[Sample]) -> "Layout":
        """Return the layout of a version with these members."""
        found = {extension(sample.format) for sample in members}
        return cls(
            extension=found.pop() if len(found) == 1 else "jpg",
            captions=any(sample.caption for sample in members),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardPlan:
    """A shard before it is written: its place in the export, and its samples in their order."""

    name: str
    split: str
    layout: Layout
    entries: tuple[tuple[str, Sample], ...]


def write_version_shards(
    members: Iterable[Sample],
    *,
    out: Path,
    read: Read,
    max_count: int = 1000,
    cache: Path | None = None,
    seed: int = 0,
    materialize_copies: bool = False,
) -> list[Shard]:
    """Write `out/{split}/dataset-000000.tar` and on, each with its DALI index beside.

    A sample is `<key>.<ext>`, `<key>.json` (see `member.row`), and `<key>.txt` if any member has a
    caption; inside a shard the order is a hash of seed and key. `out/data.parquet` has a row per
    sample, `out/shards.json` the counts, bytes and digests; `out/README.md` tells Hugging Face's
    `load_dataset(out)` which files are the data. The files depend on the set of members
    and the arguments alone. `cache` is a folder of earlier shards (made if missing); without it
    every shard is written. Cached shards are read-only, because exports share their bytes.

    A member's `copies` are written once unless `materialize_copies` asks for `<key>-1`, `<key>-2`
    and so on after it; `max_count` counts members, so those shards grow longer.

    `out` is replaced as a whole at the end, and only if it is an earlier export or empty. Raises
    `UsageError` for that and for members that cannot be exported together, and lets through what
    `read` raises.
    """
    plans = plan_version(
        checked(members), max_count=max_count, seed=seed, materialize_copies=materialize_copies
    )
    out = Path(out).resolve()
    if cache is not None and Path(cache).resolve().is_relative_to(out):
        raise UsageError(f"the cache {cache} lies in {out}, which is replaced as a whole")
    with rebuilding(out, mark="shards.json") as partial:
        shards = _gather(plans, cache or partial / ".cache", partial, read)
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        write_shard_table(
            ((plan.name, key, sample) for plan in plans for key, sample in plan.entries),
            partial / "data.parquet",
        )
        facts = {"max_count": max_count, "seed": seed}
        write_stats(partial / "shards.json", shards, root=partial, **facts)
        (partial / "README.md").write_text(_card(shards))
    return [replace(shard, path=out / shard.path.relative_to(partial)) for shard in shards]


def plan_version(
    members: Sequence[Sample], *, max_count: int, seed: int = 0, materialize_copies: bool = False
) -> list[ShardPlan]:
    """Return the shards that a version of these members consists of, ordered by name."""
    layout = Layout.of(members)
    place = placing(seed)
    plans = []
    ordered = sorted(members, key=lambda sample: (sample.split, sample.sha256))
    for split, group in groupby(ordered, key=lambda sample: sample.split):
        for number, bucket in enumerate(_buckets(list(group), max_count)):
            entries = [entry for sample in bucket for entry in _entries(sample, materialize_copies)]
            entries.sort(key=lambda entry: place(entry[0]))
            name = f"{split}/dataset-{number:06d}.tar"
            plans.append(ShardPlan(name=name, split=split, layout=layout, entries=tuple(entries)))
    return plans


def write_shard(plan: ShardPlan, *, cache: Path, read: Read) -> Shard:
    """Return the plan's shard in the cache, written there if it was not; safe to call anywhere.

    Two processes may write one shard at a time: both write the same bytes under names of their
    own, and the last rename stands.
    """
    rows = [row_json(sample) for _, sample in plan.entries]
    digest = _digest(plan, rows)
    path = cache / f"{digest}.tar"
    stats = _cached(path)
    reused = stats is not None
    if stats is None:
        stats = _write(plan, rows, path, read)
    return Shard(
        path=path,
        count=len(rows),
        bytes=stats["bytes"],
        sha256=stats["sha256"],
        split=plan.split,
        digest=digest,
        reused=reused,
    )


def forget_samples(cache: Path, sha256s: Iterable[str]) -> int:
    """Remove every cached shard that holds one of these assets; return how many were removed.

    It is the cache's part of an erasure. Exports linked to such a shard keep its bytes until they
    are written anew or removed.
    """
    keys = {sha256[:20] for sha256 in sha256s}
    removed = 0
    for index in sorted(Path(cache).glob("*.tar.idx")):
        names = (line.rpartition(" ")[2] for line in index.read_text().splitlines()[1:])
        if any(name[:20] in keys for name in names):
            archive = index.with_suffix("")
            for path in (_stats_path(archive), archive, index):
                path.unlink(missing_ok=True)
            removed += 1
    return removed


def _buckets(members: Sequence[Sample], max_count: int) -> list[Sequence[Sample]]:
    """Divide members that are sorted by SHA-256, which is the order of the trie."""
    import numpy as np

    numbers = plan_shards([sample.sha256 for sample in members], max_count)
    ends = np.cumsum(np.bincount(numbers)).tolist()
    return [members[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _entries(sample: Sample, materialize_copies: bool) -> list[tuple[str, Sample]]:
    more = sample.copies - 1 if materialize_copies else 0
    return [(sample.key, sample), *((f"{sample.key}-{i + 1}", sample) for i in range(more))]


def _digest(plan: ShardPlan, rows: Sequence[bytes]) -> str:
    layout = f"{_FORMAT_VERSION} {plan.layout.extension} {plan.layout.captions:d}\n"
    digest = hashlib.sha256(layout.encode())
    for (key, _), data in zip(plan.entries, rows, strict=True):
        digest.update(b"%s %s\n" % (key.encode(), data))
    return digest.hexdigest()


def _stats_path(archive: Path) -> Path:
    return archive.with_suffix(".json")


def _cached(archive: Path) -> dict[str, Any] | None:
    """Return what was noted of a cached shard, if it is all there: the note is written last."""
    try:
        stats: dict[str, Any] = json.loads(_stats_path(archive).read_bytes())
        whole = archive.stat().st_size == stats["bytes"]
    except (FileNotFoundError, ValueError):
        return None
    return stats if whole and archive.with_name(f"{archive.name}.idx").exists() else None


def _write(plan: ShardPlan, rows: Sequence[bytes], path: Path, read: Read) -> dict[str, Any]:
    layout = plan.layout
    with publishing(path) as temporary, TarWriter(temporary, checksum=True) as archive:
        images = each(read, [sample.sha256 for _, sample in plan.entries])
        for (key, sample), data, image in zip(plan.entries, rows, images, strict=True):
            parts = [(layout.extension, image), ("json", data)]
            if layout.captions:
                parts.append(("txt", utf8(sample.caption or "")))
            archive.add(key, parts)
    with publishing(path.with_name(f"{path.name}.idx")) as temporary:
        temporary.write_text(archive.index)
    stats = {"bytes": archive.size, "count": archive.count, "sha256": archive.sha256}
    with publishing(_stats_path(path)) as temporary:
        temporary.write_text(json.dumps(stats))
    return stats


def _card(shards: Sequence[Shard]) -> str:
    splits = sorted({shard.split for shard in shards})
    files = "".join(f"  - split: {name}\n    path: {name}/*.tar\n" for name in splits)
    configs = f"configs:\n- config_name: default\n  data_files:\n{files}" if splits else ""
    return f"---\n{configs}---\nWebDataset shards, with DALI indexes, written by autods.\n"


def _gather(plans: Sequence[ShardPlan], cache: Path, partial: Path, read: Read) -> list[Shard]:
    make_folder(cache)
    sweep(cache)
    shards = []
    for plan in plans:
        shard = write_shard(plan, cache=cache, read=read)
        target = partial / plan.name
        make_folder(target.parent)
        link_or_copy(shard.path, target)
        link_or_copy(shard.path.with_name(f"{shard.path.name}.idx"), Path(f"{target}.idx"))
        shards.append(replace(shard, path=target))
    return shards
