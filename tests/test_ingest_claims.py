"""Runs share what is pending in ranges, on both databases; what the dead claimed is free."""

import multiprocessing
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import claims, refs
from autods.ingest.claims import Claims
from autods.ingest.listing import list_refs
from autods.records import Ref

FINGERPRINT = "today"


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    with closing(Catalog(catalog_url)) as catalog:
        yield catalog


def listed(catalog: Catalog, files: int, urls: int = 0) -> int:
    dataset_id = catalog.dataset_id("cats")
    names = [f"file:///{n:04}.jpg" for n in range(files)]
    names += [f"https://example.org/{n:04}.jpg" for n in range(urls)]
    list_refs(catalog, dataset_id, [Ref(uri=n, source="s", location=n) for n in names])
    return dataset_id


def finish(catalog: Catalog, ids: Sequence[int]) -> None:
    with catalog.begin() as db:
        done = sa.update(refs).where(refs.c.id.in_(ids))
        db.execute(done.values(fingerprint=FINGERPRINT, status="rejected", tries=1))


def test_one_run_takes_each_ref_once_in_the_order_of_arrival(catalog: Catalog) -> None:
    dataset_id = listed(catalog, 25, 12)
    with Claims(catalog, dataset_id, FINGERPRINT, page=10) as mine:
        files = [ref.id for ref in mine.take(remote=False)]
        urls = [ref.id for ref in mine.take(remote=True)]
        assert (files, urls) == (sorted(files), sorted(urls))
        assert len(set(files)) == len(files) == 25
        assert len(set(urls)) == len(urls) == 12
        with catalog.read() as db:  # Neighbouring pages are one claim.
            assert db.scalar(sa.select(sa.func.count()).select_from(claims)) == 2
        assert not mine.left()
        assert not mine.others_at_work()
    with catalog.read() as db:
        assert db.execute(sa.select(claims)).all() == []


def test_two_runs_share_and_neither_takes_what_the_other_has(catalog: Catalog) -> None:
    dataset_id = listed(catalog, 47)
    with (
        Claims(catalog, dataset_id, FINGERPRINT, page=10) as one,
        Claims(catalog, dataset_id, FINGERPRINT, page=10) as two,
    ):
        streams = [one.take(remote=False), two.take(remote=False)]
        taken: list[list[int]] = [[], []]
        for turn in range(60):
            ref = next(streams[turn % 2], None)
            if ref:
                taken[turn % 2].append(ref.id)
        assert sorted(taken[0] + taken[1]) == list(range(1, 48))
        assert min(map(len, taken)) >= 17
        assert one.others_at_work()
        assert two.others_at_work()
        finish(catalog, taken[1])
        assert not one.others_at_work()


def test_a_claim_holds_nothing_that_lies_between_others(catalog: Catalog) -> None:
    dataset_id = listed(catalog, 40)
    with Claims(catalog, dataset_id, FINGERPRINT, page=10) as one:
        first = one.take(remote=False)
        next(first)  # one: 1 to 10
        with Claims(catalog, dataset_id, FINGERPRINT, page=10) as two:
            next(two.take(remote=False))  # two: 11 to 20, and it ends without having done a thing
            rest = [ref.id for ref in first]
        assert rest == [*range(2, 11), *range(21, 41)]
        finish(catalog, [1, *rest])
        assert one.left()
        one.rewind()
        assert [ref.id for ref in one.take(remote=False)] == list(range(11, 21))
        finish(catalog, range(11, 21))
        assert not one.left()


def test_a_run_with_other_settings_has_to_take_the_same_refs_in(catalog: Catalog) -> None:
    dataset_id = listed(catalog, 5)
    with (
        Claims(catalog, dataset_id, FINGERPRINT, page=10) as one,
        Claims(catalog, dataset_id, "other limits", page=10) as two,
    ):
        assert len(list(one.take(remote=False))) == len(list(two.take(remote=False))) == 5
        assert not one.others_at_work()


def test_what_failed_is_claimed_once_more_by_the_next_run_and_by_no_two_at_once(
    catalog: Catalog,
) -> None:
    dataset_id = listed(catalog, 5)
    with catalog.begin() as db:
        tried = sa.update(refs).values(fingerprint=FINGERPRINT, status="failed", tries=1)
        db.execute(tried)
    with (
        Claims(catalog, dataset_id, FINGERPRINT, page=10) as one,
        Claims(catalog, dataset_id, FINGERPRINT, page=10) as two,
    ):
        assert len(list(one.take(remote=False))) == 5
        assert list(two.take(remote=False)) == []
        assert not two.others_at_work()  # All were tried before: nobody waits for a second try.


def _claim_and_wait(
    url: str, dataset_id: int, claimed: "multiprocessing.synchronize.Event"
) -> None:
    with Claims(Catalog(url), dataset_id, FINGERPRINT, page=10) as mine:
        next(mine.take(remote=False))
        claimed.set()
        threading.Event().wait()


@pytest.mark.slow
def test_what_a_killed_run_had_claimed_is_free_at_once(catalog: Catalog, catalog_url: str) -> None:
    dataset_id = listed(catalog, 15)
    context = multiprocessing.get_context("spawn")
    claimed = context.Event()
    other = context.Process(target=_claim_and_wait, args=(catalog_url, dataset_id, claimed))
    other.start()
    assert claimed.wait(60)
    with Claims(catalog, dataset_id, FINGERPRINT, page=10) as mine:
        there = [ref.id for ref in mine.take(remote=False)]
        assert mine.others_at_work()
        other.kill()
        other.join()
        while mine.others_at_work():  # The server notices in its own time.
            pass
        mine.rewind()
        there += [ref.id for ref in mine.take(remote=False)]
        assert sorted(set(there)) == list(range(1, 16))


def test_the_case_of_a_scheme_is_no_matter(catalog: Catalog) -> None:
    dataset_id = catalog.dataset_id("cats")
    names = ["HTTP://example.org/a.jpg", "Https://example.org/b.jpg", "file:///c.jpg"]
    list_refs(catalog, dataset_id, [Ref(uri=n, source="s", location=n) for n in names])
    with Claims(catalog, dataset_id, FINGERPRINT, page=10) as mine:
        assert [ref.id for ref in mine.take(remote=True)] == [1, 2]
        assert [ref.id for ref in mine.take(remote=False)] == [3]
