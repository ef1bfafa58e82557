import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.errors import UsageError
from autods.export import Sample, write_folder
from autods.export.folder import UNLABELLED, label_folders
from test_export_member import make_members, tree

INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from test_export_member import make_members
from autods.export import write_folder

members, blobs = make_members(range(40))
count = 0

def read(sha256):
    global count
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    return blobs[sha256]

write_folder(members, Path(sys.argv[1]), read=read)
"""
HARD = [
    "cat",
    "../cat",
    "..",
    ".",
    "",
    ".hidden",
    "__pycache__",
    "a/b",
    "a\\b",
    "a:b",
    "a*b",
    "a b",
    "a ",
    "CON",
    "nul.txt",
    "unlabelled",
    "Cat",
    "CAT",
    "né",
    "ne\u0301",
    "line\nbreak",
    "nul\0",
    "x" * 300,
    "x" * 301,
    "\u202egnp",
    "日本語" * 40,
    "🐈",
    "{a,b}",
    "[ab]",
    "50%",
    "#1",
]


def stored(folder: Path, blobs: dict[str, bytes]) -> Callable[[str], Path]:
    folder.mkdir()
    for sha256, data in blobs.items():
        (folder / sha256).write_bytes(data)
    return folder.__truediv__


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_files_lie_by_split_and_label_under_their_true_extension(tmp_path: Path) -> None:
    members, blobs = make_members(range(30), formats=("jpeg", "png"))
    done = write_folder(members, tmp_path / "out", read=blobs.__getitem__)
    assert (done.files, done.linked) == (30, 0)
    assert done.copied_bytes == sum(map(len, blobs.values()))
    for sample in members:
        ext = {"jpeg": "jpg", "png": "png"}[sample.format or ""]
        path = tmp_path / "out" / sample.split / (sample.label or UNLABELLED)
        assert (path / f"{sample.key}.{ext}").read_bytes() == blobs[sample.sha256]
    assert len(tree(tmp_path / "out")) == 30 + 2 + 1


def test_the_metadata_has_a_line_for_every_file(tmp_path: Path) -> None:
    members, blobs = make_members(range(30), caption="a cat", meta={"a": 1})
    write_folder(members, tmp_path / "out", read=blobs.__getitem__)
    for split in ("train", "test"):
        folder = tmp_path / "out" / split
        told = {str(line["file_name"]) for line in lines(folder / "metadata.jsonl")}
        found = {str(path.relative_to(folder)) for path in folder.rglob("*.jpg")}
        assert told == found
    first = lines(tmp_path / "out" / "test" / "metadata.jsonl")[0]
    assert (first["caption"], first["meta"], first["split"]) == ("a cat", '{"a":1}', "test")


def test_files_of_the_store_are_linked(tmp_path: Path) -> None:
    members, blobs = make_members(range(10))
    path_of = stored(tmp_path / "store", blobs)
    done = write_folder(
        members, tmp_path / "out", read=dict[str, bytes]().__getitem__, path_of=path_of
    )
    assert (done.files, done.linked, done.copied_bytes) == (10, 10, 0)
    paths = {path.stem: path for path in (tmp_path / "out").rglob("*.jpg")}
    for sample in members:
        assert paths[sample.key].samefile(path_of(sample.sha256))


def test_bytes_are_read_where_the_store_has_no_file(tmp_path: Path) -> None:
    members, blobs = make_members(range(10))
    path_of = stored(tmp_path / "store", blobs)
    path_of(members[0].sha256).unlink()
    done = write_folder(
        members,
        tmp_path / "out",
        read=blobs.__getitem__,
        path_of=lambda sha256: None if sha256 == members[1].sha256 else path_of(sha256),
    )
    assert (done.files, done.linked) == (10, 8)


def test_the_tree_depends_on_the_set_alone(tmp_path: Path) -> None:
    members, blobs = make_members(range(40))
    write_folder(members, tmp_path / "a", read=blobs.__getitem__)
    mixed = random.Random(0).sample(members, 40)
    for _ in range(2):
        write_folder(mixed, tmp_path / "b", read=blobs.__getitem__)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_hard_labels_become_folders_inside_the_export_and_stay_apart(tmp_path: Path) -> None:
    members, blobs = make_members(range(len(HARD)), split="train")
    hard = [replace(s, label=label) for s, label in zip(members, HARD, strict=True)]
    write_folder(hard, tmp_path / "out", read=blobs.__getitem__)
    folders = {path.parent for path in (tmp_path / "out").rglob("*.jpg")}
    assert len(folders) == len(HARD)
    assert {folder.parent for folder in folders} == {tmp_path / "out" / "train"}
    labels = json.loads((tmp_path / "out" / "folder.json").read_text())["labels"]
    assert sorted(labels.values()) == sorted(HARD)
    assert {folder.name for folder in folders} == set(labels)


@given(labels=st.sets(st.one_of(st.text(max_size=120), st.sampled_from(HARD)), max_size=20))
def test_folder_names_are_safe_and_never_shared(labels: set[str]) -> None:
    names = label_folders([*labels, None])
    assert len({name.casefold() for name in names.values()}) == len(labels) + 1
    for label in labels:
        name = names[label]
        assert 1 <= len(name.encode()) <= 100
        assert not set(name) & set('/\\:*?"<>|[]\0\n')
        assert name == name.strip()
        assert not name.startswith((".", "__"))
        assert not name.endswith(".")
        assert name != UNLABELLED


@given(label=st.text(max_size=60), others=st.sets(st.text(max_size=60), max_size=9))
def test_a_folder_name_depends_on_its_label_unless_case_alone_tells_labels_apart(
    label: str, others: set[str]
) -> None:
    kept = {other for other in others if other.casefold() != label.casefold()}
    alone = label_folders([label])[label]
    among = label_folders([label, *kept])[label]
    assert alone == among or label.casefold() in {name.casefold() for name in kept}


def test_plain_labels_are_their_own_names() -> None:
    plain = ["cat", "hot dog", "né", "日本語", "a_b", "_a", "n02123045", "C++"]
    assert label_folders(plain) == {label: label for label in plain}


def test_a_folder_that_is_no_export_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    members, blobs = make_members(range(3))
    with pytest.raises(UsageError, match="no earlier export"):
        write_folder(members, tmp_path, read=blobs.__getitem__)
    with pytest.raises(UsageError, match="share the key"):
        write_folder([*members, *members], tmp_path / "out", read=blobs.__getitem__)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 39])
def test_a_kill_at_any_file_is_made_good_by_the_next_call(tmp_path: Path, at: int) -> None:
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "out"), str(at)]
    killed = subprocess.run(command, env=here, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out").exists()
    members, blobs = make_members(range(40))
    for name in ("out", "calm"):
        write_folder(members, tmp_path / name, read=blobs.__getitem__)
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calm", "out"]


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [True, False])
def test_hugging_face_opens_the_folder_with_its_labels(
    tmp_path: Path, streaming: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    members, blobs = make_members(range(len(HARD) * 2), formats=("jpeg", "png"))
    hard: list[Sample] = [
        replace(s, label=label, caption=f"says {i}" if i % 5 == 0 else None)
        for i, (s, label) in enumerate(zip(members, [*HARD, *HARD], strict=True))
    ]
    write_folder(hard, tmp_path / "out", read=blobs.__getitem__)
    read = datasets.load_dataset(
        "imagefolder",
        data_dir=str(tmp_path / "out"),
        streaming=streaming,
        cache_dir=str(tmp_path / "cache"),
    )
    found = {sample["sha256"]: sample for split in read.values() for sample in split}
    assert len(found) == len(hard)
    for sample in hard:
        same = found[sample.sha256]
        assert same["label"] == sample.label
        assert same["caption"] == (sample.caption or "")
        assert same["image"].format == (sample.format or "").upper()
