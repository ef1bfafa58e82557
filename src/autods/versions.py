"""Freezing a choice of members as an immutable version, and finding versions again."""

import contextlib
import datetime as dt
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.tables import aliases, datasets, now, versions
from autods.errors import PlaceError, UsageError
from autods.store import MissingError, Store, sha256_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

LATEST = "latest"
IDENTITY = (
    "sha256", "split", "label", "label_kind", "probability", "weight", "caption", "license",
    "source", "uri", "near_of", "meta",
)  # fmt: skip
"""The columns whose values make a version what it is; the digest covers them and no others.

All that an export says of a member is among them, or follows from its bytes: one digest, one
set of shards.
"""


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable version; `manifest` is the store key of its members' parquet."""

    dataset: str
    dataset_id: int
    number: int
    digest: str
    parent_number: int | None
    manifest: str
    recipe: dict[str, Any]
    stats: dict[str, Any]
    created_at: dt.datetime

    @property
    def name(self) -> str:
        """Write the version as people do: `cats@v3`."""
        return f"{self.dataset}@v{self.number}"


def freeze(
    catalog: Catalog,
    store: Store,
    *,
    dataset: str,
    members: "pa.Table",
    recipe: Mapping[str, Any],
    stats: Mapping[str, Any],
) -> tuple[Version, bool]:
    """Freeze `members`, one row a sample; also tells whether that is a new version.

    The same members are the same version: nothing is written then but the alias `latest`.
    The manifest is written before its row, so a version that can be seen can be read. Its parent
    is the version that was `latest`.
    """
    members = members.sort_by("sha256")
    digest = digest_of(members)
    dataset_id = catalog.dataset_id(dataset)
    mine = _number(dataset_id).where(versions.c.digest == digest)
    with catalog.read() as db:
        kept = db.scalar(mine.with_only_columns(versions.c.manifest))
    # Kept anew, too, if the store has lost it.
    manifest = kept if kept and store.has(kept) else _keep(store, members)
    with catalog.begin() as db:
        one_at_a_time = sa.select(datasets.c.id).where(datasets.c.id == dataset_id)
        db.execute(one_at_a_time.with_for_update())
        found = db.scalar(mine)  # Asked again: another process may have been quicker.
        highest = db.scalar(_number(dataset_id).order_by(versions.c.number.desc()).limit(1))
        number = found or (highest or 0) + 1
        if found is None:
            row = {"number": number, "digest": digest, "parent_number": _latest(db, dataset_id)}
            row |= {"manifest": manifest, "recipe": dict(recipe), "stats": dict(stats)}
            db.execute(sa.insert(versions), {"dataset_id": dataset_id, "created_at": now(), **row})
        moved = {"dataset_id": dataset_id, "alias": LATEST, "number": number}
        catalog.replace(db, aliases, [moved])
    return find_version(catalog, f"{dataset}@v{number}"), found is None


def _keep(store: Store, members: "pa.Table") -> str:
    """Store a manifest under the hash of its bytes, and give its key.

    Not under the version's digest: two versions may agree in that and differ in a source or a
    license, and each must keep its own.
    """
    data = _parquet(members)
    key = f"processed/manifests/{sha256_of(data)}.parquet"
    if not store.has(key):
        store.put(key, data)
    return key


def _latest(db: sa.Connection, dataset_id: int) -> int | None:
    mine = (aliases.c.dataset_id == dataset_id, aliases.c.alias == LATEST)
    return db.scalar(sa.select(aliases.c.number).where(*mine))


def _number(dataset_id: int) -> "sa.Select[Any]":
    return sa.select(versions.c.number).where(versions.c.dataset_id == dataset_id)


def digest_of(members: "pa.Table") -> str:
    """Hash the identity columns of the members, in hex; the order of the rows is of no account.

    Hashed is their text as CSV (RFC 4180; an empty cell is null, `""` is an empty string), so
    the digest depends neither on parquet's layout nor on a library's version of it.
    """
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    hasher = hashlib.sha256()

    class Sink:
        closed = False

        def write(self, data: bytes) -> int:
            hasher.update(data)
            return len(data)

        def flush(self) -> None: ...

        def close(self) -> None: ...

    with pa.PythonFile(Sink(), mode="w") as file:
        pa_csv.write_csv(members.select(list(IDENTITY)).sort_by("sha256"), file)
    return hasher.hexdigest()


def read_members(store: Store, version: Version) -> "pa.Table":
    """Read a version's members back, as they were frozen.

    Raises PlaceError if its manifest is gone or damaged.
    """
    with _manifest(store, version) as file:
        return file.read(use_threads=False)


def holds(store: Store, version: Version, sha256: str) -> bool:
    """Tell whether an asset is a member of a version; of a long manifest little is read."""
    with _manifest(store, version) as file:
        column = file.schema_arrow.get_field_index("sha256")
        for group in range(file.num_row_groups):
            known = file.metadata.row_group(group).column(column).statistics
            if known and known.has_min_max and not known.min <= sha256 <= known.max:
                continue
            names = file.read_row_group(group, columns=["sha256"], use_threads=False)
            if sha256 in names["sha256"].to_pylist():
                return True
    return False


@contextlib.contextmanager
def _manifest(store: Store, version: Version) -> "Iterator[pq.ParquetFile]":
    """Open a manifest, and tell what is wrong with it.

    Read in this thread alone: Arrow's scanner (`read_table`) leaves threads behind that now and
    then abort a process which ends soon afterwards (apache/arrow 34314, 39862, 50482).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = store.local_path(version.manifest)
    try:
        near = path is not None and path.exists()
        with pq.ParquetFile(path if near else pa.BufferReader(store.get(version.manifest))) as file:
            yield file
    except MissingError:
        raise
    except (pa.ArrowException, OSError) as error:
        message = f"the manifest of {version.name} cannot be read ({version.manifest}): {error}"
        raise PlaceError(message) from error


def find_version(catalog: Catalog, name: str) -> Version:
    """Find `cats@v3`, `cats@latest`, `cats@ALIAS` or plain `cats` (its latest).

    Raises UsageError that names the versions and aliases there are.
    """
    dataset, _, which = name.partition("@")
    dataset_id = catalog.find_dataset(dataset)
    known = {f"v{v.number}": v for v in list_versions(catalog, dataset)}
    with catalog.read() as db:
        named = sa.select(aliases).where(aliases.c.dataset_id == dataset_id)
        rows = db.execute(named.order_by(aliases.c.alias)).all()
    known |= {row.alias: known[f"v{row.number}"] for row in rows}
    if (which or LATEST) not in known:
        there = ", ".join(f"{dataset}@{key}" for key in known) or "none yet: run `autods build`"
        raise UsageError(f"no version {name!r} (there: {there})")
    return known[which or LATEST]


def list_versions(catalog: Catalog, dataset: str | None = None) -> list[Version]:
    """List versions, oldest first; of one dataset, or of all."""
    query = sa.select(versions, datasets.c.name.label("dataset")).join(
        datasets, datasets.c.id == versions.c.dataset_id
    )
    if dataset is not None:
        query = query.where(datasets.c.name == dataset)
    with catalog.read() as db:
        rows = db.execute(query.order_by(datasets.c.name, versions.c.number)).mappings().all()
    fields = Version.__dataclass_fields__
    return [Version(**{name: row[name] for name in fields}) for row in rows]


def alias(catalog: Catalog, version: Version, name: str) -> None:
    """Let `name` point at a version; an alias moves, a version never changes."""
    if name == LATEST or re.fullmatch(r"v\d+", name) or not re.fullmatch(r"\w[\w.-]{0,99}", name):
        message = "letters, digits, '.', '_' and '-', 100 at most; not vN or latest"
        raise UsageError(f"not an alias: {name!r} ({message})")
    row = {"dataset_id": version.dataset_id, "alias": name, "number": version.number}
    with catalog.begin() as db:
        catalog.replace(db, aliases, [row])


def aliases_of(catalog: Catalog, version: Version) -> list[str]:
    """List the aliases that point at a version."""
    mine = (aliases.c.dataset_id == version.dataset_id, aliases.c.number == version.number)
    with catalog.read() as db:
        return list(db.scalars(sa.select(aliases.c.alias).where(*mine).order_by(aliases.c.alias)))


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed from one version to another: members by sha256, and what was relabelled."""

    added: list[str]
    removed: list[str]
    relabelled: list[tuple[str, str | None, str | None]]
    moved: list[tuple[str, str, str]]
    unchanged: int


def diff(old: "pa.Table", new: "pa.Table") -> Diff:
    """Compare two versions' members by one join on sha256."""
    import pyarrow.compute as pc

    columns = ["sha256", "label", "split"]
    joined = old.select(columns).join(
        new.select(columns), "sha256", join_type="inner", left_suffix="_old", right_suffix="_new"
    )
    labels = _differ(joined, "label")
    splits = _differ(joined, "split")
    changed = pc.sum(pc.or_(labels, splits)).as_py() or 0
    return Diff(
        added=_only(new, old),
        removed=_only(old, new),
        relabelled=_triples(joined.filter(labels), "label"),
        moved=_triples(joined.filter(splits), "split"),
        unchanged=joined.num_rows - changed,
    )


def _differ(joined: "pa.Table", column: str) -> Any:
    import pyarrow.compute as pc

    # A null is a value here: unlabelled differs from any label and equals itself.
    sides = (pc.fill_null(joined[f"{column}_{side}"], "\0") for side in ("old", "new"))
    return pc.not_equal(*sides)


def _only(left: "pa.Table", right: "pa.Table") -> list[str]:
    only = left.select(["sha256"]).join(right.select(["sha256"]), "sha256", join_type="left anti")
    return sorted(only["sha256"].to_pylist())


def _triples(rows: "pa.Table", column: str) -> list[tuple[str, Any, Any]]:
    columns = (rows["sha256"], rows[f"{column}_old"], rows[f"{column}_new"])
    return sorted(zip(*(c.to_pylist() for c in columns), strict=True), key=lambda row: row[0])


def _parquet(table: "pa.Table") -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
