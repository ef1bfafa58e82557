"""Times ingesting and building beside img2dataset, from files and from a server on the loopback.

    python bench/ingest.py [--quick] [--repeats 3] [--only files urls slow]
                           [--cache FOLDER] [--out FOLDER]

10,000 photos of 60 KB with 1 % broken, 5 % exact and 5 % near duplicates; and 3,000 of which 1 %
are answered after ten seconds. The contenders take turns, repeat after repeat; medians are printed
as markdown tables. Photos and img2dataset's environment stay in the cache folder; results are
written to `--out`, memory if there is room, and removed. What the columns mean and why results go
to memory is in README.md beside this file.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from _images import images, planted
from _measure import Run, measured
from _server import serving

HERE = Path(__file__).parent
FEW = 10
PROCESSORS = len(os.sched_getaffinity(0))
RAW = ("--disable_all_reencoding=True",)
DECODE = ("--resize_mode=no", "--skip_reencode=True")

SDK = """
import json, sys
from pathlib import Path
from autods import IngestClient
from autods.web.policy import HttpPolicy
policy = HttpPolicy(allow_private=True, per_host=64, concurrency=128)
listed = Path(sys.argv[1]).read_text().replace("file://", "").split()
with IngestClient(sys.argv[2], http=policy) as client:
    print(json.dumps({"taken": len(client.ingest_batch(listed))}))
"""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where photos and lists lie, where results go, and the peer's program if there is one."""

    cache: Path
    out: Path
    program: Path | None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What there is to take in: a folder and the list of its URLs; `out` is where results go."""

    count: int
    folder: Path
    urls: Path
    out: Path


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A way to do a job; `step` finds, in what it printed, how long the work alone took.

    One that is not `fresh` goes on in the folder of the one before it.
    """

    name: str
    command: Callable[[Job], list[str]]
    step: Callable[[Any], float] | None = None
    fresh: bool = True
    few: list[Run] = field(default_factory=list)
    all: list[Run] = field(default_factory=list)


def build(job: Job, *, source: str, exports: str) -> list[str]:
    """Give the command line of a build; without exports it ends with the frozen version."""
    sources = {"files": f"folder: {job.folder}\n    labels: none", "urls": f"urls: {job.urls}"}
    recipe = job.out / "recipe.yaml"
    job.out.mkdir(parents=True, exist_ok=True)
    recipe.write_text(
        f"name: bench\nsources:\n  - {sources[source]}\nexport: [{exports}]\n"
        "http: {allow_private: true, per_host: 64, concurrency: 128}\n"
    )
    workspace = ["--workspace", str(job.out), "--json"]
    return [sys.executable, "-m", "autods", "build", str(recipe), *workspace]


def sdk(job: Job) -> list[str]:
    return [sys.executable, "-c", SDK, str(job.urls), str(job.out)]


def floor(job: Job, *, write: bool) -> list[str]:
    out = [str(job.out)] if write else []
    return [sys.executable, str(HERE / "_floor.py"), str(job.folder), str(PROCESSORS), *out]


def img2dataset(job: Job, *, program: Path, mode: tuple[str, ...], shards: int) -> list[str]:
    """Give the command of a peer that uses all processors.

    8, 16, 32 and 64 threads, 2 to 4 processes, 2 to 20 shards, files and tar came out alike within
    the noise, or worse; but where addresses hang, each further shard costs a wait.
    """
    return [
        str(program),
        f"--url_list={job.urls}",
        f"--output_folder={job.out}",
        "--input_format=txt",
        "--output_format=files",
        f"--processes_count={PROCESSORS}",
        "--thread_count=16",
        f"--number_sample_per_shard={-(-job.count // shards)}",
        "--compute_hash=sha256",
        "--extract_exif=False",
        "--timeout=20",
        *mode,
    ]


def contenders(where: str, program: Path | None) -> Iterator[Contender]:
    """Yield who takes part in `files`, `urls` and `slow`; ours is the first."""
    source = "files" if where == "files" else "urls"
    bare = partial(build, source=source, exports="")
    yield Contender(name="autods build, no exports", command=bare, step=_ingest_seconds)
    if where != "slow":
        yield Contender(name="the same, nothing changed", command=bare, fresh=False)
        yield Contender(name="IngestClient.ingest_batch", command=sdk)
    if where == "files":
        every = partial(build, source=source, exports="webdataset, parquet, folder")
        yield Contender(name="autods build, all exports", command=every, step=_ingest_seconds)
        alone, writing = partial(floor, write=False), partial(floor, write=True)
        yield Contender(name="floor", command=alone, step=_floor_seconds)
        yield Contender(name="floor that writes the files", command=writing, step=_floor_seconds)
    if program is None:
        return
    theirs = partial(img2dataset, program=program, shards=PROCESSORS)
    yield Contender(name="img2dataset, decode", command=partial(theirs, mode=DECODE))
    if where == "urls":
        yield Contender(name="img2dataset, no decode", command=partial(theirs, mode=RAW))
    if where == "slow":
        six = partial(theirs, mode=DECODE, shards=6)
        yield Contender(name="img2dataset, decode, 6 shards", command=six)


def _ingest_seconds(said: Any) -> float:
    return float(said["facts"]["timing"]["seconds"]["ingest"])


def _floor_seconds(said: Any) -> float:
    return float(said["seconds"])


def peer(cache: Path) -> Path | None:
    """Give img2dataset's program, in an environment of its own made at the first call."""
    folder = cache / "img2dataset"
    program, stamp = folder / "bin" / "img2dataset", folder / "complete"
    if not stamp.exists():
        print(f"making img2dataset's environment in {folder} (once)", flush=True)
        make = [sys.executable, "-m", "venv", "--clear", str(folder)]
        fill = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        fill += ["--requirement", str(HERE / "img2dataset.txt")]
        if any(subprocess.run(command, check=False).returncode for command in (make, fill)):
            print("img2dataset cannot be installed here: measuring without it")
            return None
        stamp.touch()
    return program


def compete(where: str, count: int, repeats: int, places: Places) -> None:
    """Let the contenders take turns at one workload, and print its table."""
    cache = places.cache
    folder, few_folder = images(count if where != "slow" else 10_000, cache), images(FEW, cache)
    taking_part = list(contenders(where, places.program))
    with serving(cache, cache / "server") as url:
        small = _job(where, FEW, few_folder, url, places)
        large = _job(where, count, folder, url, places)
        for _ in range(repeats):
            for one in taking_part:
                one.few.append(_run(one, small))
            for one in taking_part:
                one.all.append(_run(one, large))
    _print_table(where, count, taking_part)


def _job(where: str, count: int, folder: Path, url: str, places: Places) -> Job:
    """Write the list of addresses; img2dataset reads files as file:// URLs."""
    base = f"file://{folder}" if where == "files" else f"{url}/{folder.name}"
    slow = f"{url}/slow/{folder.name}"
    urls = places.cache / f"{where}-{count}.txt"
    # Hanging addresses are spread evenly, one in a hundred.
    hanging = range(50, count, 100) if where == "slow" else ()
    lines = (f"{slow if i in hanging else base}/{i:05d}.jpg\n" for i in range(count))
    urls.write_text("".join(lines))
    return Job(count=count, folder=folder, urls=urls, out=places.out)


def _run(one: Contender, job: Job) -> Run:
    """Make one run; a disturbed one is made again, three times at most."""
    for _ in range(4):
        if one.fresh:
            shutil.rmtree(job.out, ignore_errors=True)
        run = measured(one.command(job), job.urls.with_suffix(".log"))
        note = f", {run.others:.0%} of the machine with others"
        print(f"  {one.name}, {job.count:,}: {run.wall:.2f} s{note}", file=sys.stderr, flush=True)
        if not run.disturbed:
            break
    if run.said and "counts" in run.said.get("facts", {}):
        _check(run.said["facts"]["counts"], planted(job.count))
    return replace(run, said=one.step(run.said) if one.step else None)


def _check(counts: Any, truth: dict[str, int]) -> None:
    found = {
        "corrupt": sum(counts["rejected_by"].values()),
        "exact": counts["exact_duplicates"],
        "near": counts["near_duplicates"],
    }
    if found != truth or counts["failed_by"]:
        raise SystemExit(f"the build found {found}, {counts['failed_by']}; planted were {truth}")


HEAD = (
    "wall s", "of it start-up", "images/s", "steady images/s", "step images/s", "CPU s",
    "peak MB, 10 / all", "wall / ours", "our step / its",
)  # fmt: skip


def _print_table(where: str, count: int, taking_part: list[Contender]) -> None:
    ours = taking_part[0]
    print(f"\n{where}, {count:,} images, medians of {len(ours.all)}\n")
    print("| | " + " | ".join(HEAD) + " |")
    print("|---|" + "---:|" * len(HEAD))
    for one in taking_part:
        print("| " + " | ".join([one.name, *_cells(one, ours, count)]) + " |", flush=True)


def _cells(one: Contender, ours: Contender, count: int) -> list[str]:
    wall, few = _median(one.all, "wall"), _median(one.few, "wall")
    step = _steady(one, count, "said") if one.step else None
    # Start-up cannot be taken away from a run that is little else.
    steady = _steady(one, count, "wall") if wall > 2 * few else None
    return [
        f"{wall:.2f}",
        f"{few:.2f}",
        f"{count / wall:,.0f}",
        f"{steady:,.0f}" if steady else "",
        f"{step:,.0f}" if step else "",
        f"{_median(one.all, 'cpu'):.2f}",
        f"{_median(one.few, 'peak'):.0f} / {_median(one.all, 'peak'):.0f}",
        f"{wall / _median(ours.all, 'wall'):.2f}",
        f"{_steady(ours, count, 'said') / step:.2f}" if step else "",
    ]


def _median(runs: list[Run], what: str) -> float:
    return float(statistics.median(getattr(run, what) for run in runs))


def _steady(one: Contender, count: int, what: str) -> float:
    """Images a second beyond the first ten: what start-up costs is left out."""
    return (count - FEW) / (_median(one.all, what) - _median(one.few, what))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="1,000 images, once")
    parser.add_argument("--repeats", type=int, default=None)
    parser.add_argument("--only", nargs="+", choices=("files", "urls", "slow"))
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("--cache", type=Path, default=home / "autods-bench")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    cache = given.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    out = (given.out or _roomy(cache)).absolute() / "autods-bench-out"
    places = Places(cache=cache, out=out, program=peer(cache))
    count = 1_000 if given.quick else 10_000
    repeats = given.repeats or (1 if given.quick else 3)
    for where in given.only or ("files", "urls", "slow"):
        compete(where, count * 3 // 10 if where == "slow" else count, repeats, places)
    shutil.rmtree(out, ignore_errors=True)


def _roomy(cache: Path) -> Path:
    """Give the folder in memory that Linux offers, if four GB fit in."""
    memory = Path("/dev/shm")
    fits = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
    return memory if fits else cache


if __name__ == "__main__":
    main()
