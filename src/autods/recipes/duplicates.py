"""Gathering the duplicates of a dataset: all of them as rows, the first groups to be looked at."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import blobs, measures, placements, refs, thumbs
from autods.engine import Engine
from autods.recipes.previews import previews
from autods.report.counts import Counts
from autods.report.duplicates import (
    MAX_COPIES,
    MAX_GROUPS,
    MAX_SIGHTINGS,
    Duplicate,
    Group,
    Shown,
    write_page,
    write_table,
)
from autods.versions import Version
from autods.workspace import Workspace

MOST_PREVIEWS, SIDE = 240, 128
"""So many pictures are made from the stored bytes; others are the thumbs of the second look."""

_PAGE = 10_000
_Place = tuple[str, str]
_NO_DISTANCE = -1
_SHOWN = ("verdict", "reason", "kind", "distance", "score")


def write_duplicates(
    workspace: Workspace, version: Version, policy: str, counts: Counts, engine: Engine
) -> None:
    """Write duplicates.parquet and duplicates.html beside a version's report."""
    folder = workspace.dataset_folder(version.dataset, version.number)
    found = Duplicates(workspace.catalog, version.dataset_id, policy)
    write_table(found.rows(), folder)
    groups, total = found.groups()
    shown = list(_illustrated(workspace, engine, groups))
    write_page(folder, version.name, counts, shown, total)


@dataclass(frozen=True)
class Duplicates:
    """The duplicates among the inputs of a dataset, under one policy, as the catalog has them."""

    catalog: Catalog
    dataset_id: int
    policy: str

    def rows(self) -> Iterator[Duplicate]:
        """Yield every duplicate: copies in pixels and looks, then further places of the same bytes.

        Each in order of arrival, as the database hands them out: nothing is held.
        """
        with self.catalog.read() as db:
            yield from map(Duplicate._make, _streamed(db, self._all_copies()))
            first = None
            for row in _streamed(db, self._all_places()):
                if first is None or row.seq != first.seq:
                    first = row
                    continue
                original = (first.sha256, first.uri, first.source, first.verdict)
                copy = (first.sha256, row.uri, row.source)
                yield Duplicate(*original, *copy, "bytes", None, None, "duplicate")

    def groups(self, most: int = MAX_GROUPS) -> tuple[list[Group], int]:
        """Give the first groups, the most doubtful ones first, and how many there are in all."""
        with self.catalog.read() as db:
            found = db.execute(self._heads().limit(most)).all()
            chosen = [row.head for row in found]
            firsts = {row.seq: row for row in db.execute(self._files(chosen))}
            copies: dict[int, list[Any]] = defaultdict(list)
            for row in db.execute(self._copies(chosen)):
                copies[row.of_seq].append(row)
            assets = [r.asset_id for rows in (firsts.values(), *copies.values()) for r in rows]
            seen = _sightings(db, self.dataset_id, assets)
        return [
            Group(
                original=replace(_shown(firsts[head], seen), kind=None, distance=None, score=None),
                copies=[_shown(row, seen) for row in copies[head]],
                copies_total=copies[head][0].among if copies[head] else 0,
            )
            for head in chosen
        ], found[0].total if found else 0

    @property
    def _mine(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (placements.c.dataset_id == self.dataset_id, placements.c.policy == self.policy)

    @property
    def _live(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (refs.c.dataset_id == self.dataset_id, refs.c.gone_at.is_(None))

    def _all_copies(self) -> sa.Select[Any]:
        """Select the copies in pixels and looks as rows of `Duplicate`."""
        p, o = placements.alias("p"), placements.alias("o")
        sides = []
        query = sa.select().select_from(p)
        same = (o.c.dataset_id == p.c.dataset_id, o.c.policy == p.c.policy, o.c.seq == p.c.of_seq)
        query = query.join(o, sa.and_(*same))
        for verdict in (o, p):
            asset, seen = blobs.alias(), refs.alias()
            query = query.join(asset, asset.c.id == verdict.c.asset_id)
            query = query.join(seen, seen.c.id == self._first_sighting(verdict.c.asset_id))
            sides.append([asset.c.sha256, seen.c.uri, seen.c.source])
        how = (p.c.kind, p.c.distance, p.c.score, p.c.verdict)
        mine = (p.c.dataset_id == self.dataset_id, p.c.policy == self.policy)
        return (
            query.with_only_columns(*sides[0], o.c.verdict, *sides[1], *how)
            .where(*mine, p.c.of_seq.is_not(None))
            .order_by(p.c.seq)
        )

    def _first_sighting(self, asset_id: sa.ColumnElement[int]) -> sa.ScalarSelect[int]:
        seen = refs.alias()
        mine = (seen.c.dataset_id == self.dataset_id, seen.c.gone_at.is_(None))
        query = sa.select(sa.func.min(seen.c.id)).where(*mine, seen.c.asset_id == asset_id)
        return query.scalar_subquery()

    def _all_places(self) -> sa.Select[Any]:
        """Select all places of what was seen at more than one, the first one first."""
        p, often = placements.c, self._often()
        return (
            sa.select(p.seq, blobs.c.sha256, refs.c.uri, refs.c.source, p.verdict)
            .join(often, often.c.asset_id == p.asset_id)
            .join(blobs, blobs.c.id == p.asset_id)
            .join(refs, refs.c.asset_id == p.asset_id)
            .where(*self._mine, *self._live)
            .order_by(p.seq, refs.c.id)
        )

    def _often(self) -> sa.Subquery:
        """Select the assets that were seen more than once."""
        return (
            sa.select(refs.c.asset_id)
            .where(*self._live, refs.c.asset_id.is_not(None))
            .group_by(refs.c.asset_id)
            .having(sa.func.count() > 1)
            .subquery("often")
        )

    def _heads(self) -> sa.Select[Any]:
        """Select the originals, the farthest copy first, and how many there are in all.

        Of near copies the distance is the doubt, of others it is below 0.
        """
        p = placements.c
        doubt = sa.func.max(sa.func.coalesce(p.distance, _NO_DISTANCE))
        copied = (
            sa.select(p.of_seq.label("head"), doubt.label("doubt"))
            .where(*self._mine, p.of_seq.is_not(None))
            .group_by(p.of_seq)
        )
        often = self._often()
        seen_again = (
            sa.select(p.seq.label("head"), sa.literal(_NO_DISTANCE - 1).label("doubt"))
            .join(often, often.c.asset_id == p.asset_id)
            .where(*self._mine, p.of_seq.is_(None))
        )
        both = sa.union_all(copied, seen_again).subquery("both")
        most = sa.func.max(both.c.doubt)
        total = sa.func.count().over().label("total")
        return (
            sa.select(both.c.head, total).group_by(both.c.head).order_by(most.desc(), both.c.head)
        )

    def _files(self, seqs: Sequence[int]) -> sa.Select[Any]:
        return _known(sa.select(placements).where(*self._mine, placements.c.seq.in_(seqs)))

    def _copies(self, heads: Sequence[int]) -> sa.Select[Any]:
        """Select the first few copies of each original, the farthest apart first."""
        p = placements.c
        far = sa.func.coalesce(p.distance, _NO_DISTANCE).desc()
        rank = sa.func.row_number().over(partition_by=p.of_seq, order_by=(far, p.seq))
        among = sa.func.count().over(partition_by=p.of_seq)
        ranked = sa.select(placements, rank.label("rank"), among.label("among")).where(
            *self._mine, p.of_seq.in_(heads)
        )
        known = _known(ranked)
        few = known.selected_columns["rank"] <= MAX_COPIES
        return known.where(few).order_by(*(known.selected_columns[n] for n in ("of_seq", "rank")))


def _streamed(db: sa.Connection, query: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
    for page in db.execution_options(stream_results=True).execute(query).partitions(_PAGE):
        yield from page


def _known(placed: sa.Select[Any]) -> sa.Select[Any]:
    """Select verdicts with what is known of their assets."""
    p = placed.subquery("p")
    sizes = (measures.c.format, measures.c.width, measures.c.height)
    return (
        sa.select(p, blobs.c.sha256, blobs.c.size, *sizes, thumbs.c.thumb)
        .join(blobs, blobs.c.id == p.c.asset_id)
        .outerjoin(measures, measures.c.asset_id == p.c.asset_id)
        .outerjoin(thumbs, thumbs.c.asset_id == p.c.asset_id)
    )


def _sightings(
    db: sa.Connection, dataset_id: int, assets: Sequence[int]
) -> dict[int, tuple[list[_Place], int]]:
    """Give the first few places where each asset was seen, and how many there are."""
    rank = sa.func.row_number().over(partition_by=refs.c.asset_id, order_by=refs.c.id)
    among = sa.func.count().over(partition_by=refs.c.asset_id)
    names = (refs.c.asset_id, refs.c.uri, refs.c.source)
    listed = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None))
    ranked = (
        sa.select(*names, rank.label("rank"), among.label("among"))
        .where(*listed, refs.c.asset_id.in_(assets))
        .subquery()
    )
    query = sa.select(ranked).where(ranked.c.rank <= MAX_SIGHTINGS)
    found: dict[int, tuple[list[_Place], int]] = {}
    for row in db.execute(query.order_by(ranked.c.asset_id, ranked.c.rank)):
        places, _ = found.setdefault(row.asset_id, ([], row.among))
        places.append((row.uri, row.source))
    return found


def _shown(row: Any, seen: Mapping[int, tuple[list[_Place], int]]) -> Shown:
    places, times = seen.get(row.asset_id, ([], 0))
    return Shown(
        sha256=row.sha256, arrival=row.seq, sightings=places, times_seen=times, size=row.size,
        data=picture_of(row.thumb) if row.thumb else b"",
        format=row.format, width=row.width, height=row.height,
        **{name: getattr(row, name) for name in _SHOWN},
    )  # fmt: skip


def picture_of(thumb: bytes) -> bytes:
    """Make a PNG of 16 x 16 pixels out of what the second look compares (`dedup.confirm`)."""
    import io

    from PIL import Image

    luma = Image.frombytes("L", (16, 16), thumb[:256])
    chroma = [Image.frombytes("L", (8, 8), thumb[at : at + 64]) for at in (256, 320)]
    planes = [luma, *(plane.resize((16, 16), Image.Resampling.BILINEAR) for plane in chroma)]
    buffer = io.BytesIO()
    Image.merge("YCbCr", planes).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def _illustrated(workspace: Workspace, engine: Engine, groups: Sequence[Group]) -> Iterator[Group]:
    """Give the first files a picture made from their bytes, in place of the thumb."""
    files = [file.sha256 for group in groups for file in (group.original, *group.copies)]
    wanted = list(dict.fromkeys(files))[:MOST_PREVIEWS]
    made = previews(workspace.store, engine, wanted, side=SIDE) if wanted else {}

    def seen(file: Shown) -> Shown:
        return replace(file, data=made.get(file.sha256) or file.data)

    for group in groups:
        copies = [seen(copy) for copy in group.copies]
        yield replace(group, original=seen(group.original), copies=copies)
