"""The servers that tests start are real, outlive being killed, and fail when they are told to."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from obstore.exceptions import BaseError, PermissionDeniedError

from services.fixtures import S3Place
from services.postgres import Postgres
from services.processes import scratch
from services.swift import Credentials, S3Server

MEBI = 1 << 20


def tell(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def ask(url: str, question: str) -> Any:
    with psycopg.connect(url) as connection:
        return connection.execute(question.encode()).fetchone()


# PostgreSQL


@pytest.mark.slow
@pytest.mark.parametrize("version", [16, 18])
def test_both_postgresqls_have_pgvector(version: int) -> None:
    with scratch("test", 0) as folder, Postgres(folder, version) as server:
        with server.database() as url:
            assert ask(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == (0,)
            tell(url, "CREATE EXTENSION vector")
            assert ask(url, "SELECT '[3,4]'::vector(2) <-> '[0,0]'") == (5.0,)
        assert ask(server.url(), "SHOW server_version_num")[0].startswith(str(version))
    assert not folder.exists()


def test_an_unknown_version_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no PostgreSQL 9: the package has \[16, 18\]"):
        Postgres(tmp_path, 9).start()


def test_postgres_asks_for_the_password(postgres: Postgres, postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    assert unquote(parts.password or "") == postgres.password
    assert parts.password != postgres.password, "a password that needs no escapes proves little"
    assert postgres.password not in repr(postgres)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_url, password="wrong")


def test_a_database_is_empty_and_goes_though_it_is_in_use(postgres: Postgres) -> None:
    with postgres.database() as url, postgres.database() as other:
        tell(url, "CREATE TABLE t ()")
        with pytest.raises(psycopg.errors.UndefinedTable):
            ask(other, "SELECT * FROM t")
        left_open = psycopg.connect(url)
    left_open.close()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


@pytest.mark.slow
def test_what_is_committed_outlives_a_kill(postgres: Postgres, postgres_url: str) -> None:
    tell(postgres_url, "CREATE TABLE t (n int)")
    for n in range(3):
        with psycopg.connect(postgres_url) as open_still:
            open_still.execute("INSERT INTO t VALUES (-1)")
            tell(postgres_url, f"INSERT INTO t VALUES ({n})")
            postgres.kill()
            assert not postgres.alive
            open_still.close()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(postgres_url)
        postgres.start()
    assert ask(postgres_url, "SELECT count(*), min(n) FROM t") == (3, 0)


@pytest.mark.slow
def test_a_server_outlives_the_thread_that_started_it(
    postgres: Postgres, s3_server: S3Server, postgres_url: str
) -> None:
    for server in (postgres, s3_server):
        thread = threading.Thread(target=server.restart)
        thread.start()
        thread.join()
    assert ask(postgres_url, "SELECT 1") == (1,)
    assert postgres.alive
    assert s3_server.alive


def test_connections_are_cut_from_the_servers_side(postgres: Postgres, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        database = connection.info.dbname
        assert postgres.terminate_connections(database) == 1
        with pytest.raises(psycopg.OperationalError, match="administrator command"):
            connection.execute("SELECT 1")
        connection.close()
    assert ask(postgres_url, "SELECT 1") == (1,)


# S3


def test_what_is_put_is_got_and_listed_in_order(s3_server: S3Server, s3_place: S3Place) -> None:
    store = s3_server.store(s3_place.bucket)
    for key in ("b", "a/2", "a/1", "ä +%"):
        store.put(key, key.encode())
    assert [entry["path"] for batch in store.list() for entry in batch] == [
        "a/1", "a/2", "b", "ä +%",
    ]  # fmt: skip
    assert store.get("ä +%").bytes() == "ä +%".encode()
    assert "swift" not in sys.modules, "to import it changes http.client for all"
    assert s3_place.secret_key not in repr((s3_place, s3_server, s3_server.owner))


@pytest.mark.slow
def test_what_is_stored_outlives_a_kill(s3_server: S3Server, s3_place: S3Place) -> None:
    store = s3_server.store(s3_place.bucket)
    body = os.urandom(6 * MEBI)
    store.put("in-parts", body, use_multipart=True, chunk_size=5 * MEBI)
    store.put("whole", body)
    endpoint = s3_server.endpoint
    s3_server.kill()
    assert not s3_server.alive
    with pytest.raises(BaseError):
        store.get("whole")
    s3_server.start()
    assert s3_server.endpoint == endpoint
    assert store.get("in-parts").bytes() == store.get("whole").bytes() == body


def test_signatures_are_checked_and_keys_can_go(s3_server: S3Server, s3_place: S3Place) -> None:
    guest = s3_server.store(s3_place.bucket, user=s3_server.guest)
    forged = Credentials(s3_server.access_key, s3_server.secret_key[::-1])
    guest.put("a", b"1")
    with pytest.raises(PermissionDeniedError):
        s3_server.store(s3_place.bucket, user=forged).get("a")
    s3_server.revoke()
    with pytest.raises(PermissionDeniedError):
        guest.put("a", b"2")
    assert s3_server.store(s3_place.bucket).get("a").bytes() == b"1"
    s3_server.restore()
    guest.put("a", b"3")


def test_a_bucket_comes_and_goes_with_all_in_it(s3_server: S3Server) -> None:
    name = s3_server.bucket_name()
    store = s3_server.store(name)
    for _ in range(2):
        s3_server.create_bucket(name)
    store.put("a", b"1")
    for _ in range(2):
        s3_server.delete_bucket(name)
    with pytest.raises(FileNotFoundError, match="NoSuchBucket"):
        store.put("a", b"1")


# The end of the tests


ORPHAN = """
import os, signal, sys
from pathlib import Path
from services.postgres import Postgres
from services.processes import scratch
from services.swift import S3Server
with scratch("test-orphan", 0) as folder, scratch("test-orphan", 0) as other:
    with Postgres(folder) as postgres, S3Server(other) as s3:
        print(postgres.port, s3.port, folder, other, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_nothing_is_left_when_the_tests_are_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    *ports, one, two = done.stdout.split()
    patience = time.monotonic() + 60  # They have been told to end, and do.
    while any(serves(int(port)) for port in ports):
        assert time.monotonic() < patience, done.stdout
        time.sleep(0.05)
    with scratch("test-orphan", 0) as folder:
        assert folder.exists()
        assert not Path(one).exists()
        assert not Path(two).exists()


def serves(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_folder_in_use_is_not_swept_away() -> None:
    with scratch("test-two", 0) as one, scratch("test-two", 0) as two:
        assert one != two
        assert one.is_dir()
