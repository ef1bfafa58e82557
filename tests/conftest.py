"""What all tests share: where real inputs lie, and a way to run the command line for real."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from services.fixtures import S3Place, postgres, postgres_url, s3_place, s3_server, second_bucket

__all__ = ["postgres", "postgres_url", "s3_place", "s3_server", "second_bucket"]

# No test measures time: a busy machine must not fail one.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real inputs with known answers; they lie beside the checkout, never in it."""


@pytest.fixture(scope="session")
def data() -> Path:
    """Real inputs; skipped on a machine that lacks them, never in CI."""
    if not DATA.exists() and not os.environ.get("CI"):
        pytest.skip(f"needs the project's real inputs in {DATA}")
    return DATA


EVERYWHERE = ("sqlite-local", "postgres-local", "sqlite-s3", "postgres-s3")
"""Where a dataset may live: which database holds the catalog, and what holds the bytes."""


@pytest.fixture(params=["sqlite", "postgres"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a catalog that only this test has, on each database."""
    if request.param == "sqlite":
        return str(tmp_path / "catalog.db")
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def places(request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables that choose the places, for the command line: none unless parametrised.

    A test that is to hold everywhere says
    `@pytest.mark.parametrize("places", EVERYWHERE, indirect=True)`.
    """
    catalog, _, store = getattr(request, "param", "sqlite-local").partition("-")
    variables = {}
    if catalog == "postgres":
        variables["AUTODS_CATALOG"] = request.getfixturevalue("postgres_url")
    if store == "s3":
        place: S3Place = request.getfixturevalue("s3_place")
        variables |= {"AUTODS_STORE": place.url, **place.environment()}
    return variables


@pytest.fixture
def autods(places: dict[str, str]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run the command line in a process of its own."""

    def run(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "autods", *map(str, arguments)]
        options["env"] = {**options.get("env", os.environ), **places}
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)

    return run


@pytest.fixture
def build(autods: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Build for real and give what `--json` says; the build must succeed and print little else."""

    def run(*arguments: object) -> dict[str, Any]:
        done = autods("build", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        assert len(done.stderr.splitlines()) < 50
        return dict(json.loads(done.stdout))

    return run


@pytest.fixture
def tree() -> Callable[..., dict[str, str]]:
    """Give a folder as {relative path: sha256 of the bytes}."""

    def digests(root: Path, *patterns: str) -> dict[str, str]:
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for pattern in patterns or ("**/*",)
            for path in sorted(root.glob(pattern))
            if path.is_file()
        }

    return digests
