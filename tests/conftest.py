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


@pytest.fixture
def autods() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run the command line in a process of its own."""

    def run(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "autods", *map(str, arguments)]
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
