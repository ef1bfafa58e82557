"""The doctor: whether everything is in place, and what to do where it is not."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autods.errors import AutodsError
from autods.recipes.bond import is_bound, places_of
from autods.recipes.placecheck import look_at_catalog, look_at_store
from autods.settings import Settings
from autods.store import LocalStore, Store, asset_key, sha256_in
from autods.workspace import FOLDER, NOTE, Workspace, find, remembered, store_of

_LOW = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `advice` says what to do where it is not well."""

    what: str
    ok: bool
    found: str
    advice: str = ""

    def as_json(self) -> dict[str, Any]:
        """Give the finding as JSON holds it."""
        return asdict(self)

    def line(self) -> str:
        """Write the finding for people."""
        advice = f"  -> {self.advice}" if self.advice and not self.ok else ""
        return f"{'ok  ' if self.ok else 'BAD '} {self.what:<10} {self.found}{advice}"


def examine(start: Path) -> list[Finding]:
    """Look at Python, the settings, the workspace, and each of its places."""
    return list(_findings(start))


def _findings(start: Path) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")
    yield Finding("autods", True, importlib.metadata.version("autods"))
    yield Finding("processors", True, str(len(os.sched_getaffinity(0))))
    root = find(start)
    if root is None:
        yield Finding("workspace", False, f"none at {start} or above", "run `autods init`")
        return
    yield Finding("workspace", True, str(root))
    home = root / FOLDER
    try:
        settings = Settings.read(root, remembered(home))
        store = store_of(settings, home)
    except AutodsError as error:
        yield Finding("settings", False, str(error), "docs/settings.md")
        return
    yield Finding("settings", True, _said(settings))
    try:
        place = Workspace(root)
    except AutodsError as error:
        yield Finding("catalog", False, str(error))
        yield from _looked_at(store)
        return
    yield from _place("catalog", look_at_catalog(place.catalog))
    if not place.catalog.is_local and (home / "catalog.db").exists():
        yield Finding("catalog", True, f"{home / 'catalog.db'} lies unused beside it")
    yield from _looked_at(store)
    bond = _bond(place)
    yield bond
    if bond.ok:
        yield _blobs(place)
    yield _disk("disk", place.root)
    place.close()


def _looked_at(whole: Store) -> Iterator[Finding]:
    for name, store in places_of(whole):
        yield from _place(name, look_at_store(store))
        if isinstance(store, LocalStore):
            yield _disk(f"{name} disk", store.root)


def _said(settings: Settings) -> str:
    """Name what is set, and where; defaults are in the documentation."""
    where = {key: it["origin"] for key, it in settings.as_json().items()}
    noted = {"recipe": f"{FOLDER}/{NOTE}"}  # A recipe's and `init`'s places are noted there.
    named = [f"{k} ({noted.get(o, o)})" for k, o in where.items() if o != "default"]
    return ", ".join(named) or "all defaults"


def _place(name: str, looks: Iterator[tuple[bool, str, str]]) -> Iterator[Finding]:
    """Look at one thing of a place after the other; what does not answer ends it."""
    try:
        for ok, found, advice in looks:
            yield Finding(name, ok, found, advice)
    except (AutodsError, OSError) as error:
        yield Finding(name, False, str(error), "mend what the sentence names")


def _bond(place: Workspace) -> Finding:
    """See that the store is the catalog's own: else all would look lost."""
    try:
        wrong = is_bound(place.catalog, place.store)
    except AutodsError as error:
        return Finding("bond", False, str(error), "mend the place first")
    return Finding("bond", wrong is None, wrong or "the store is this catalog's", "")


def _blobs(place: Workspace) -> Finding:
    """Try a sample of assets: their bytes must be there, and be what their names say."""
    import sqlalchemy as sa

    from autods.catalog.tables import blobs, refs

    seen = sa.exists().where(refs.c.asset_id == blobs.c.id)
    query = sa.select(blobs.c.sha256).where(seen).order_by(blobs.c.sha256).limit(200)
    try:
        with place.catalog.read() as db:
            names = list(db.scalars(query))
        bad = [name for name in names if not _is_whole(place.store, name)]
    except AutodsError as error:
        return Finding("assets", False, str(error), "mend the place first")
    found = f"{len(names) - len(bad)} of {len(names)} looked at are whole"
    return Finding("assets", not bad, found, "autods doctor --repair --thorough")


def _is_whole(store: Store, sha256: str) -> bool:
    key = asset_key(sha256)
    return store.has(key) and sha256_in(store, key) == sha256


def _disk(what: str, folder: Path) -> Finding:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding(what, free > _LOW, f"{free / 2**30:.1f} GiB free", "make room")
