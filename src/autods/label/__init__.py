"""Weak labels: labeling functions vote on each row, and a label model joins the votes."""

from autods.label.analysis import (
    LFSummary,
    label_conflict,
    label_coverage,
    label_overlap,
    lf_summary,
)
from autods.label.apply import Fault, VoteResult, apply_functions
from autods.label.functions import LabelingFunction, labeling_function
from autods.label.load import load_functions
from autods.label.models import LabelModel, MajorityLabelVoter
from autods.records import ABSTAIN

__all__ = [
    "ABSTAIN",
    "Fault",
    "LFSummary",
    "LabelModel",
    "LabelingFunction",
    "MajorityLabelVoter",
    "VoteResult",
    "apply_functions",
    "label_conflict",
    "label_coverage",
    "label_overlap",
    "labeling_function",
    "lf_summary",
    "load_functions",
]
