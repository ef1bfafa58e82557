"""The shapes that flow through every stage: a Ref comes in; an asset, or a Refusal, comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ABSTAIN = -1
"""What a labeling function answers when it has no opinion (Snorkel's term and value)."""

Status = Literal["asset", "duplicate", "rejected", "failed"]
"""How every input ends; over a run the four add up to the inputs."""


@dataclass(frozen=True, slots=True)
class Ref:
    """Something worth having: where it is, and what was said of it there.

    `uri` names it for good (a URL, or a path relative to its source, so that a folder can move);
    `location` is where its bytes can be had today. `stamp` tells, without reading the thing, that
    it has changed (size and mtime of a file). Two Refs with one source, uri and stamp are the
    same input.
    """

    uri: str
    source: str
    location: str
    stamp: str = ""
    license: str | None = None
    label: str | None = None
    caption: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one input did not become an asset.

    `rejected` is a judgement on the bytes and is final; `failed` means the bytes could not be had,
    and is tried again by the next run. `reason` is a short code fit for counting (`truncated`,
    `http-404`), `detail` is the sentence behind it.
    """

    status: Literal["rejected", "failed"]
    reason: str
    detail: str = ""
