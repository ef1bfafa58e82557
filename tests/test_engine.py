"""The engine keeps its promise: one result per item, whatever an item does to its worker."""

import ctypes
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from autods.engine import LocalEngine, Lost
from autods.errors import AutodsError


def double(batch: Sequence[int]) -> list[int]:
    return [item * 2 for item in batch]


def survive(batch: Sequence[int], *, crash: frozenset[int], hang: frozenset[int]) -> list[int]:
    results = []
    for item in batch:
        if item in crash:
            ctypes.string_at(0)
        if item in hang:
            time.sleep(600)
        results.append(item)
    return results


def listed_first(batch: Sequence[int]) -> list[int]:
    """Reads the whole batch before it works: the engine cannot see which item it stands at."""
    items = list(batch)
    if 3 in items:
        os._exit(7)
    return items


def broken(batch: Sequence[int]) -> list[int]:
    raise ZeroDivisionError(f"bug at {batch[0]}")


def short(batch: Sequence[int]) -> list[int]:
    return [1]


def test_every_item_has_one_result_in_its_place() -> None:
    batches = [range(i, i + 10) for i in range(0, 200, 10)]
    with LocalEngine(workers=2) as engine:
        seen = dict(zip(map(tuple, batches), [None] * 20, strict=True))
        for batch, results in engine.map(double, batches):
            assert results == [2 * item for item in batch]
            del seen[tuple(batch)]
    assert not seen


def test_an_engine_maps_again_and_again() -> None:
    with LocalEngine(workers=1) as engine:
        for _ in range(3):
            assert [r for _, r in engine.map(double, [[1], [2]])] == [[2], [4]]


@pytest.mark.slow
def test_a_crash_costs_its_item_and_no_other() -> None:
    work = functools.partial(survive, crash=frozenset({3, 4, 17}), hang=frozenset())
    with LocalEngine(workers=2) as engine:
        results = {
            item: result
            for batch, row in engine.map(work, [range(10), range(10, 20)])
            for item, result in zip(batch, row, strict=True)
        }
    lost = {item for item, result in results.items() if isinstance(result, Lost)}
    assert lost == {3, 4, 17}
    assert results[3] == Lost("crashed", "the worker process died (SIGSEGV)")
    assert all(results[item] == item for item in set(range(20)) - lost)


@pytest.mark.slow
def test_a_hang_costs_its_item_and_no_other() -> None:
    work = functools.partial(survive, crash=frozenset(), hang=frozenset({2}))
    # Long enough for a busy machine to get round to the others.
    with LocalEngine(workers=1, item_timeout=4) as engine:
        [(_, results)] = engine.map(work, [range(5)])
    assert results[2] == Lost("hung", "no progress for 4 s")
    assert [r for r in results if not isinstance(r, Lost)] == [0, 1, 3, 4]


@pytest.mark.slow
def test_an_innocent_item_is_never_blamed() -> None:
    with LocalEngine(workers=1) as engine:
        [(_, results)] = engine.map(listed_first, [range(6)])
    assert [isinstance(r, Lost) for r in results] == [item == 3 for item in range(6)]


def test_a_bug_in_the_work_is_an_error_with_its_traceback() -> None:
    with LocalEngine(workers=1) as engine, pytest.raises(AutodsError, match="bug at 1"):
        list(engine.map(broken, [[1]]))


def test_a_missing_result_is_an_error() -> None:
    with LocalEngine(workers=1) as engine, pytest.raises(AutodsError, match="1 results for 2"):
        list(engine.map(short, [[1, 2]]))


def test_batches_are_drawn_as_they_are_needed() -> None:
    drawn = 0

    def endless() -> Iterator[list[int]]:
        nonlocal drawn
        while True:
            drawn += 1
            yield [drawn]

    with LocalEngine(workers=1) as engine:
        stream = engine.map(double, endless())
        for _ in range(5):
            next(stream)
        assert drawn <= 8


@pytest.mark.slow
def test_workers_die_with_a_driver_that_is_killed() -> None:
    program = (
        "import os, time\n"
        "from autods.engine import LocalEngine\n"
        "engine = LocalEngine(workers=2)\n"
        "import multiprocessing.forkserver as f\n"
        "next(engine.map(len, [])) if False else list(engine.map(list, [[1], [2]]))\n"
        "print(*[hand._process.pid for hand in engine._hands], flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        workers = [int(pid) for pid in driver.stdout.readline().split()]
        driver.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its driver"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_is_closed_already_is_closed_without_waiting() -> None:
    """As when the interpreter ends: a thread that is stopped for good may hold the lock."""
    with LocalEngine(workers=1) as engine:
        assert list(engine.map(sorted, [[2, 1]])) == [([2, 1], [1, 2])]
        [hand] = engine._hands
    with hand._lock:
        engine.close()


@pytest.mark.slow
def test_a_loop_that_is_left_halfway_does_not_keep_the_process(tmp_path: Path) -> None:
    script = tmp_path / "left.py"
    script.write_text(
        "from autods.engine import LocalEngine\n"
        "engine = LocalEngine(workers=2)\n"
        "loop = engine.map(sorted, ([n] for n in range(10_000)))\n"
        "next(loop)\n"
        "engine.close()\n"
        "raise SystemExit(7)\n"
    )
    for _ in range(5):
        done = subprocess.run([sys.executable, str(script)], timeout=60, check=False)
        assert done.returncode == 7
