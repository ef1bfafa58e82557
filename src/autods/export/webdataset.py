"""Write WebDataset shards from a stream of samples: `create_shards`."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from autods.errors import UsageError
from autods.export.encode import Encoded, encoded
from autods.export.order import shuffled
from autods.export.place import scratch
from autods.export.sidecar import Sidecar, json_scalars
from autods.export.tar import TarWriter

_NUMBER = re.compile(r"%(?P<percent>0\d+)?d|\{:?(?P<brace>0\d+)?d?\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """A shard that was written: where, how many samples and bytes, and the SHA-256 of the file.

    `split` and `digest` (the name its content goes by in a cache) are those of a version's shard;
    `reused` says that it was taken from the cache.
    """

    path: Path
    count: int
    bytes: int
    sha256: str
    split: str = ""
    digest: str = ""
    reused: bool = False


def create_shards(
    samples: Iterable[Mapping[str, Any]],
    shard_path_template: str | Path,
    max_count: int = 1000,
    shuffle: bool = True,
    *,
    seed: int = 0,
    strict: bool = True,
) -> list[Shard]:
    """Write samples to shards of `max_count`, each a tar with its DALI index `.tar.idx`.

    A sample is a dict in webdataset's form, `{"__key__": "0001", "jpg": bytes, "json": dict,
    "txt": str, "cls": int}`; without `__key__` it is called `sample-000000` and so on, and other
    names that begin with an underscore are left out. The template holds one number,
    `out/dataset-%06d.tar` or `out/dataset-{:06d}.tar`; a bare folder means `dataset-%06d.tar` in
    it. Beside the shards come `dataset.parquet` (a row per sample: key, shard, offset and size of
    each component, the scalar fields of its json) and `dataset.shards.json` (count, bytes and
    SHA-256 of each shard).

    With `shuffle` the order is a hash of seed and key, so it depends on the set of samples alone
    (memory is bounded, see `order`); else the order is the given one. All files are written in a
    hidden folder there and moved into place at the end, so a kill leaves no half shard. The
    template's numbers belong to the call: shards of an earlier call with higher numbers go.

    Raises `UsageError` when there are no samples, when two in a shard have one key (shuffled: two
    anywhere), when their extensions differ (unless `strict=False`) or readers would misread them.

    >>> import tempfile
    >>> pairs = [{"jpg": b"...", "json": {"label": "cat"}}, {"jpg": b"....", "json": {}}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     shards = create_shards(pairs, f"{folder}/dataset-%06d.tar")
    >>> [(shard.path.name, shard.count) for shard in shards]
    [('dataset-000000.tar', 2)]
    """
    if max_count < 1:
        raise UsageError(f"max_count is {max_count}; a shard holds at least 1 sample")
    target = _Target.parse(shard_path_template)
    with scratch(target.folder / f".{target.stem}.partial") as work:
        stream = encoded(samples, strict=strict)
        if shuffle:
            stream = shuffled(stream, seed=seed, folder=work)
        sidecar = Sidecar(work)
        shards = list(_write_shards(stream, target, work, max_count, sidecar))
        if not shards:
            raise UsageError(f"there are no samples to write to {shard_path_template}")
        sidecar.finish(work / f"{target.stem}.parquet")
        write_stats(work / f"{target.stem}.shards.json", shards, root=work)
        return _move_in(shards, target, work)


@dataclass(frozen=True, slots=True)
class _Target:
    """A shard path template, taken apart around its number."""

    folder: Path
    before: str
    width: int
    after: str

    @classmethod
    def parse(cls, template: str | Path) -> "_Target":
        if "://" in str(template):
            raise UsageError(f"{template!s} is a URL; shards are written to a local folder")
        path = Path(template)
        found = list(_NUMBER.finditer(path.name))
        if not found and path.suffix != ".tar":
            return cls(path, "dataset-", 6, ".tar")
        if len(found) != 1 or path.suffix != ".tar":
            raise UsageError(
                f"{template!s} cannot name shards: valid are dataset-%06d.tar, "
                "dataset-{:06d}.tar (one number, ending .tar), or a folder"
            )
        number = found[0]
        width = int(number["percent"] or number["brace"] or 1)
        before, after = path.name[: number.start()], path.name[number.end() :]
        return cls(path.parent, before, width, after)

    @property
    def stem(self) -> str:
        return self.before.rstrip("-_. ") or "dataset"

    def name(self, number: int) -> str:
        return f"{self.before}{number:0{self.width}d}{self.after}"

    def number(self, name: str) -> int | None:
        """Return the number of the shard (or of the shard of the index) called `name`."""
        digits = name.removesuffix(".idx").removeprefix(self.before).removesuffix(self.after)
        if not (digits.isascii() and digits.isdigit()):
            return None
        return int(digits) if name.removesuffix(".idx") == self.name(int(digits)) else None


def _write_shards(
    stream: Iterator[Encoded], target: _Target, work: Path, max_count: int, sidecar: Sidecar
) -> Iterator[Shard]:
    for number in count():
        first = next(stream, None)
        if first is None:
            return
        samples = chain([first], islice(stream, max_count - 1))
        yield _write_shard(samples, work / target.name(number), sidecar)


def _write_shard(samples: Iterable[Encoded], path: Path, sidecar: Sidecar) -> Shard:
    seen = set()
    with TarWriter(path, checksum=True) as archive:
        for sample in samples:
            if sample.key in seen:
                raise UsageError(f"two samples of {path.name} have the key {sample.key!r}")
            seen.add(sample.key)
            offsets = archive.add(sample.key, sample.parts)
            sidecar.add(_row(sample, path.name, offsets))
    sidecar.flush()
    path.with_name(f"{path.name}.idx").write_text(archive.index)
    return Shard(path=path, count=archive.count, bytes=archive.size, sha256=archive.sha256)


def _row(sample: Encoded, shard: str, offsets: Sequence[int]) -> dict[str, Any]:
    row: dict[str, Any] = {"key": sample.key, "shard": shard}
    fields: dict[str, Any] = {}
    for (ext, data), offset in zip(sample.parts, offsets, strict=True):
        row[f"{ext}.offset"] = offset
        row[f"{ext}.size"] = len(data)
        if ext == "json":
            fields = json_scalars(sample.key, data)
    for name, value in fields.items():
        row[f"json.{name}" if name in row else name] = value
    return row


def write_stats(path: Path, shards: Sequence[Shard], *, root: Path, **facts: Any) -> None:
    """Write what is known of a set of shards as JSON, their paths relative to `root`."""
    stats = {
        "format": "webdataset",
        **facts,
        "samples": sum(shard.count for shard in shards),
        "bytes": sum(shard.bytes for shard in shards),
        "shards": [_stats_of(shard, root) for shard in shards],
    }
    path.write_text(json.dumps(stats, indent=1) + "\n")


def _stats_of(shard: Shard, root: Path) -> dict[str, Any]:
    stats = {
        "name": shard.path.relative_to(root).as_posix(),
        "split": shard.split,
        "count": shard.count,
        "bytes": shard.bytes,
        "sha256": shard.sha256,
        "digest": shard.digest,
    }
    return {name: value for name, value in stats.items() if value != ""}


def _move_in(shards: Sequence[Shard], target: _Target, work: Path) -> list[Shard]:
    moved = []
    for shard in shards:
        path = target.folder / shard.path.name
        shard.path.replace(path)
        shard.path.with_name(f"{path.name}.idx").replace(path.with_name(f"{path.name}.idx"))
        moved.append(replace(shard, path=path))
    for name in (f"{target.stem}.parquet", f"{target.stem}.shards.json"):
        (work / name).replace(target.folder / name)
    for path in target.folder.iterdir():
        number = target.number(path.name)
        if number is not None and number >= len(shards):
            path.unlink()
    return moved
