"""The row of an export; and the members and pictures that the tests of the exports share."""

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from autods.errors import UsageError
from autods.export import Sample
from autods.export.member import checked, extension, row, row_json


def picture(number: int, image_format: str = "jpeg") -> bytes:
    """A small true picture, another one for every number below 4,096."""
    color = (number % 16 * 16, number // 16 % 16 * 16, number // 256 * 16)
    file = io.BytesIO()
    Image.new("RGB", (8 + number % 5, 8), color).save(file, image_format, quality=100)
    return file.getvalue()


def make_members(
    numbers: Iterable[int], formats: tuple[str, ...] = ("jpeg",), **facts: Any
) -> tuple[list[Sample], dict[str, bytes]]:
    """Members of two splits, and the bytes of each by its SHA-256."""
    members = []
    blobs = {}
    for i in numbers:
        image_format = formats[i % len(formats)]
        data = picture(i, image_format)
        sha256 = hashlib.sha256(data).hexdigest()
        blobs[sha256] = data
        about = {
            "split": "test" if int(sha256[-1], 16) < 4 else "train",
            "label": ("cat", "dog", None)[i % 3],
            "width": 8 + i % 5,
            "height": 8,
            "format": image_format,
            "uri": f"https://example.org/{i}",
        }
        members.append(Sample(sha256=sha256, **(about | facts)))
    return members, blobs


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below the folder, hidden ones too, with its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_unknown_values_have_typed_stand_ins_for_readers_that_infer_types() -> None:
    (bare, full) = (
        Sample(sha256="0" * 64, split="train"),
        Sample(
            sha256="1" * 64,
            split="train",
            label="cat",
            label_kind="human",
            probability=0.5,
            weight=2,
            copies=3,
            caption="a cat",
            width=8,
            height=8,
            format="jpeg",
            license="CC0",
            uri="https://example.org",
            meta={"b": 1, "a": None},
        ),
    )
    types = [{name: type(value) for name, value in row(s).items()} for s in (bare, full)]
    assert types[0] == types[1]
    assert row(full)["meta"] == '{"a":null,"b":1}'


def test_a_probability_that_is_not_stated_is_sure_of_a_label_and_of_nothing_else() -> None:
    bare = Sample(sha256="0" * 64, split="train")
    assert row(bare)["probability"] == 0.0
    assert row(replace(bare, label="cat"))["probability"] == 1.0
    assert row(replace(bare, label="cat", probability=0.0))["probability"] == 0.0


def test_the_json_of_a_member_is_canonical() -> None:
    one = Sample(sha256="0" * 64, split="train", meta={"b": 1, "a": "é"})
    other = replace(one, meta={"a": "é", "b": 1}, weight=1)
    assert row_json(one) == row_json(other)
    assert json.loads(row_json(one)) == row(one)


def test_members_that_cannot_be_exported_together_are_refused() -> None:
    sample = Sample(sha256="0" * 64, split="train")
    assert checked(iter([sample])) == [sample]
    with pytest.raises(UsageError, match="not a SHA-256"):
        checked([replace(sample, sha256="A" * 64)])
    for split in ("", "..", "a/b", "a b", "a-b", "_a"):
        with pytest.raises(UsageError, match="cannot be a split"):
            checked([replace(sample, split=split)])
    with pytest.raises(UsageError, match="0 copies"):
        checked([replace(sample, copies=0)])
    with pytest.raises(UsageError, match=r"\(train\) and .* \(test\) share the key"):
        checked([sample, replace(sample, split="test")])


def test_an_extension_never_says_what_an_export_says_itself() -> None:
    assert extension("JPEG") == "jpg"
    assert extension("webp") == "webp"
    assert {extension(name) for name in (None, "", "json", "txt", "tar", "../x", "é")} == {"bin"}
