"""A folder of images as a source: class folders are labels, sidecar files are captions."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from autods.errors import SourceError
from autods.records import Ref

SUFFIXES = frozenset(
    ".apng .avif .bmp .dib .gif .heic .heif .ico .jfif .jp2 .jpe .jpeg .jpg .jxl .mpo .pbm .pgm "
    ".png .pnm .ppm .tga .tif .tiff .webp".split()
)
"""Files a folder offers: these, and files without any suffix (crawls are often stored so)."""


def folder(
    folder: Path,
    *,
    name: str | None = None,
    license: str | None = None,  # noqa: A002 - the word of the recipe and the seed
    labels: Literal["folders", "none"] = "folders",
) -> Iterator[Ref]:
    """Yield one Ref an image file, in sorted order, whatever the folder's depth.

    With `labels="folders"` the first folder below the root is the label, as in torchvision's
    ImageFolder. Captions, labels and more come from `NAME.txt`, `NAME.json` beside an image, or
    a `metadata.jsonl` with `file_name` in its folder. A symlink is followed once, and not at all
    where it leads to what the folder holds anyway. Raises SourceError if the folder is missing,
    unreadable or holds no image.
    """
    root = folder.absolute()
    if not root.is_dir():
        raise SourceError(f"no folder {root}" + (": it is a file" if root.exists() else ""))
    source, walk = name or root.name, _Walk(root)
    empty = True
    for entry in walk.images(root):
        empty = False
        parts = Path(entry.path).relative_to(root).parts
        label = parts[0] if labels == "folders" and len(parts) > 1 else None
        said = walk.said(entry)
        yield Ref(
            uri=printable("/".join(parts)),
            source=source,
            location=file_location(entry.path),
            stamp=_stamp(entry),
            license=said.pop("license", None) or license,
            label=said.pop("label", None) or label,
            caption=said.pop("caption", None),
            meta=said,
        )
    if empty:
        raise SourceError(f"no images in {root} ({walk.skipped} other files)")


def file_location(path: str) -> str:
    """Give a file's place as a URL: bytes of a name that are no text survive the database.

    >>> file_location("/photos/a b.jpg")
    'file:///photos/a%20b.jpg'
    """
    return "file://" + quote(os.fsencode(path))


def printable(name: str) -> str:
    """Make a name storable as text; undecodable bytes become escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass
class _Walk:
    root: Path
    skipped: int = 0
    _seen: set[tuple[int, int]] = field(default_factory=set)
    _folder: str = ""
    _names: set[str] = field(default_factory=set)
    _metadata: dict[str, dict[str, Any]] = field(default_factory=dict)

    def images(self, folder: Path | str) -> Iterator[os.DirEntry[str]]:
        """Walk in sorted order, each folder once however many links lead to it."""
        try:
            stat = os.stat(folder)  # noqa: PTH116 - a DirEntry's path, on the hot path
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise SourceError(f"cannot list {folder}: {error.strerror}") from error
        if (stat.st_dev, stat.st_ino) in self._seen:
            return
        self._seen.add((stat.st_dev, stat.st_ino))
        folders = []
        self._enter(str(folder), entries)
        for entry in entries:
            if entry.name.startswith(".") or self._leads_inside(entry):
                continue
            if entry.is_dir():
                folders.append(entry.path)
            elif self._is_image(entry):
                yield entry
        for path in folders:
            yield from self.images(path)

    def said(self, entry: os.DirEntry[str]) -> dict[str, Any]:
        """Collect what the sidecars say of an image."""
        said = dict(self._metadata.get(entry.name, {}))
        stem = os.path.splitext(entry.name)[0]  # noqa: PTH122
        for sidecar in (f"{stem}.txt", f"{entry.name}.txt"):
            if sidecar in self._names:
                said["caption"] = _text(Path(self._folder, sidecar)).strip()
        for sidecar in (f"{stem}.json", f"{entry.name}.json"):
            if sidecar in self._names:
                path = Path(self._folder, sidecar)
                said |= _fields(_text(path), str(path))
        return said

    def _enter(self, folder: str, entries: list[os.DirEntry[str]]) -> None:
        self._folder = folder
        self._names = {e.name for e in entries if e.name.endswith((".txt", ".json"))}
        self._metadata = {}
        if any(entry.name == "metadata.jsonl" for entry in entries):
            self._metadata = dict(_metadata(Path(folder, "metadata.jsonl")))

    def _leads_inside(self, entry: os.DirEntry[str]) -> bool:
        """Tell whether a link leads to what is met without it, or was met through another."""
        if not entry.is_symlink():
            return False
        target = Path(entry.path).resolve()
        if target.is_relative_to(self.root.resolve()):
            return True
        if not entry.is_file():
            return False
        stat = entry.stat()
        met = (stat.st_dev, stat.st_ino) in self._seen
        self._seen.add((stat.st_dev, stat.st_ino))
        return met

    def _is_image(self, entry: os.DirEntry[str]) -> bool:
        suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
        # A dangling link is an input too: it ends as a failure with its reason.
        if (suffix in SUFFIXES or not suffix) and (entry.is_file() or entry.is_symlink()):
            return True
        self.skipped += 1
        return False


def _stamp(entry: os.DirEntry[str]) -> str:
    try:
        stat = entry.stat()
    except OSError:
        return "missing"
    return f"{stat.st_size}:{stat.st_mtime_ns}"


def _metadata(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read a Hugging Face imagefolder's metadata: one JSON object a line, by `file_name`."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip():
            said = _fields(line, f"{path}:{number}")
            file_name = said.pop("file_name", None)
            if not isinstance(file_name, str):
                raise SourceError(f"{path}:{number}: no file_name in {line[:80]!r}")
            yield file_name, said


def _fields(text: str, where: str) -> dict[str, Any]:
    """Read a JSON object; `text` is another word for caption."""
    try:
        said = json.loads(text)
    except ValueError as error:
        raise SourceError(f"{where}: not JSON: {error}") from error
    if not isinstance(said, dict):
        raise SourceError(f"{where}: a JSON object is wanted, found {text[:80]!r}")
    if "caption" not in said and isinstance(said.get("text"), str):
        said["caption"] = said.pop("text")
    for key in ("caption", "label", "license"):
        if said.get(key) is not None:
            said[key] = str(said[key])
    return said


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="backslashreplace")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
