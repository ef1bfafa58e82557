"""Fixtures that give a test real servers: started at first use, once a pytest process."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from autods.settings import S3Access
from services import postgres as postgres_server
from services import swift as swift_server
from services.postgres import Postgres
from services.processes import scratch
from services.swift import S3Server

_ROOM = 2 << 30
"""Bytes that have to be free in memory for a server to keep its data there."""


@dataclass(frozen=True, kw_only=True)
class S3Place:
    """A bucket that only this test has, and what it takes to get in; `url` lies in the bucket."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str
    bucket: str

    @property
    def url(self) -> str:
        """A place with a prefix in the bucket."""
        return f"s3://{self.bucket}/some/prefix"

    def access(self) -> S3Access:
        """Say who enters, and where."""
        return S3Access(
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            region=self.region,
        )

    def environment(self) -> dict[str, str]:
        """Return the variables by which AWS's own programs find the place."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
        }


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL 18 with pgvector, shared by the tests of one process."""
    _need(postgres_server.PACKAGE)
    with scratch("postgres", _ROOM) as folder, Postgres(folder) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database that only this test has."""
    postgres.start()
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server that checks signatures, shared by the tests of one process."""
    _need(swift_server.PACKAGE)
    with scratch("s3", _ROOM) as folder, S3Server(folder) as server:
        yield server


@pytest.fixture
def s3_place(s3_server: S3Server) -> Iterator[S3Place]:
    """A bucket that only this test has, seen with the owner's keys."""
    with _bucket(s3_server) as place:
        yield place


@pytest.fixture
def second_bucket(s3_server: S3Server) -> Iterator[S3Place]:
    """Another bucket of the same server."""
    with _bucket(s3_server) as place:
        yield place


@contextmanager
def _bucket(s3_server: S3Server) -> Iterator[S3Place]:
    s3_server.start()
    with s3_server.bucket() as bucket:
        yield S3Place(
            endpoint=s3_server.endpoint,
            access_key=s3_server.access_key,
            secret_key=s3_server.secret_key,
            region=s3_server.region,
            bucket=bucket,
        )


def _need(package: str) -> None:
    """Skip where a package is missing; in CI a missing one fails the test instead."""
    if importlib.util.find_spec(package) is None and not os.environ.get("CI"):
        pytest.skip(f"needs the package {package}: run scripts/setup dev")
