"""The journal notes what ran and how it ended, and nothing where nothing was done."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import now, runs
from autods.errors import PlaceError
from autods.recipes.history import Journal


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    catalog = Catalog(catalog_url)
    for name in ("cats", "dogs"):
        catalog.dataset_id(name)
    yield catalog
    catalog.close()


def noted(catalog: Catalog) -> list[tuple[Any, ...]]:
    query = sa.select(runs.c.dataset_id, runs.c.status, runs.c.error).order_by(runs.c.id)
    with catalog.read() as db:
        return [tuple(row) for row in db.execute(query)]


def run_into(catalog: Catalog, error: BaseException, first: str = "SELECT 1") -> None:
    with Journal(catalog, 1, "build") as journal:
        journal.begin()
        with catalog.begin() as db:
            db.execute(sa.text(first))
        raise error


def test_a_run_that_does_nothing_leaves_no_trace(catalog: Catalog) -> None:
    with Journal(catalog, 1, "build") as journal:
        assert (journal.last_state(), journal.last_version()) == (None, None)
    with pytest.raises(ZeroDivisionError), Journal(catalog, 1, "build"):
        raise ZeroDivisionError
    assert noted(catalog) == []


def test_a_run_that_succeeds_leaves_the_state_it_stands_for(catalog: Catalog) -> None:
    with Journal(catalog, 1, "build") as journal:
        journal.begin()
        journal.begin()
        assert noted(catalog) == [(1, "running", None)]
        journal.done(["recipe", 3, None], 2, {"list": 0.12345})
    assert noted(catalog) == [(1, "done", None)]
    again = Journal(catalog, 1, "build")
    assert (again.last_state(), again.last_version()) == (["recipe", 3, None], 2)
    with catalog.read() as db:
        row = db.execute(sa.select(runs)).one()
    assert row.stats["seconds"] == {"list": 0.123}
    assert row.finished_at >= row.started_at


def test_a_run_that_fails_leaves_its_error_and_the_state_before(catalog: Catalog) -> None:
    with Journal(catalog, 1, "build") as journal:
        journal.begin()
        journal.done(["good"], 1, {})
    for error in (PlaceError("full"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            run_into(catalog, error)
    assert [row[1:] for row in noted(catalog)] == [
        ("done", None), ("failed", "PlaceError: full"),
        ("interrupted", "run it again to go on"),
    ]  # fmt: skip
    assert Journal(catalog, 1, "build").last_state() == ["good"]


def test_a_run_that_was_killed_is_noted_by_the_next(catalog: Catalog) -> None:
    Journal(catalog, 1, "build").begin()
    Journal(catalog, 2, "build").begin()
    Journal(catalog, 1, "crawl").begin()
    assert Journal(catalog, 1, "build").last_state() is None
    Journal(catalog, 1, "build").begin()
    assert [row[1] for row in noted(catalog)] == ["killed", "running", "running", "running"]


def test_an_error_nobody_can_note_is_still_the_error(catalog: Catalog) -> None:
    with pytest.raises(PlaceError, match="full"):
        run_into(catalog, PlaceError("full"), first="ALTER TABLE runs RENAME TO walks")


def test_recipes_and_datasets_do_not_meet(catalog: Catalog) -> None:
    for dataset_id, recipe in ((1, "build"), (1, "crawl"), (2, "build")):
        with Journal(catalog, dataset_id, recipe) as journal:
            journal.begin()
            journal.done([dataset_id, recipe], dataset_id, {})
    assert Journal(catalog, 1, "crawl").last_state() == [1, "crawl"]
    assert Journal(catalog, 2, "build").last_state() == [2, "build"]
    assert Journal(catalog, 2, "crawl").last_version() is None


def test_a_run_that_was_asked_for_is_done_when_all_its_steps_are(catalog: Catalog) -> None:
    asked = {"dataset_id": 1, "recipe": "crawl", "status": "pending", "started_at": now()}
    with catalog.begin() as db:
        db.execute(sa.insert(runs), asked | {"stats": {"asked": "this"}})
    with Journal(catalog, 1, "crawl", run_id=1) as journal:
        journal.begin()
        journal.done(["state"], 7, {})
        assert noted(catalog) == [(1, "running", None)]
        assert journal.last_state() is None
        journal.finish({"version": 7})
    assert noted(catalog) == [(1, "done", None)]
    assert Journal(catalog, 1, "crawl").last_state() == ["state"]
    with catalog.read() as db:
        assert dict(db.scalar(sa.select(runs.c.stats)) or {})["asked"] == "this"
