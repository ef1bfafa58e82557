import gc
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.errors import UsageError
from autods.export import Sample, Shard, forget_samples, tar_index, write_version_shards
from autods.export.member import row
from autods.export.stable import plan_version
from test_export_member import make_members, tree

INTERRUPTED = """
import os, signal, sys, time
from pathlib import Path
from test_export_member import make_members
from autods.export import write_version_shards

out, cache, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
members, blobs = make_members(range(60))
count = 0

def read(sha256):
    global count
    if count == at:
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    time.sleep(0.002 if at < 0 else 0)
    return blobs[sha256]

print("reading", flush=True)
cache = Path(cache) if cache else None
write_version_shards(members, out=out, read=read, max_count=5, cache=cache)
"""


def fake_members(numbers: set[int], split: str = "train") -> list[Sample]:
    hashes = (hashlib.sha256(b"%d" % number).hexdigest() for number in numbers)
    return [Sample(sha256=sha256, split=split, format="jpeg") for sha256 in hashes]


def no_bytes(sha256: str) -> bytes:
    return sha256[:8].encode()


def write(out: Path, members: list[Sample], **options: Any) -> list[Shard]:
    arguments: dict[str, Any] = {"read": no_bytes, "max_count": 5} | options
    return write_version_shards(members, out=out, **arguments)


def contents(shards: list[Shard]) -> set[str]:
    return {shard.sha256 for shard in shards}


def test_a_version_is_shards_by_split_with_indexes_rows_and_counts(tmp_path: Path) -> None:
    members, blobs = make_members(range(60))
    shards = write(tmp_path / "v1", members, read=blobs.__getitem__)
    assert {shard.path.parent.name for shard in shards} == {"train", "test"}
    assert sum(shard.count for shard in shards) == 60
    for shard in shards:
        data = shard.path.read_bytes()
        assert (shard.bytes, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        index = shard.path.with_name(f"{shard.path.name}.idx").read_text()
        assert index == tar_index(shard.path)
    stats = json.loads((tmp_path / "v1" / "shards.json").read_text())
    named = [str(shard.path.relative_to(tmp_path / "v1")) for shard in shards]
    assert [shard["name"] for shard in stats["shards"]] == named
    assert [shard["digest"] for shard in stats["shards"]] == [shard.digest for shard in shards]
    assert (stats["samples"], stats["max_count"], stats["seed"]) == (60, 5, 0)


def test_every_member_is_in_its_shard_with_its_bytes_and_its_row(tmp_path: Path) -> None:
    members, blobs = make_members(range(40), caption="a cat")
    write(tmp_path / "v1", members, read=blobs.__getitem__)
    table = pl.read_parquet(tmp_path / "v1" / "data.parquet")
    where = {line["sha256"]: line for line in table.iter_rows(named=True)}
    assert len(where) == 40
    for sample in members:
        line = where[sample.sha256]
        with tarfile.open(tmp_path / "v1" / line["shard"]) as archive:
            files = [archive.extractfile(f"{line['key']}.{ext}") for ext in ("jpg", "json", "txt")]
            image, about, text = (file.read() if file else b"" for file in files)
        assert image == blobs[sample.sha256]
        assert json.loads(about) == row(sample)
        assert text == b"a cat"


def test_a_version_is_a_function_of_the_set_of_members(tmp_path: Path) -> None:
    members, blobs = make_members(range(60), formats=("jpeg", "png"))
    mixed = random.Random(0).sample(members, 60)
    write(tmp_path / "a", members, read=blobs.__getitem__, cache=tmp_path / "cache")
    write(tmp_path / "b", mixed, read=blobs.__getitem__)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    write(tmp_path / "c", mixed, read=blobs.__getitem__, seed=1)
    assert tree(tmp_path / "a") != tree(tmp_path / "c")


def test_the_same_version_again_reads_nothing(tmp_path: Path) -> None:
    members, blobs = make_members(range(60))
    cache = tmp_path / "cache"
    one = write(tmp_path / "v1", members, read=blobs.__getitem__, cache=cache)
    two = write(tmp_path / "v2", members, read={}.__getitem__, cache=cache)
    assert not any(shard.reused for shard in one)
    assert all(shard.reused for shard in two)
    assert tree(tmp_path / "v1") == tree(tmp_path / "v2")
    assert two[0].path.samefile(one[0].path)
    assert two[0].path.stat().st_mode & 0o222 == 0


@settings(max_examples=60)
@given(
    numbers=st.sets(st.integers(0, 500), min_size=1, max_size=60),
    new=st.integers(501, 10**6),
    max_count=st.integers(1, 12),
)
def test_one_more_member_changes_one_shard_or_splits_one(
    numbers: set[int], new: int, max_count: int
) -> None:
    def shards(numbers: set[int]) -> set[tuple[str, ...]]:
        plans = plan_version(fake_members(numbers), max_count=max_count)
        return {tuple(key for key, _ in plan.entries) for plan in plans}

    before, after = shards(numbers), shards(numbers | {new})
    gone, come = before - after, after - before
    assert len(gone) <= 1
    added = {key for keys in come for key in keys} - {key for keys in gone for key in keys}
    assert added == {fake_members({new})[0].key}


def test_the_next_version_writes_only_what_changed(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    write(tmp_path / "v1", fake_members(set(range(200))), max_count=20, cache=cache)
    read: list[str] = []

    def noted(sha256: str) -> bytes:
        read.append(sha256)
        return no_bytes(sha256)

    grown = fake_members(set(range(201)))
    shards = write(tmp_path / "v2", grown, max_count=20, cache=cache, read=noted)
    assert 1 <= len(read) <= 21
    assert sum(not shard.reused for shard in shards) <= 2
    assert contents(shards) == contents(write(tmp_path / "fresh", grown, max_count=20))


def test_a_label_that_changed_changes_one_shard(tmp_path: Path) -> None:
    members = fake_members(set(range(100)))
    one = write(tmp_path / "v1", members, cache=tmp_path / "cache")
    members[7] = replace(members[7], label="cat")
    two = write(tmp_path / "v2", members, cache=tmp_path / "cache")
    assert len(contents(two) - contents(one)) == 1


def test_all_samples_of_a_version_share_one_extension_and_have_a_caption_or_none(
    tmp_path: Path,
) -> None:
    def extensions(name: str, members: list[Sample]) -> set[str]:
        write(tmp_path / name, members)
        indexes = (tmp_path / name).rglob("*.idx")
        lines = [line for path in indexes for line in path.read_text().splitlines()[1:]]
        return {field.partition(".")[2] for line in lines for field in line.split()[3::4]}

    members = fake_members(set(range(12)))
    png = [replace(sample, format="png") for sample in members]
    assert extensions("jpeg", members) == {"jpg", "json"}
    assert extensions("png", png) == {"png", "json"}
    assert extensions("both", [*members[:6], *png[6:]]) == {"jpg", "json"}
    assert extensions("text", [replace(s, format="txt") for s in members]) == {"bin", "json"}
    told = [*members[1:], replace(members[0], caption="a cat")]
    assert extensions("told", told) == {"jpg", "json", "txt"}


def test_copies_are_repeated_only_if_asked_for(tmp_path: Path) -> None:
    sample = replace(fake_members({1})[0], copies=3)
    for name, asked in (("once", False), ("thrice", True)):
        (shard,) = write(tmp_path / name, [sample], materialize_copies=asked)
        with tarfile.open(shard.path) as archive:
            keys = {name.partition(".")[0] for name in archive.getnames()}
        more = {f"{sample.key}-1", f"{sample.key}-2"} if asked else set()
        assert keys == {sample.key, *more}
        assert shard.count == 1 + len(more)


def test_a_version_without_members_has_no_shards(tmp_path: Path) -> None:
    assert write(tmp_path / "v1", []) == []
    assert json.loads((tmp_path / "v1" / "shards.json").read_text())["samples"] == 0
    assert len(pl.read_parquet(tmp_path / "v1" / "data.parquet")) == 0


def test_a_damaged_shard_of_the_cache_is_written_again(tmp_path: Path) -> None:
    members = fake_members(set(range(20)))
    one = write(tmp_path / "v1", members, cache=tmp_path / "cache")
    expected = tree(tmp_path / "v1")
    harm: list[Callable[[Path], object]] = [
        lambda path: os.truncate(path, 512),
        lambda path: path.unlink(),
        lambda path: path.with_name(f"{path.name}.idx").unlink(),
        lambda path: path.with_suffix(".json").unlink(),
    ]
    for shard, do in zip(one, harm, strict=False):
        do(tmp_path / "cache" / f"{shard.digest}.tar")
    two = write(tmp_path / "v2", members, cache=tmp_path / "cache")
    assert sum(not shard.reused for shard in two) == len(harm)
    assert tree(tmp_path / "v2") == expected


def test_a_forgotten_sample_is_in_no_cached_shard(tmp_path: Path) -> None:
    members = fake_members(set(range(50)))
    members[0] = replace(members[0], copies=2)
    cache = tmp_path / "cache"
    write(tmp_path / "v1", members, cache=cache, materialize_copies=True)
    assert forget_samples(cache, [members[0].sha256]) == 1
    assert forget_samples(cache, [members[0].sha256]) == 0
    left = "".join(path.read_text() for path in cache.glob("*.idx"))
    assert members[0].key not in left
    assert members[1].key in left
    rest = write(tmp_path / "v2", members[1:], cache=cache, materialize_copies=True)
    assert sum(not shard.reused for shard in rest) <= 1


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    members = fake_members({1, 2})
    with pytest.raises(UsageError, match="share the key"):
        write(tmp_path / "v1", [*members, *members])
    with pytest.raises(UsageError, match="max_count is 0"):
        write(tmp_path / "v1", members, max_count=0)
    with pytest.raises(UsageError, match="is replaced as a whole"):
        write(tmp_path / "v1", members, cache=tmp_path / "v1" / "cache")
    with pytest.raises(KeyError):
        write(tmp_path / "v1", members, read={}.__getitem__)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="no earlier export"):
        write(tmp_path, members)


def run_interrupted(out: Path, cache: Path | str, at: int) -> subprocess.Popen[bytes]:
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", INTERRUPTED, str(out), str(cache), str(at)]
    return subprocess.Popen(command, env=here, stdout=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("at", [0, 17, 59])
def test_a_kill_at_any_read_is_made_good_by_the_next_call(
    tmp_path: Path, at: int, cached: bool
) -> None:
    cache = tmp_path / "cache" if cached else None
    with run_interrupted(tmp_path / "out", cache or "", at) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    members, blobs = make_members(range(60))
    shards = write(tmp_path / "out", members, read=blobs.__getitem__, cache=cache)
    write(tmp_path / "calm", members, read=blobs.__getitem__)
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")
    assert any(shard.reused for shard in shards) == (cached and at > 5)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
@pytest.mark.parametrize("cached", [True, False])
def test_kills_at_any_time_are_made_good_by_the_next_call(tmp_path: Path, cached: bool) -> None:
    cache = tmp_path / "cache" if cached else None
    members, blobs = make_members(range(60))
    write(tmp_path / "calm", members, read=blobs.__getitem__)
    expected = tree(tmp_path / "calm")
    chance = random.Random(0)
    for _ in range(8):
        with run_interrupted(tmp_path / "out", cache or "", -1) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.5))
            process.kill()
        if (tmp_path / "out").exists():
            assert tree(tmp_path / "out") == expected
    write(tmp_path / "out", members, read=blobs.__getitem__, cache=cache)
    assert tree(tmp_path / "out") == expected
    assert {path.name for path in tmp_path.iterdir()} <= {"cache", "calm", "out"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed file.*dataset-:ResourceWarning")  # webdataset's own
def test_webdataset_reads_every_member_back(tmp_path: Path) -> None:
    import webdataset

    members, blobs = make_members(range(40), formats=("jpeg", "png"))
    shards = write(tmp_path / "v1", members, read=blobs.__getitem__)
    urls = [str(shard.path) for shard in shards]
    read = {s["__key__"]: s for s in webdataset.WebDataset(urls, shardshuffle=False)}
    gc.collect()
    assert {key: sample["jpg"] for key, sample in read.items()} == {
        sample.key: blobs[sample.sha256] for sample in members
    }


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [True, False])
def test_hugging_face_opens_the_folder_of_a_version(
    tmp_path: Path, streaming: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    members, blobs = make_members(range(60), formats=("jpeg", "png"))
    # What a reader that infers types from the first samples would trip over: values come late.
    some = [
        replace(s, label="cat", weight=1.5, probability=0.5, caption="x", meta={"a": 1})
        if i % 9 == 0
        else replace(s, label=None)
        for i, s in enumerate(members)
    ]
    write(tmp_path / "v1", some, read=blobs.__getitem__)
    read = datasets.load_dataset(
        str(tmp_path / "v1"), streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    assert set(read) == {"train", "test"}
    found = {}
    for split in read.values():
        for sample in split:
            found[sample["json"]["sha256"]] = sample
    assert len(found) == 60
    for member in some:
        same = found[member.sha256]
        assert same["json"] == row(member)
        assert same["jpg"].format == (member.format or "").upper()
        assert same["txt"] == (member.caption or "")
