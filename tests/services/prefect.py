"""A real Prefect server on the loopback, and a worker of it, from the Python package.

    with PrefectServer(folder) as server, server.worker("pool", environment):
        ...                     # PREFECT_API_URL=server.api_url, all else in server.environment

It keeps its runs in SQLite, asks nobody for a password, and tells nobody that it is used.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from services.processes import free_port, launch, stop, wait_for

PACKAGE = "prefect"
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_PATIENCE = 300.0


class PrefectServer:
    """The server and its API; what it writes lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.api_url = f"http://127.0.0.1:{self.port}/api"
        self._folder = folder
        self._log = folder / "prefect.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"PrefectServer(port={self.port})"

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
    def environment(self) -> dict[str, str]:
        """The variables with which a program finds the server and leaves the user's own alone."""
        kept = {name: it for name, it in os.environ.items() if not name.startswith("PREFECT_")}
        return kept | {
            "DO_NOT_TRACK": "1",
            "PREFECT_API_URL": self.api_url,
            "PREFECT_HOME": str(self._folder / "home"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        self._process = launch(command, self._log, environment=self.environment)
        wait_for(self._answers, self._process, self._log)

    def stop(self) -> None:
        """Shut the server down."""
        if self._process is not None:
            stop(self._process, signal.SIGTERM)

    @contextmanager
    def worker(self, pool: str, environment: Mapping[str, str]) -> Iterator[None]:
        """Run a worker of a pool for processes; `environment` is what its flows are given."""
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool]
        command += ["--type", "process", "--name", "the-worker", "--install-policy", "never"]
        log = self._folder / "worker.log"
        process = launch(command, log, environment=self.environment | dict(environment))
        try:
            wait_for(lambda: self._is_online(pool), process, log)
            yield
        finally:
            stop(process, signal.SIGTERM)

    def cli(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run Prefect's command line."""
        command = [sys.executable, "-m", "prefect", *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )

    def ask(self, path: str, **question: Any) -> Any:
        """Ask the API: by POST if there is a question, which is its body, else by GET.

        While its SQLite is locked it answers 503, and is asked again.
        """
        body = json.dumps(question).encode() if question else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.api_url}{path}", body, headers)
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503 or time.monotonic() > end:
                    raise
            time.sleep(0.5)

    def ended(self, run_id: str) -> dict[str, Any]:
        """Wait for the end of a flow run and give it as the API does."""
        end = time.monotonic() + _PATIENCE
        while True:
            run: dict[str, Any] = self.ask(f"/flow_runs/{run_id}")
            if run["state_type"] in ENDED:
                return run
            if time.monotonic() > end:
                raise RuntimeError(f"still {run['state_type']}: {self.said()}")
            time.sleep(0.2)

    def said(self) -> str:
        """Give the end of what the worker said."""
        return (self._folder / "worker.log").read_text(errors="replace")[-3000:]

    def _answers(self) -> bool:
        try:
            return self.ask("/health") is True
        except (urllib.error.URLError, ConnectionError):
            return False

    def _is_online(self, pool: str) -> bool:
        try:
            workers = self.ask(f"/work_pools/{pool}/workers/filter", limit=5)
        except urllib.error.HTTPError:
            return False
        return any(worker["status"] == "ONLINE" for worker in workers)
