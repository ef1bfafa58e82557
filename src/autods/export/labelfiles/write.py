"""Writing the label files of a version's members, of any kind, as one folder at one stroke."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from autods.errors import UsageError
from autods.export.encode import json_bytes, utf8
from autods.export.folder import label_folders, write_folder
from autods.export.labelfiles.boxes import boxes_of
from autods.export.labelfiles.coco import coco
from autods.export.labelfiles.custom import Function, made_by
from autods.export.labelfiles.separate import (
    Add,
    caption_text,
    json_each,
    label_text,
    one_each,
)
from autods.export.labelfiles.yolo import yolo
from autods.export.member import Sample, checked, extension
from autods.export.place import rebuilding
from autods.export.reading import Read
from autods.records import Refusal
from autods.settings import did_you_mean

Kind = Literal["txt", "caption", "json", "yolo", "coco"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MARK, FAILED = "labels.json", "failed.jsonl"
WITH_BOXES: tuple[Kind, ...] = ("yolo", "coco")
"""The kinds that number classes, and that images may be copied to."""

_Open = Callable[[Path, "_Survey"], AbstractContextManager[Add]]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelFiles:
    """What was written: of `images`, `written` have labels in `files` files, `failed` could not.

    Of the others nothing is known that the kind could say. `failures` holds the first ten
    sentences of what went wrong; all of them are in `failed.jsonl`.
    """

    images: int
    written: int
    failed: int
    files: int
    failures: tuple[str, ...] = ()


def write_labels(
    samples: Iterable[Sample],
    out: Path,
    *,
    kind: Kind | Function,
    suffix: str | None = None,
    classes: Sequence[str] | None = None,
    name: str = "",
    read: Read | None = None,
) -> LabelFiles:
    """Write the labels of `samples` to the folder `out`, which is replaced as a whole at the end.

    `kind` is one of `KINDS`, or a function that gives each image's file, which ends in `suffix`.
    A file is named as its image is by `write_folder`: `{split}/{label}/{key}`. `classes` fixes the
    numbers of YOLO's and COCO's classes, which are else the labels in sorted order; with `read`
    the images are copied to `out/images` for those two. `name` is what COCO's `info` says.

    The bytes depend on the set of samples alone. Samples that come in the order of their SHA-256
    and can be iterated again, as a version's can, are not held in memory. Raises UsageError for
    a kind, suffix, class or folder that will not do; an image that cannot be written is counted.
    """
    opener = _opener(kind, suffix, classes, name, copies=read is not None)
    ordered = _ordered(samples)
    survey = _Survey.of(ordered, boxed=kind in WITH_BOXES).with_classes(classes)
    with rebuilding(Path(out), mark=MARK) as partial:
        failures = partial / FAILED
        with opener(partial, survey) as add, failures.open("wb") as failed:
            tally = _Tally()
            for sample in ordered:
                if refusal := tally.add(add(sample, survey.name_of(sample))):
                    said = {"sha256": sample.sha256, "split": sample.split}
                    why = {"reason": refusal.reason, "detail": refusal.detail}
                    failed.write(json_bytes(said | why) + b"\n")
        if not tally.failed:
            failures.unlink()
        done = tally.done(sum(path.is_file() for path in partial.rglob("*")))
        if read is not None:
            write_folder(ordered, partial / "images", read=read)
        (partial / MARK).write_bytes(_mark(kind, done, survey))
    return done


def _opener(
    kind: Kind | Function,
    suffix: str | None,
    classes: Sequence[str] | None,
    name: str,
    *,
    copies: bool,
) -> _Open:
    """Find what writes a kind, and refuse what does not go with it."""
    if (classes is not None or copies) and kind not in WITH_BOXES:
        raise UsageError(f"classes and images go with {' and '.join(WITH_BOXES)} alone")
    if callable(kind):
        content = made_by(kind, suffix)
        return lambda folder, _: one_each(folder, content)
    if suffix is not None:
        raise UsageError(f"a suffix goes with a function, not with {kind!r}")
    openers: dict[str, _Open] = {
        "txt": lambda folder, _: one_each(folder, label_text),
        "caption": lambda folder, _: one_each(folder, caption_text),
        "json": lambda folder, _: json_each(folder),
        "yolo": lambda folder, survey: yolo(folder, survey.classes),
        "coco": lambda folder, survey: coco(
            folder, survey.classes, licenses=survey.licenses, name=name
        ),
    }
    if kind not in openers:
        raise UsageError(f"no kind of label files {kind!r}; {did_you_mean(str(kind), KINDS)}")
    return openers[kind]


def _ordered(samples: Iterable[Sample]) -> Iterable[Sample]:
    """Check the samples, and give them by SHA-256: as they are if they come so, else gathered."""
    again = list(samples) if isinstance(samples, Iterator) else samples
    last: Sample | None = None
    for sample in again:
        checked([last, sample] if last and last.key == sample.key else [sample])
        if last and sample.sha256 < last.sha256:
            return sorted(checked(again), key=lambda sample: sample.sha256)
        last = sample
    return again


@dataclass(frozen=True)
class _Survey:
    """What must be known of all samples before the first is written."""

    folders: dict[str | None, str]
    classes: tuple[str, ...]
    licenses: tuple[str, ...]

    @classmethod
    def of(cls, samples: Iterable[Sample], *, boxed: bool) -> "_Survey":
        labels: set[str | None] = set()
        classes: set[str] = set()
        licenses: set[str] = set()
        for sample in samples:
            labels.add(sample.label)
            licenses |= {sample.license} if sample.license else set()
            boxes = boxes_of(sample) if boxed else None
            classes |= {box.label for box in boxes} if isinstance(boxes, list) else set()
        return cls(label_folders(labels), tuple(sorted(classes)), tuple(sorted(licenses)))

    def with_classes(self, given: Sequence[str] | None) -> "_Survey":
        """Number the classes as given; UsageError if one comes twice or is missing."""
        if given is None:
            return self
        if len(set(given)) < len(given):
            raise UsageError(f"a class is named twice: {', '.join(given)}")
        if missing := sorted(set(self.classes) - set(given)):
            raise UsageError(f"label {missing[0]!r} is none of the classes {', '.join(given)}")
        return _Survey(self.folders, tuple(given), self.licenses)

    def name_of(self, sample: Sample) -> str:
        """Give the image's name in its split, as `write_folder` calls it."""
        return f"{self.folders[sample.label]}/{sample.key}.{extension(sample.format)}"


@dataclass
class _Tally:
    images: int = 0
    written: int = 0
    failed: int = 0
    failures: tuple[str, ...] = ()

    def add(self, outcome: Refusal | bool) -> Refusal | None:
        """Count how a sample ended; gives the refusal, if that is how."""
        self.images += 1
        if not isinstance(outcome, Refusal):
            self.written += outcome
            return None
        self.failed += 1
        self.failures = (*self.failures, outcome.detail)[:10]
        return outcome

    def done(self, files: int) -> LabelFiles:
        return LabelFiles(files=files, **vars(self))


def _mark(kind: Kind | Function, done: LabelFiles, survey: _Survey) -> bytes:
    said = {name: count for name, count in asdict(done).items() if name != "failures"}
    told = {"format": "labels", "kind": "custom" if callable(kind) else kind, **said}
    classes = {"classes": survey.classes} if kind in WITH_BOXES else {}
    return utf8(json.dumps(told | classes, indent=1, ensure_ascii=False) + "\n")
