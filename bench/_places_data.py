"""What is loaded, read and put, and how one job is timed; it needs nothing but Python.

The jobs run in processes of their own, ours and the peers' in two environments, and both import
this module: the same rows, the same bytes, the same clock.
"""

import datetime as dt
import gc
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Verbs = Iterator[tuple[str, Callable[[], int]]]
"""What a job does, one verb after the other; each returns how many it dealt with."""

FINGERPRINT = "0123456789abcdef"
"""Of what has an outcome; one ref in a hundred has none."""
SOME = 4096
"""Refs of a first page: as many as one run claims at once."""
SIZE = 50_000
"""Bytes of an object."""
READ = ("id", "uri", "label", "asset_id", "tries")

_AT = dt.datetime(2026, 11, 2, 12, 0, 0, 123456, dt.UTC).replace(tzinfo=None)
_NOISE = random.Random(0)


def described(number: int) -> dict[str, Any]:
    """Say what a source says of its input number so and so."""
    uri = f"photos/{number // 1000:04d}/{number:08d}.jpg"
    return {
        "source": "folder:photos",
        "uri": uri,
        "stamp": f"{50_000 + number % 9973}-1730500{number % 1000:03d}",
        "location": f"/data/{uri}",
        "license": "CC-BY-4.0",
        "label": f"class-{number % 27:02d}",
        "caption": f"photo {number} of a thing on a table, seen from above",
        "meta": {"width": 640 + number % 100, "height": 480},
    }


def rows(count: int) -> list[dict[str, Any]]:
    """Make rows for the table `refs` of the dataset with id 1."""
    more = {"dataset_id": 1, "first_seen": _AT, "tries": 0}
    return [{**described(number), **more} for number in range(count)]


def ended(number: int) -> dict[str, Any]:
    """Say how an input ended: one in a hundred not yet, spread over all of them."""
    if number % 100 == 50:
        return dict.fromkeys(("fingerprint", "status", "asset_id", "finished_at"))
    known = {"fingerprint": FINGERPRINT, "status": "asset", "asset_id": number + 1}
    return {**known, "finished_at": _AT}


def keys(count: int, bucket: str = "raw") -> list[str]:
    """Name objects as assets are named: in 256 folders, by the beginning of their name."""
    names = (f"{random.Random(number).getrandbits(160):040x}" for number in range(count))
    return [f"{bucket}/{name[:2]}/{name}" for name in names]


def objects(count: int) -> list[tuple[str, bytes]]:
    """Make objects, of which few have bytes of their own: all fit in memory."""
    noise = [_NOISE.randbytes(SIZE) for _ in range(64)]
    return [(key, noise[number % 64]) for number, key in enumerate(keys(count))]


def tell(jobs: dict[str, Callable[..., Verbs]]) -> None:
    """Run the job that the first argument names, with the JSON on stdin, and print its figures."""
    given = json.load(sys.stdin)
    print(json.dumps({verb: _timed(work) for verb, work in jobs[sys.argv[1]](**given)}))


def _timed(work: Callable[[], int]) -> dict[str, float]:
    """Give seconds, seconds of this process's processor, and the MB it grew by at the most."""
    gc.collect()
    _forget_peak()
    before, cpu = _memory("VmRSS"), _cpu()
    started = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - started
    grown = (_memory("VmHWM") - before) / 1024
    return {"seconds": seconds, "cpu": _cpu() - cpu, "mb": grown, "found": found}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _forget_peak() -> None:
    """Let the kernel count the peak anew; Linux only."""
    with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123 - a file of the kernel
        file.write("5")


def _memory(what: str) -> int:
    with open("/proc/self/status") as file:  # noqa: PTH123 - a file of the kernel
        return next(int(line.split()[1]) for line in file if line.startswith(what))
