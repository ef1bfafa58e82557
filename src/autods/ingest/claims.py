"""Which run takes which refs in: runs on several machines share what is pending, in ranges."""

import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, claims, datasets, refs
from autods.ingest.pending import live, pending, undone


class PendingRef(NamedTuple):
    """A ref without an outcome for today's fingerprint; `sha256` if its bytes are held already."""

    id: int
    location: str
    sha256: str | None
    source: str


class Claims:
    """What one run has claimed; used in a `with` block, at whose end nothing is claimed any more.

    `page` refs are claimed at once: at the end, other runs wait for no more than that.
    A claim is a range of ref ids. It counts as long as its run lives, which a lock of the
    catalog tells: what a killed run had claimed is free at once. Two runs that take one ref in,
    because a connection broke, write the same row twice: no harm is done but the work.
    """

    def __init__(
        self, catalog: Catalog, dataset_id: int, fingerprint: str, page: int = 4096
    ) -> None:
        self._catalog, self._dataset_id, self._fingerprint = catalog, dataset_id, fingerprint
        self._page = page
        self.name = f"claim-{uuid.uuid4().hex}"
        self._lock = catalog.lock(self.name)
        self._cursors = {False: 0, True: 0}

    def __enter__(self) -> Self:
        self._lock.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._catalog.begin() as db:
                db.execute(sa.delete(claims).where(claims.c.claimant == self.name))
        finally:
            self._lock.__exit__(kind, error, trace)

    def take(self, *, remote: bool) -> Iterator[PendingRef]:
        """Claim what is pending, a page at a time in arrival order, each ref once.

        `remote` tells whether the refs that are to be downloaded are meant, or all others.
        """
        while page := self._claim(remote):
            yield from page

    def rewind(self) -> None:
        """Begin at the front again: what others had claimed and left is to be found there."""
        self._cursors = {False: 0, True: 0}

    def others_at_work(self) -> bool:
        """Tell whether a run that lives still has refs to take in that nobody has tried yet."""
        self._free_the_dead()
        return self._any_undone(self._claimed(claims.c.claimant != self.name))

    def left(self) -> bool:
        """Tell whether any ref that nobody has claimed still waits to be tried."""
        return self._any_undone(~self._claimed())

    def _any_undone(self, among: sa.ColumnElement[bool]) -> bool:
        query = sa.select(refs.c.id).where(
            *live(self._dataset_id), undone(self._fingerprint), among
        )
        with self._catalog.read() as db:
            return db.scalar(query.limit(1)) is not None

    def _claimed(self, *by: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        """Select the refs that lie in a claim."""
        within = refs.c.id.between(claims.c.first_ref, claims.c.last_ref)
        return sa.exists().where(*self._ours, claims.c.remote == _is_remote(), within, *by)

    @property
    def _ours(self) -> tuple[sa.ColumnElement[bool], ...]:
        """Select the claims of all runs that do the same."""
        same = claims.c.fingerprint == self._fingerprint
        return (claims.c.dataset_id == self._dataset_id, same)

    def _claim(self, remote: bool) -> list[PendingRef]:
        self._free_the_dead()
        with self._catalog.begin() as db:
            # One run claims at a time; elsewhere than on SQLite, that has to be said.
            mine = sa.select(datasets.c.id).where(datasets.c.id == self._dataset_id)
            db.execute(mine.with_for_update())
            taken = self._taken(db, remote)
            page = _up_to(taken, db.execute(self._free(taken, remote)).all())
            if page:
                self._enter(db, remote, page[0].id, page[-1].id)
                self._cursors[remote] = page[-1].id
        return [PendingRef(*row) for row in page]

    def _taken(self, db: sa.Connection, remote: bool) -> list[tuple[int, int]]:
        taken = sa.select(claims.c.first_ref, claims.c.last_ref).where(
            *self._ours, claims.c.remote == remote
        )
        return [(row.first_ref, row.last_ref) for row in db.execute(taken)]

    def _free(self, taken: list[tuple[int, int]], remote: bool) -> "sa.Select[Any]":
        """Select the first page that nobody has claimed."""
        ranges = [~refs.c.id.between(first, last) for first, last in taken]
        return (
            sa.select(refs.c.id, refs.c.location, blobs.c.sha256, refs.c.source)
            .outerjoin(blobs, blobs.c.id == refs.c.asset_id)
            .where(
                *pending(self._dataset_id, self._fingerprint),
                _is_remote() == remote,
                refs.c.id > self._cursors[remote],
                *ranges,
            )
            .order_by(refs.c.id)
            .limit(self._page)
        )

    def _enter(self, db: sa.Connection, remote: bool, first: int, last: int) -> None:
        """Note a claim; one that follows mine, with nobody's between, makes that one longer."""
        here = (*self._ours, claims.c.remote == remote)
        before = db.execute(
            sa.select(claims.c.id, claims.c.claimant)
            .where(*here, claims.c.last_ref < first)
            .order_by(claims.c.last_ref.desc())
            .limit(1)
        ).one_or_none()
        if before and before.claimant == self.name:
            db.execute(sa.update(claims).where(claims.c.id == before.id).values(last_ref=last))
            return
        row = {"dataset_id": self._dataset_id, "fingerprint": self._fingerprint, "remote": remote}
        row |= {"claimant": self.name, "first_ref": first, "last_ref": last}
        db.execute(sa.insert(claims), row)

    def _free_the_dead(self) -> None:
        others = (
            sa.select(claims.c.claimant)
            .distinct()
            .where(claims.c.dataset_id == self._dataset_id, claims.c.claimant != self.name)
        )
        with self._catalog.read() as db:
            names = list(db.scalars(others))
        dead = [name for name in names if not self._catalog.is_held(name)]
        if dead:
            with self._catalog.begin() as db:
                db.execute(sa.delete(claims).where(claims.c.claimant.in_(dead)))


def _up_to(taken: list[tuple[int, int]], page: Sequence[Any]) -> Sequence[Any]:
    """Cut a page before the next range that is claimed: a claim holds nothing of another's."""
    if not page:
        return page
    after = [first for first, _ in taken if first > page[0].id]
    return [row for row in page if row.id < min(after)] if after else page


def _is_remote() -> sa.ColumnElement[bool]:
    scheme = sa.func.lower(sa.func.substr(refs.c.location, 1, 8))
    http = sa.or_(scheme.startswith("http://"), scheme.startswith("https://"))
    return sa.and_(refs.c.asset_id.is_(None), http)
