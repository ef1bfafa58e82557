"""Seed 3's LabelGenerator: the label files of a version, in one or several formats."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autods.errors import UsageError
from autods.export.labelfiles import KINDS, Function, LabelFiles, write_labels
from autods.export.labelfiles.write import WITH_BOXES, Kind
from autods.export.member import Sample
from autods.recipes.layout import Assets, samples
from autods.settings import did_you_mean
from autods.sources.functions import load_function
from autods.versions import Version, find_version, read_members
from autods.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

CUSTOM = "custom"
"""The format, and the folder, of a user's function."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelResult:
    """What was generated: `images_labeled` counts members of the version that have a label.

    `failed` counts the files that could not be made, over all formats; `failures` tells of the
    first of them, each `failed.jsonl` of all.
    """

    images_labeled: int
    files: int
    formats: tuple[str, ...]
    failed: int
    failures: tuple[str, ...] = ()


class LabelGenerator:
    """Writes label files: `txt`, `caption`, `json`, `yolo`, `coco`, and those of `function`.

    `function` is a callable, or FILE.py:NAME, that makes one file an image, ending in `suffix`;
    its format is `custom`. `classes` fixes YOLO's and COCO's class numbers; with `images` these
    two get copies of the images, so that a trainer can be pointed at the folder. Raises UsageError
    for a format that is none.
    """

    def __init__(
        self,
        formats: Sequence[str] = ("json",),
        function: Function | str | None = None,
        *,
        suffix: str | None = None,
        classes: Sequence[str] | None = None,
        images: bool = False,
    ) -> None:
        self._kinds: dict[str, Kind | Function] = {name: _kind(name) for name in _listed(formats)}
        if function is not None:
            self._kinds[CUSTOM] = _loaded(function)
        if not self._kinds:
            raise UsageError(f"no format to write (valid: {', '.join(KINDS)}, or a function)")
        self._suffix, self._classes, self._images = suffix, classes, images

    @property
    def formats(self) -> tuple[str, ...]:
        """Name what is written, in order."""
        return tuple(self._kinds)

    async def generate(
        self, workspace: Workspace, version: Version | str, out: Path
    ) -> LabelResult:
        """Write each format to a folder of its name in `out`, each at one stroke.

        The same version gives the same bytes, and a second call replaces the folders. Raises
        UsageError for an unknown version, or for a folder that holds something else.
        """
        return await asyncio.to_thread(self.generate_now, workspace, version, Path(out))

    def generate_now(self, workspace: Workspace, version: Version | str, out: Path) -> LabelResult:
        """Do as `generate`, in this thread."""
        if isinstance(version, str):
            version = find_version(workspace.catalog, version)
        members = read_members(workspace.store, version)
        rows = _Rows(members)
        done = [self._write(workspace, rows, version.name, format_, out) for format_ in self._kinds]
        return LabelResult(
            images_labeled=members.num_rows - members["label"].null_count,
            files=sum(one.files for one in done),
            formats=self.formats,
            failed=sum(one.failed for one in done),
            failures=tuple(text for one in done for text in one.failures),
        )

    def _write(
        self, workspace: Workspace, rows: "_Rows", name: str, format_: str, out: Path
    ) -> LabelFiles:
        boxed = format_ in WITH_BOXES
        return write_labels(
            rows,
            out / format_,
            kind=self._kinds[format_],
            suffix=self._suffix if format_ == CUSTOM else None,
            classes=self._classes if boxed else None,
            name=name,
            read=Assets(workspace.store) if boxed and self._images else None,
        )


@dataclass(frozen=True)
class _Rows:
    """A version's samples, read from its table anew by every pass."""

    members: "pa.Table"

    def __iter__(self) -> Iterator[Sample]:
        return samples(self.members)


def _loaded(function: Function | str) -> Function:
    return load_function(function, "label function") if isinstance(function, str) else function


def _listed(formats: Sequence[str]) -> Sequence[str]:
    return [formats] if isinstance(formats, str) else formats


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if kind == name:
            return kind
    raise UsageError(f"no format {name!r}; {did_you_mean(name, KINDS)}")
