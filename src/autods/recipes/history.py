"""The journal of runs: when a recipe ran, how it ended, and the state its version stands for."""

import contextlib
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import now, runs
from autods.errors import AutodsError
from autods.run.stopping import RunCancelledError, RunInterruptedError


class Journal:
    """Notes one run, from the moment it has something to do; an idle run leaves no trace.

    With `run_id` the run has its row already, as one has that was asked for before it began.
    """

    def __init__(
        self, catalog: Catalog, dataset_id: int, recipe: str, run_id: int | None = None
    ) -> None:
        self._catalog, self._dataset_id, self._recipe = catalog, dataset_id, recipe
        self._id: int | None = None
        self._asked = run_id
        self.was_killed = False
        self._alive = contextlib.ExitStack()

    def begin(self) -> None:
        """Note that a run is at work; a second call changes nothing.

        A run lives as long as its lock is held. `was_killed` tells whether one before it was.
        """
        if self._id is not None:
            return
        lock = f"run-{uuid.uuid4().hex}"
        self._alive.enter_context(self._catalog.sign_of_life(lock))
        killed = self._killed()
        with self._catalog.begin() as db:
            stale = sa.update(runs).where(runs.c.id.in_(killed))
            db.execute(stale.values(status="killed", finished_at=now()))
            self._id = self._noted(db, lock)
        self.was_killed = bool(killed)

    def _noted(self, db: sa.Connection, lock: str) -> int:
        row: dict[str, Any] = {"status": "running", "finished_at": None, "error": None}
        if self._asked is not None:
            stats = {**_stats(db, self._asked), "lock": lock}
            mine = sa.update(runs).where(runs.c.id == self._asked)
            db.execute(mine.values(**row, stats=stats))
            return self._asked
        row |= {"dataset_id": self._dataset_id, "recipe": self._recipe, "stats": {"lock": lock}}
        row |= {"started_at": now()}
        return int(db.execute(sa.insert(runs).returning(runs.c.id), row).scalar_one())

    def _killed(self) -> list[int]:
        running = sa.select(runs.c.id, runs.c.stats).where(self._mine, runs.c.status == "running")
        with self._catalog.read() as db:
            rows = db.execute(running).all()
        locks = {row.id: (row.stats or {}).get("lock") for row in rows}
        return [i for i, lock in locks.items() if not (lock and self._catalog.is_held(lock))]

    def done(self, state: list[Any], version: int, seconds: Mapping[str, float]) -> None:
        """Note what the version was made from, and success: a run that was asked for may go on."""
        stats = {"state": state, "version": version}
        stats["seconds"] = {name: round(value, 3) for name, value in seconds.items()}
        if self._asked is None:
            self._end("done", stats=stats)
        else:
            self._keep(stats)

    def finish(self, stats: Mapping[str, Any]) -> None:
        """Note that a run that makes no version has done what there was to do."""
        if self._id is not None:
            self._end("done", stats=dict(stats))

    def last_state(self) -> list[Any] | None:
        """Give the state of the last successful run."""
        return self._last().get("state")

    def last_version(self) -> int | None:
        """Give the version of the last successful run."""
        return self._last().get("version")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None and self._id is not None:
            # The error that ends the run matters more than a catalog that cannot note it.
            with contextlib.suppress(Exception):
                status = _end_of(error)
                said = f"{type(error).__name__}: {error}"
                self._end(
                    status, error="run it again to go on" if status == "interrupted" else said
                )
        with contextlib.suppress(AutodsError):
            self._alive.close()

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return sa.and_(runs.c.dataset_id == self._dataset_id, runs.c.recipe == self._recipe)

    def _keep(self, stats: Mapping[str, Any]) -> None:
        with self._catalog.begin() as db:
            mine = sa.update(runs).where(runs.c.id == self._id)
            db.execute(mine.values(stats={**_stats(db, self._id), **stats}))

    def _end(self, status: str, stats: Mapping[str, Any] | None = None, **values: Any) -> None:
        with self._catalog.begin() as db:
            kept = {**_stats(db, self._id), **(stats or {})}
            kept.pop("lock", None)
            ended = sa.update(runs).where(runs.c.id == self._id)
            told = {"error": None, **values}
            db.execute(ended.values(status=status, finished_at=now(), stats=kept, **told))

    def _last(self) -> dict[str, Any]:
        query = (
            sa.select(runs.c.stats)
            .where(self._mine, runs.c.status == "done")
            .order_by(runs.c.id.desc())
            .limit(1)
        )
        with self._catalog.read() as db:
            return dict(db.scalar(query) or {})


def _stats(db: sa.Connection, run_id: int | None) -> dict[str, Any]:
    return dict(db.scalar(sa.select(runs.c.stats).where(runs.c.id == run_id)) or {})


def _end_of(error: BaseException) -> str:
    if isinstance(error, RunCancelledError):
        return "cancelled"
    stopped = isinstance(error, RunInterruptedError) or not isinstance(error, Exception)
    return "interrupted" if stopped else "failed"
