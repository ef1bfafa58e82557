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
from autods.storable import printable, storable

_EXPORTS = ("shards.json", "folder.json")
"""What marks a folder as an export; `export/` writes them."""

Entry = os.DirEntry[str]

SUFFIXES = frozenset(
    ".apng .avif .bmp .dib .gif .heic .heif .ico .jfif .jp2 .jpe .jpeg .jpg .jxl .mpo .pbm .pgm "
    ".png .pnm .ppm .tga .tif .tiff .webp".split()
)
"""Files a folder offers: these, and files without any suffix (crawls are often stored so)."""


def folder(
    folder: Path,
    *,
    name: str | None = None,
    license: str | None = None,
    labels: Literal["folders", "none"] = "folders",
) -> Iterator[Ref]:
    """Yield one Ref an image file, in sorted order, whatever the folder's depth.

    With `labels="folders"` the first folder below the root is the label, as in torchvision's
    ImageFolder. Captions, labels and more come from `NAME.txt`, `NAME.json` beside an image, or
    a `metadata.jsonl` in its folder or one above, with `file_name` relative to where it lies, as
    in Hugging Face's imagefolder. Hidden files are not looked at. A symlink is followed once, and
    not at all where it leads to what the folder offers anyway; one that leads nowhere is an input
    that fails. Raises SourceError if the folder is missing, unreadable or holds no image, or if a
    sidecar is no JSON.
    """
    root = _checked(folder.absolute())
    source, walk, empty = name or folder_name(root), _Walk(root), True
    for entry in walk.images():
        empty = False
        parts = Path(entry.path).relative_to(root).parts
        label = printable(parts[0]) if labels == "folders" and len(parts) > 1 else None
        location = file_location(entry.path)
        try:
            said = walk.said(entry)
        except SourceError as error:  # One bad sidecar costs its image, not the listing.
            said, location = {}, f"refused:bad-sidecar:{error}"
        yield Ref(
            uri=printable("/".join(parts)),
            source=printable(source),
            location=location,
            stamp=_stamp(entry),
            license=said.pop("license", None) or license,
            label=said.pop("label", None) or label,
            caption=said.pop("caption", None),
            meta=said,
        )
    if empty:
        raise SourceError(f"no images in {_shown(root)} ({walk.skipped:,} other files)")


def folder_name(folder: Path) -> str:
    """Give the name a folder goes by where its user gave none.

    >>> folder_name(Path("/data/photos/")), folder_name(Path("/data/photos/.."))
    ('photos', 'data')
    """
    name = folder.absolute().name
    if name in {"", ".."}:
        name = Path(os.path.realpath(folder)).name
    return printable(name or "root")


def file_location(path: str) -> str:
    """Give a file's place as a URL: bytes of a name that are no text survive the database.

    >>> file_location("/photos/a b.jpg")
    'file:///photos/a%20b.jpg'
    """
    return "file://" + quote(os.fsencode(path))


def _checked(root: Path) -> Path:
    try:
        if root.is_dir():
            return root
        why = ": it is a file" if root.exists() else ""
    except OSError as error:
        why = f": {error.strerror}"
    raise SourceError(f"no folder {_shown(root)}{why}")


@dataclass
class _Walk:
    root: Path
    skipped: int = 0
    _seen: set[tuple[int, int]] = field(default_factory=set)
    _sidecars: set[str] = field(default_factory=set)
    _metadata: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._real_root = Path(os.path.realpath(self.root))

    def images(self) -> Iterator[Entry]:
        """Walk in sorted order, files before folders, each folder once however many links."""
        waiting = [str(self.root)]
        while waiting:
            folders = []
            for entry in self._entries(waiting.pop()):
                if entry.name.startswith("."):
                    continue
                kind = _kind(entry)
                if self._is_met_anyway(entry, kind):
                    continue
                if kind == "folder":
                    folders.append(entry.path)
                elif kind == "file" and _is_image(entry.name):
                    yield entry
                else:
                    self.skipped += 1
            waiting.extend(reversed(folders))

    def said(self, entry: Entry) -> dict[str, Any]:
        """Collect what the sidecars say of an image."""
        said = self._metadata.pop(entry.path, {})
        stem = os.path.splitext(entry.path)[0]  # noqa: PTH122 - the hot path
        for sidecar in (f"{stem}.txt", f"{entry.path}.txt"):
            if sidecar in self._sidecars:
                said["caption"] = printable(_text(sidecar).strip())
        for sidecar in (f"{stem}.json", f"{entry.path}.json"):
            if sidecar in self._sidecars:
                said |= _fields(_text(sidecar), sidecar)
        return said

    def _entries(self, folder: str) -> list[Entry]:
        """List a folder, unless it was met before, and note what it says of its images."""
        try:
            stat = os.stat(folder)  # noqa: PTH116 - the hot path
            if (stat.st_dev, stat.st_ino) in self._seen:
                return []
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise SourceError(f"cannot list {_shown(folder)}: {error.strerror}") from error
        self._seen.add((stat.st_dev, stat.st_ino))
        if folder != str(self.root) and any(entry.name in _EXPORTS for entry in entries):
            return []  # An export of ours: what came out is not to go in again.
        beside = [entry for entry in entries if entry.name.endswith((".txt", ".json", ".jsonl"))]
        self._sidecars = {entry.path for entry in beside if _kind(entry) == "file"}
        if os.path.join(folder, "metadata.jsonl") in self._sidecars:  # noqa: PTH118 - text keys
            self._metadata |= _metadata(folder)
        return entries

    def _is_met_anyway(self, entry: Entry, kind: str) -> bool:
        """Tell whether a link leads to what is offered without it, or was through another link."""
        if not entry.is_symlink():
            return False
        try:
            stat = entry.stat()
        except OSError:  # It leads nowhere, which is for the reader to say.
            return False
        if self._offers(Path(os.path.realpath(entry.path)), kind):
            return True
        if kind == "folder":  # Entering a folder notes that by itself.
            return False
        met = (stat.st_dev, stat.st_ino) in self._seen
        self._seen.add((stat.st_dev, stat.st_ino))
        return met

    def _offers(self, target: Path, kind: str) -> bool:
        """Tell whether a real path is met without a link; a store in a hidden folder is not."""
        if not target.is_relative_to(self._real_root):
            return False
        hidden = any(part.startswith(".") for part in target.relative_to(self._real_root).parts)
        return not hidden and (kind == "folder" or _is_image(target.name))


def _kind(entry: Entry) -> Literal["folder", "file", "other"]:
    """A link that cannot be followed counts as a file; a pipe or device is never opened."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        entry.stat()
    except OSError:
        return "file"
    return "other"


def _is_image(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - the hot path
    return not suffix or suffix in SUFFIXES


def _stamp(entry: Entry) -> str:
    try:
        stat = entry.stat()
    except OSError:
        return "missing"
    return f"{stat.st_size}:{stat.st_mtime_ns}"


def _metadata(folder: str) -> dict[str, dict[str, Any]]:
    """Read a Hugging Face imagefolder's metadata, one JSON object a line; gives it by path."""
    path, found = os.path.join(folder, "metadata.jsonl"), {}  # noqa: PTH118 - keys are text
    # Not splitlines(): U+2028 and its kind may stand in JSON as they are.
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            said = _fields(line, path, number)
            name = said.pop("file_name", None)
            if not isinstance(name, str) or not name:
                raise SourceError(f"{_shown(path)}:{number}: no file_name in {line[:80]!r}")
            found[os.path.join(folder, os.path.normpath(name))] = said  # noqa: PTH118
    return found


def _fields(text: str, path: str, line: int = 1) -> dict[str, Any]:
    """Read a JSON object; `text` is another word for caption, null says nothing."""
    try:
        said = storable(json.loads(text))
    except (ValueError, RecursionError) as error:
        where = f"{_shown(path)}:{line - 1 + getattr(error, 'lineno', 1)}"
        raise SourceError(f"{where}: not JSON: {getattr(error, 'msg', error)}") from error
    if not isinstance(said, dict):
        raise SourceError(f"{_shown(path)}:{line}: a JSON object is wanted, found {text[:80]!r}")
    said = {key: value for key, value in said.items() if value is not None}
    if "caption" not in said and isinstance(said.get("text"), str):
        said["caption"] = said.pop("text")
    return said | {key: str(said[key]) for key in ("caption", "label", "license") if key in said}


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig", errors="backslashreplace")
    except OSError as error:
        raise SourceError(f"cannot read {_shown(path)}: {error.strerror}") from error


def _shown(path: Path | str) -> str:
    return printable(str(path))
