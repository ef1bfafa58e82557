"""A version's four files appear complete, or not at all."""

import json
from pathlib import Path

import pytest

from autods.errors import PlaceError
from autods.report.write import write_all
from test_report_facts import HOSTILE, cats

NAMES = ["dataset_info.md", "manifest.json", "report.html", "version.txt"]


@pytest.mark.parametrize("text", HOSTILE)
def test_all_four_files_are_written_whatever_the_labels_are(text: str, tmp_path: Path) -> None:
    paths = write_all(cats(text), tmp_path / "cats" / "v3")
    assert sorted(file.name for file in (tmp_path / "cats" / "v3").iterdir()) == NAMES
    assert sorted(paths) == NAMES
    for path in paths.values():
        path.read_bytes().decode("utf-8")
    json.loads(paths["manifest.json"].read_bytes())


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    before = {name: path.read_bytes() for name, path in write_all(cats(), tmp_path).items()}
    after = {name: path.read_bytes() for name, path in write_all(cats(), tmp_path).items()}
    assert before == after


def test_version_txt_is_the_last_to_be_written(tmp_path: Path) -> None:
    assert list(write_all(cats(), tmp_path))[-1] == "version.txt"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PlaceError, match="file"):
        write_all(cats(), tmp_path / "file" / "v3")
