"""One member of a version as the exports see it: the row `Sample`, its names and its JSON."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autods.errors import UsageError
from autods.export.encode import json_bytes

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,63}")
_FORMAT = re.compile(r"[a-z0-9]{1,16}")
_EXTENSIONS = {"jpeg": "jpg", "tiff": "tif", "mpo": "jpg"}
_TAKEN = ("json", "txt", "idx", "tar")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A member of a version: the asset by its SHA-256, and all that the version says of it.

    `label_kind` is who gave the label (human, source, weak, model), `probability` how surely.
    `weight` is for the loss; `copies` is how often the member counts in one epoch of a balanced
    version. None means that nothing is known.
    """

    sha256: str
    split: str
    label: str | None = None
    label_kind: str | None = None
    probability: float | None = None
    weight: float = 1.0
    copies: int = 1
    caption: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    license: str | None = None
    uri: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name in an export: 20 hex digits (80 bits) of the SHA-256.

        Eighty bits keep a billion members apart but for a chance of 4e-7 (birthday bound), and
        names short.
        """
        return self.sha256[:20]


def checked(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples as a list if they can be exported together, else raise `UsageError`.

    Each is named by a SHA-256 in lower-case hex, lies in a split that Hugging Face can name, has
    at least one copy, and no two share a key: a member is in a version, and in one split, once.
    """
    members = list(samples)
    seen: dict[str, Sample] = {}
    for sample in members:
        if not _SHA256.fullmatch(sample.sha256):
            raise UsageError(f"{sample.sha256!r} is not a SHA-256 in lower-case hex")
        if not _SPLIT.fullmatch(sample.split):
            raise UsageError(
                f"{sample.split!r} cannot be a split: letters, digits and underscores are valid"
            )
        if sample.copies < 1:
            raise UsageError(f"sample {sample.key} has {sample.copies} copies; at least 1 is valid")
        other = seen.get(sample.key)
        if other is not None:
            raise UsageError(
                f"samples {other.sha256} ({other.split}) and {sample.sha256} ({sample.split}) "
                f"share the key {sample.key}"
            )
        seen[sample.key] = sample
    return members


def extension(image_format: str | None) -> str:
    """Return the file extension of a format, `bin` where it is unknown or would be misread.

    >>> [extension(name) for name in ("JPEG", "png", None, "json")]
    ['jpg', 'png', 'bin', 'bin']
    """
    name = (image_format or "").lower()
    if not _FORMAT.fullmatch(name) or name in _TAKEN:
        return "bin"
    return _EXTENSIONS.get(name, name)


def row(sample: Sample) -> dict[str, Any]:
    """Return what is known of a sample, with a typed stand-in for what is not.

    A missing text is "", a missing size 0; a missing probability is 1.0 for a label that came
    without a doubt and 0.0 for no label; `meta` is JSON in a text. The reason is Hugging Face's
    readers: they take the schema from the first five samples of a shard (and the first lines of a
    metadata.jsonl), so a null there makes the first real value fail, a whole number there cuts the
    decimals off those that follow, and a new key is dropped. Parquet has nulls, and keeps them.
    """
    unsaid = 0.0 if sample.label is None else 1.0
    return {
        "sha256": sample.sha256,
        "split": sample.split,
        "label": sample.label or "",
        "label_kind": sample.label_kind or "",
        "probability": unsaid if sample.probability is None else float(sample.probability),
        "weight": float(sample.weight),
        "copies": sample.copies,
        "caption": sample.caption or "",
        "width": sample.width or 0,
        "height": sample.height or 0,
        "format": sample.format or "",
        "license": sample.license or "",
        "uri": sample.uri or "",
        "meta": json_bytes(dict(sample.meta)).decode(),
    }


def row_json(sample: Sample) -> bytes:
    """Return the canonical JSON of `row`: the same bytes for the same member, everywhere."""
    return json_bytes(row(sample))
