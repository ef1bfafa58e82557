"""Giving every new asset of a dataset its verdict, in arrival order, one transaction a batch."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import sqlalchemy as sa

from autods.catalog.tables import blobs, measures, now, placements, thumbs
from autods.dedup.decide import Arrivals, Decision, Kept, decide, to_add
from autods.dedup.index import NearIndex, StaleIndexError
from autods.dedup.waiting import BATCH, Placing, Row, firsts, rows_of, waiting
from autods.run import Progress, batched

INDEXED = ("kept", "withheld")
"""Verdicts whose samples later ones are compared with."""


def place(placing: Placing, progress: Progress) -> int:
    """Give a verdict to each asset that has none; returns how many were given.

    Killed at any moment and run again it ends in the same verdicts: what is decided depends on
    arrival order alone.
    """
    forgotten = _forget_the_gone(placing)
    left = waiting(placing)
    if left:
        index = None if forgotten else _saved_index(placing)
        index = index or NearIndex(placing.radius)
        _top_up(placing, index)
        for batch in batched(left, BATCH):
            _place_batch(placing, index, batch)
            progress.advance(len(batch))
        index.save(placing.index_path)
    return len(left)


def _place_batch(placing: Placing, index: NearIndex, asset_ids: list[int]) -> None:
    rows = rows_of(placing, asset_ids)
    reasons = {row["asset_id"]: placing.judge(row) for row in rows if row["format"]}
    out = {i for i, reason in reasons.items() if reason and placing.filters}
    first = _next_seq(placing)
    numbered = [(first + offset, row) for offset, row in enumerate(rows)]
    candidates = [(s, row) for s, row in numbered if row["format"] and row["asset_id"] not in out]
    new = _arrivals(candidates)
    known = _Known(placing, dict(candidates))
    kept = Kept(
        index=index,
        by_checksum=known.by_checksum,
        thumbs_of=known.thumbs_of,
        same_pixels=known.same_pixels,
    )
    decisions = {d.id: d for d in decide(new, kept, placing.confirm, policy=placing.near)}
    with placing.catalog.begin() as db:
        withheld = placing.settle(db, _kept_ones(placing, db, numbered, decisions, out))
        verdicts = [
            _verdict(placing, seq, row, decisions.get(seq), reasons.get(row["asset_id"]))
            for seq, row in numbered
        ]
        for verdict in verdicts:
            if verdict["asset_id"] in withheld and verdict["verdict"] == "kept":
                verdict |= {"verdict": "withheld", "reason": "split-conflict"}
        placing.catalog.load(db, placements, verdicts)
    index.add(*to_add(new, list(decisions.values())))


def _verdict(
    placing: Placing,
    seq: int,
    row: Row,
    decision: Decision | None,
    against: tuple[str, str] | None,
) -> dict[str, Any]:
    reason, detail = against or (None, None)
    rejected = bool(against) and placing.filters
    return {
        "dataset_id": placing.dataset_id,
        "policy": placing.policy,
        "seq": seq,
        "asset_id": row["asset_id"],
        "verdict": decision.verdict if decision else ("rejected" if rejected else "kept"),
        "reason": reason,
        "detail": detail,
        "of_seq": decision.of if decision else None,
        "kind": decision.kind if decision else None,
        "distance": decision.distance if decision else None,
        "score": decision.score if decision else None,
        "decided_at": now(),
    }


def _kept_ones(
    placing: Placing,
    db: sa.Connection,
    numbered: Sequence[tuple[int, Row]],
    decisions: Mapping[int, Decision],
    out: set[int],
) -> list[tuple[int, str, list[int]]]:
    """List what has a place in a split, with those it must share it with.

    A dropped copy has one too, its original's: should it ever stand in for that, nothing moves.
    Where near-duplicates are kept, all within the radius share a split, for any of them may be
    the same picture.
    """
    reach = placing.radius if placing.near.near == "keep" else placing.lookalike_radius
    near: dict[int, list[int]] = {}
    for seq, row in numbered:
        decision = decisions.get(seq)
        if row["asset_id"] in out:
            continue
        alike = decision.lookalikes if decision else ()
        near[seq] = [a.id for a in alike if a.distance <= reach]
        if decision and decision.of is not None:
            near[seq].append(decision.of)
    ids = _asset_ids(placing, db, {seq for others in near.values() for seq in others})
    ids |= {seq: row["asset_id"] for seq, row in numbered}
    sha = {seq: row["sha256"] for seq, row in numbered}
    return [(ids[s], sha[s], [ids[other] for other in others]) for s, others in near.items()]


def _asset_ids(placing: Placing, db: sa.Connection, seqs: set[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for some in batched(sorted(seqs), 10_000):
        query = sa.select(placements.c.seq, placements.c.asset_id)
        query = query.where(placing.mine, placements.c.seq.in_(some))
        found |= {row.seq: row.asset_id for row in db.execute(query)}
    return found


class _Known:
    """What `decide` asks of the catalog and the store, by placement number."""

    def __init__(self, placing: Placing, batch: Mapping[int, Row]) -> None:
        self._placing, self._batch = placing, batch

    def by_checksum(self, checksums: list[str]) -> dict[str, int]:
        """Find the lowest kept number for each pixel checksum."""
        first: dict[str, int] = {}
        for some in batched(checksums, 10_000):
            query = (
                sa.select(measures.c.pixel_checksum, sa.func.min(placements.c.seq))
                .join(placements, placements.c.asset_id == measures.c.asset_id)
                .where(
                    self._placing.mine,
                    placements.c.verdict.in_(INDEXED),
                    measures.c.pixel_checksum.in_(some),
                )
                .group_by(measures.c.pixel_checksum)
            )
            with self._placing.catalog.read() as db:
                first |= {checksum: seq for checksum, seq in db.execute(query)}  # noqa: C416
        return first

    def thumbs_of(self, seqs: Any) -> Any:
        """Read thumbs in the order asked for; those of this batch are at hand."""
        wanted = sorted({int(s) for s in seqs if int(s) not in self._batch})
        found = {int(s): self._batch[int(s)]["thumb"] for s in seqs if int(s) in self._batch}
        for some in batched(wanted, 10_000):
            query = (
                sa.select(placements.c.seq, thumbs.c.thumb)
                .join(thumbs, thumbs.c.asset_id == placements.c.asset_id)
                .where(self._placing.mine, placements.c.seq.in_(some))
            )
            with self._placing.catalog.read() as db:
                found |= {seq: thumb for seq, thumb in db.execute(query)}  # noqa: C416
        return _stacked([found[int(s)] for s in seqs])

    def same_pixels(self, a: int, b: int) -> bool:
        """Compare two assets in full; they are read from the store."""
        return self._placing.same_pixels(self._sha256(a), self._sha256(b))

    def _sha256(self, seq: int) -> str:
        if seq in self._batch:
            return str(self._batch[seq]["sha256"])
        query = (
            sa.select(blobs.c.sha256)
            .join(placements, placements.c.asset_id == blobs.c.id)
            .where(self._placing.mine, placements.c.seq == seq)
        )
        with self._placing.catalog.read() as db:
            return str(db.scalar(query))


def _arrivals(numbered: Sequence[tuple[int, Row]]) -> Arrivals:
    signed = np.array([row["phash"] for _, row in numbered], np.int64)
    return Arrivals(
        ids=np.array([seq for seq, _ in numbered], np.int64),
        pixel_checksums=[row["pixel_checksum"] for _, row in numbered],
        hashes=signed.view(np.uint64),
        thumbs=_stacked([row["thumb"] for _, row in numbered]),
    )


def _stacked(blobs: Sequence[bytes]) -> Any:
    width = len(blobs[0]) if blobs else 1
    return np.frombuffer(b"".join(blobs), np.uint8).reshape(len(blobs), width)


def _next_seq(placing: Placing) -> int:
    with placing.catalog.read() as db:
        query = sa.select(sa.func.max(placements.c.seq)).where(placing.mine)
        return (db.scalar(query) or 0) + 1


def _saved_index(placing: Placing) -> NearIndex | None:
    """Load the index of the last run; one that cannot be trusted is built again."""
    with suppress(StaleIndexError):
        index = NearIndex.load(placing.index_path)
        if len(index) == _count_indexed(placing, index.highest):
            return index
    return None


def _count_indexed(placing: Placing, highest: int) -> int:
    query = sa.select(sa.func.count()).select_from(placements).join(
        measures, measures.c.asset_id == placements.c.asset_id
    )  # fmt: skip
    upto = (placing.mine, placements.c.verdict.in_(INDEXED), placements.c.seq <= highest)
    with placing.catalog.read() as db:
        return db.scalar(query.where(*upto)) or 0


def _top_up(placing: Placing, index: NearIndex) -> None:
    """Add what was kept after the index was saved."""
    import pyarrow as pa

    query = (
        sa.select(placements.c.seq, measures.c.phash)
        .join(measures, measures.c.asset_id == placements.c.asset_id)
        .where(placing.mine, placements.c.verdict.in_(INDEXED), placements.c.seq > index.highest)
        .order_by(placements.c.seq)
    )
    columns = pa.schema([("seq", pa.int64()), ("phash", pa.int64())])
    for page in placing.catalog.arrow(query, columns).to_batches():
        seqs, hashes = (column.to_numpy().copy() for column in page.columns)
        index.add(seqs, hashes.view(np.uint64))


def _delete(db: sa.Connection, placing: Placing, seqs: list[int]) -> list[int]:
    """Delete verdicts; gives the numbers of the copies of what was deleted."""
    copies: list[int] = []
    for some in batched(seqs, 10_000):
        of_these = sa.select(placements.c.seq).where(placing.mine, placements.c.of_seq.in_(some))
        copies += db.scalars(of_these)
        db.execute(sa.delete(placements).where(placing.mine, placements.c.seq.in_(some)))
    return copies


def _forget_the_gone(placing: Placing) -> int:
    """Take back the verdicts on what no source lists any more, and on its copies.

    A copy of a vanished original is then judged anew; a split, once given, stays.
    """
    first = firsts(placing.dataset_id)
    listed = sa.exists().where(first.c.asset_id == placements.c.asset_id)
    gone = sa.select(placements.c.seq).where(placing.mine, ~listed)
    with placing.catalog.begin() as db:
        seqs = list(db.scalars(gone))
        if seqs:  # Their numbers may be given again: the saved index must not outlive them.
            placing.index_path.unlink(missing_ok=True)
        copies = seqs
        while copies:  # A marked copy may have copies of its own.
            copies = _delete(db, placing, copies)
    return len(seqs)
