"""Label files: they pair with the images, say what is known and no more, and come whole or not."""

import json
import os
import random
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autods.errors import UsageError
from autods.export import Sample, write_folder
from autods.export.labelfiles import KINDS, write_labels
from autods.sources.functions import load_function
from test_export_folder import HARD
from test_export_member import make_members, tree

INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from test_export_member import make_members
from autods.export.labelfiles import write_labels

members, _ = make_members(range(40))
count = 0

def note(row):
    global count
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    return row.label

write_labels(members, Path(sys.argv[1]), kind=note)
"""


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def mark(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "labels.json").read_text()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_depend_on_the_set_alone(tmp_path: Path, kind: Any) -> None:
    members, _ = make_members(range(40), caption="a cat", license="CC0")
    mixed = random.Random(0).sample(members, 40)
    first = write_labels(sorted(members, key=lambda s: s.sha256), tmp_path / "a", kind=kind)
    for again in (mixed, iter(mixed), mixed):
        assert write_labels(again, tmp_path / "b", kind=kind) == first
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert first.files == len(tree(tmp_path / "a")) - 1
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize("kind", ["json", lambda row: row.file_name])
def test_each_file_has_the_name_of_its_image_whatever_the_label(tmp_path: Path, kind: Any) -> None:
    members, blobs = make_members(range(len(HARD) * 2), formats=("jpeg", "png"))
    hard = [replace(s, label=label) for s, label in zip(members, [*HARD, None] * 2, strict=False)]
    write_folder(hard, tmp_path / "images", read=blobs.__getitem__)
    write_labels(hard, tmp_path / "labels", kind=kind)
    images = {Path(name).with_suffix("") for name in tree(tmp_path / "images") if "jso" not in name}
    labels = {Path(name).with_suffix("") for name in tree(tmp_path / "labels") if "/" in name}
    assert images == labels
    assert len(images) == len(hard)


def test_a_text_file_holds_the_label_on_one_line_and_nothing_stands_for_no_label(
    tmp_path: Path,
) -> None:
    members, _ = make_members(range(3), split="train", caption="a\ncaption ")
    members[1] = replace(members[1], label="two\nlines")
    done = write_labels(members, tmp_path / "txt", kind="txt")
    assert (done.images, done.written, done.failed, done.files) == (3, 2, 0, 2)
    texts = {Path(n).stem: data for n, data in tree(tmp_path / "txt").items() if n[-3:] == "txt"}
    assert texts == {members[0].key: b"cat\n", members[1].key: b"two lines\n"}
    done = write_labels(members, tmp_path / "caption", kind="caption")
    assert (done.written, done.files) == (3, 3)
    [text] = (tmp_path / "caption").glob(f"train/cat/{members[0].key}.txt")
    assert text.read_bytes() == b"a caption\n"


def test_json_says_all_that_the_version_says_and_null_where_it_says_nothing(tmp_path: Path) -> None:
    members, _ = make_members(range(3), split="train", label_kind="weak", probability=0.75)
    members = [replace(s, meta={"b": 1}, license=None) for s in members]
    done = write_labels(members, tmp_path / "out", kind="json")
    said = lines(tmp_path / "out" / "labels.jsonl")
    assert [line["sha256"] for line in said] == sorted(s.sha256 for s in members)
    assert (done.images, done.written, done.files) == (3, 3, 4)
    for line in said:
        path = tmp_path / "out" / "train" / line["file_name"]
        assert json.loads(path.with_suffix(".json").read_text()) == line
        [sample] = [s for s in members if s.sha256 == line["sha256"]]
        assert line.pop("file_name").endswith(f"/{sample.key}.jpg")
        assert line == {name: getattr(sample, name) for name in Sample.__dataclass_fields__}


def test_a_function_writes_what_it_gives(tmp_path: Path) -> None:
    members, _ = make_members(range(4), split="train")
    given = iter(["text", b"\0\1", {"b": 1, "a": [2]}, None])
    done = write_labels(members, tmp_path / "out", kind=lambda _: next(given))
    files = [data for name, data in sorted(tree(tmp_path / "out").items()) if "/" in name]
    assert sorted(files) == sorted([b"text", b"\0\1", b'{"a":[2],"b":1}\n'])
    assert (done.images, done.written, done.files) == (4, 3, 3)
    kinds = {Path(name).suffix for name in tree(tmp_path / "out") if "/" in name}
    assert kinds == {".txt", ".bin", ".json"}
    write_labels(members, tmp_path / "out", kind=lambda row: f"<{row['label']}/>", suffix="xml")
    assert {Path(name).suffix for name in tree(tmp_path / "out") if "/" in name} == {".xml"}


def test_a_function_that_fails_costs_its_image_and_is_told_of(tmp_path: Path) -> None:
    members, _ = make_members(range(30))
    file = tmp_path / "mine.py"
    file.write_text(
        "import sys\n"
        "def voc(row):\n"
        "    if row.label == 'cat': raise ValueError('no cats')\n"
        "    if row.label is None: sys.exit(1)\n"
        "    return [row.colour] if row.width == 8 else float('nan') if row.width == 9 else 'x'\n"
    )
    done = write_labels(members, tmp_path / "out", kind=load_function(f"{file}:voc", "function"))
    failed = lines(tmp_path / "out" / "failed.jsonl")
    assert (done.images, done.failed) == (30, len(failed))
    assert 20 < done.failed == 30 - done.written < 30
    cat = min(s.sha256 for s in members if s.label == "cat")
    [said] = [line["detail"] for line in failed if line["sha256"] == cat]
    assert said == f"mine.py:voc failed on sample {cat[:20]}: ValueError: no cats"
    assert done.failures == tuple(line["detail"] for line in failed[:10])
    told = " ".join(line["detail"] for line in failed)
    assert "SystemExit: 1" in told
    assert "the row has no 'colour'" in told
    assert "it gave float; valid are str, bytes, dict and None" in told
    assert mark(tmp_path / "out")["failed"] == done.failed


def test_what_does_not_go_together_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    members, blobs = make_members(range(3))
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="did you mean 'coco'"):
        write_labels(members, out, kind="cocoa")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="yolo and coco alone"):
        write_labels(members, out, kind="txt", read=blobs.__getitem__)
    with pytest.raises(UsageError, match="yolo and coco alone"):
        write_labels(members, out, kind="json", classes=["cat"])
    with pytest.raises(UsageError, match="suffix goes with a function"):
        write_labels(members, out, kind="json", suffix="xml")
    with pytest.raises(UsageError, match=r"'\.\./x' cannot be a suffix"):
        write_labels(members, out, kind=lambda _: "", suffix="../x")
    with pytest.raises(UsageError, match="share the key"):
        write_labels([*members, *members], out, kind="txt")
    with pytest.raises(UsageError, match="not a SHA-256"):
        write_labels([replace(members[0], sha256="x")], out, kind="txt")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UsageError, match="no earlier export"):
        write_labels(members, tmp_path, kind="txt")


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 39])
def test_a_kill_at_any_image_leaves_the_old_files_and_is_made_good(tmp_path: Path, at: int) -> None:
    members, _ = make_members(range(40))
    write_labels(members[:3], tmp_path / "out", kind="txt")
    before = tree(tmp_path / "out")
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "out"), str(at)]
    killed = subprocess.run(command, env=here, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert tree(tmp_path / "out") == before
    for name in ("out", "calm"):
        write_labels(members, tmp_path / name, kind="txt")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calm", "out"]


class Many:
    """Samples in order of their names, made anew by every pass."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Sample]:
        for i in range(self.count):
            yield Sample(
                sha256=f"{i:020x}{i:044x}",
                split="train",
                label="cat",
                width=64,
                height=64,
                format="jpeg",
                meta={"note": "x" * 2000},
            )


@pytest.mark.slow
def test_samples_in_order_are_not_held_in_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    write_labels(Many(5000), tmp_path / "out", kind="coco")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    said = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())
    assert len(said["annotations"]) == 5000
