"""The ledger keeps every word, and says which one counts."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from autods.catalog import Catalog
from autods.catalog.tables import blobs, ledger, now, refs
from autods.errors import UsageError
from autods.label.ledger import (
    PRECEDENCE,
    WITHDRAWN,
    count_conflicts,
    enter_source_labels,
    in_force,
    say,
)

Word = tuple[str, str | None]


class Book:
    """A catalog with ten assets and one dataset, and short words for what one does with them."""

    def __init__(self, url: str, count: int = 10) -> None:
        self.catalog = Catalog(url)
        self.dataset_id = self.catalog.dataset_id("cats")
        at = now()
        rows = [{"sha256": hashlib.sha256(f"{n}".encode()).hexdigest(), "size": 1, "created_at": at}
                for n in range(count)]  # fmt: skip
        with self.catalog.begin() as db:
            db.execute(sa.insert(blobs), rows)

    def begin_anew(self) -> None:
        """Go on in another dataset; the first stays as it is."""
        self.dataset_id = self.catalog.dataset_id(f"after {self.dataset_id}")

    def see(self, asset: int | None, label: str | None, source: str = "s") -> int:
        """Note a sighting, as a listing would; gives its number."""
        row = {"dataset_id": self.dataset_id, "source": source, "stamp": "", "location": "",
               "label": label, "meta": {}, "first_seen": now(), "asset_id": asset,
               "tries": 0}  # fmt: skip
        with self.catalog.begin() as db:
            uri = str(db.scalar(sa.select(sa.func.count()).select_from(refs)))
            statement = sa.insert(refs).returning(refs.c.id)
            return int(db.execute(statement, {**row, "uri": uri}).scalar_one())

    def change(self, sighting: int, **values: Any) -> None:
        with self.catalog.begin() as db:
            db.execute(sa.update(refs).where(refs.c.id == sighting).values(**values))

    def say(self, kind: str, by: str, *words: tuple[int, str], **options: Any) -> int:
        said = [{"asset_id": a, "label": label, "probability": None} for a, label in words]
        return say(self.catalog, self.dataset_id, kind, by, said, **options)

    def enter(self) -> int:
        return enter_source_labels(self.catalog, self.dataset_id)

    def in_force(self) -> dict[int, Word]:
        with self.catalog.read() as db:
            rows = db.execute(sa.select(in_force(self.dataset_id))).all()
        assert len({row.asset_id for row in rows}) == len(rows)
        return {row.asset_id: (row.kind, row.label) for row in rows}

    def entries(self) -> list[tuple[int, str, str, str]]:
        columns = (ledger.c.asset_id, ledger.c.kind, ledger.c.said_by, ledger.c.label)
        query = sa.select(*columns).where(ledger.c.dataset_id == self.dataset_id)
        with self.catalog.read() as db:
            return [tuple(row) for row in db.execute(query.order_by(ledger.c.id))]


@pytest.fixture
def book(catalog_url: str) -> Iterator[Book]:
    book = Book(catalog_url)
    yield book
    book.catalog.close()


# Which word counts.


def test_a_person_is_believed_before_a_source_a_function_and_a_model(book: Book) -> None:
    for kind in reversed(PRECEDENCE):
        book.say(kind, "x", (1, f"by {kind}"))
        assert book.in_force() == {1: (kind, f"by {kind}")}
    for kind in PRECEDENCE[1:]:
        book.say(kind, "x", (1, "later"))
    assert book.in_force() == {1: ("human", "by human")}


def test_within_a_kind_the_newest_word_counts(book: Book) -> None:
    book.say("human", "ann", (1, "cat"))
    book.say("human", "bob", (1, "dog"))
    assert book.in_force() == {1: ("human", "dog")}
    book.say("human", "ann", (1, "cow"))
    assert book.in_force() == {1: ("human", "cow")}
    assert len(book.entries()) == 3


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Book:
    return Book(str(tmp_path_factory.mktemp("shelf") / "catalog.db"))


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(PRECEDENCE), st.integers(1, 3),
                          st.sampled_from("abc")), max_size=20))  # fmt: skip
def test_the_word_in_force_is_what_a_loop_would_find(
    shelf: Book, said: Sequence[tuple[str, int, str]]
) -> None:
    shelf.begin_anew()
    wanted: dict[int, Word] = {}
    for kind, asset, label in said:
        shelf.say(kind, "x", (asset, label))
        held = wanted.get(asset, ("model", None))[0]
        if PRECEDENCE.index(kind) <= PRECEDENCE.index(held):
            wanted[asset] = (kind, label)
    assert shelf.in_force() == wanted


def test_an_unknown_kind_is_refused_with_those_there_are(book: Book) -> None:
    with pytest.raises(UsageError, match=r"'Human' \(valid: human, source, weak, model\)"):
        book.say("Human", "ann", (1, "cat"))
    assert book.entries() == []


def test_two_datasets_do_not_meet(book: Book) -> None:
    book.say("human", "ann", (1, "cat"))
    book.see(1, "cow")
    book.enter()
    book.dataset_id = book.catalog.dataset_id("dogs")
    assert book.in_force() == {}
    assert book.enter() == 0
    assert book.say("human", "ann", (1, "cat")) == 1
    assert count_conflicts(book.catalog, book.dataset_id) == 0


# What a voice says.


def test_a_second_run_writes_nothing(book: Book) -> None:
    words = [(n, "cat") for n in range(1, 11)]
    assert book.say("human", "ann", *words) == 10
    assert book.say("human", "ann", *words) == 0
    assert book.say("human", "ann", (3, "dog"), *words[4:]) == 1
    assert book.say("human", "bob", *words) == 10


def test_other_certainty_is_news(book: Book) -> None:
    def sure(probability: float | None) -> int:
        row = {"asset_id": 1, "label": "cat", "probability": probability}
        return say(book.catalog, book.dataset_id, "weak", "m", [row])

    assert [sure(p) for p in (0.9, 0.9, 0.8, None, None)] == [1, 0, 1, 1, 0]


def test_relabelled_back_and_forth_every_word_is_kept(book: Book) -> None:
    for label in ("cat", "dog", "cat", "cat", "dog"):
        book.say("human", "ann", (1, label))
    assert [entry[3] for entry in book.entries()] == ["cat", "dog", "cat", "dog"]
    assert book.in_force() == {1: ("human", "dog")}


def test_said_twice_in_one_breath_the_last_counts(book: Book) -> None:
    assert book.say("human", "ann", (1, "cat"), (1, "cat"), (1, "dog"), (2, "x")) == 3
    assert book.in_force() == {1: ("human", "dog"), 2: ("human", "x")}
    book.say("human", "ann", (1, "cat"), (1, "dog"))
    assert book.in_force()[1] == ("human", "dog")


def test_what_breaks_half_way_loses_no_word_said_before(book: Book) -> None:
    def said() -> Any:
        for number in range(5000):
            yield {"asset_id": number % 10 + 1, "label": f"{number}", "probability": None}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        say(book.catalog, book.dataset_id, "human", "ann", said())
    assert len(book.entries()) == 4096
    with pytest.raises(ZeroDivisionError):
        say(book.catalog, book.dataset_id, "human", "ann", said())


# What a voice takes back.


def test_a_complete_saying_withdraws_what_it_leaves_out(book: Book) -> None:
    book.say("weak", "em", (1, "cat"), (2, "cat"), (3, "cat"), complete=True)
    book.say("model", "net", (2, "cow"))
    assert book.say("weak", "em", (1, "cat"), (3, "dog"), complete=True) == 2
    assert book.in_force() == {1: ("weak", "cat"), 2: ("model", "cow"), 3: ("weak", "dog")}
    assert (2, "weak", "em", WITHDRAWN) in book.entries()
    assert book.say("weak", "em", (1, "cat"), (3, "dog"), complete=True) == 0
    assert book.say("weak", "em", (2, "cat"), complete=True) == 3
    assert book.in_force() == {2: ("weak", "cat")}


def test_a_partial_saying_withdraws_nothing(book: Book) -> None:
    book.say("human", "ann", (1, "cat"), (2, "cat"))
    assert book.say("human", "ann", (1, "dog")) == 1
    assert book.in_force() == {1: ("human", "dog"), 2: ("human", "cat")}


def test_another_label_model_takes_the_place_of_the_first_and_back(book: Book) -> None:
    both = [(1, "cat"), (2, "cat")]
    book.say("weak", "em", *both, complete=True)
    book.say("weak", "majority", (1, "dog"), complete=True)
    assert book.in_force() == {1: ("weak", "dog")}
    book.say("weak", "em", *both, complete=True)
    assert book.in_force() == {1: ("weak", "cat"), 2: ("weak", "cat")}
    assert book.say("weak", "em", *both, complete=True) == 0


def test_people_are_not_touched_by_what_machines_take_back(book: Book) -> None:
    book.say("human", "ann", (1, "cat"))
    book.say("weak", "em", (1, "dog"), complete=True)
    book.say("weak", "em", complete=True)
    assert book.in_force() == {1: ("human", "cat")}


# What the sources say.


def test_labels_of_sightings_are_entered_once(book: Book) -> None:
    book.see(1, "cat", "photos")
    book.see(2, None)
    book.see(None, "dog")
    assert book.enter() == 1
    assert book.enter() == 0
    assert book.entries() == [(1, "source", "photos", "cat")]
    assert book.in_force() == {1: ("source", "cat")}


def test_the_first_sighting_that_has_a_label_speaks(book: Book) -> None:
    book.see(1, None, "a")
    second = book.see(1, "cat", "b")
    book.see(1, "dog", "c")
    book.enter()
    assert book.entries() == [(1, "source", "b", "cat")]
    book.change(second, gone_at=now())
    assert book.enter() == 1
    assert book.in_force() == {1: ("source", "dog")}
    book.change(second, gone_at=None)
    assert book.enter() == 1
    assert book.in_force() == {1: ("source", "cat")}


def test_a_source_that_changes_its_mind_is_believed_each_time(book: Book) -> None:
    sighting = book.see(1, "cat")
    for label in ("cat", "dog", "cat", "cat"):
        book.change(sighting, label=label)
        book.enter()
    assert [entry[3] for entry in book.entries()] == ["cat", "dog", "cat"]
    assert book.in_force() == {1: ("source", "cat")}


def test_a_label_that_no_source_gives_any_more_is_withdrawn(book: Book) -> None:
    """Increments must end where one build would: that would never have seen it."""
    sighting = book.see(1, "cat", "photos")
    book.say("weak", "em", (1, "cow"))
    book.enter()
    book.change(sighting, label=None)
    assert book.enter() == 1
    assert book.in_force() == {1: ("weak", "cow")}
    assert book.entries()[-1] == (1, "source", "photos", WITHDRAWN)
    assert book.enter() == 0
    book.change(sighting, label="cat")
    assert book.enter() == 1
    assert book.in_force() == {1: ("source", "cat")}


def test_what_is_gone_keeps_its_word_for_when_it_comes_back(book: Book) -> None:
    sighting = book.see(1, "cat")
    book.enter()
    book.change(sighting, gone_at=now())
    assert book.enter() == 0
    book.change(sighting, gone_at=None)
    assert book.enter() == 0
    assert book.in_force() == {1: ("source", "cat")}


def test_a_person_s_word_outlives_a_source_s_correction(book: Book) -> None:
    sighting = book.see(1, "cat")
    book.enter()
    book.say("human", "ann", (1, "dog"))
    book.change(sighting, label="cow")
    assert book.enter() == 1
    assert book.in_force() == {1: ("human", "dog")}


def test_entries_follow_the_order_of_arrival(book: Book) -> None:
    for asset in (3, 1, 2):
        book.see(asset, "cat")
    book.enter()
    assert [entry[0] for entry in book.entries()] == [3, 1, 2]


def test_conflicts_are_assets_whose_live_sightings_disagree(book: Book) -> None:
    book.see(1, "cat")
    book.see(1, "cat")
    book.see(2, "cat")
    book.see(2, None)
    book.see(3, "cat")
    other = book.see(3, "dog")
    book.see(4, "a")
    book.see(4, "b")
    book.see(4, "c")
    book.see(None, "x")
    book.see(None, "y")
    assert count_conflicts(book.catalog, book.dataset_id) == 2
    book.change(other, gone_at=now())
    assert count_conflicts(book.catalog, book.dataset_id) == 1


@pytest.mark.slow
def test_a_hundred_thousand_labels_are_looked_through_in_one_pass(tmp_path: Path) -> None:
    """Once each asset was compared with each entry, and the second run never ended."""
    book = Book(str(tmp_path / "catalog.db"), 50_000)
    row = {"dataset_id": book.dataset_id, "source": "s", "stamp": "", "location": "", "meta": {},
           "first_seen": now(), "tries": 0}  # fmt: skip
    with book.catalog.begin() as db:
        db.execute(sa.insert(refs), [{**row, "uri": f"{n}", "label": f"{n % 9}", "asset_id": n}
                                     for n in range(1, 50_001)])  # fmt: skip
    assert book.enter() == 50_000
    assert book.say("weak", "em", *((n, "x") for n in range(1, 50_001)), complete=True) == 50_000
    assert book.enter() == 0
    assert book.in_force()[50_000] == ("source", str(50_000 % 9))
