"""The counts of one build: how every input ended, checked to add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from autods.errors import AutodsError
from autods.report.wording import count

_PLAIN_COUNTS = (
    "inputs",
    "accepted",
    "exact_duplicates",
    "pixel_duplicates",
    "near_duplicates",
    "withheld",
    "flagged",
    "repeated",
)

UNREAD = frozenset(
    "bad-url bad-path bad-row bad-sidecar unsupported-scheme private-address x-robots-noai "
    "robots robots-unreachable gone".split()
)
"""Reasons to reject an input before any of its bytes is read: they say nothing of the data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How every input ended. `accepted` are the members of the version.

    Duplicates are inputs whose bytes (`exact`), decoded pixels (`pixel`) or looks (`near`) are
    those of another input that was kept. `withheld` are sound inputs left out because they look
    like members of two splits. `rejected_by` is a judgement on the bytes, `failed_by` means that
    the bytes could not be had; both map a reason to a count.

    Two counts are parts of others: `flagged` are accepted members that a check objected to, or
    that are marked as near copies, kept because the recipe says so; `repeated` are exact
    duplicates that a source has listed again word for word.

    Raises AutodsError if a count is below 0, they do not add up to `inputs`, or a part exceeds
    its whole.

    >>> counts = Counts(inputs=10, accepted=7, exact_duplicates=2, rejected_by={"truncated": 1})
    >>> counts.equation
    '10 inputs = 7 accepted + 2 duplicates + 1 rejected + 0 failed'
    """

    inputs: int
    accepted: int
    exact_duplicates: int = 0
    pixel_duplicates: int = 0
    near_duplicates: int = 0
    withheld: int = 0
    rejected_by: Mapping[str, int] = field(default_factory=dict)
    failed_by: Mapping[str, int] = field(default_factory=dict)
    flagged: int = 0
    repeated: int = 0

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in _PLAIN_COUNTS}
        given |= {f"rejected_by[{key!r}]": n for key, n in self.rejected_by.items()}
        given |= {f"failed_by[{key!r}]": n for key, n in self.failed_by.items()}
        refuse_negative(given)
        total = sum(self.outcomes.values())
        if total != self.inputs:
            raise AutodsError(
                f"the counts do not add up: {count(self.inputs)} inputs, "
                f"but {self._terms} = {count(total)}"
            )
        self._check_parts()

    @property
    def duplicates(self) -> int:
        """Exact, pixel and near duplicates together."""
        return self.exact_duplicates + self.pixel_duplicates + self.near_duplicates

    @property
    def rejected(self) -> int:
        """All rejected inputs, whatever the reason."""
        return sum(self.rejected_by.values())

    @property
    def failed(self) -> int:
        """All failed inputs, whatever the reason."""
        return sum(self.failed_by.values())

    @property
    def outcomes(self) -> dict[str, int]:
        """How many inputs ended in which way; `withheld` is left out where there are none."""
        withheld = {"withheld": self.withheld} if self.withheld else {}
        ends = {"accepted": self.accepted, "duplicates": self.duplicates, **withheld}
        return {**ends, "rejected": self.rejected, "failed": self.failed}

    @property
    def equation(self) -> str:
        """The sum that every input is part of, written out."""
        return f"{count(self.inputs)} inputs = {self._terms}"

    @property
    def unread(self) -> int:
        """The rejected of which no byte was read, for one of the reasons in `UNREAD`."""
        return sum(number for reason, number in self.rejected_by.items() if reason in UNREAD)

    @property
    def judged(self) -> int:
        """The inputs that say something of the data: those listed once whose bytes were had."""
        return self.inputs - self.repeated - self.unread - self.failed

    @property
    def sound(self) -> int:
        """The members that nothing was found against."""
        return self.accepted - self.flagged

    @property
    def quality_score(self) -> float:
        """Of the inputs whose bytes could be had, the percentage that are sound and new.

        100 * (accepted - flagged) / (inputs - repeated - unread - failed), from 0 to 100, and 0
        where no bytes could be had. Every duplicate, rejection, withheld or flagged input lowers
        it; what was never read does not, because it says nothing of the data. It judges the
        sources, not the members: docs/quality.md discusses it.

        >>> Counts(inputs=9, accepted=6, near_duplicates=2, failed_by={"http-404": 1}).quality_score
        75.0
        >>> Counts(inputs=9, accepted=8, flagged=2, rejected_by={"robots": 1}).quality_score
        75.0
        """
        return 100 * self.sound / self.judged if self.judged else 0.0

    @property
    def score_equation(self) -> str:
        """The quality score written out with the counts it is made of, parts of 0 left out.

        >>> Counts(inputs=9, accepted=8, failed_by={"dns": 1}, flagged=2).score_equation
        '100 × (8 accepted − 2 flagged) ÷ (9 inputs − 1 failed)'
        """
        good = f"{count(self.accepted)} accepted"
        good = f"({good} − {count(self.flagged)} flagged)" if self.flagged else good
        parts = {"repeated": self.repeated, "never read": self.unread}
        less = "".join(f" − {count(number)} {name}" for name, number in parts.items() if number)
        return f"100 × {good} ÷ ({count(self.inputs)} inputs{less} − {count(self.failed)} failed)"

    def _check_parts(self) -> None:
        for part, whole in (("flagged", "accepted"), ("repeated", "exact_duplicates")):
            if getattr(self, part) > getattr(self, whole):
                raise AutodsError(
                    f"{part} {count(getattr(self, part))} cannot be more than "
                    f"{whole} {count(getattr(self, whole))}, of which it is a part"
                )

    @property
    def _terms(self) -> str:
        return " + ".join(f"{count(number)} {name}" for name, number in self.outcomes.items())


def refuse_negative(counts: Mapping[str, int]) -> None:
    """Raise AutodsError naming the counts that are below 0."""
    wrong = {name: number for name, number in counts.items() if number < 0}
    if wrong:
        raise AutodsError(f"counts below 0: {wrong}")
