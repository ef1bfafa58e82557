"""The places that `places.py` measures: files, and the tests' own servers with lasting settings."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from autods.catalog import Catalog

postgres: Any = import_module("services.postgres")
processes: Any = import_module("services.processes")
s3: Any = import_module("services.swift")

_ROOM = 4 << 30
_HASTY = ("fsync=", "full_page_writes=")


class Databases:
    """Where catalogs can be made: files beside each other, or databases of one server."""

    def __init__(self, name: str, folder: Path, server: Any = None) -> None:
        self.name = name
        self.kind = "sqlite" if server is None else "postgres"
        self._folder = folder
        self._server = server

    @contextmanager
    def catalog(self) -> Iterator[str]:
        """Give the URL of a catalog with one empty dataset; it is gone at the end."""
        if self._server is None:
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                yield _made(f"sqlite:///{folder}/catalog.db")
        else:
            with self._server.database() as url:
                yield _made(url)

    def settle(self, url: str) -> None:
        """Do what PostgreSQL's own cleaning does within minutes of a load."""
        if self._server is not None:
            import psycopg

            with closing(psycopg.connect(url, autocommit=True)) as db:
                db.execute("VACUUM ANALYZE")


def _made(url: str) -> str:
    with closing(Catalog(url)) as catalog:
        catalog.dataset_id("bench")
    return url


@contextmanager
def databases(folder: Path) -> Iterator[list[Databases]]:
    """Start PostgreSQL on the disk of `folder`; what it commits waits for the disk."""
    postgres._OPTIONS = [one for one in postgres._OPTIONS if not one.startswith(_HASTY)]
    here = folder / "postgres"
    here.mkdir()
    for path in (folder, here):
        path.chmod(0o711)  # Under root the server is `nobody`, who has to pass.
    with postgres.Postgres(here) as server:
        yield [Databases("SQLite", folder), Databases("PostgreSQL 18", folder, server)]


@contextmanager
def local(folder: Path) -> Iterator[dict[str, Any]]:
    """Give an empty folder."""
    place = folder / "store"
    place.mkdir()
    yield {"url": str(place)}
    shutil.rmtree(place)


@contextmanager
def swift() -> Iterator[Any]:
    """Start Swift, in memory if there is room."""
    with processes.scratch("places", _ROOM) as folder, s3.S3Server(folder) as server:
        yield server


@contextmanager
def bucket(server: Any) -> Iterator[dict[str, Any]]:
    """Give an empty bucket and who may enter it."""
    with server.bucket() as name:
        access = {
            "endpoint": server.endpoint,
            "access_key": server.access_key,
            "secret_key": server.secret_key,
            "region": server.region,
        }
        yield {"url": f"s3://{name}", "access": access}
