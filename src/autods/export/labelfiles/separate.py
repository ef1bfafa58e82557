"""One label file an image: text, caption or JSON, named as the image is in the image folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autods.export.encode import json_bytes, utf8
from autods.export.member import Sample
from autods.export.place import make_folder
from autods.records import Refusal

Content = Callable[[Sample, str], tuple[str, bytes] | Refusal | None]
"""Gives a sample's file, as suffix and bytes, by the image's name in its split; None for none."""

Add = Callable[[Sample, str], Refusal | bool]
"""Takes a sample and its image's name in its split; tells whether anything was written of it."""


@contextmanager
def one_each(folder: Path, content: Content) -> Iterator[Add]:
    """Write `{split}/{name of the image}.{suffix}`, where there is any content."""
    made: set[Path] = set()

    def add(sample: Sample, file_name: str) -> Refusal | bool:
        said = content(sample, file_name)
        if said is None or isinstance(said, Refusal):
            return said or False
        suffix, data = said
        path = folder / sample.split / f"{file_name.rpartition('.')[0]}.{suffix}"
        if path.parent not in made:
            make_folder(path.parent)
            made.add(path.parent)
        path.write_bytes(data)
        return True

    yield add


@contextmanager
def json_each(folder: Path) -> Iterator[Add]:
    """Write a JSON file an image, and all of them as the lines of `labels.jsonl`."""
    with one_each(folder, _json) as add, (folder / "labels.jsonl").open("wb") as lines:

        def both(sample: Sample, file_name: str) -> Refusal | bool:
            lines.write(json_bytes(facts(sample, file_name)) + b"\n")
            return add(sample, file_name)

        yield both


def label_text(sample: Sample, _: str) -> tuple[str, bytes] | None:
    """Give the label on one line."""
    return _line(sample.label)


def caption_text(sample: Sample, _: str) -> tuple[str, bytes] | None:
    """Give the caption on one line, as trainers of text-to-image models read it."""
    return _line(sample.caption)


def facts(sample: Sample, file_name: str) -> dict[str, Any]:
    """Give all that a version says of a sample; what is not known is None."""
    names = (name for name in Sample.__dataclass_fields__ if name != "meta")
    known = {name: getattr(sample, name) for name in names}
    return {"file_name": file_name, **known, "meta": dict(sample.meta)}


def _json(sample: Sample, file_name: str) -> tuple[str, bytes]:
    return "json", json_bytes(facts(sample, file_name)) + b"\n"


def _line(text: str | None) -> tuple[str, bytes] | None:
    line = " ".join((text or "").splitlines()).strip()
    return ("txt", utf8(line) + b"\n") if line else None
