"""The main job keeps its promises on real input, from the command line."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autods.recipes.demo import write_demo

Build = Callable[..., dict[str, Any]]
Tree = Callable[..., dict[str, str]]
Autods = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small, untidy collection; gives its recipe."""
    return write_demo(tmp_path_factory.mktemp("collection"), 90)


def counts(built: dict[str, Any]) -> dict[str, Any]:
    return dict(built["facts"]["counts"])


def test_every_good_image_is_accepted_and_every_bad_one_rejected(
    data: Path, build: Build, autods: Autods, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: images\n"
        f"sources:\n  - folder: {data}/images/accept\n  - folder: {data}/images/reject\n"
        "dedup: {near: keep}\n"
    )
    found = counts(build(recipe, "-w", tmp_path))
    assert found["inputs"] == 315
    assert sum(found["rejected_by"].values()) == 18
    assert found["accepted"] + found["exact_duplicates"] + found["pixel_duplicates"] == 297
    refused = json.loads(autods("show", "--refused", "--json", "-w", tmp_path).stdout)
    assert {row["source"] for row in refused} == {"reject"}
    assert all(row["reason"] and row["detail"] for row in refused)


@pytest.mark.parametrize(
    ("folder", "inputs", "kept", "kind"),
    [
        ("exif", 9, 1, "near_duplicates"),
        ("neardup/bridge-mods", 12, 1, "near_duplicates"),
        ("pixel_dups", 154, None, "pixel_duplicates"),
        ("clipart/png", 346, None, "pixel_duplicates"),
    ],
)
def test_duplicates_are_found_and_nothing_else(
    data: Path, build: Build, tmp_path: Path, folder: str, inputs: int, kept: int | None, kind: str
) -> None:
    found = counts(build(data / folder, "-w", tmp_path, "--name", "dups"))
    assert found["inputs"] == inputs
    if kept is not None:
        assert found["accepted"] == kept
        assert found[kind] + found["exact_duplicates"] == inputs - kept
    if folder == "pixel_dups":
        assert found["pixel_duplicates"] >= 76
    if folder == "clipart/png":
        assert found["accepted"] + found["withheld"] >= 314
        assert found["accepted"] >= 314


def test_a_second_build_does_nothing(
    collection: Path, build: Build, tree: Tree, tmp_path: Path
) -> None:
    first = build(collection, "-w", tmp_path)
    before = tree(tmp_path, "datasets/**/*", ".autods/store/**/*")
    times = {p: p.stat().st_mtime_ns for p in tmp_path.glob(".autods/store/**/*")}
    second = build(collection, "-w", tmp_path)
    assert (second["version"], second["digest"]) == (first["version"], first["digest"])
    assert not second["new"]
    assert "facts" not in second
    assert tree(tmp_path, "datasets/**/*", ".autods/store/**/*") == before
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob(".autods/store/**/*")} == times


def test_a_build_killed_at_any_moment_ends_in_the_same_bytes(
    collection: Path, build: Build, tree: Tree, tmp_path: Path
) -> None:
    results = ("shards/**/*", "data.parquet", "images/**/*")
    started = time.monotonic()
    undisturbed = build(collection, "-w", tmp_path / "whole")
    duration = time.monotonic() - started
    wanted = tree(Path(undisturbed["folder"]), *results)
    draw = random.Random(0)
    for trial in range(20):
        place = tmp_path / f"killed-{trial}"
        command = [sys.executable, "-m", "autods", "build", str(collection), "-w", str(place)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as job:
            time.sleep(duration * draw.uniform(0.2, 1.0))
            job.send_signal(signal.SIGKILL)
        again = build(collection, "-w", place)
        assert again["digest"] == undisturbed["digest"]
        assert tree(Path(again["folder"]), *results) == wanted
        shutil.rmtree(place)


def test_workers_and_places_do_not_change_the_version(
    collection: Path, build: Build, tree: Tree, tmp_path: Path
) -> None:
    alone = tmp_path / "recipe.yaml"
    text = collection.read_text().replace("folder: ", f"folder: {collection.parent}/")
    text = text.replace("labels.py", f"{collection.parent}/labels.py")
    alone.write_text(f"{text}\nworkers: 1\n")
    one = build(alone, "-w", tmp_path / "one")
    two = build(collection, "-w", tmp_path / "two")
    assert one["digest"] == two["digest"]
    shards = "shards/**/*"
    assert tree(Path(one["folder"]), shards) == tree(Path(two["folder"]), shards)


def test_one_more_file_costs_one_file(build: Build, tree: Tree, tmp_path: Path) -> None:
    write_demo(tmp_path, 150)
    recipe = tmp_path / "labelled.yaml"
    text = "name: demo\nsources:\n  - folder: labelled\nshards: {max_count: 20}\n"
    recipe.write_text(text)
    first = build(recipe, "-w", tmp_path)
    store = tree(tmp_path, ".autods/store/raw/**/*")
    shards = tree(Path(first["folder"]), "shards/**/*.tar")
    new = tmp_path / "labelled" / "temple" / "one-more.png"
    _draw(new)
    second = build(recipe, "-w", tmp_path)
    assert second["version"] == "demo@v2"
    assert second["facts"]["changes"]["added"] == 1
    assert len(tree(tmp_path, ".autods/store/raw/**/*").keys() - store.keys()) == 1
    now = tree(Path(second["folder"]), "shards/**/*.tar")
    assert len(set(now.values()) - set(shards.values())) <= 2


def test_a_removed_file_leaves_the_next_version_and_no_other(build: Build, tmp_path: Path) -> None:
    recipe = write_demo(tmp_path, 60)
    first = build(recipe, "-w", tmp_path)
    next(iter(sorted((tmp_path / "labelled" / "temple").glob("*.jpg")))).unlink()
    second = build(recipe, "-w", tmp_path)
    assert second["facts"]["changes"]["removed"] <= 1
    assert Path(first["folder"]).exists()
    back = json.loads(_diff(tmp_path, "demo@v2", "demo@v1"))
    assert len(back["added"]) == second["facts"]["changes"]["removed"]


def test_a_copy_stands_in_when_its_original_vanishes(build: Build, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    _draw(tmp_path / "in" / "a.png")
    from PIL import Image

    Image.open(tmp_path / "in" / "a.png").save(tmp_path / "in" / "b.png", compress_level=0)
    assert counts(build(tmp_path / "in", "-w", tmp_path))["pixel_duplicates"] == 1
    (tmp_path / "in" / "a.png").unlink()
    found = counts(build(tmp_path / "in", "-w", tmp_path))
    assert (found["inputs"], found["accepted"]) == (1, 1)


def test_increments_end_where_one_build_would(build: Build, tree: Tree, tmp_path: Path) -> None:
    collection = write_demo(tmp_path / "all", 90)
    files = sorted((tmp_path / "all" / "labelled").rglob("*.*g"))
    random.Random(1).shuffle(files)
    listed = [str(path.relative_to(tmp_path)) for path in files]
    table = tmp_path / "list.csv"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: growth\nsources:\n  - table: list.csv\n    images: .\nexport: [webdataset]\n"
    )
    for share in (40, 60, 80, 100):
        rows = listed[: len(listed) * share // 100]
        table.write_text("image\n" + "\n".join(rows) + "\n")
        grown = build(recipe, "-w", tmp_path / "grown")
    whole = build(recipe, "-w", tmp_path / "whole")
    assert grown["digest"] == whole["digest"]
    shards = "shards/**/*.tar"
    assert tree(Path(grown["folder"]), shards) == tree(Path(whole["folder"]), shards)
    assert collection.exists()


@pytest.mark.parametrize(("mode", "accepted"), [("strict", 2), ("lenient", 3), ("report-only", 4)])
def test_the_three_modes(build: Build, tmp_path: Path, mode: str, accepted: int) -> None:
    (tmp_path / "in").mkdir()
    for number, side in enumerate((64, 65, 16)):
        _draw(tmp_path / "in" / f"{number}.png", side, seed=number)
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: modes\nsources:\n  - folder: in\n"
        f"validate: {{mode: {mode}, min_width: 32}}\nexport: [parquet]\n"
    )
    assert counts(build(recipe, "-w", tmp_path))["accepted"] == accepted


def test_a_limit_that_changes_is_judged_anew_without_reading(build: Build, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, side in enumerate((64, 65, 16)):
        _draw(tmp_path / "in" / f"{number}.png", side, seed=number)
    recipe = tmp_path / "recipe.yaml"
    text = "name: limits\nsources:\n  - folder: in\nvalidate: {{min_width: {}}}\n"
    recipe.write_text(text.format(32))
    assert counts(build(recipe, "-w", tmp_path))["accepted"] == 2
    shutil.rmtree(tmp_path / "in" / "gone", ignore_errors=True)
    recipe.write_text(text.format(8))
    again = build(recipe, "-w", tmp_path)
    assert counts(again)["accepted"] == 3
    assert again["facts"]["timing"]["items_per_second"] is None


BAD = {
    "a missing recipe": (["build", "none.yaml"], 2, "no recipe or folder none.yaml"),
    "a missing folder in a recipe": (["build", "missing.yaml"], 3, "no folder"),
    "an unknown key": (["build", "unknown.yaml"], 2, "unknown.yaml:2: sorces: unknown key"),
    "a wrong type": (["build", "type.yaml"], 2, "type.yaml:4: validate.min_width: 'many'"),
    "an empty source": (["build", "empty"], 3, "no images in"),
    "no workspace": (["show", "-w", "nowhere"], 4, "no workspace"),
    "an unknown version": (["show", "cats"], 2, "no dataset 'cats'"),
    "an unknown command": (["biuld"], 2, "No such command"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_sentence(name: str, autods: Autods, tmp_path: Path) -> None:
    arguments, status, message = BAD[name]
    (tmp_path / "empty").mkdir()
    source = "sources:\n  - folder: nothing\n"
    (tmp_path / "missing.yaml").write_text(f"name: x\n{source}")
    (tmp_path / "unknown.yaml").write_text("name: x\nsorces: []\n")
    (tmp_path / "type.yaml").write_text(f"name: x\n{source}validate: {{min_width: many}}\n")
    if name == "an unknown version":
        assert autods("init", cwd=tmp_path).returncode == 0
    done = autods(*arguments, cwd=tmp_path)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a small disk with the options given; needs root, as in CI."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        failed = subprocess.run(command, check=False).returncode
        if failed and not os.environ.get("CI"):
            pytest.skip("needs to mount a small disk: sudo scripts/check")
        return disk

    yield mount
    subprocess.run(["umount", "-l", str(disk)], check=False)


def test_an_unwritable_folder_is_one_clear_sentence(
    mounted: Callable[[str], Path], collection: Path, autods: Autods
) -> None:
    disk = mounted("size=1m,ro")
    for arguments in (["init", disk], ["build", collection, "-w", disk]):
        done = autods(*arguments)
        assert done.returncode == 4
        assert "cannot make a workspace" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_full_disk_is_one_clear_sentence_and_loses_nothing(
    mounted: Callable[[str], Path],
    collection: Path,
    build: Build,
    autods: Autods,
    tmp_path: Path,
) -> None:
    disk = mounted("size=2m")
    done = autods("build", collection, "-w", disk)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "space" in done.stderr.lower() or "full" in done.stderr.lower()
    subprocess.run(["mount", "-o", "remount,size=500m", str(disk)], check=True)
    again = build(collection, "-w", disk)
    assert again["digest"] == build(collection, "-w", tmp_path / "whole")["digest"]


def splits_of(place: Path, autods: Autods) -> dict[str, str]:
    """Give the split of each picture of the newest version, by the stem of its file's name."""
    import pyarrow.parquet as pq

    found = json.loads(autods("show", "--json", "-w", place).stdout)
    newest = max(found, key=lambda row: row["created_at"])["name"].partition("@")
    rows = pq.read_table(place / "datasets" / newest[0] / newest[2] / "data.parquet")
    stems = [Path(uri).stem.partition("-")[0] for uri in rows["uri"].to_pylist()]
    return dict(zip(stems, rows["split"].to_pylist(), strict=True))


def test_what_stands_in_for_a_vanished_original_keeps_its_split(
    build: Build, autods: Autods, tmp_path: Path
) -> None:
    from PIL import Image

    (tmp_path / "in").mkdir()
    for number in range(24):
        original = tmp_path / "in" / f"{number:02d}.png"
        _draw(original, seed=number)
        with Image.open(original) as picture:
            picture.save(tmp_path / "in" / f"{number:02d}-copy.png", compress_level=0)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: moves\nsources:\n  - folder: in\nsplit: {train: 0.4, val: 0.3, test: 0.3}\n"
    )
    assert counts(build(recipe, "-w", tmp_path))["accepted"] == 24
    before = splits_of(tmp_path, autods)
    for path in (tmp_path / "in").glob("??.png"):
        path.unlink()
    assert counts(build(recipe, "-w", tmp_path))["accepted"] == 24
    assert splits_of(tmp_path, autods) == before
    assert len(set(before.values())) == 3


def test_a_damaged_jpeg_is_rejected_strictly_and_noted_leniently(
    build: Build, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    _draw(tmp_path / "in" / "good.jpg", 200)
    data = (tmp_path / "in" / "good.jpg").read_bytes()
    (tmp_path / "in" / "half.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    recipe = tmp_path / "recipe.yaml"
    for mode, accepted in (("strict", 1), ("lenient", 2)):
        recipe.write_text(
            f"name: {mode}\nsources:\n  - folder: in\nvalidate: {{mode: {mode}}}\n"
            "dedup: {near: off}\n"
        )
        assert counts(build(recipe, "-w", tmp_path))["accepted"] == accepted


def test_what_came_out_does_not_go_in_again(build: Build, tmp_path: Path) -> None:
    for number in range(4):
        _draw(tmp_path / f"{number}.png", seed=number)
    first = build(tmp_path, "-w", tmp_path, "--name", "mine")
    second = build(tmp_path, "-w", tmp_path, "--name", "mine")
    assert second["digest"] == first["digest"]
    assert not second["new"]


def test_a_version_keeps_its_files_and_gets_back_what_was_removed(
    build: Build, tree: Tree, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        _draw(tmp_path / "in" / f"{number}.png", seed=number)
    folder = Path(build(tmp_path / "in", "-w", tmp_path)["folder"])
    before = tree(folder)
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    again = build(tmp_path / "in", "-w", tmp_path)
    assert (again["version"], again["new"]) == ("in@v1", False)
    assert tree(folder) == before
    shutil.rmtree(folder / "shards")
    build(tmp_path / "in", "-w", tmp_path)
    assert tree(folder) == before


def test_a_corrected_license_is_a_new_version(build: Build, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    _draw(tmp_path / "in" / "a.png")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: x\nsources:\n  - folder: in\n")
    build(recipe, "-w", tmp_path)
    recipe.write_text("name: x\nsources:\n  - folder: in\n    license: CC0-1.0\n")
    assert build(recipe, "-w", tmp_path)["version"] == "x@v2"


def test_a_version_of_nothing_is_refused(autods: Autods, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    _draw(tmp_path / "in" / "a.png")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: x\nsources:\n  - folder: in\nvalidate: {min_width: 5000}\n")
    done = autods("build", recipe, "-w", tmp_path)
    assert done.returncode == 1
    assert "no member is left of 1 inputs" in done.stderr
    assert "too-small" in autods("show", "--refused", "-w", tmp_path).stdout


def test_limits_count_against_the_error_budget(autods: Autods, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(4):
        _draw(tmp_path / "in" / f"{number}.png", 96 if number else 400, seed=number)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: x\nsources:\n  - folder: in\nvalidate: {min_width: 200, error_budget: 0.5}\n"
    )
    done = autods("build", recipe, "-w", tmp_path)
    assert done.returncode == 5
    assert "3 of 4 inputs were refused" in done.stderr


def test_what_a_user_s_function_prints_or_exits_with_harms_nothing(
    build: Build, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    _draw(tmp_path / "in" / "a.png")
    (tmp_path / "labels.py").write_text(
        "import sys\nfrom autods import labeling_function\n\n\n"
        "@labeling_function()\ndef lf_prints(row):\n    print('hello')\n    return 0\n\n\n"
        "@labeling_function()\ndef lf_exits(row):\n    sys.exit(0)\n"
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: x\nsources:\n  - folder: in\nlabel: {classes: [a, b], functions: labels.py}\n"
    )
    functions = build(recipe, "-w", tmp_path)["facts"]["labels"]["functions"]
    assert [row["faults"] for row in functions] == [0, 1]


def test_too_many_refusals_end_the_run(autods: Autods, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(40):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(b"no picture")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: x\nsources:\n  - folder: in\nvalidate: {error_budget: 0.1}\n")
    done = autods("build", recipe, "-w", tmp_path)
    assert done.returncode == 5
    assert "more than the error budget of 10%" in done.stderr
    assert "unknown-format" in autods("show", "--refused", "-w", tmp_path).stdout


def _draw(path: Path, side: int = 96, seed: int = 0) -> None:
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).save(path)


def _diff(place: Path, old: str, new: str) -> str:
    command = [sys.executable, "-m", "autods", "diff", old, new, "--json", "-w", str(place)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
