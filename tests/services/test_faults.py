"""The faulty proxy passes bytes unchanged, and fails as often and in the way that it is told to."""

import http.client
import os
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
import psycopg
import pytest
from obstore.exceptions import BaseError

from services.faults import FaultyProxy
from services.fixtures import S3Place
from services.postgres import Postgres
from services.processes import free_port
from services.swift import S3Server

MEBI = 1 << 20


def tell(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM t").fetchone()
        return int(row[0]) if row else -1


# Faults before the S3 server


@pytest.fixture
def s3_proxy(s3_server: S3Server, s3_place: S3Place) -> Iterator[FaultyProxy]:
    with FaultyProxy("127.0.0.1", s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def signed(s3_server: S3Server, s3_place: S3Place, s3_proxy: FaultyProxy) -> Any:
    """Give the path and query of a request through the proxy, signed."""
    store = s3_server.store(s3_place.bucket, endpoint=s3_proxy.endpoint)

    def sign(method: Any, key: str) -> str:
        parts = urlsplit(obstore.sign(store, method, key, timedelta(minutes=5)))
        return f"{parts.path}?{parts.query}"

    return sign


@pytest.mark.parametrize("status", [500, 503])
def test_every_nth_request_fails_as_s3_does(
    s3_server: S3Server, s3_place: S3Place, s3_proxy: FaultyProxy, signed: Any, status: int
) -> None:
    seen = []
    line = http.client.HTTPConnection("127.0.0.1", s3_proxy.port)
    line.request("GET", signed("GET", "none"))
    line.getresponse().read()
    s3_proxy.errors = (3, status)
    for n in range(6):
        line.request("PUT", signed("PUT", f"k{n}"), os.urandom(MEBI))
        answer = line.getresponse()
        body = answer.read()
        seen.append(answer.status)
    line.close()
    assert seen == [200, 200, status] * 2
    assert b"<Code>" + (b"InternalError" if status == 500 else b"SlowDown") in body
    assert answer.getheader("Connection") == "close"
    assert (s3_proxy.requests, s3_proxy.failed) == (7, 2)
    assert s3_proxy.connections == 2, "requests between errors share a connection"
    kept = [entry["path"] for batch in s3_server.store(s3_place.bucket).list() for entry in batch]
    assert kept == ["k0", "k1", "k3", "k4"], "a request that failed never reached the server"


@pytest.mark.slow
def test_a_client_that_tries_again_loses_nothing(
    s3_server: S3Server, s3_place: S3Place, s3_proxy: FaultyProxy
) -> None:
    s3_proxy.errors = (10, 503)
    store = s3_server.store(s3_place.bucket, endpoint=s3_proxy.endpoint, retries=5)
    body = os.urandom(11 * MEBI)
    store.put("big", body, use_multipart=True, chunk_size=5 * MEBI)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.put(f"k{n:03}", b"%d" % n), range(40)))
        got = list(pool.map(lambda n: store.get(f"k{n:03}").bytes(), range(40)))
    assert [bytes(blob) for blob in got] == [b"%d" % n for n in range(40)]
    assert store.get("big").bytes() == body
    assert s3_proxy.failed == s3_proxy.requests // 10 > 8


@pytest.mark.parametrize("errors", [(0, 503), (3, 404)])
def test_a_fault_that_cannot_be_is_refused(errors: tuple[int, int]) -> None:
    with FaultyProxy("127.0.0.1", 1) as proxy, pytest.raises(ValueError, match="1 or more, one of"):
        proxy.errors = errors


def test_a_body_in_chunks_is_one_request(s3_proxy: FaultyProxy, signed: Any) -> None:
    pieces = [os.urandom(size) for size in (1, 70_000, 3, 200_000)]
    line = http.client.HTTPConnection("127.0.0.1", s3_proxy.port)
    for key in ("a", "b"):
        line.request("PUT", signed("PUT", key), iter(pieces), encode_chunked=True)
        line.getresponse().read()
        line.request("GET", signed("GET", key))
        assert line.getresponse().read() == b"".join(pieces)
    s3_proxy.errors = (1, 503)
    line.request("PUT", signed("PUT", "c"), iter(pieces), encode_chunked=True)
    assert line.getresponse().status == 503
    line.close()
    assert (s3_proxy.connections, s3_proxy.requests) == (1, 5)


def test_a_client_may_wait_until_it_is_told_to_go_on(s3_proxy: FaultyProxy, signed: Any) -> None:
    line = http.client.HTTPConnection("127.0.0.1", s3_proxy.port)
    for key in ("a", "b"):
        begin(line, signed("PUT", key), 5)
        assert line.sock.recv(9) == b"HTTP/1.1 "
        assert line.sock.recv(16) == b"100 Continue\r\n\r\n"
        line.send(b"12345")
        assert line.getresponse().read() == b""
    assert s3_proxy.connections == 1
    begin(line, signed("PUT", "c").replace("Signature=", "Signature=0"), 5)
    assert line.getresponse().status == 403, "the server says no before it has seen the body"
    line.close()
    s3_proxy.errors = (1, 500)
    begin(line, signed("PUT", "d"), 5)
    assert line.getresponse().status == 500
    line.close()
    assert s3_proxy.requests == 4


def begin(line: http.client.HTTPConnection, path: str, size: int) -> None:
    line.putrequest("PUT", path)
    line.putheader("Content-Length", str(size))
    line.putheader("Expect", "100-continue")
    line.endheaders()


def test_an_answer_is_lost_after_the_work_was_done(
    s3_server: S3Server, s3_place: S3Place, s3_proxy: FaultyProxy
) -> None:
    store = s3_server.store(s3_place.bucket, endpoint=s3_proxy.endpoint)
    s3_proxy.lose_answer_to(b"PUT /")
    with pytest.raises(BaseError):
        store.put("a", b"1")
    assert store.get("a").bytes() == b"1"
    store.put("a", b"2")


def test_an_upload_is_cut_in_the_middle(
    s3_server: S3Server, s3_place: S3Place, s3_proxy: FaultyProxy
) -> None:
    store = s3_server.store(s3_place.bucket, endpoint=s3_proxy.endpoint)
    s3_proxy.cut_after(MEBI, connections=2)
    for _ in range(2):
        with pytest.raises(BaseError):
            store.put("a", bytes(2 * MEBI))
    with pytest.raises(FileNotFoundError):
        s3_server.store(s3_place.bucket).head("a")
    store.put("a", bytes(2 * MEBI))


def test_connections_are_refused_until_they_are_not(s3_proxy: FaultyProxy, signed: Any) -> None:
    line = http.client.HTTPConnection("127.0.0.1", s3_proxy.port)

    def get() -> int:
        line.request("GET", signed("GET", "a"))
        answer = line.getresponse()
        answer.read()
        return answer.status

    assert get() == 404
    s3_proxy.refuse = True
    assert get() == 404, "an open connection stays"
    assert s3_proxy.cut() == 1
    with pytest.raises(ConnectionError):
        get()
    line.close()
    with pytest.raises(ConnectionError):
        get()
    line.close()
    s3_proxy.refuse = False
    assert get() == 404
    line.close()


def test_a_server_that_is_gone_looks_gone_through_the_proxy() -> None:
    with FaultyProxy("127.0.0.1", free_port()) as proxy, pytest.raises(OSError, match="reset"):
        urllib.request.urlopen(proxy.endpoint)


def test_a_slow_line_holds_an_answer_back(
    s3_server: S3Server, s3_place: S3Place, s3_proxy: FaultyProxy
) -> None:
    store = s3_server.store(s3_place.bucket, endpoint=s3_proxy.endpoint)
    store.put("a", b"1")
    s3_proxy.delay = 3600
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(store.get, "a")
        with pytest.raises(TimeoutError):
            answer.result(0.1)
        s3_proxy.delay = 0
        assert answer.result().bytes() == b"1"


# Faults before PostgreSQL


@pytest.fixture
def postgres_proxy(postgres: Postgres) -> Iterator[FaultyProxy]:
    with FaultyProxy("127.0.0.1", postgres.port) as proxy:
        yield proxy


def test_a_connection_to_postgres_is_cut(postgres_proxy: FaultyProxy, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, port=postgres_proxy.port) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert postgres_proxy.cut() == 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    assert (postgres_proxy.connections, postgres_proxy.requests) == (1, 0)


def test_the_answer_to_a_commit_is_lost(postgres_proxy: FaultyProxy, postgres_url: str) -> None:
    tell(postgres_url, "CREATE TABLE t (n int)")
    postgres_proxy.lose_answer_to(b"COMMIT")
    with (
        pytest.raises(psycopg.OperationalError),
        psycopg.connect(postgres_url, port=postgres_proxy.port) as connection,
    ):
        connection.execute("INSERT INTO t VALUES (1)")
    assert count(postgres_url) == 1


def test_a_load_is_cut_in_the_middle(postgres_proxy: FaultyProxy, postgres_url: str) -> None:
    tell(postgres_url, "CREATE TABLE t (line text)")
    postgres_proxy.cut_after(MEBI)
    with pytest.raises(psycopg.OperationalError):
        load(postgres_url, postgres_proxy.port)
    assert count(postgres_url) == 0


def load(url: str, port: int) -> None:
    with (
        psycopg.connect(url, port=port) as connection,
        connection.cursor().copy("COPY t FROM STDIN") as copy,
    ):
        for _ in range(200):
            copy.write(b"x" * 100_000 + b"\n")
