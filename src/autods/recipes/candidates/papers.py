"""What lies beside the images of a day or a month: manifest.json, the two tables and the diff.

Everything here is a function of tables and gives tables or bytes; nothing is read or written.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from autods.export.encode import utf8

_TEXT, _REAL, _SHORT, _LONG = pa.string(), pa.float64(), pa.int32(), pa.int64()

SAMPLES = pa.schema(
    {
        "path": _TEXT,
        "label": _TEXT,
        "origin": _TEXT,
        "prediction_id": _TEXT,
        "user_id": _TEXT,
        "position": _SHORT,
        "day": _TEXT,
        "sha256": _TEXT,
        "size": _LONG,
        "width": _LONG,
        "height": _LONG,
        "format": _TEXT,
        "split": _TEXT,
        "group_sha256": _TEXT,
        "phash": _TEXT,
        "initial_prediction": _TEXT,
        "confidence": _REAL,
        "verified_by": _TEXT,
        "verified_at": pa.timestamp("us"),
        "source_uri": _TEXT,
        "asset": _TEXT,
    }
)
"""A row for each image of a month, `path` relative to its folder; times are UTC."""

DAILY = pa.schema([field for field in SAMPLES if field.name not in {"split", "group_sha256"}])
"""A row for each image of a day, which knows of no splits."""

EXCLUDED = pa.schema(
    {
        "uri": _TEXT,
        "prediction_id": _TEXT,
        "user_id": _TEXT,
        "position": _SHORT,
        "day": _TEXT,
        "label": _TEXT,
        "origin": _TEXT,
        "status": _TEXT,
        "reason": _TEXT,
        "detail": _TEXT,
        "duplicate_of": _TEXT,
        "kind": _TEXT,
        "distance": _SHORT,
        "score": _REAL,
        "conflict": pa.bool_(),
    }
)
"""A row for each photo that is not among the images, and why."""


def samples_table(rows: Sequence[Mapping[str, Any]], columns: pa.Schema = SAMPLES) -> pa.Table:
    """Make the table of images, by path; a missing key is null, other keys are passed over.

    `columns` is SAMPLES or, for a day, DAILY.

    >>> table = samples_table([{"path": "Warm/b.jpg"}, {"path": "Fire/a.jpg", "width": 64}])
    >>> table["path"].to_pylist(), table["width"].to_pylist()
    (['Fire/a.jpg', 'Warm/b.jpg'], [64, None])
    """
    return _table(rows, columns, ("path", "sha256"))


def excluded_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Make the table of what was left out, by photo; keys as in `samples_table`."""
    return _table(rows, EXCLUDED, ("uri", "prediction_id", "position", "status", "reason"))


def _table(rows: Sequence[Mapping[str, Any]], columns: pa.Schema, order: Sequence[str]) -> pa.Table:
    arrays = [_array([row.get(field.name) for row in rows], field.type) for field in columns]
    table = pa.Table.from_arrays(arrays, schema=columns)
    return table.sort_by([(name, "ascending") for name in order])


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:  # A lone surrogate, which JSON may hold and UTF-8 may not.
        texts = (None if value is None else utf8(value).decode() for value in values)
        return pa.array(texts, kind)


def manifest(
    kind: str,
    version: str,
    created_at: dt.datetime,
    year: int,
    month: int,
    samples: pa.Table,
    days: Sequence[str],
    classes: Sequence[str],
) -> dict[str, Any]:
    """Describe a folder by seed 1's keys, in the seed's order; `created_at` is UTC or has a zone.

    Counted are the images as `samples` has them. Classes without an image do not appear; a class
    that has one and is not in `classes` (it was, when its day was collected) comes after them.
    """
    gold = pc.sum(pc.equal(samples["origin"], "gold")).as_py() or 0
    return {
        "dataset_type": kind,
        "version": version,
        "created_at": in_utc(created_at).isoformat(timespec="seconds"),
        "year": year,
        "month": month,
        "total_images": samples.num_rows,
        "gold_images": gold,
        "new_images": samples.num_rows - gold,
        "collection_dates": list(days),
        "class_distribution": distribution(samples, classes),
    }


def in_utc(time: dt.datetime) -> dt.datetime:
    """Give a time in UTC without a zone, as seed 1 writes it; one without a zone is UTC.

    >>> in_utc(dt.datetime.fromisoformat("2024-12-01T03:00:00+02:00")).isoformat()
    '2024-12-01T01:00:00'
    """
    return time.astimezone(dt.UTC).replace(tzinfo=None) if time.tzinfo else time


def distribution(samples: pa.Table, classes: Sequence[str]) -> dict[str, int]:
    """Count the images of each class that has any, in the order of `classes`, others after them.

    >>> rows = [{"path": name, "label": name[0]} for name in ("b/1.jpg", "a/1.jpg", "b/2.jpg")]
    >>> distribution(samples_table(rows), ["b", "c", "a"])
    {'b': 2, 'a': 1}
    """
    labels = samples["label"].drop_null().value_counts().to_pylist()
    found = {row["values"]: row["counts"] for row in labels}
    known = [name for name in classes if name in found]
    return {name: found[name] for name in [*known, *sorted(found.keys() - set(known))]}


def manifest_bytes(data: Mapping[str, Any]) -> bytes:
    r"""Write a manifest for people and programs.

    >>> manifest_bytes({"class_distribution": {"Café": 1}}).decode()
    '{\n  "class_distribution": {\n    "Café": 1\n  }\n}\n'
    """
    return utf8(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def parquet_bytes(table: pa.Table) -> bytes:
    """Write a table as parquet; the same rows give the same bytes under one version of pyarrow."""
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def differences(old: pa.Table, new: pa.Table, old_name: str, new_name: str) -> dict[str, Any]:
    """Compare the images of two folders by their bytes; `added` and `removed` are paths.

    The same bytes under another class are relabelled, wherever they lie; under another path of
    the same class they are unchanged.

    >>> was = samples_table([{"path": "Fire/a.jpg", "label": "Fire", "sha256": "1"}])
    >>> now = samples_table([{"path": "Warm/a.jpg", "label": "Warm", "sha256": "1"}])
    >>> differences(was, now, "v1", "v2")["relabelled"]
    [{'sha256': '1', 'path': 'Warm/a.jpg', 'old': 'Fire', 'new': 'Warm'}]
    """
    old_keys, new_keys = _keys(old), _keys(new)
    before = pc.index_in(new_keys, value_set=old_keys)
    kept = new.filter(pc.is_valid(before))
    labels = old["label"].take(pc.drop_null(before))
    # A null is a value here: it differs from any label and equals itself.
    changed = pc.not_equal(pc.fill_null(labels, "\0"), pc.fill_null(kept["label"], "\0"))
    relabelled = kept.select(["sha256", "path", "label"]).append_column("old", labels)
    return {
        "from": old_name,
        "to": new_name,
        "added": new["path"].filter(pc.is_null(before)).to_pylist(),
        "removed": old["path"].filter(pc.invert(pc.is_in(old_keys, new_keys))).to_pylist(),
        "relabelled": [
            {name: row[name] for name in ("sha256", "path", "old")} | {"new": row["label"]}
            for row in relabelled.filter(changed).to_pylist()
        ],
        "unchanged": kept.num_rows - (pc.sum(changed).as_py() or 0),
    }


def _keys(samples: pa.Table) -> pa.Array:
    """Name every row by its bytes, and the copies of the same bytes by their number as well."""
    hashes = samples["sha256"].combine_chunks()
    ranks = (pc.rank(hashes, tiebreaker=which) for which in ("first", "min"))
    return pc.binary_join_element_wise(hashes, pc.subtract(*ranks).cast(_TEXT), ":")


def diff_json(old: pa.Table, new: pa.Table, old_name: str, new_name: str) -> bytes:
    """Write what `differences` finds, as the diff.json of a month's next revision."""
    return manifest_bytes(differences(old, new, old_name, new_name))
