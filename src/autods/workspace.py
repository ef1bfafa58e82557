"""One door to a place of work: its catalog, its store, and where results are laid out."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autods.catalog import Catalog
from autods.errors import AutodsError, PlaceError, UsageError
from autods.settings import Settings, without_password
from autods.store import LocalStore, NearStore, Store, open_store

FOLDER = ".autods"
NOTE = "places.json"
PLACES = ("catalog", "store", "cold_store")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Workspace:
    """A folder with `.autods/` (catalog, store, cache) and `datasets/` (what people look at).

    The catalog and the store lie there, or where the settings say: the environment, `.env` in the
    folder, or `places`, the keys of a recipe. A workspace remembers where they were, without
    passwords, so that `autods log` finds them, too. Raises PlaceError if the folder is no
    workspace or a place cannot be used.
    """

    def __init__(
        self, root: Path, places: Mapping[str, Any] | None = None, *, remember: bool = True
    ) -> None:
        self.root = root.absolute()
        self.home = self.root / FOLDER
        if not self.home.is_dir():
            raise PlaceError(f"{self.root} is no workspace: run `autods init` there")
        self._known = remembered(self.home)
        self._said = {name: place for name, place in (self._known | dict(places or {})).items()
                      if place != ""}  # fmt: skip
        self.settings = Settings.read(self.root, self._said)
        self.catalog = Catalog(self.settings.catalog_url(str(self.home / "catalog.db")))
        self.store = store_of(self.settings, self.home)
        if remember:
            self.remember()

    def folder(self, *parts: str) -> Path:
        """Give a folder of ours inside `.autods`, made if missing."""
        path = self.home.joinpath(*parts)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PlaceError(f"cannot make the folder {path}: {error.strerror}") from error
        return path

    def dataset_folder(self, name: str, number: int) -> Path:
        """Give the folder where a version is laid out for people and readers."""
        return self.root / "datasets" / name / f"v{number}"

    def close(self) -> None:
        """Close the catalog."""
        self.catalog.close()

    def remember(self) -> None:
        """Note the places that a recipe or a command named; a secret is never noted.

        What the environment or `.env` says is there to be asked next time.
        """
        now = {
            name: without_password(str(getattr(self.settings, name)))
            for name in PLACES
            if name in self._said and self.settings.origin(name) == "recipe"
        }
        if now != self._known:
            _write(self.home / NOTE, json.dumps(now, indent=1) + "\n")

    def refuse_overruled(self, said: Mapping[str, Any]) -> None:
        """Refuse places that were named while the environment or `.env` names others."""
        for name in said:
            origin = self.settings.origin(name)
            if origin not in {"recipe", "default"}:
                raise UsageError(f"{origin} names another {name.replace('_', ' ')}: unset it first")


def remembered(home: Path) -> dict[str, str]:
    """Give the places that a workspace noted; raises PlaceError if the note cannot be read."""
    try:
        found = json.loads((home / NOTE).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise PlaceError(f"{home / NOTE} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise PlaceError(f"{home / NOTE} is no mapping of places: remove it, or mend it")
    return {name: str(found[name]) for name in PLACES if name in found}


def store_of(settings: Settings, home: Path) -> Store:
    """Open the store, with a near copy if it is far; whoever has no bucket needs no keys."""
    hot, cold = settings.store_url(str(home / "store")), settings.cold_store_url()
    far = any(url and url.startswith("s3://") for url in (hot, cold))
    store = open_store(hot, settings.s3_access() if far else None, cold=cold)
    return NearStore(store, LocalStore(home / "near")) if far and settings.near_copy else store


def _write(path: Path, text: str) -> None:
    try:
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise PlaceError(f"cannot write {path}: {error.strerror}") from error


def init(root: Path, places: Mapping[str, Any] | None = None) -> Workspace:
    """Make a folder a workspace, or open it if it is one."""
    there = (root / FOLDER).is_dir()
    try:
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlaceError(f"cannot make a workspace in {root}: {error.strerror}") from error
    try:
        return Workspace(root, places)
    except AutodsError:
        if not there:  # What could not be made leaves nothing behind.
            shutil.rmtree(root / FOLDER, ignore_errors=True)
        raise


def find(start: Path) -> Path | None:
    """Give the nearest workspace at or above a folder, as git does."""
    here = start.absolute()
    return next((path for path in (here, *here.parents) if (path / FOLDER).is_dir()), None)


def open(url_or_path: str | Path = ".") -> Workspace:
    """Open the workspace at a path, or the nearest one above it.

    Raises PlaceError if there is none.
    """
    start = Path(str(url_or_path).removeprefix("file://"))
    root = find(start)
    if root is None:
        raise PlaceError(f"no workspace at {start.absolute()} or above: run `autods init` there")
    return Workspace(root)


def checked_name(name: str) -> str:
    """Check a dataset's name; it becomes part of paths, so it may hold no separator.

    >>> checked_name("cats")
    'cats'
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"not a dataset name: {name!r} (letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit, 100 at most)"
        )
    return name


def slug(title: str) -> str:
    """Make a dataset's name of a title.

    >>> slug("Animals Dataset")
    'animals-dataset'
    """
    cleaned = "".join(c if c.isalnum() and c.isascii() else "-" for c in title)
    return cleaned.strip("-").lower()[:100] or "dataset"
