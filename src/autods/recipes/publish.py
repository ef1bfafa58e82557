"""Bringing a version's files to where everybody finds them: seed 4's bucket `shards`."""

import re
from collections.abc import Iterator
from pathlib import Path

from autods.errors import PlaceError
from autods.store import MissingError, S3Store, Store, TieredStore, far_of
from autods.versions import Version
from autods.workspace import Workspace

_FIRST, _LAST = "digest.txt", "version.txt"
_LOCAL = ("images/",)
"""What is not published: the images lie in the store already, once."""


def published_prefix(dataset: str, number: int) -> str:
    """Give the beginning of the keys of a version's files.

    >>> published_prefix("cats", 3)
    'shards/cats/v3/'
    """
    return f"shards/{dataset}/v{number}/"


def is_published(store: Store, dataset: str, number: int, digest: str) -> bool:
    """Tell whether all files of a version lie in a store that is no folder."""
    return is_far(store) and _published(store, published_prefix(dataset, number)) == digest


def place_of(workspace: Workspace, version: Version) -> str:
    """Name the place where a version's files are: the folder here, else where it was published."""
    folder = workspace.dataset_folder(version.dataset, version.number)
    if folder.exists() or not is_far(workspace.store):
        return str(folder)
    return f"{workspace.store.url.rstrip('/')}/{published_prefix(version.dataset, version.number)}"


def digest_in(path: Path) -> str | None:
    """Read which version a `version.txt` stands for; None if there is none."""
    return _digest(path.read_text(encoding="utf-8")) if path.is_file() else None


def _digest(text: str) -> str | None:
    return next((word for word in text.split() if re.fullmatch("[0-9a-f]{64}", word)), None)


def _published(store: Store, prefix: str, name: str = _LAST) -> str | None:
    try:
        return _digest(far_of(store).get(prefix + name).decode())
    except MissingError:
        return None


def is_far(store: Store) -> bool:
    """Tell whether what is written lies on a server: then others look for shards there, too."""
    place = far_of(store)
    return isinstance(place.hot if isinstance(place, TieredStore) else place, S3Store)


def publish(workspace: Workspace, version: Version) -> int:
    """Put what is laid out of a version into the store; returns how many files that were.

    Where the store is a folder of this machine nothing is to be done. What a killed run of the same
    version has sent is left as it is. `version.txt` comes last: who sees it sees all.
    """
    store, sent = far_of(workspace.store), 0
    prefix = published_prefix(version.dataset, version.number)
    if not is_far(store):
        return 0
    if _published(store, prefix) not in {None, version.digest}:
        raise PlaceError(
            f"{store.url} holds another {version.name}, of another catalog, in {prefix}: give this "
            "catalog a store of its own, another PREFIX in s3://BUCKET/PREFIX say"
        )
    begun = _published(store, prefix, _FIRST) == version.digest
    store.put(prefix + _FIRST, version.digest.encode())
    for name, path in _files(workspace.dataset_folder(version.dataset, version.number)):
        if not begun or store.size(prefix + name) != path.stat().st_size:
            store.put_file(prefix + name, path)
            sent += 1
    return sent


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """List what is published, the file that says that all is there last."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = [(path.relative_to(folder).as_posix(), path) for path in paths]
    wanted = [(name, path) for name, path in named if not name.startswith((".", *_LOCAL))]
    return iter(sorted(wanted, key=lambda pair: (pair[0] == _LAST, pair[0])))
