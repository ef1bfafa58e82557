"""Bringing a version's files to where everybody finds them: seed 4's bucket `shards`."""

from collections.abc import Iterator
from pathlib import Path

from autods.store import S3Store, Store, TieredStore, far_of
from autods.versions import Version
from autods.workspace import Workspace

_LAST = "version.txt"
_LOCAL = ("images",)
"""What is not published: the images lie in the store already, once."""


def published_prefix(dataset: str, number: int) -> str:
    """Give the beginning of the keys of a version's files.

    >>> published_prefix("cats", 3)
    'shards/cats/v3/'
    """
    return f"shards/{dataset}/v{number}/"


def is_published(store: Store, dataset: str, number: int) -> bool:
    """Tell whether all files of a version lie in a store that is no folder."""
    return is_far(store) and store.has(published_prefix(dataset, number) + _LAST)


def is_far(store: Store) -> bool:
    """Tell whether what is written lies on a server: then others look for shards there, too."""
    place = far_of(store)
    return isinstance(place.hot if isinstance(place, TieredStore) else place, S3Store)


def publish(workspace: Workspace, version: Version) -> int:
    """Put what is laid out of a version into the store; returns how many files that were.

    Where the store is a folder of this machine nothing is to be done. What is there with the same
    size is left: a killed run goes on. `version.txt` comes last: who sees it sees all.
    """
    store, sent = workspace.store, 0
    prefix = published_prefix(version.dataset, version.number)
    if not is_far(store):
        return 0
    for name, path in _files(workspace.dataset_folder(version.dataset, version.number)):
        if store.size(prefix + name) != path.stat().st_size:
            store.put_file(prefix + name, path)
            sent += 1
    return sent


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """List what is published, the file that says that all is there last."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = [(path.relative_to(folder).as_posix(), path) for path in paths]
    wanted = [(name, path) for name, path in named if name.split("/")[0] not in _LOCAL]
    return iter(sorted(wanted, key=lambda pair: (pair[0] == _LAST, pair[0])))
