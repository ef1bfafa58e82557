"""Train, val and test: decided once by a hash of the near-duplicate group, and never moved."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import sqlalchemy as sa
from annotated_types import Ge

from autods.catalog import Catalog
from autods.catalog.tables import now, splits
from autods.errors import UsageError

CONFLICT = "split-conflict"


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The share of each split, and the seed of the hash that deals samples out.

    Other shares deal new samples differently; a sample that has a split keeps it.
    """

    train: Annotated[float, Ge(0)] = 0.8
    val: Annotated[float, Ge(0)] = 0.1
    test: Annotated[float, Ge(0)] = 0.1
    seed: int = 42

    def __post_init__(self) -> None:
        shares = (self.train, self.val, self.test)
        if not (min(shares) >= 0 and abs(sum(shares) - 1) <= 1e-9):
            found = " + ".join(f"{share:g}" for share in shares)
            raise UsageError(f"train + val + test must be 1, none below 0; found {found}")


@dataclass(frozen=True, slots=True)
class Placed:
    """A sample that was kept, and the kept ones that look like it (asset ids)."""

    asset_id: int
    sha256: str
    lookalikes: Sequence[int] = ()


def split_of(group: str, shares: Splits) -> str:
    """Deal a group into a split by SHA-256 of seed and group name; test first, then val.

    In that order a larger test share takes samples from val and train, never the other way.

    >>> split_of("ab", Splits(train=0, val=0, test=1))
    'test'
    """
    digest = hashlib.sha256(f"{shares.seed}:{group}".encode()).digest()
    point = int.from_bytes(digest[:8]) / 2**64
    if point < shares.test:
        return "test"
    return "val" if point < shares.test + shares.val else "train"


def assign_splits(
    catalog: Catalog,
    db: sa.Connection,
    dataset_id: int,
    placed: Sequence[Placed],
    shares: Splits,
) -> set[int]:
    """Give each newly placed sample its split, in arrival order; returns those withheld.

    A sample joins the split of those that look like it; one whose lookalikes sit in two splits
    would tie them together, so it is withheld. One that had a split before keeps it, and is
    withheld where it now looks like a sample of another.
    """
    known = _known(db, dataset_id, placed)
    withheld: set[int] = set()
    rows = []
    for sample in placed:
        around = (sample.asset_id, *sample.lookalikes)
        near = {known[other] for other in around if other in known}
        if len({split for split, _ in near}) > 1:
            withheld.add(sample.asset_id)
        if len({split for split, _ in near}) > 1 or sample.asset_id in known:
            continue
        group = min(near)[1] if near else sample.sha256
        split = min(near)[0] if near else split_of(group, shares)
        known[sample.asset_id] = (split, group)
        rows.append(_row(dataset_id, sample.asset_id, split, group))
    catalog.insert_new(db, splits, rows)
    return withheld


def _row(dataset_id: int, asset_id: int, split: str, group: str) -> dict[str, object]:
    row = {"dataset_id": dataset_id, "asset_id": asset_id, "split": split}
    return {**row, "group_sha256": group, "placed_at": now()}


def _known(
    db: sa.Connection, dataset_id: int, placed: Iterable[Placed]
) -> dict[int, tuple[str, str]]:
    """Read the splits that matter here: of the samples themselves and of their lookalikes."""
    wanted = {i for sample in placed for i in (sample.asset_id, *sample.lookalikes)}
    known: dict[int, tuple[str, str]] = {}
    ids = sorted(wanted)
    for start in range(0, len(ids), 10_000):
        query = sa.select(splits.c.asset_id, splits.c.split, splits.c.group_sha256).where(
            splits.c.dataset_id == dataset_id,
            splits.c.asset_id.in_(ids[start : start + 10_000]),
        )
        known |= {row.asset_id: (row.split, row.group_sha256) for row in db.execute(query)}
    return known


def counts(shares: Mapping[str, int]) -> str:
    """Write split counts as people read them.

    >>> counts({"train": 8, "test": 1})
    'train 8, test 1'
    """
    order = ("train", "val", "test")
    return ", ".join(f"{name} {shares[name]:,}" for name in order if name in shares)
