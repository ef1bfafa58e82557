"""A month's datasets: frozen as versions, numbered 2024-11-v1, laid out once and never again."""

import calendar
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from autods.assemble.members import member_schema
from autods.catalog.candidate_tables import releases
from autods.catalog.tables import now
from autods.recipes.candidates import papers
from autods.recipes.candidates.card import card
from autods.recipes.candidates.choosing import Choice, Kind
from autods.recipes.candidates.folders import MANIFEST, Folder, lay_out, objects_of, place_of
from autods.recipes.candidates.known import Row
from autods.recipes.candidates.work import Work
from autods.recipes.state import plain
from autods.store import sha256_of
from autods.versions import Version, alias, find_version, freeze, list_versions

if TYPE_CHECKING:
    import pyarrow as pa

Release = Any
"""A row of the table `releases`."""


def name_of(month: str, revision: int) -> str:
    """Name a release as seed 1 does.

    >>> name_of("2024-11", 1), folder_of("2024-11", 1), folder_of("2024-11", 2)
    ('2024-11-v1', '2024-11', '2024-11-v2')
    """
    return f"{month}-v{revision}"


def folder_of(month: str, revision: int) -> str:
    """Name a release's folder: the first of a month has the month's name."""
    return month if revision == 1 else name_of(month, revision)


def freeze_part(work: Work, kind: Kind, part: Choice) -> Version | None:
    """Freeze what a dataset holds; the same members are the same version.

    Of a dataset that never had a member there is none: None. One that has none any more is empty.
    """
    if not part.samples and not list_versions(work.stages.catalog, kind):
        return None
    members = _members(part.samples)
    recipe = plain({"recipe": work.stages.verb, **work.given.written})
    version, _ = freeze(
        work.stages.catalog, work.workspace.store,
        dataset=kind, members=members, recipe=recipe, stats={"members": members.num_rows},
    )  # fmt: skip
    return version


def _members(samples: Sequence[Row]) -> "pa.Table":
    """Write samples as the members of a version; `meta` says whose photo each is."""
    import pyarrow as pa

    names = [name for name in member_schema().names if name != "asset_id"]
    rows = [{**dict.fromkeys(names), **_member(row)} for row in samples]
    schema = pa.schema([member_schema().field(name) for name in names])
    return pa.Table.from_pylist([{name: row[name] for name in names} for row in rows], schema)


_KINDS = {"gold": "source", "human": "human", "model": "model"}
_ABOUT = ("path", "origin", "prediction_id", "user_id", "day", "position")


def _member(row: Row) -> Row:
    about = {name: row[name] for name in _ABOUT if row.get(name) is not None}
    return {
        **row,
        "label_kind": _KINDS[row["origin"]],
        "probability": row["confidence"] if row["origin"] == "model" else None,
        "weight": 1.0,
        "source": "gold" if row["origin"] == "gold" else "predictions",
        "uri": row["source_uri"],
        "meta": json.dumps(about, sort_keys=True, ensure_ascii=False),
    }


def release(work: Work, kind: Kind, month: str, part: Choice, days: Sequence[str]) -> bool:
    """Freeze a month's dataset as its next release; tells whether there is anything new.

    A release is noted before its folder is laid out: whoever is killed in between finds it again.
    """
    if not part.samples and not releases_of(work, kind, month):
        return False
    version = freeze_part(work, kind, part)
    if version is None:
        return False
    samples = papers.samples_table(part.samples)
    lists = {"samples": _kept(work, samples), "excluded": _kept(work, _left_out(part))}
    with work.stages.catalog.begin() as db:
        last = db.execute(_of_month(version.dataset_id, month)).first()
        if last is not None and last.number == version.number:
            return False
        row = {"dataset_id": version.dataset_id, "month": month, "number": version.number,
               "revision": last.revision + 1 if last else 1, "days": list(days),
               "created_at": now(), "made_with": _made_with(work), **lists}  # fmt: skip
        db.execute(sa.insert(releases), row)
    return True


def _left_out(part: Choice) -> "pa.Table":
    return papers.excluded_table(part.excluded)


def _kept(work: Work, table: "pa.Table") -> str:
    """Store a list under the hash of its bytes, and give its key."""
    data = papers.parquet_bytes(table)
    key = f"processed/releases/{sha256_of(data)}.parquet"
    work.workspace.store.put(key, data)
    return key


def releases_of(work: Work, kind: Kind, month: str) -> list[Release]:
    """List a month's releases of a dataset, the newest first."""
    dataset_id = work.stages.catalog.dataset_id(kind)
    with work.stages.catalog.read() as db:
        return list(db.execute(_of_month(dataset_id, month)))


def _of_month(dataset_id: int, month: str) -> "sa.Select[Any]":
    mine = (releases.c.dataset_id == dataset_id, releases.c.month == month)
    return sa.select(releases).where(*mine).order_by(releases.c.revision.desc())


def lay_out_release(work: Work, kind: Kind, found: Release) -> dict[str, Any]:
    """Bring a release's folder to what was frozen; what is there already stays as it is."""
    version = find_version(work.stages.catalog, f"{kind}@v{found.number}")
    name = name_of(found.month, found.revision)
    alias(work.stages.catalog, version, name)
    prefix = f"datasets/{kind}/{folder_of(found.month, found.revision)}/"
    samples, excluded = (_read(work, key) for key in (found.samples, found.excluded))
    told = papers.manifest(
        kind, name, found.created_at, int(found.month[:4]), int(found.month[5:]), samples,
        found.days, found.made_with["classes"],
    )  # fmt: skip
    copies = found.made_with["materialize"] == "copy"
    lists = {"samples.parquet": samples, "excluded.parquet": excluded}
    files = {} if _is_complete(work, found, prefix) else _files(work, kind, found, told, lists)
    objects = objects_of(samples.select(["path", "sha256", "size"]).to_pylist()) if copies else {}
    laid = lay_out(work, Folder(prefix=prefix, objects=objects, files=files))
    folder = place_of(work, prefix)
    _note_laid_out(work, found, folder)
    return {
        "version": name,
        "name": version.name,
        "images": told["total_images"],
        "gold": told["gold_images"],
        "added": told["new_images"],
        "excluded": excluded.num_rows,
        "brought": laid.brought,
        "moved_bytes": laid.moved_bytes,
        "folder": folder,
        "class_distribution": told["class_distribution"],
        "card": (work.artifacts.get(f"{prefix}dataset_info.md")).decode(),
    }


def _is_complete(work: Work, found: Release, prefix: str) -> bool:
    return found.laid_out_at is not None and work.artifacts.has(f"{prefix}{MANIFEST}")


def _note_laid_out(work: Work, found: Release, folder: str) -> None:
    mine = (releases.c.id == found.id, releases.c.laid_out_at.is_(None))
    with work.stages.catalog.begin() as db:
        db.execute(sa.update(releases).where(*mine).values(laid_out_at=now(), folder=folder))


def _files(
    work: Work,
    kind: Kind,
    found: Release,
    told: Mapping[str, Any],
    lists: Mapping[str, "pa.Table"],
) -> dict[str, bytes]:
    samples, excluded = lists.values()
    name = name_of(found.month, found.revision)
    before = _before(work, kind, found)
    diff = None
    if before is not None:
        was = name_of(before.month, before.revision)
        diff = papers.diff_json(_read(work, before.samples), samples, was, name)
    text = card(
        kind=kind, version=name, created_at=found.created_at, samples=samples, excluded=excluded,
        days=found.days, month_days=calendar.monthrange(told["year"], told["month"])[1],
        classes=found.made_with["classes"], settings=found.made_with["settings"],
        diff=json.loads(diff) if diff else None,
        before=name_of(before.month, before.revision) if before else None,
        materialize=found.made_with["materialize"], store_url=work.workspace.store.url,
        gold=found.made_with["gold"],
    )  # fmt: skip
    again = before is not None and before.month == found.month
    return {
        **{file: papers.parquet_bytes(table) for file, table in lists.items()},
        "dataset_info.md": text.encode(),
        "version.txt": f"{name}\n".encode(),
        **({"diff.json": diff} if again and diff else {}),
        MANIFEST: papers.manifest_bytes(told),
    }


def _before(work: Work, kind: Kind, found: Release) -> Release | None:
    """Find what a release is compared with: the month's last one, else the last month's."""
    dataset_id = work.stages.catalog.dataset_id(kind)
    earlier = sa.or_(
        releases.c.month < found.month,
        sa.and_(releases.c.month == found.month, releases.c.revision < found.revision),
    )
    query = sa.select(releases).where(releases.c.dataset_id == dataset_id, earlier)
    newest = (releases.c.month.desc(), releases.c.revision.desc())
    with work.stages.catalog.read() as db:
        return db.execute(query.order_by(*newest).limit(1)).first()


def _gold(work: Work) -> str | None:
    there = list_versions(work.stages.catalog, "gold")
    return there[-1].name if there else None


def _made_with(work: Work) -> dict[str, Any]:
    """Keep what a release is made with: a recipe may change before its folder is laid out."""
    recipe = work.given.recipe
    return {"materialize": recipe.materialize, "classes": list(recipe.classes),
            "settings": _settings(work), "gold": _gold(work)}  # fmt: skip


def _settings(work: Work) -> dict[str, Any]:
    """Give what of the recipe a reader of a dataset wants to know."""
    recipe = work.given.recipe
    shares = recipe.split
    return {
        "classes": len(recipe.classes),
        "near-duplicates": f"{recipe.dedup.near}, within {recipe.dedup.radius} bits, confirmed",
        "splits": f"{shares.train:g} / {shares.val:g} / {shares.test:g}, seed {shares.seed}",
        "photos a prediction": f"{recipe.max_photos} at most",
        "materialize": recipe.materialize,
    }


def _read(work: Work, key: str) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(pa.BufferReader(work.workspace.store.get(key))) as file:
        return file.read(use_threads=False)


def month_of(year: int, month: int) -> tuple[str, dt.date, dt.date]:
    """Name a month, and give its first day and the first of the next one.

    >>> month_of(2024, 12)
    ('2024-12', datetime.date(2024, 12, 1), datetime.date(2025, 1, 1))
    """
    first = dt.date(year, month, 1)
    return f"{first:%Y-%m}", first, (first + dt.timedelta(days=31)).replace(day=1)
