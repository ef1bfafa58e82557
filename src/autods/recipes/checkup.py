"""The doctor: whether everything is in place, and what to do where it is not."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autods.errors import AutodsError
from autods.workspace import Workspace, find

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
    """Look at Python, the packages, the workspace, its catalog, its store and the disk."""
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
    try:
        place = Workspace(root)
    except AutodsError as error:
        yield Finding("catalog", False, str(error), "see the message")
        return
    yield Finding("workspace", True, str(root))
    for what, look in _LOOKS.items():
        yield _look(what, look, place)
    place.close()


def _look(what: str, look: Callable[[Workspace], Finding], place: Workspace) -> Finding:
    try:
        return look(place)
    except (AutodsError, OSError) as error:
        return Finding(what, False, str(error), "mend the place, or name another")


def _catalog(place: Workspace) -> Finding:
    import sqlalchemy as sa

    with place.catalog.begin() as db:
        well = db.scalar(sa.text("PRAGMA quick_check")) == "ok"
    advice = "restore the catalog from a backup"
    return Finding("catalog", well, place.catalog.url, advice)


def _store(place: Workspace) -> Finding:
    key = f"probe/{os.getpid()}"
    place.store.put(key, b"probe")
    well = place.store.get(key) == b"probe"
    place.store.delete(key)
    return Finding("store", well, place.store.url, "the store gives back other bytes")


def _blobs(place: Workspace) -> Finding:
    """Try a sample of assets: their bytes must be there, and be what their names say."""
    import sqlalchemy as sa

    from autods.catalog.tables import assets
    from autods.store import asset_key, sha256_of

    query = sa.select(assets.c.sha256).order_by(assets.c.sha256).limit(200)
    with place.catalog.read() as db:
        names = list(db.scalars(query))
    bad = [n for n in names if _missing(place, n) or sha256_of(place.store.get(asset_key(n))) != n]
    found = f"{len(names) - len(bad)} of {len(names)} looked at are whole"
    return Finding("assets", not bad, found, f"bring back {', '.join(bad[:3])}")


def _missing(place: Workspace, sha256: str) -> bool:
    from autods.store import asset_key

    return not place.store.has(asset_key(sha256))


def _disk(place: Workspace) -> Finding:
    free = shutil.disk_usage(place.root).free
    return Finding("disk", free > _LOW, f"{free / 2**30:.1f} GiB free", "make room")


_LOOKS = {"catalog": _catalog, "store": _store, "assets": _blobs, "disk": _disk}
