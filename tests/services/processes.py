"""Servers as processes: on a port and in a folder of their own, gone when the test is gone."""

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

_TIE = Path(__file__).with_name("tie.py")
_MEMORY = Path("/dev/shm")
_PATIENCE = 120.0
"""Seconds that a server may take to come or go; a quiet machine needs less than three."""

# Linux ends a tied child with the thread that started it, and tests start servers in threads that
# end before the server should. This one lives as long as the interpreter.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="services")


def free_port() -> int:
    """Return a free port of the loopback, below those that outgoing connections are given.

    A server that was killed thus finds its port free when it comes back.
    """
    # A seeded generator would lead two processes to the same port.
    for port in random.SystemRandom().sample(range(15_000, 32_000), 200):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 15000 and 32000 on the loopback")


def tied(command: Sequence[object], ending: signal.Signals, account: str = "") -> list[str]:
    """Return the command that runs a command tied to this process, as `account` if one is given."""
    tie = [sys.executable, "-I", "-S", _TIE, os.getpid(), int(ending), account]
    return [str(part) for part in (*tie, *command)]


def launch(
    command: Sequence[object],
    log: Path,
    *,
    ending: signal.Signals = signal.SIGTERM,
    account: str = "",
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a server that gets the signal `ending` when this process ends, however it ends.

    What the server says goes to the end of `log`.
    """

    def start() -> "subprocess.Popen[bytes]":
        with log.open("ab") as out:
            return subprocess.Popen(
                tied(command, ending, account),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                env=environment,
                start_new_session=True,  # Ctrl-C is for the tests; they stop their servers.
            )

    return _STARTER.submit(start).result()


def wait_for(up: Callable[[], bool], server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a server is up; RuntimeError with the end of its log if it dies or takes ages."""
    deadline = time.monotonic() + _PATIENCE
    while not up():
        if server.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{log.stem} did not start, and said:\n{said}")
        time.sleep(0.02)


def stop(server: "subprocess.Popen[bytes]", ending: signal.Signals) -> None:
    """Ask a server to end and wait until it and its children have; kill them if they will not."""
    children = _children(server)
    server.send_signal(ending)
    with suppress(subprocess.TimeoutExpired):
        server.wait(_PATIENCE)
    _end(server, children)


def kill(server: "subprocess.Popen[bytes]") -> None:
    """Kill a server and its children without a warning; wait until all are gone."""
    server.send_signal(signal.SIGSTOP)  # So that no child comes or goes while they are counted.
    _end(server, _children(server))


def _end(server: "subprocess.Popen[bytes]", children: set[int]) -> None:
    server.kill()
    server.wait()
    while left := children & _running().keys():
        for child in left:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


def _children(server: "subprocess.Popen[bytes]") -> set[int]:
    return {process for process, parent in _running().items() if parent == server.pid}


def _running() -> dict[int, int]:
    """Return {process: its parent} of all that run on this machine, the dead but unmourned not."""
    rows = _from_proc() if Path("/proc/self/stat").exists() else _from_ps()
    return {process: parent for process, parent, state in rows if state not in {"Z", "X"}}


def _from_proc() -> Iterator[tuple[int, int, str]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name before the last bracket may hold anything.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            yield int(stat.parent.name), int(fields[1]), fields[0]


def _from_ps() -> Iterator[tuple[int, int, str]]:
    command = ["ps", "-A", "-o", "pid=,ppid=,stat="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        process, parent, state = line.split()
        yield int(process), int(parent), state[0]


@contextmanager
def scratch(name: str, room: int) -> Iterator[Path]:
    """Give a folder for a server's data: in memory where `room` bytes are free, else on disk.

    It goes at the end; what a killed process left, the next one of that name sweeps away.
    """
    folder, lock = _claim(_parent(room), f"autods-{name}-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _parent(room: int) -> Path:
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > room:
        return _MEMORY
    return Path(tempfile.gettempdir())


def _claim(parent: Path, prefix: str) -> tuple[Path, int]:
    """Make a folder and lock it until the descriptor returned is closed or its owners are dead."""
    gate = _locked(parent, fcntl.LOCK_EX)
    try:
        for left in parent.glob(f"{prefix}*"):
            _sweep(left)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        folder.chmod(0o711)  # A server that runs as another user passes through.
        return folder, _locked(folder, fcntl.LOCK_EX)
    finally:
        os.close(gate)


def _sweep(left: Path) -> None:
    with suppress(OSError):  # Someone else's, or in use.
        lock = _locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(left, ignore_errors=True)
        os.close(lock)


def _locked(folder: Path, how: int) -> int:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
