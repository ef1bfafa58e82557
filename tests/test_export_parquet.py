from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from autods.errors import UsageError
from autods.export import Sample, write_parquet
from autods.export.parquet import ROWS
from test_export_member import make_members

FACTS: dict[str, Any] = {
    "label_kind": "human",
    "probability": 0.9,
    "caption": "né",
    "meta": {"b": 1, "a": [2]},
}


def test_a_row_says_what_the_member_says_and_null_where_nothing_is_known(tmp_path: Path) -> None:
    members, _ = make_members(range(4), **FACTS)
    bare = Sample(sha256="0" * 64, split="train")
    path = tmp_path / "new" / "data.parquet"
    assert write_parquet([*members, bare], path) == 5
    rows = pl.read_parquet(path).to_dicts()
    assert [row["sha256"] for row in rows] == [sample.sha256 for sample in [*members, bare]]
    assert rows[1] == {
        "sha256": members[1].sha256,
        "split": members[1].split,
        "label": "dog",
        "label_kind": "human",
        "probability": 0.9,
        "weight": 1.0,
        "copies": 1,
        "caption": "né",
        "width": 9,
        "height": 8,
        "format": "jpeg",
        "license": None,
        "uri": "https://example.org/1",
        "meta": '{"a":[2],"b":1}',
    }
    assert [name for name, value in rows[4].items() if value is not None] == [
        "sha256",
        "split",
        "weight",
        "copies",
        "meta",
    ]


def test_the_types_do_not_depend_on_the_rows(tmp_path: Path) -> None:
    members, _ = make_members(range(3), **FACTS)
    write_parquet(members, tmp_path / "full.parquet")
    write_parquet([], tmp_path / "empty.parquet")
    schemas = [pq.read_schema(tmp_path / name) for name in ("full.parquet", "empty.parquet")]
    assert schemas[0] == schemas[1]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    members, blobs = make_members(range(20), **FACTS)
    for name in ("a", "b"):
        write_parquet(iter(members), tmp_path / name, images=True, read=blobs.__getitem__)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_pandas_reads_what_polars_reads(tmp_path: Path) -> None:
    members, blobs = make_members(range(20), formats=("jpeg", "png"), **FACTS)
    path = tmp_path / "data.parquet"
    write_parquet(members, path, images=True, read=blobs.__getitem__)
    by_pandas = pd.read_parquet(path)
    by_polars = pl.read_parquet(path)
    assert list(by_pandas.columns) == by_polars.columns
    assert by_pandas["sha256"].tolist() == by_polars["sha256"].to_list()
    images = by_polars["image"].to_list()
    assert by_pandas["image"].tolist() == images
    assert [image["bytes"] for image in images] == [blobs[s.sha256] for s in members]
    assert images[1]["path"] == f"{members[1].key}.png"


def test_the_table_is_written_in_row_groups(tmp_path: Path) -> None:
    rows = (Sample(sha256=f"{i:064x}", split="train") for i in range(ROWS + 1))
    write_parquet(rows, tmp_path / "data.parquet")
    file = pq.ParquetFile(tmp_path / "data.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(2)] == [ROWS, 1]


@pytest.mark.slow
def test_images_close_a_row_group_by_their_bytes(tmp_path: Path) -> None:
    rows = [Sample(sha256=f"{i:064x}", split="train", format="jpeg") for i in range(3)]
    big = bytes(40 << 20)
    write_parquet(rows, tmp_path / "data.parquet", images=True, read=lambda sha256: big)
    file = pq.ParquetFile(tmp_path / "data.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(2)] == [2, 1]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    members, _ = make_members(range(3))
    write_parquet(members, path)
    before = path.read_bytes()
    with pytest.raises(KeyError):
        write_parquet(members, path, images=True, read=dict[str, bytes]().__getitem__)
    with pytest.raises(UsageError, match="images=True needs read"):
        write_parquet(members, path, images=True)
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        write_parquet([replace(members[0], meta={"a": object()})], path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["data.parquet"]


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [True, False])
def test_hugging_face_sees_images(
    tmp_path: Path, streaming: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    members, blobs = make_members(range(20), formats=("jpeg", "png"), **FACTS)
    write_parquet(members, tmp_path / "data.parquet", images=True, read=blobs.__getitem__)
    read = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "data.parquet"),
        split="train",
        streaming=streaming,
        cache_dir=str(tmp_path / "cache"),
    )
    formats = [(sample["sha256"], sample["image"].format.lower()) for sample in read]
    assert formats == [(sample.sha256, sample.format) for sample in members]
