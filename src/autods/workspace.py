"""One door to a place of work: its catalog, its store, and where results are laid out."""

import re
from pathlib import Path

from autods.catalog import Catalog
from autods.errors import PlaceError, UsageError
from autods.store import Store, open_store

FOLDER = ".autods"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Workspace:
    """A folder with `.autods/` (catalog, store, cache) and `datasets/` (what people look at).

    Raises PlaceError if the folder is no workspace or cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.home = self.root / FOLDER
        if not self.home.is_dir():
            raise PlaceError(f"{self.root} is no workspace: run `autods init` there")
        self.catalog = Catalog(str(self.home / "catalog.db"))
        self.store: Store = open_store(str(self.home / "store"))

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


def init(root: Path) -> Workspace:
    """Make a folder a workspace, or open it if it is one."""
    try:
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlaceError(f"cannot make a workspace in {root}: {error.strerror}") from error
    return Workspace(root)


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
