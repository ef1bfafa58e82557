"""A split is dealt by a hash, kept for ever, and never torn between lookalikes."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from autods.assemble.splits import Placed, Splits, assign_splits, counts, split_of
from autods.catalog import Catalog
from autods.catalog.tables import blobs, now, splits
from autods.errors import UsageError


def sha(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


class Dealer:
    """A catalog that holds some assets, and deals them out in one dataset."""

    def __init__(self, url: str, count: int = 100, shares: Splits | None = None) -> None:
        self.catalog, self.shares = Catalog(url), shares or Splits()
        self.dataset_id = self.catalog.dataset_id("cats")
        at = now()
        with self.catalog.begin() as db:
            rows = [{"sha256": sha(n), "size": 1, "created_at": at} for n in range(1, count + 1)]
            db.execute(sa.insert(blobs), rows)

    def deal(self, *samples: tuple[int, Sequence[int]] | int) -> set[int]:
        placed = [
            Placed(sample, sha(sample)) if isinstance(sample, int)
            else Placed(sample[0], sha(sample[0]), sample[1])
            for sample in samples
        ]  # fmt: skip
        with self.catalog.begin() as db:
            return assign_splits(self.catalog, db, self.dataset_id, placed, self.shares)

    def where(self) -> dict[int, str]:
        return {number: split for number, (split, _) in self.rows().items()}

    def rows(self) -> dict[int, tuple[str, str]]:
        query = sa.select(splits).where(splits.c.dataset_id == self.dataset_id)
        with self.catalog.read() as db:
            return {row.asset_id: (row.split, row.group_sha256) for row in db.execute(query)}

    def forget(self) -> None:
        with self.catalog.begin() as db:
            db.execute(sa.delete(splits))


@pytest.fixture
def dealer(catalog_url: str) -> Iterator[Dealer]:
    dealer = Dealer(catalog_url)
    yield dealer
    dealer.catalog.close()


def one_of(split: str, beyond: int = 0) -> int:
    """An asset that falls in a split by itself."""
    return next(n for n in range(beyond + 1, 100) if split_of(sha(n), Splits()) == split)


TRAIN, VAL, TEST = one_of("train"), one_of("val"), one_of("test")


# The hash.


@pytest.mark.parametrize(
    "shares",
    [{"train": 0.5}, {"train": 0.8, "val": 0.2}, {"train": 2, "val": -1, "test": 0},
     {"train": float("nan")}, {"train": float("inf")}, {"train": 0, "val": 0, "test": 0}],
)  # fmt: skip
def test_shares_that_are_no_shares_are_refused(shares: dict[str, float]) -> None:
    message = r"^train \+ val \+ test must be 1, none below 0; found "
    with pytest.raises(UsageError, match=message):
        Splits(**shares)  # type: ignore[arg-type]


def test_shares_may_be_what_floats_make_of_them() -> None:
    assert Splits(train=0.7, val=0.2, test=0.1).train == 0.7
    assert Splits(train=1 / 3, val=1 / 3, test=1 / 3).val == 1 / 3
    assert Splits(train=1, val=0, test=0).test == 0


def test_the_deal_is_the_same_on_every_machine() -> None:
    """By SHA-256 of seed and name, so it can be told without us."""
    point = int(hashlib.sha256(f"42:{sha(1)}".encode()).hexdigest()[:16], 16) / 2**64
    wanted = "test" if point < 0.1 else "val" if point < 0.2 else "train"
    assert split_of(sha(1), Splits()) == wanted
    dealt = "".join(split_of(sha(n), Splits())[0] for n in range(30))
    assert dealt == "".join(split_of(sha(n), Splits())[0] for n in range(30))
    assert dealt != "".join(split_of(sha(n), Splits(seed=43))[0] for n in range(30))


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.98, 0.01, 0.01)])
def test_twenty_thousand_groups_fall_in_proportion(shares: tuple[float, float, float]) -> None:
    """Within four standard deviations of a fair deal: one run in 16,000 would miss that by luck."""
    options = Splits(train=shares[0], val=shares[1], test=shares[2])
    found = Counter(split_of(sha(n), options) for n in range(20_000))
    for name, share in zip(("train", "val", "test"), shares, strict=True):
        assert abs(found[name] / 20_000 - share) < 4 * (share * (1 - share) / 20_000) ** 0.5


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_a_share_of_one_takes_all_and_a_share_of_none_nothing(name: str) -> None:
    shares = {"train": 0.0, "val": 0.0, "test": 0.0, name: 1.0}
    options = Splits(train=shares["train"], val=shares["val"], test=shares["test"])
    assert {split_of(sha(n), options) for n in range(500)} == {name}


def test_a_larger_test_share_takes_and_never_gives() -> None:
    small, large = Splits(), Splits(train=0.6, val=0.1, test=0.3)
    for n in range(2000):
        if split_of(sha(n), small) == "test":
            assert split_of(sha(n), large) == "test"


# The table of splits.


def test_each_sample_gets_the_split_of_its_name(dealer: Dealer) -> None:
    assert dealer.deal(*range(1, 101)) == set()
    assert dealer.where() == {n: split_of(sha(n), Splits()) for n in range(1, 101)}
    assert dealer.rows()[5][1] == sha(5)


def test_a_known_sample_never_moves_whatever_becomes_of_shares_and_seed(dealer: Dealer) -> None:
    dealer.deal(*range(1, 51))
    before = dealer.rows()
    for shares in (Splits(train=0, val=0, test=1), Splits(seed=1), Splits(train=0, val=1, test=0)):
        dealer.shares = shares
        assert dealer.deal(*range(1, 51)) == set()
        assert dealer.rows() == before
    dealer.deal(51)
    assert dealer.where()[51] == "val"


def test_lookalikes_join_the_split_and_the_group_of_the_first(dealer: Dealer) -> None:
    dealer.deal(TEST)
    assert dealer.deal((TRAIN, [TEST]), (VAL, [TRAIN])) == set()
    assert dealer.rows() == dict.fromkeys((TEST, TRAIN, VAL), ("test", sha(TEST)))


def test_lookalikes_of_one_batch_join_too(dealer: Dealer) -> None:
    assert dealer.deal(VAL, (TRAIN, [VAL]), (TEST, [TRAIN, VAL])) == set()
    assert set(dealer.where().values()) == {"val"}


def test_a_sample_between_two_splits_is_withheld(dealer: Dealer) -> None:
    dealer.deal(TRAIN, TEST)
    assert dealer.deal((VAL, [TRAIN, TEST])) == {VAL}
    assert VAL not in dealer.where()
    again = one_of("train", TRAIN)
    assert dealer.deal((VAL, [TRAIN, TEST]), (again, [VAL])) == {VAL}
    assert dealer.where()[again] == "train"


def test_a_lookalike_that_has_no_split_does_not_count(dealer: Dealer) -> None:
    assert dealer.deal((TRAIN, [TEST, VAL])) == set()
    assert dealer.where() == {TRAIN: "train"}


def test_a_known_sample_that_comes_to_look_like_another_split_is_withheld_and_stays(
    dealer: Dealer,
) -> None:
    """So it is after a change of radius: all are placed again, and none may move."""
    dealer.deal(TRAIN, TEST)
    assert dealer.deal(TRAIN, (TEST, [TRAIN])) == {TEST}
    assert dealer.where() == {TRAIN: "train", TEST: "test"}


def test_a_sample_named_twice_is_one(dealer: Dealer) -> None:
    assert dealer.deal(TRAIN, TRAIN, (TRAIN, [TRAIN])) == set()
    assert dealer.where() == {TRAIN: "train"}
    assert dealer.deal() == set()


def test_two_datasets_do_not_meet(dealer: Dealer) -> None:
    dealer.deal(TEST)
    dealer.dataset_id = dealer.catalog.dataset_id("dogs")
    assert dealer.deal((TRAIN, [TEST])) == set()
    assert dealer.where() == {TRAIN: "train"}


def cut(stream: Sequence[Any], sizes: Iterable[int]) -> list[Sequence[Any]]:
    parts, start = [], 0
    for size in sizes:
        parts.append(stream[start : start + size])
        start += size
    return [*parts, stream[start:]]


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[int, list[int]]]:
    """Samples in arrival order, each with some of those before it as lookalikes."""
    order = draw(st.permutations(range(1, 31)))
    return [
        (sample, draw(st.lists(st.sampled_from(order[:n]), max_size=2)) if n else [])
        for n, sample in enumerate(order)
    ]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Dealer:
    shares = Splits(train=0.4, val=0.3, test=0.3)
    return Dealer(str(tmp_path_factory.mktemp("splits") / "catalog.db"), shares=shares)


@pytest.mark.slow
@given(stream=streams(), sizes=st.lists(st.integers(0, 9), max_size=6))
def test_batches_change_nothing(table: Dealer, stream: Any, sizes: list[int]) -> None:
    """Twenty weekly increments end where one build would."""
    table.forget()
    withheld = table.deal(*stream)
    at_once = table.rows()
    table.forget()
    assert set().union(*(table.deal(*part) for part in cut(stream, sizes))) == withheld
    assert table.rows() == at_once


@pytest.mark.slow
@given(stream=streams())
def test_no_two_lookalikes_sit_in_two_splits(table: Dealer, stream: Any) -> None:
    table.forget()
    withheld = table.deal(*stream)
    where = table.where()
    assert where.keys() | withheld == {sample for sample, _ in stream}
    assert not where.keys() & withheld
    for sample, lookalikes in stream:
        if sample in where:
            assert {where[other] for other in lookalikes if other in where} <= {where[sample]}


@pytest.mark.slow
def test_thirty_thousand_lookalikes_at_once(tmp_path: Path) -> None:
    dealer = Dealer(str(tmp_path / "catalog.db"), 30_000)
    dealer.deal(*range(1, 15_001))
    assert dealer.deal(*((n, [n - 15_000]) for n in range(15_001, 30_001))) == set()
    where = dealer.where()
    assert all(where[n] == where[n - 15_000] for n in range(15_001, 30_001))


def test_counts_are_written_in_the_usual_order() -> None:
    assert counts({"test": 1, "train": 12_345}) == "train 12,345, test 1"
    assert counts({}) == ""
