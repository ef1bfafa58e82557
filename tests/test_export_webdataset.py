import gc
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from autods.errors import UsageError
from autods.export import create_shards, tar_index
from test_export_member import picture, tree

Samples = list[dict[str, Any]]

INTERRUPTED = """
import os, signal, sys
from test_export_webdataset import make_samples
from autods.export import create_shards

def interrupted(samples, at):
    for number, sample in enumerate(samples):
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)
        yield sample

out, at, shuffle = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
create_shards(interrupted(make_samples(40), at), out, 6, shuffle)
"""


def make_samples(count: int) -> Samples:
    return [
        {
            "__key__": f"k{i:04d}",
            "jpg": picture(i),
            "json": {"label": "cat" if i % 2 else "dog", "number": i, "box": [i, i]},
            "txt": f"nº {i}",
        }
        for i in range(count)
    ]


def keys_in(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        names = archive.getnames()
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def test_shards_are_filled_in_turn_and_described(tmp_path: Path) -> None:
    shards = create_shards(make_samples(25), tmp_path / "dataset-%06d.tar", max_count=10)
    assert [shard.count for shard in shards] == [10, 10, 5]
    assert [shard.path.name for shard in shards] == [f"dataset-{i:06d}.tar" for i in range(3)]
    for shard in shards:
        data = shard.path.read_bytes()
        assert (shard.bytes, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        index = shard.path.with_name(f"{shard.path.name}.idx").read_text()
        assert index == tar_index(shard.path)
    stats = json.loads((tmp_path / "dataset.shards.json").read_text())
    assert (stats["samples"], stats["bytes"]) == (25, sum(shard.bytes for shard in shards))
    assert stats["shards"][2] == {
        "name": "dataset-000002.tar",
        "count": 5,
        "bytes": shards[2].bytes,
        "sha256": shards[2].sha256,
    }
    assert len(tree(tmp_path)) == 3 * 2 + 2


def test_the_sidecar_says_where_every_component_lies(tmp_path: Path) -> None:
    samples = make_samples(25)
    create_shards(samples, tmp_path, max_count=10)
    table = pl.read_parquet(tmp_path / "dataset.parquet")
    by_key = {sample["__key__"]: sample for sample in samples}
    assert set(table["key"]) == set(by_key)
    for row in table.iter_rows(named=True):
        data = (tmp_path / row["shard"]).read_bytes()
        found = data[row["jpg.offset"] :][: row["jpg.size"]]
        sample = by_key[row["key"]]
        assert found == sample["jpg"]
        assert (row["label"], row["number"]) == (sample["json"]["label"], sample["json"]["number"])
        assert "box" not in row


def test_a_field_of_the_json_gives_way_to_a_column_of_ours(tmp_path: Path) -> None:
    create_shards([{"__key__": "k", "json": {"key": "theirs", "shard": 7}}], tmp_path)
    (row,) = pl.read_parquet(tmp_path / "dataset.parquet").iter_rows(named=True)
    assert (row["key"], row["json.key"], row["json.shard"]) == ("k", "theirs", 7)


def test_shuffled_shards_depend_on_the_set_of_samples_alone(tmp_path: Path) -> None:
    samples = make_samples(40)
    mixed = random.Random(0).sample(samples, 40)
    for name, given, seed in (("a", samples, 0), ("b", mixed, 0), ("c", mixed, 1)):
        create_shards(given, tmp_path / name, max_count=15, seed=seed)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    first = keys_in(tmp_path / "a" / "dataset-000000.tar")
    assert first != keys_in(tmp_path / "c" / "dataset-000000.tar")
    assert first != sorted(first)


def test_unshuffled_shards_keep_the_order(tmp_path: Path) -> None:
    create_shards(iter(make_samples(7)), tmp_path, 4, False)
    assert keys_in(tmp_path / "dataset-000000.tar") == ["k0000", "k0001", "k0002", "k0003"]
    assert keys_in(tmp_path / "dataset-000001.tar") == ["k0004", "k0005", "k0006"]


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("x/dataset-%06d.tar", "dataset-000000.tar"),
        ("x/dataset-{:06d}.tar", "dataset-000000.tar"),
        ("x/train-{}.tar", "train-0.tar"),
        ("x/%03d.tar", "000.tar"),
        ("x", "dataset-000000.tar"),
        ("x/v1.5", "dataset-000000.tar"),
    ],
)
def test_a_template_names_the_shards(tmp_path: Path, template: str, name: str) -> None:
    (shard,) = create_shards([{"cls": 1}], str(tmp_path / template))
    assert shard.path.name == name


@pytest.mark.parametrize(
    "template", ["x/dataset.tar", "x/%d-%d.tar", "x/{0..9}.tar", "s3://bucket/%06d.tar"]
)
def test_a_template_that_names_none_is_refused(template: str) -> None:
    with pytest.raises(UsageError, match=r"cannot name shards|is a URL"):
        create_shards([{"cls": 1}], template)


def test_two_sets_of_shards_share_a_folder(tmp_path: Path) -> None:
    for name, count in (("train", 9), ("test", 5), ("train", 4)):
        create_shards(make_samples(count), tmp_path / f"{name}-%06d.tar", max_count=2)
    (tmp_path / "train-notes.tar").touch()
    create_shards(make_samples(2), tmp_path / "train-%06d.tar", max_count=2)
    shards = sorted(path.name for path in tmp_path.glob("*.tar"))
    tests = [f"test-{i:06d}.tar" for i in range(3)]
    assert shards == [*tests, "train-000000.tar", "train-notes.tar"]
    assert len(list(tmp_path.glob("*.idx"))) == 4


def test_a_refusal_leaves_what_was_there(tmp_path: Path) -> None:
    create_shards(make_samples(5), tmp_path, max_count=2)
    before = tree(tmp_path)
    odd = [*make_samples(5), {"__key__": "odd", "png": b""}]
    for shuffle in (True, False):
        with pytest.raises(UsageError, match="'odd' has the extensions png"):
            create_shards(odd, tmp_path, 2, shuffle)
    with pytest.raises(UsageError, match="no samples"):
        create_shards([], tmp_path)
    with pytest.raises(UsageError, match="max_count is 0"):
        create_shards(make_samples(1), tmp_path, 0)
    for shuffle in (True, False):
        with pytest.raises(UsageError, match="have the key"):
            create_shards([{"__key__": "k", "cls": 1}] * 2, tmp_path, shuffle=shuffle)
    assert tree(tmp_path) == before


def test_extensions_may_differ_if_asked_for(tmp_path: Path) -> None:
    samples = [{"__key__": "a", "jpg": b"1"}, {"__key__": "b", "png": b"22"}]
    create_shards(samples, tmp_path, strict=False)
    table = pl.read_parquet(tmp_path / "dataset.parquet").sort("key")
    assert table["jpg.size"].to_list() == [1, None]
    assert table["png.size"].to_list() == [None, 2]


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("at", [0, 21, 39])
def test_a_kill_at_any_sample_leaves_no_trace_in_the_next_result(
    tmp_path: Path, at: int, shuffle: bool
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", INTERRUPTED, str(out), str(at), str(shuffle)]
    killed = subprocess.run(command, env=_environment(), capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(out.glob("*.tar")) == []
    create_shards(make_samples(40), out, 6, shuffle)
    create_shards(make_samples(40), tmp_path / "calm", 6, shuffle)
    assert tree(out) == tree(tmp_path / "calm")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed file.*dataset-:ResourceWarning")  # webdataset's own
def test_webdataset_reads_every_sample_back(tmp_path: Path) -> None:
    import webdataset

    samples = make_samples(25)
    shards = create_shards(samples, tmp_path, max_count=10)
    urls = [str(shard.path) for shard in shards]
    read = {
        sample["__key__"]: sample
        for sample in webdataset.WebDataset(urls, shardshuffle=False).decode("pil")
    }
    gc.collect()
    assert len(read) == 25
    for sample in samples:
        found = read[sample["__key__"]]
        assert (found["json"], found["txt"]) == (sample["json"], sample["txt"])
        assert found["jpg"].size == Image.open(io.BytesIO(sample["jpg"])).size


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [True, False])
def test_hugging_face_reads_every_sample_back(
    tmp_path: Path, streaming: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    samples = make_samples(25)
    create_shards(samples, tmp_path / "out", max_count=10)
    read = datasets.load_dataset(
        "webdataset",
        data_files={"train": str(tmp_path / "out" / "*.tar")},
        split="train",
        streaming=streaming,
        cache_dir=str(tmp_path / "cache"),
    ).cast_column("jpg", datasets.Image(decode=False))
    found = {sample["__key__"]: sample for sample in read}
    assert len(found) == 25
    for sample in samples:
        same = found[sample["__key__"]]
        assert (same["jpg"]["bytes"], same["txt"]) == (sample["jpg"], sample["txt"])
        assert same["json"] == sample["json"]
