"""The ledger of labels: who said what of which asset, when, how surely; no word is overwritten."""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import ledger, now, refs
from autods.errors import UsageError
from autods.run import batched

PRECEDENCE = ("human", "source", "weak", "model")
"""Who is believed first; within one kind the newest entry counts."""

WITHDRAWN = ""
"""Entered where a kind of voice takes back what it said last: an entry is never removed."""


def in_force(dataset_id: int) -> sa.Subquery:
    """Select the one label that counts for each asset of a dataset.

    Columns: asset_id, label, kind, said_by, probability.
    """
    names = ("asset_id", "label", "kind", "said_by", "probability")
    newest = _newest(ledger.c.dataset_id == dataset_id)
    rank = sa.case({kind: i for i, kind in enumerate(PRECEDENCE)}, value=ledger.c.kind)
    order = sa.func.row_number().over(partition_by=ledger.c.asset_id, order_by=rank)
    ranked = (
        sa.select(*(ledger.c[name] for name in names), order.label("place"))
        .join(newest, newest.c.id == ledger.c.id)
        .where(ledger.c.label != WITHDRAWN)
        .subquery()
    )
    first = sa.select(*(ranked.c[name] for name in names)).where(ranked.c.place == 1)
    return first.subquery("in_force")


def say(
    catalog: Catalog,
    dataset_id: int,
    kind: str,
    said_by: str | None,
    said: Iterable[Mapping[str, Any]],
    *,
    complete: bool = False,
) -> int:
    """Enter labels, one transaction a batch; returns how many entries were new.

    `said` yields asset_id, label and probability (or None). What a voice said last of an asset
    is not entered again, so a second run writes nothing. Where `said_by` is None each row names
    its own, and the newest entry of any voice of this kind is what was said last. With `complete`
    it is all that this kind says today: again the newest entry of any voice counts, and what was
    said of assets not named now is withdrawn. Raises UsageError for a kind that is none.
    """
    if kind not in PRECEDENCE:
        raise UsageError(f"no kind of label {kind!r} (valid: {', '.join(PRECEDENCE)})")
    last = _last_words(catalog, dataset_id, kind, None if complete else said_by)
    news = _News({"dataset_id": dataset_id, "kind": kind, "said_by": said_by}, last)
    entered = 0
    for batch in batched(said, 4096):
        entered += _enter(catalog, news.among(batch))
    return entered + (_enter(catalog, news.withdrawals()) if complete else 0)


def withdraw(catalog: Catalog, dataset_id: int, kind: str, asset_ids: set[int]) -> int:
    """Take back what a kind of voice says of some assets; returns how many entries were new."""
    last = {
        asset_id: word
        for asset_id, word in _last_words(catalog, dataset_id, kind, None).items()
        if asset_id in asset_ids
    }
    voice = {"dataset_id": dataset_id, "kind": kind, "said_by": "withdrawn"}
    return _enter(catalog, _News(voice, last).withdrawals())


_Word = tuple[str, str, float | None]  # Who said it, the label, how surely.


def _enter(catalog: Catalog, rows: list[dict[str, Any]]) -> int:
    if rows:
        with catalog.begin() as db:
            catalog.load(db, ledger, rows)
    return len(rows)


class _News:
    """Tells what is new of what a voice says, by what was said last."""

    def __init__(self, voice: Mapping[str, Any], last: dict[int, _Word]) -> None:
        self._voice, self._last = voice, last
        self._named: set[int] = set()

    def among(self, said: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Give the entries for what differs from the last word on its asset."""
        at, rows = now(), []
        for row in said:
            entry = {**self._voice, **row, "said_at": at}
            word = (entry["said_by"], entry["label"], entry["probability"])
            self._named.add(row["asset_id"])
            if self._last.get(row["asset_id"]) != word:
                self._last[row["asset_id"]] = word
                rows.append(entry)
        return rows

    def withdrawals(self) -> list[dict[str, Any]]:
        """Give the entries that take back what was said of all other assets."""
        silent = [i for i, word in self._last.items() if word[1] != WITHDRAWN]
        gone = ({"asset_id": i} for i in sorted(silent) if i not in self._named)
        nothing = {**self._voice, "label": WITHDRAWN, "probability": None, "said_at": now()}
        return [nothing | row for row in gone]


def _last_words(
    catalog: Catalog, dataset_id: int, kind: str, said_by: str | None
) -> dict[int, _Word]:
    query = (
        sa.select(ledger.c.asset_id, ledger.c.said_by, ledger.c.label, ledger.c.probability)
        .where(ledger.c.dataset_id == dataset_id, ledger.c.kind == kind)
        .order_by(ledger.c.id)
    )
    if said_by is not None:
        query = query.where(ledger.c.said_by == said_by)
    with catalog.read() as db:
        return {
            row.asset_id: (row.said_by, row.label, row.probability) for row in db.execute(query)
        }


def _newest(*among: sa.ColumnElement[bool]) -> sa.Subquery:
    """Select the id of the newest of some entries for each asset and kind."""
    newest = sa.func.max(ledger.c.id).label("id")
    query = sa.select(ledger.c.asset_id, newest).where(*among)
    return query.group_by(ledger.c.asset_id, ledger.c.kind).subquery()


def enter_source_labels(catalog: Catalog, dataset_id: int) -> int:
    """Enter the labels that came with the refs; the first sighting that has one speaks.

    Done in the database, by one statement: an asset whose sources say today what they said last
    is left alone; where none of its live sightings has a label any more, the last is withdrawn.
    """
    seen = (
        sa.select(
            refs.c.asset_id,
            sa.func.min(refs.c.id).label("arrived"),
            sa.func.min(sa.case((refs.c.label.is_not(None), refs.c.id))).label("ref_id"),
        )
        .where(
            refs.c.dataset_id == dataset_id,
            refs.c.gone_at.is_(None),
            refs.c.asset_id.is_not(None),
        )
        .group_by(refs.c.asset_id)
        .subquery()
    )
    newest = _newest(ledger.c.dataset_id == dataset_id, ledger.c.kind == "source")
    today = sa.func.coalesce(refs.c.label, WITHDRAWN)
    news = (
        sa.select(
            sa.literal(dataset_id), seen.c.asset_id, sa.literal("source"),
            sa.func.coalesce(refs.c.source, ledger.c.said_by), today,
            sa.literal(now(), sa.DateTime),
        )
        .select_from(seen)
        .outerjoin(refs, refs.c.id == seen.c.ref_id)
        .outerjoin(newest, newest.c.asset_id == seen.c.asset_id)
        .outerjoin(ledger, ledger.c.id == newest.c.id)
        .where(sa.func.coalesce(ledger.c.label, WITHDRAWN) != today)
        .order_by(seen.c.arrived)
    )  # fmt: skip
    names = ["dataset_id", "asset_id", "kind", "said_by", "label", "said_at"]
    with catalog.begin() as db:
        insert = sa.insert(ledger).from_select(names, news)
        return db.execute(insert.execution_options(preserve_rowcount=True)).rowcount


def count_conflicts(catalog: Catalog, dataset_id: int) -> int:
    """Count the assets whose live sightings carry different labels."""
    live = (refs.c.dataset_id == dataset_id, refs.c.gone_at.is_(None), refs.c.label.is_not(None))
    disputed = (
        sa.select(refs.c.asset_id)
        .where(*live, refs.c.asset_id.is_not(None))
        .group_by(refs.c.asset_id)
        .having(sa.func.count(refs.c.label.distinct()) > 1)
        .subquery()
    )
    with catalog.read() as db:
        return db.scalar(sa.select(sa.func.count()).select_from(disputed)) or 0
