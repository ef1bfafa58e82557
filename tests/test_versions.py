"""A version is what its members are, for ever, and it is found again by any of its names."""

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.assemble.members import read_members as members_of
from autods.assemble.splits import Placed, Splits, assign_splits
from autods.catalog import Catalog
from autods.catalog.tables import blobs, now, placements, refs, versions
from autods.errors import PlaceError, UsageError
from autods.label.ledger import enter_source_labels, in_force
from autods.store import LocalStore
from autods.versions import (
    IDENTITY,
    Diff,
    Version,
    alias,
    diff,
    digest_of,
    find_version,
    freeze,
    list_versions,
    read_members,
)

SCHEMA = pa.schema(
    [(name, pa.float64() if name in {"probability", "weight"} else pa.string())
     for name in (*IDENTITY, "format")]
)  # fmt: skip


def sha(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def member(name: object, **values: Any) -> dict[str, Any]:
    row = {"sha256": sha(name), "split": "train", "label": "cat", "label_kind": "source"}
    return {**row, "probability": None, "weight": 1.0, "caption": None, **values}


def members(*rows: Mapping[str, Any]) -> pa.Table:
    full = [{name: row.get(name) for name in SCHEMA.names} for row in rows]
    return pa.Table.from_pylist(sorted(full, key=lambda row: str(row["sha256"])), SCHEMA)


class Place:
    """A catalog and a store."""

    def __init__(self, root: Path, url: str = "") -> None:
        self.catalog = Catalog(url or str(root / "catalog.db"))
        self.store = LocalStore(root / "store")

    def freeze(self, table: pa.Table, dataset: str = "cats") -> tuple[Version, bool]:
        return freeze(
            self.catalog, self.store, dataset=dataset, members=table,
            recipe={"name": dataset}, stats={"members": table.num_rows},
        )  # fmt: skip

    def names(self, dataset: str | None = None) -> list[str]:
        return [version.name for version in list_versions(self.catalog, dataset)]


@pytest.fixture
def place(tmp_path: Path, catalog_url: str) -> Iterator[Place]:
    place = Place(tmp_path, catalog_url)
    yield place
    place.catalog.close()


A, B = members(member("a"), member("b")), members(member("a"), member("b", label="dog"))
C = members(member("c"))


def test_the_same_members_are_the_same_version(place: Place) -> None:
    first, new = place.freeze(A)
    assert (first.name, first.number, first.parent_number, new) == ("cats@v1", 1, None, True)
    again, new = place.freeze(A)
    assert (again, new) == (first, False)
    assert place.names() == ["cats@v1"]


def test_other_members_are_the_next_version(place: Place) -> None:
    place.freeze(A)
    second, new = place.freeze(B)
    assert (second.name, second.parent_number, new) == ("cats@v2", 1, True)
    assert second.recipe == {"name": "cats"}
    assert second.stats == {"members": 2}
    assert find_version(place.catalog, "cats@v1").digest == digest_of(A)


def test_going_back_is_the_old_version_and_what_grows_from_it_its_child(place: Place) -> None:
    place.freeze(A)
    place.freeze(B)
    back, new = place.freeze(A)
    assert (back.name, new) == ("cats@v1", False)
    assert find_version(place.catalog, "cats").name == "cats@v1"
    child, _ = place.freeze(C)
    assert (child.name, child.parent_number) == ("cats@v3", 1)


def test_datasets_count_for_themselves(place: Place) -> None:
    place.freeze(A)
    place.freeze(B)
    other, new = place.freeze(A, "dogs")
    assert (other.name, other.parent_number, new) == ("dogs@v1", None, True)
    assert place.names() == ["cats@v1", "cats@v2", "dogs@v1"]
    assert place.names("dogs") == ["dogs@v1"]
    assert place.names("none") == []


def test_members_are_read_back_as_they_were_frozen(place: Place) -> None:
    table = members(member("a", caption='é,"\n'), member("b", label=None), member("c"))
    version, _ = place.freeze(table.take([2, 0, 1]))
    assert read_members(place.store, version).equals(table)


def test_a_version_of_nothing_is_a_version(place: Place) -> None:
    version, new = place.freeze(members())
    assert new
    assert read_members(place.store, version).num_rows == 0


def test_two_datasets_keep_their_own_manifests(place: Place) -> None:
    """A column may lie outside the digest; a manifest named by the digest would be shared."""
    one, _ = place.freeze(members(member("a", format="JPEG")), "one")
    two, _ = place.freeze(members(member("a", format="PNG")), "two")
    assert one.digest == two.digest
    found = [read_members(place.store, v)["format"].to_pylist() for v in (one, two)]
    assert found == [["JPEG"], ["PNG"]]


def test_a_manifest_that_is_gone_or_damaged_is_one_sentence(place: Place) -> None:
    version, _ = place.freeze(A)
    path = place.store.local_path(version.manifest)
    path.chmod(0o644)
    for content in (b"no parquet at all", path.read_bytes()[:-20], b""):
        path.write_bytes(content)
        with pytest.raises(PlaceError, match=r"^the manifest of cats@v1 cannot be read"):
            read_members(place.store, version)
    place.store.delete(version.manifest)
    with pytest.raises(PlaceError, match=r"^cannot read .*parquet: No such file"):
        read_members(place.store, version)


# The digest.


def test_the_digest_knows_null_from_empty_and_every_identity_column() -> None:
    changes: list[dict[str, Any]] = [
        {}, {"label": None}, {"label": ""}, {"label": "NULL"}, {"split": "test"},
        {"label_kind": "human"}, {"probability": 0.5}, {"probability": 0.0}, {"weight": 2.0},
        {"caption": ""}, {"caption": "a\nb"}, {"caption": 'a"b'}, {"caption": "a,b"},
        {"license": "x"}, {"source": "x"}, {"uri": "x"}, {"near_of": "x"}, {"meta": "{}"},
    ]  # fmt: skip
    digests = {digest_of(members(member("a", **change))) for change in changes}
    assert len(digests) == len(changes)
    assert digest_of(members(member("a", format="x"))) == digest_of(members(member("a")))


def test_cells_cannot_be_taken_for_other_cells() -> None:
    one = members(member("a", label='x","y', label_kind="z"))
    two = members(member("a", label="x", label_kind='y","z'))
    assert digest_of(one) != digest_of(two)
    assert digest_of(members(member("a"), member("b"))) != digest_of(members(member("a")))


@given(st.permutations(range(12)), st.integers(1, 12))
def test_the_digest_does_not_depend_on_order_or_batches(order: list[int], size: int) -> None:
    rows = [member(n, label=str(n % 3)) for n in range(12)]
    whole = members(*rows)
    shuffled = whole.take(order)
    parts = pa.concat_tables(shuffled.slice(i, size) for i in range(0, 12, size))
    assert digest_of(parts) == digest_of(whole)


def test_the_digest_can_be_told_without_us() -> None:
    """A new pyarrow that writes a number or a null in another way must not pass."""
    table = members(
        member("a", probability=0.1 + 0.2, weight=1 / 3, caption='é "x"\n'),
        member("b", label=None, probability=1e-9, weight=1e22, split="test"),
    )
    text = (
        '"sha256","split","label","label_kind","probability","weight","caption","license",'
        '"source","uri","near_of","meta"\n'
        f'"{sha("b")}","test",,"source",1e-9,1e+22,,,,,,\n'
        f'"{sha("a")}","train","cat","source",0.30000000000000004,0.3333333333333333,"é ""x""\n"'
        ",,,,,\n"
    )
    assert digest_of(table) == sha(text)


def grown(root: Path, names: Sequence[str], steps: int) -> tuple[Place, Version]:
    """Bring assets into a new catalog in some order and some steps, and freeze them."""
    root.mkdir()
    place = Place(root)
    dataset_id = place.catalog.dataset_id("cats")
    at = now()
    for step in range(steps):
        here = names[step::steps]
        with place.catalog.begin() as db:
            for name in here:
                row = {"sha256": sha(name), "size": 1, "created_at": at}
                (asset,) = db.execute(sa.insert(blobs).returning(blobs.c.id), row).one()
                ref = {"dataset_id": dataset_id, "source": "s", "uri": name, "stamp": "",
                       "location": "", "label": name[0], "meta": {"n": name}, "tries": 0,
                       "first_seen": at, "asset_id": asset}  # fmt: skip
                db.execute(sa.insert(refs), ref)
                seq = {"dataset_id": dataset_id, "policy": "p", "seq": asset, "asset_id": asset}
                db.execute(sa.insert(placements), {**seq, "verdict": "kept", "decided_at": at})
                placed = [Placed(asset, sha(name))]
                assign_splits(place.catalog, db, dataset_id, placed, Splits())
    enter_source_labels(place.catalog, dataset_id)
    table = members_of(place.catalog, dataset_id, "p", in_force(dataset_id))
    return place, place.freeze(table.drop_columns(["asset_id"]))[0]


def test_the_digest_does_not_depend_on_the_catalog_s_own_numbers(tmp_path: Path) -> None:
    names = [f"{letter}{n}" for letter in "abc" for n in range(20)]
    one, first = grown(tmp_path / "one", names, 1)
    two, second = grown(tmp_path / "two", random.Random(1).sample(names, len(names)), 4)
    assert first.digest == second.digest
    tables = [read_members(p.store, v) for p, v in ((one, first), (two, second))]
    assert tables[0].equals(tables[1])
    assert json.loads(tables[0]["meta"][0].as_py()) == {"n": tables[0]["uri"][0].as_py()}


# Names.


def test_a_version_is_found_by_number_alias_and_dataset_alone(place: Place) -> None:
    first, _ = place.freeze(A)
    second, _ = place.freeze(B)
    alias(place.catalog, first, "gold")
    names = {"cats@v1": first, "cats@v2": second, "cats": second, "cats@": second,
             "cats@latest": second, "cats@gold": first}  # fmt: skip
    assert {name: find_version(place.catalog, name) for name in names} == names


def test_an_alias_moves_and_the_version_does_not(place: Place) -> None:
    first, _ = place.freeze(A)
    second, _ = place.freeze(B)
    other, _ = place.freeze(C, "dogs")
    for name in ("gold", "2024-11-v1", "a.b_c", "V1x"):
        alias(place.catalog, first, name)
        alias(place.catalog, second, name)
        assert find_version(place.catalog, f"cats@{name}") == second
    alias(place.catalog, other, "gold")
    assert find_version(place.catalog, "cats@gold") == second
    assert find_version(place.catalog, "dogs@gold") == other
    assert find_version(place.catalog, "cats@v1") == first


@pytest.mark.parametrize(
    "name",
    ["", "latest", "v1", "v99", "-a", ".a", "a b", "a/b", "a@b", "a\n", "a\0", "x" * 101],
)
def test_a_bad_alias_is_refused(place: Place, name: str) -> None:
    version, _ = place.freeze(A)
    with pytest.raises(UsageError, match=r"^not an alias: "):
        alias(place.catalog, version, name)


def test_an_unknown_version_is_refused_with_those_there_are(place: Place) -> None:
    version, _ = place.freeze(A)
    alias(place.catalog, version, "gold")
    message = r"^no version 'cats@v2' \(there: cats@v1, cats@gold, cats@latest\)$"
    with pytest.raises(UsageError, match=message):
        find_version(place.catalog, "cats@v2")
    for name in ("dogs", "dogs@v1", "@v1", "", "Cats@v1"):
        with pytest.raises(UsageError, match=r"^no dataset .* \(there: cats\)$"):
            find_version(place.catalog, name)
    place.catalog.dataset_id("empty")
    with pytest.raises(UsageError, match=r"\(there: none yet: run `autods build`\)$"):
        find_version(place.catalog, "empty")


# Differences.


def test_a_diff_names_what_came_went_changed_label_or_moved() -> None:
    old = members(member("a"), member("b"), member("c", label=None), member("d", label=None),
                  member("e", label=""), member("f"), member("gone"))  # fmt: skip
    new = members(member("a"), member("b", label="dog"), member("c"), member("d", label=None),
                  member("e", label=None), member("f", label=None, split="test"),
                  member("new"))  # fmt: skip
    found = diff(old, new)
    assert found == Diff(
        added=[sha("new")],
        removed=[sha("gone")],
        relabelled=sorted([
            (sha("b"), "cat", "dog"), (sha("c"), None, "cat"), (sha("e"), "", None),
            (sha("f"), "cat", None),
        ]),
        moved=[(sha("f"), "train", "test")],
        unchanged=2,
    )  # fmt: skip


def test_a_diff_with_nothing_and_with_itself() -> None:
    assert diff(A, A) == Diff(added=[], removed=[], relabelled=[], moved=[], unchanged=2)
    assert diff(members(), A).added == sorted([sha("a"), sha("b")])
    assert diff(A, members()).removed == sorted([sha("a"), sha("b")])
    assert diff(members(), members()).unchanged == 0


rows = st.dictionaries(
    st.integers(0, 8), st.tuples(st.sampled_from(["cat", "dog", "", None]), st.booleans())
)


@settings(max_examples=40)
@given(rows, rows)
def test_a_diff_is_what_two_dictionaries_would_say(old: Any, new: Any) -> None:
    def table(rows: dict[int, tuple[str | None, bool]]) -> pa.Table:
        return members(
            *(member(n, label=x, split="test" if t else "train") for n, (x, t) in rows.items())
        )

    found = diff(table(old), table(new))
    both = old.keys() & new.keys()
    assert found.added == sorted(sha(n) for n in new.keys() - old.keys())
    assert found.removed == sorted(sha(n) for n in old.keys() - new.keys())
    assert {x[0] for x in found.relabelled} == {sha(n) for n in both if old[n][0] != new[n][0]}
    assert {x[0] for x in found.moved} == {sha(n) for n in both if old[n][1] != new[n][1]}
    assert found.unchanged == sum(old[n] == new[n] for n in both)


@pytest.mark.slow
def test_two_hundred_thousand_members_are_frozen_and_compared(place: Place) -> None:
    names = [sha(n) for n in range(200_000)]
    columns: dict[str, Any] = {name: pa.nulls(len(names), SCHEMA.field(name).type)
                               for name in SCHEMA.names}  # fmt: skip
    columns |= {"sha256": names, "split": ["train"] * len(names)}
    old = pa.table(columns, SCHEMA)
    new = pa.table({**columns, "split": ["train"] * 199_999 + ["test"]}, SCHEMA).slice(1000)
    first, _ = place.freeze(old)
    second, _ = place.freeze(new)
    found = diff(read_members(place.store, first), read_members(place.store, second))
    assert (len(found.removed), len(found.moved), found.unchanged) == (1000, 1, 198_999)


# Two at once.


class Overtaken(LocalStore):
    """A store during whose first writing another process freezes the same members."""

    def __init__(self, root: Path, other: Place, table: pa.Table) -> None:
        super().__init__(root)
        self._race = [(other, table)]

    def put(self, key: str, data: bytes) -> None:
        while self._race:
            other, table = self._race.pop()
            other.freeze(table)
        super().put(key, data)


def test_who_is_overtaken_finds_the_version_made(
    place: Place, tmp_path: Path, catalog_url: str
) -> None:
    late = Place(tmp_path, catalog_url)
    late.store = Overtaken(tmp_path / "store", place, A)
    version, new = late.freeze(A)
    late.catalog.close()
    assert (version.name, new) == ("cats@v1", False)
    assert place.names() == ["cats@v1"]


RACER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_versions import Place, member, members

place = Place(Path(sys.argv[2]), sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    place.freeze(members(member(number // 2 if number % 2 else f"{sys.argv[3]}-{number}")))
"""


@pytest.mark.slow
def test_two_processes_never_make_one_number_twice(
    place: Place, tmp_path: Path, catalog_url: str
) -> None:
    """Half of what each freezes the other freezes too."""
    here = str(Path(__file__).parent)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, here, str(tmp_path), name, catalog_url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.communicate("go\n", timeout=60)
        assert racer.returncode == 0
    found = list_versions(place.catalog)
    assert [version.number for version in found] == list(range(1, 31))
    assert len({version.digest for version in found}) == 30
    assert all(read_members(place.store, version).num_rows == 1 for version in found)
    with place.catalog.read() as db:
        assert db.scalar(sa.select(sa.func.count()).select_from(versions)) == 30
