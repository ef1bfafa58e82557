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


class Journal:
    """Notes one run, from the moment it has something to do; an idle run leaves no trace."""

    def __init__(self, catalog: Catalog, dataset_id: int, recipe: str) -> None:
        self._catalog, self._dataset_id, self._recipe = catalog, dataset_id, recipe
        self._id: int | None = None
        self._alive = contextlib.ExitStack()

    def begin(self) -> bool:
        """Note that a run is at work, and tell whether the one before it was killed.

        A run lives as long as its lock is held. A second call changes nothing.
        """
        if self._id is not None:
            return False
        lock = f"run-{uuid.uuid4().hex}"
        self._alive.enter_context(self._catalog.sign_of_life(lock))
        killed = self._killed()
        row = {"dataset_id": self._dataset_id, "recipe": self._recipe, "stats": {"lock": lock}}
        row |= {"status": "running", "started_at": now()}
        with self._catalog.begin() as db:
            stale = sa.update(runs).where(runs.c.id.in_(killed))
            db.execute(stale.values(status="killed", finished_at=now()))
            self._id = db.execute(sa.insert(runs).returning(runs.c.id), row).scalar_one()
        return bool(killed)

    def _killed(self) -> list[int]:
        running = sa.select(runs.c.id, runs.c.stats).where(self._mine, runs.c.status == "running")
        with self._catalog.read() as db:
            rows = db.execute(running).all()
        locks = {row.id: (row.stats or {}).get("lock") for row in rows}
        return [i for i, lock in locks.items() if not (lock and self._catalog.is_held(lock))]

    def done(self, state: list[Any], version: int, seconds: Mapping[str, float]) -> None:
        """Note success, and what the version was made from."""
        stats = {"state": state, "version": version}
        stats["seconds"] = {name: round(value, 3) for name, value in seconds.items()}
        self._end("done", stats=stats)

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
                ended = isinstance(error, Exception)
                said = f"{type(error).__name__}: {error}" if ended else "run it again to go on"
                self._end("failed" if ended else "interrupted", error=said)
        with contextlib.suppress(AutodsError):
            self._alive.close()

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return sa.and_(runs.c.dataset_id == self._dataset_id, runs.c.recipe == self._recipe)

    def _end(self, status: str, **values: Any) -> None:
        with self._catalog.begin() as db:
            ended = sa.update(runs).where(runs.c.id == self._id)
            db.execute(ended.values(status=status, finished_at=now(), **values))

    def _last(self) -> dict[str, Any]:
        query = (
            sa.select(runs.c.stats)
            .where(self._mine, runs.c.status == "done")
            .order_by(runs.c.id.desc())
            .limit(1)
        )
        with self._catalog.read() as db:
            return dict(db.scalar(query) or {})
