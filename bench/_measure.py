"""Runs a command and counts what it took: all of its processes, those it left behind included."""

import ctypes
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROCESSORS = len(os.sched_getaffinity(0))
_SHARE = 0.15
"""What others may use of the processors in a run that counts; a server's part lies within it."""

_LOOK = 0.2
"""Seconds between two looks at the memory: each costs a few milliseconds of a processor."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: seconds of wall and of processor, the peak in MB, and the JSON it printed, if any.

        The peak is the sum over all its processes of their proportional set sizes (a page that two
    share counts half for each), at the worst of the moments looked at. `others` is the share of the
        processors that other processes used meanwhile, a server's among them.
    """

    wall: float
    cpu: float
    peak: float
    others: float
    said: Any

    @property
    def disturbed(self) -> bool:
        """Whether too much else went on for this run to count."""
        return self.others > _SHARE


def measured(command: list[str], log: Path) -> Run:
    """Run a command to its end, in a process group of its own; what it prints goes to `log`.

    Waits, a minute at most, for others on the machine to rest. Ends the bench if the command
    fails. Linux only.
    """
    _adopt_orphans()
    _rest()
    before = _busy()
    run, status = _one(command, log)
    run["others"] = (_busy() - before - run["cpu"]) / (run["wall"] * _PROCESSORS)
    text = log.read_text()
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}:\n{text[-2000:]}")
    return Run(**run, said=_json_in(text))


def _rest() -> None:
    for _ in range(60):
        before = _busy()
        time.sleep(1)
        if _busy() - before < _SHARE * _PROCESSORS:
            return


def _busy() -> float:
    """Seconds that all processors together have worked since the machine started."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split(maxsplit=4)[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _one(command: list[str], log: Path) -> tuple[dict[str, float], int]:
    os.sync()  # What the run before has written is not this one's to wait for.
    # Else img2dataset asks the network for a newer albumentations in every process.
    environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"}
    # Compiling all modules anew at each start is nobody's daily life.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with log.open("w") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        run, status = _watch(process.pid, started)
    process.returncode = status
    return run, status


def _watch(group: int, started: float) -> tuple[dict[str, float], int]:
    """Follow a process group until the last of it has ended."""
    run, status = {"wall": 0.0, "cpu": 0.0, "peak": 0.0}, 0
    looked = started
    while ended := _ended(group):
        pid, code, usage = ended
        if pid:
            run["cpu"] += usage.ru_utime + usage.ru_stime
            if pid == group:
                run["wall"], status = time.perf_counter() - started, code
        elif time.perf_counter() - looked > _LOOK:
            looked = time.perf_counter()
            run["peak"] = max(run["peak"], _memory(group))
        else:
            time.sleep(0.005)
    return run, status


def _ended(group: int) -> tuple[int, int, Any] | None:
    """Bury one process of the group if one has ended; None once none is left."""
    try:
        return os.wait4(-group, os.WNOHANG)
    except ChildProcessError:
        return None


def _adopt_orphans() -> None:
    """Become the parent of orphaned descendants, so that their seconds are told to us."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def _memory(group: int) -> float:
    total = 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if os.getpgid(int(process.name)) == group:
                lines = (process / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except OSError:
            continue  # It ended while we looked.
    return total / 1024


def _json_in(text: str) -> Any:
    try:
        return json.loads(text[text.find("{") :])
    except ValueError:
        return None
