"""Weak labels for the members of a version: functions vote, the label model joins the votes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from autods.label.analysis import LFSummary, lf_summary
from autods.label.apply import Fault, apply_functions
from autods.label.functions import LabelingFunction
from autods.label.models import LabelModel
from autods.label.ties import TiePolicy
from autods.records import ABSTAIN

if TYPE_CHECKING:
    import pyarrow as pa

_HIDDEN = ("label", "label_kind", "probability", "asset_id", "weight", "split")
"""What functions do not see: their own earlier answers would come back as evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakLabels:
    """What the functions and the model say, and how far it can be believed.

    `said` holds asset_id, label and probability of each member that got a label; `uncovered`
    counts those on which every function abstained, `tied` those the model could not decide.
    """

    said: list[dict[str, Any]]
    functions: list[LFSummary]
    faults: tuple[Fault, ...]
    uncovered: int
    tied: int


def weak_labels(
    members: "pa.Table",
    functions: Sequence[LabelingFunction],
    *,
    classes: Sequence[str],
    model: Literal["em", "majority"],
    tie_policy: TiePolicy,
    min_probability: float,
) -> WeakLabels:
    """Ask the functions about every member, fit the model on all votes, and label what it can.

    `members` has asset_id, sha256 and whatever the functions look at. The labels that people and
    sources gave serve as gold for the functions' empirical accuracy, not for the model.
    """
    votes = apply_functions(functions, _rows(members), classes=classes)
    fitted = LabelModel(len(classes), "em" if model == "em" else "majority").fit(votes.L)
    probabilities = fitted.predict_proba(votes.L)
    keys = members["sha256"].to_pylist()
    chosen = fitted.predict(votes.L, tie_policy=tie_policy, keys=keys)
    covered = (votes.L != ABSTAIN).any(axis=1)
    chosen[~covered] = ABSTAIN  # A class for what nobody looked at would be an invention.
    sure = probabilities[np.arange(len(chosen)), np.maximum(chosen, 0)]
    told = (chosen != ABSTAIN) & (sure >= min_probability)
    ids = members["asset_id"].to_numpy()
    return WeakLabels(
        said=[
            # Rounded: a model knows no better, and a refit on one more row then seldom changes
            # what was said of the others, or the shards that say it.
            {"asset_id": int(i), "label": classes[c], "probability": round(float(p), 2)}
            for i, c, p in zip(ids[told], chosen[told], sure[told], strict=True)
        ],
        functions=lf_summary(votes.L, votes.names, _gold(members, classes)),
        faults=votes.faults,
        uncovered=int((~covered).sum()),
        tied=int((covered & (chosen == ABSTAIN)).sum()),
    )


def _rows(members: "pa.Table") -> Iterator[dict[str, Any]]:
    seen = members.drop_columns([name for name in _HIDDEN if name in members.column_names])
    return (row for batch in seen.to_batches(8192) for row in batch.to_pylist())


def _gold(members: "pa.Table", classes: Sequence[str]) -> np.ndarray[Any, Any] | None:
    number = {name: index for index, name in enumerate(classes)}
    trusted = zip(members["label"].to_pylist(), members["label_kind"].to_pylist(), strict=True)
    gold = [number.get(label, ABSTAIN) if kind in ("human", "source") else ABSTAIN
            for label, kind in trusted]  # fmt: skip
    return np.array(gold) if any(g != ABSTAIN for g in gold) else None
