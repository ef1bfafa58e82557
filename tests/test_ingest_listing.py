"""Listing brings the catalog in line with the sources and writes only what changed."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from autods.catalog import Catalog, tables
from autods.ingest.listing import Listing, add_refs, list_refs
from autods.records import Ref

A, B, C = (Ref(uri=u, source="s", location=f"file:///{u}", stamp="1:1") for u in "abc")


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    catalog = Catalog(catalog_url)
    catalog.dataset_id("cats")
    yield catalog
    catalog.close()


def live(catalog: Catalog) -> list[tuple[int, str]]:
    refs = tables.refs
    query = sa.select(refs.c.id, refs.c.uri).where(refs.c.gone_at.is_(None)).order_by(refs.c.id)
    with catalog.read() as db:
        return [(row.id, row.uri) for row in db.execute(query)]


def test_ids_follow_the_order_of_the_source(catalog: Catalog) -> None:
    assert list_refs(catalog, 1, [C, A]) == Listing(2, 0, 0, 2, 0)
    assert list_refs(catalog, 1, [A, B, C]) == Listing(3, 0, 0, 1, 0)
    assert live(catalog) == [(1, "c"), (2, "a"), (3, "b")]


def test_a_second_listing_changes_nothing(catalog: Catalog) -> None:
    list_refs(catalog, 1, [A, B])
    assert list_refs(catalog, 1, [A, B]) == Listing(2, 0, 0, 0, 0)


def test_what_is_said_twice_is_counted(catalog: Catalog) -> None:
    assert list_refs(catalog, 1, [A, B, A, A]) == Listing(4, 2, 0, 2, 0)


def test_what_vanishes_is_gone_and_comes_back_under_its_number(catalog: Catalog) -> None:
    list_refs(catalog, 1, [A, B])
    assert list_refs(catalog, 1, [B]) == Listing(1, 0, 0, 0, 1)
    assert live(catalog) == [(2, "b")]
    assert list_refs(catalog, 1, [A, B]) == Listing(2, 0, 1, 0, 0)
    assert live(catalog) == [(1, "a"), (2, "b")]


def test_a_changed_file_is_a_new_input(catalog: Catalog) -> None:
    list_refs(catalog, 1, [A])
    assert list_refs(catalog, 1, [replace(A, stamp="2:2")]) == Listing(1, 0, 0, 1, 1)


@pytest.mark.parametrize(
    "changed",
    [
        replace(A, caption="a cat"),
        replace(A, label="cat"),
        replace(A, license="cc0"),
        replace(A, location="file:///moved/a"),
        replace(A, meta={"k": 1}),
    ],
)
def test_a_changed_description_is_kept(catalog: Catalog, changed: Ref) -> None:
    list_refs(catalog, 1, [A, B])
    assert list_refs(catalog, 1, [changed, B]) == Listing(2, 0, 1, 0, 0)
    assert list_refs(catalog, 1, [changed, B]) == Listing(2, 0, 0, 0, 0)


def test_two_datasets_do_not_meet(catalog: Catalog) -> None:
    other = catalog.dataset_id("dogs")
    list_refs(catalog, 1, [A])
    assert list_refs(catalog, other, [B]) == Listing(1, 0, 0, 1, 0)
    assert live(catalog) == [(1, "a"), (2, "b")]


def test_a_source_that_breaks_half_way_changes_nothing(catalog: Catalog) -> None:
    list_refs(catalog, 1, [A])
    refs = (1 / 0 if n == 3000 else replace(B, uri=str(n)) for n in range(4000))
    with pytest.raises(ZeroDivisionError):
        list_refs(catalog, 1, refs)  # type: ignore[arg-type]
    assert live(catalog) == [(1, "a")]


def test_what_no_database_holds_is_listed_all_the_same(catalog: Catalog) -> None:
    """Whatever a user's own source says: a NUL, half a character, a number that is none."""
    odd = "a\0b\udce9" + "x" * 5000
    meta = {"n": float("nan"), "i": float("inf"), "big": 10**40, odd: odd}
    ref = Ref(uri=odd, source=odd, location=odd, stamp=odd, label=odd, caption=odd, meta=meta)
    assert list_refs(catalog, 1, [ref, A]).new == 2
    assert list_refs(catalog, 1, [ref, A]) == Listing(2, 0, 0, 0, 0)
    assert add_refs(catalog, 1, [ref, A]) == [1, 2]


def test_many_inputs_are_added_at_once(catalog: Catalog) -> None:
    wanted = [Ref(uri=f"{n}", source="s", location=f"file:///{n}") for n in range(12_000)]
    ids = add_refs(catalog, 1, wanted)
    assert len(set(ids)) == 12_000
    assert add_refs(catalog, 1, wanted[::-1]) == ids[::-1]
