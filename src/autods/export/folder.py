"""Write members as image folders by split and label, with Hugging Face's metadata.jsonl."""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from autods.errors import UsageError
from autods.export.encode import json_bytes, utf8
from autods.export.member import Sample, checked, extension, row
from autods.export.place import link_or_copy, make_folder, rebuilding
from autods.export.reading import Read, each

UNLABELLED = "unlabelled"
MARK = "folder.json"

_Place = Callable[[Sample, Path], tuple[bool, int]]

_MAX_BYTES = 80
# What Windows forbids, what glob patterns and fsspec's URLs read as their own, and what is not
# printed (control, format, surrogate, private use and unassigned characters are found by category).
_FORBIDDEN = frozenset('/\\:*?"<>|[]')
_HASHED = re.compile(r".*-[0-9a-f]{12}", re.DOTALL)
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderExport:
    """What was written: the files, how many are links to the store's, the bytes of the others."""

    files: int
    linked: int
    copied_bytes: int


def write_folder(
    samples: Iterable[Sample],
    out: Path,
    *,
    read: Read,
    path_of: Callable[[str], Path | None] | None = None,
) -> FolderExport:
    """Write `out/{split}/{label}/{key}.{ext}` and a `metadata.jsonl` per split.

    `path_of` gives the file that holds an asset, by its SHA-256, or None: it is hard-linked where
    the file system can (then the export shares the store's bytes: do not edit it in place), else
    copied. Without a file the bytes come from `read`. Samples without a label lie in `unlabelled`;
    `label_folders` tells how labels become folder names. The metadata has a line per sample:
    `file_name` and the fields of `member.row`. `out/folder.json` lists which folder is which label.

    The tree depends on the set of samples alone. `out` is replaced as a whole at the end, and only
    if it is an earlier export of this kind or empty (`UsageError` otherwise).
    """
    members = sorted(checked(samples), key=lambda sample: (sample.split, sample.sha256))
    names = label_folders({sample.label for sample in members})

    def source(sample: Sample) -> Path | None:
        path = path_of(sample.sha256) if path_of else None
        return path if path is not None and path.is_file() else None

    # Asked once of each: who keeps copies of a far place reads a file to tell that it is sound.
    paths = {sample.sha256: source(sample) for sample in members}
    copied = each(read, (s.sha256 for s in members if paths[s.sha256] is None))

    def place(sample: Sample, target: Path) -> tuple[bool, int]:
        path = paths[sample.sha256]
        if path is not None:
            return link_or_copy(path, target), path.stat().st_size
        return False, target.write_bytes(next(copied))

    done: list[tuple[bool, int]] = []
    with rebuilding(Path(out), mark=MARK) as partial:
        for split, group in groupby(members, key=lambda sample: sample.split):
            done += _write_split(partial / split, list(group), names, place)
        _write_facts(partial / MARK, len(members), names)
    return FolderExport(
        files=len(done),
        linked=sum(linked for linked, _ in done),
        copied_bytes=sum(size for linked, size in done if not linked),
    )


def label_folders(labels: Iterable[str | None]) -> dict[str | None, str]:
    """Return a folder name for every label, safe on all common file systems and never shared.

    A label that is safe is its own name. In any other, what is not safe becomes an underscore,
    leading dots and double underscores go (readers skip such folders), 80 bytes are kept, and a
    hash of the label follows, so that two labels stay apart that look alike afterwards; so do
    labels that differ in case alone. None is `unlabelled`. `UsageError` if two names still meet.

    >>> label_folders(["cat", "../cat", None])
    {'cat': 'cat', '../cat': '_cat-37153b69bc80', None: 'unlabelled'}
    """
    wanted = dict.fromkeys(labels)
    cleaned = {label: _clean(label) for label in wanted if label is not None}
    crowd = Counter([UNLABELLED, *(name.casefold() for name in cleaned.values())])
    names: dict[str | None, str] = {}
    for label in wanted:
        if label is None:
            names[label] = UNLABELLED
        elif _is_own_name(label, cleaned[label]) and crowd[label.casefold()] == 1:
            names[label] = label
        else:
            digest = hashlib.blake2b(utf8(label), digest_size=6).hexdigest()
            names[label] = f"{cleaned[label]}-{digest}"
    if len({name.casefold() for name in names.values()}) < len(names):
        raise UsageError("two labels have one folder name although hashed; rename one of them")
    return names


def _is_own_name(label: str, cleaned: str) -> bool:
    return label == cleaned and not _HASHED.fullmatch(label)


def _clean(label: str) -> str:
    text = "".join(map(_safe_character, unicodedata.normalize("NFC", label))).strip(" .")
    if text.startswith("__"):
        text = "_" + text.lstrip("_")
    if _DEVICE.fullmatch(text):
        text = f"_{text}"
    return text.encode()[:_MAX_BYTES].decode(errors="ignore").rstrip(" .") or "_"


def _safe_character(character: str) -> str:
    unprinted = unicodedata.category(character)[0] == "C" or (
        character.isspace() and character != " "
    )
    return "_" if unprinted or character in _FORBIDDEN else character


def _write_split(
    folder: Path, members: Sequence[Sample], names: Mapping[str | None, str], place: _Place
) -> list[tuple[bool, int]]:
    for label in {sample.label for sample in members}:
        make_folder(folder / names[label])
    done = []
    lines = []
    for sample in members:
        name = f"{names[sample.label]}/{sample.key}.{extension(sample.format)}"
        done.append(place(sample, folder / name))
        lines.append(json_bytes({"file_name": name, **row(sample)}) + b"\n")
    (folder / "metadata.jsonl").write_bytes(b"".join(lines))
    return done


def _write_facts(path: Path, files: int, names: Mapping[str | None, str]) -> None:
    labels = {name: label for label, name in sorted(names.items(), key=lambda pair: pair[1])}
    facts = {"format": "folder", "files": files, "labels": labels}
    path.write_bytes(utf8(json.dumps(facts, indent=1, ensure_ascii=False) + "\n"))
