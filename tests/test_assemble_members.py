"""Members are what is kept and still listed, one row each, with the first sighting's words."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from autods.assemble.members import read_members
from autods.assemble.splits import Placed, Splits, assign_splits
from autods.catalog import Catalog
from autods.catalog.tables import blobs, measures, now, placements, refs
from autods.label.ledger import in_force, say


class Kept:
    """A catalog in which samples are placed by hand; letters name their bytes."""

    def __init__(self, url: str) -> None:
        self.catalog = Catalog(url)
        self.dataset_id = self.catalog.dataset_id("cats")

    def add(self, letter: str, **placement: Any) -> int:
        at = now()
        with self.catalog.begin() as db:
            row = {"sha256": letter * 64, "size": 1, "created_at": at}
            asset = int(db.execute(sa.insert(blobs).returning(blobs.c.id), row).scalar_one())
            place = {"dataset_id": self.dataset_id, "policy": "p", "seq": asset,
                     "asset_id": asset, "verdict": "kept", "decided_at": at}  # fmt: skip
            db.execute(sa.insert(placements), {**place, **placement})
            placed = [Placed(asset, letter * 64)]
            assign_splits(self.catalog, db, self.dataset_id, placed, Splits(train=1, val=0, test=0))
        return asset

    def see(self, asset: int, uri: str, **values: Any) -> None:
        row = {"dataset_id": self.dataset_id, "source": "s", "uri": uri, "stamp": "",
               "location": "", "meta": {}, "first_seen": now(), "asset_id": asset,
               "tries": 0}  # fmt: skip
        with self.catalog.begin() as db:
            db.execute(sa.insert(refs), {**row, **values})

    def measure(self, asset: int, phash: int) -> None:
        row: dict[str, Any] = {column.name: 1 for column in measures.columns}
        texts = ("fingerprint", "format", "mode", "pixel_checksum", "phash_algorithm")
        row |= dict.fromkeys(texts, "x") | {"asset_id": asset, "phash": phash}
        with self.catalog.begin() as db:
            db.execute(sa.insert(measures), {**row, "extracted_at": now()})

    def members(self, policy: str = "p") -> pa.Table:
        force = in_force(self.dataset_id)
        return read_members(self.catalog, self.dataset_id, policy, force)


@pytest.fixture
def kept(catalog_url: str) -> Iterator[Kept]:
    kept = Kept(catalog_url)
    yield kept
    kept.catalog.close()


def test_a_member_is_one_row_in_the_order_of_its_name(kept: Kept) -> None:
    for letter in "cab":
        kept.see(kept.add(letter), f"{letter}.jpg")
    table = kept.members()
    assert [name[0] for name in table["sha256"].to_pylist()] == ["a", "b", "c"]
    assert table["uri"].to_pylist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert set(table["split"].to_pylist()) == {"train"}
    assert set(table["weight"].to_pylist()) == {1.0}


def test_the_first_sighting_that_is_still_listed_speaks(kept: Kept) -> None:
    asset = kept.add("a")
    kept.see(asset, "gone.jpg", gone_at=now(), license="gone")
    kept.see(asset, "one.jpg", license="cc0", caption="one", meta={"é": [1], "a": 2})
    kept.see(asset, "two.jpg", license="by", source="t")
    (row,) = kept.members().to_pylist()
    assert (row["uri"], row["source"], row["license"]) == ("one.jpg", "s", "cc0")
    assert row["caption"] == "one"
    assert row["meta"] == '{"a": 2, "é": [1]}'


def test_what_is_not_kept_or_not_listed_is_no_member(kept: Kept) -> None:
    for letter, verdict in zip("abc", ("duplicate", "rejected", "withheld"), strict=True):
        kept.see(kept.add(letter, verdict=verdict), letter)
    kept.see(kept.add("d", policy="other"), "d")
    kept.see(kept.add("e"), "e", gone_at=now())
    kept.add("f")
    assert kept.members().num_rows == 0
    assert kept.members("other").num_rows == 1
    kept.dataset_id = kept.catalog.dataset_id("dogs")
    assert kept.members("other").num_rows == 0


def test_nothing_is_a_table_with_the_same_columns(kept: Kept) -> None:
    empty = kept.members().schema
    kept.see(kept.add("a"), "a")
    assert kept.members().schema == empty


def test_the_label_in_force_comes_with_who_said_it_and_how_surely(kept: Kept) -> None:
    first, second = kept.add("a"), kept.add("b")
    for asset in (first, second):
        kept.see(asset, str(asset))
    row = {"asset_id": second, "label": "dog", "probability": 0.75}
    say(kept.catalog, kept.dataset_id, "weak", "m", [row])
    columns = ["label", "label_kind", "probability"]
    assert kept.members().select(columns).to_pylist() == [
        dict.fromkeys(columns), {"label": "dog", "label_kind": "weak", "probability": 0.75},
    ]  # fmt: skip


def test_a_hash_is_sixteen_digits_whatever_its_sign(kept: Kept) -> None:
    for letter, phash in zip("abcd", (0, 255, -1, -(2**63)), strict=True):
        asset = kept.add(letter)
        kept.see(asset, letter)
        kept.measure(asset, phash)
    kept.see(kept.add("e"), "e")
    assert kept.members()["phash"].to_pylist() == [
        "0" * 16, "00000000000000ff", "f" * 16, "8" + "0" * 15, None,
    ]  # fmt: skip


def test_a_marked_copy_names_its_original(kept: Kept) -> None:
    original = kept.add("a")
    kept.see(original, "a")
    kept.see(kept.add("b", of_seq=original), "b")
    assert kept.members()["near_of"].to_pylist() == [None, "a" * 64]


@pytest.mark.slow
def test_members_beyond_a_page_are_all_there(kept: Kept) -> None:
    at, count = now(), 25_001
    with kept.catalog.begin() as db:
        names = [f"{n:064x}" for n in range(1, count)]
        db.execute(sa.insert(blobs), [{"sha256": name, "size": 1, "created_at": at}
                                       for name in names])  # fmt: skip
        base = {"dataset_id": 1, "stamp": "", "location": "", "source": "s", "tries": 0}
        db.execute(sa.insert(refs), [{**base, "uri": f"{n}", "meta": {"n": n}, "first_seen": at,
                                      "asset_id": n} for n in range(1, count)])  # fmt: skip
        db.execute(sa.insert(placements), [
            {"dataset_id": 1, "policy": "p", "seq": n, "asset_id": n, "verdict": "kept",
             "decided_at": at} for n in range(1, count)])  # fmt: skip
        placed = [Placed(n, name) for n, name in enumerate(names, 1)]
        assign_splits(kept.catalog, db, 1, placed, Splits())
    table = kept.members()
    assert table["sha256"].to_pylist() == names
    assert json.loads(table["meta"][-1].as_py()) == {"n": 25_000}
