"""Write members as a parquet table, one row each, with or without the bytes of their images.

The same rows give the same bytes under one version of pyarrow (which writes its own version into
the file, and no time). Row groups are written as they fill, so memory does not grow with the table.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autods.errors import UsageError
from autods.export.encode import json_bytes, utf8
from autods.export.member import Sample, extension
from autods.export.place import replacing
from autods.export.reading import Read, each

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 10_000
"""Rows of a row group: some 2 MB of members, the smallest that reads well column by column."""

IMAGE_BYTES = 64 << 20
"""With images a row group ends sooner, at 64 MiB, so that who reads one group stays small."""

_REPEATING = ("shard", "split", "label", "label_kind", "copies", "format", "license", "meta")
_HUGGING_FACE = {"info": {"features": {"image": {"_type": "Image"}}}}


def schema(*, images: bool = False, shards: bool = False) -> "pa.Schema":
    """Return the columns of a table of members; all but six may be null.

    With `shards` the path of the shard and the key in it come before, with `images` a struct of
    bytes and path comes last, which Hugging Face's reader is told to take as an image.
    """
    import pyarrow as pa

    text, size = pa.string(), pa.int32()
    where = [pa.field("shard", text, nullable=False), pa.field("key", text, nullable=False)]
    fields = [
        pa.field("sha256", text, nullable=False),
        pa.field("split", text, nullable=False),
        pa.field("label", text),
        pa.field("label_kind", text),
        pa.field("probability", pa.float64()),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("copies", size, nullable=False),
        pa.field("caption", text),
        pa.field("width", size),
        pa.field("height", size),
        pa.field("format", text),
        pa.field("license", text),
        pa.field("uri", text),
        pa.field("meta", text, nullable=False),
    ]
    image = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", text)]))
    return pa.schema(
        [*(where if shards else []), *fields, *([image] if images else [])],
        metadata={"huggingface": json.dumps(_HUGGING_FACE)} if images else None,
    )


def write_parquet(
    samples: Iterable[Sample],
    path: Path,
    *,
    images: bool = False,
    read: Read | None = None,
) -> int:
    """Write one row per sample, in the order given; return how many there were.

    `meta` is a column of JSON. With `images` a column `image` holds the bytes that `read` gives for
    the SHA-256; `UsageError` if there is no `read`. The file takes its name when it is complete.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_parquet([Sample(sha256="0" * 64, split="train")], Path(folder) / "data.parquet")
    1
    """
    if images and read is None:
        raise UsageError("images=True needs read, the function that gives an asset's bytes")
    rows = _with_images(samples, read) if images and read else map(_row, samples)
    return _write(rows, Path(path), schema(images=images))


def write_shard_table(entries: Iterable[tuple[str, str, Sample]], path: Path) -> int:
    """Write one row per (shard, key, sample): where in a set of shards each member lies."""
    rows = ({"shard": shard, "key": key, **_row(sample)} for shard, key, sample in entries)
    return _write(rows, path, schema(shards=True))


def _with_images(samples: Iterable[Sample], read: Read) -> Iterator[dict[str, Any]]:
    ours, named = tee(samples)
    for sample, data in zip(ours, each(read, (s.sha256 for s in named)), strict=True):
        name = f"{sample.key}.{extension(sample.format)}"
        yield _row(sample) | {"image": {"bytes": data, "path": name}}


def _row(sample: Sample) -> dict[str, Any]:
    return {
        "sha256": sample.sha256,
        "split": sample.split,
        "label": _text(sample.label),
        "label_kind": sample.label_kind,
        "probability": sample.probability,
        "weight": sample.weight,
        "copies": sample.copies,
        "caption": _text(sample.caption),
        "width": sample.width,
        "height": sample.height,
        "format": sample.format,
        "license": _text(sample.license),
        "uri": _text(sample.uri),
        "meta": json_bytes(dict(sample.meta)).decode(),
    }


def _text(value: str | None) -> str | None:
    return None if value is None else utf8(value).decode()


def _write(rows: Iterable[Mapping[str, Any]], path: Path, columns: "pa.Schema") -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Images are compressed already: their bytes are stored as they are, without a dictionary.
    squeeze = dict.fromkeys(columns.names, "zstd") | {"image.bytes": "none"}
    repeating = [name for name in columns.names if name in _REPEATING]
    count = 0
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, columns, compression=squeeze, use_dictionary=repeating) as file,
    ):
        for group in _groups(rows):
            arrays = [
                pa.array([row[field.name] for row in group], type=field.type) for field in columns
            ]
            file.write_table(pa.table(arrays, schema=columns))
            count += len(group)
    return count


def _groups(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    group: list[Mapping[str, Any]] = []
    weight = 0
    for row in rows:
        group.append(row)
        weight += len(row["image"]["bytes"]) if "image" in row else 0
        if len(group) == ROWS or weight >= IMAGE_BYTES:
            yield group
            group, weight = [], 0
    if group:
        yield group
