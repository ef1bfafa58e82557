"""Times `autods run crawl` beside Scrapy on the tests' generated site, whose truth is known.

    python bench/crawl.py [--quick] [--repeats 1] [--also again cached killed] [--scrapy PYTHON]

2,000 pages with 10,000 images, and traps without end; with --quick 200 and 1,000. After a first
crawl of it, `again` crawls once more though nothing has changed, `cached` does both with Scrapy's
cache of HTTP, and `killed` kills a crawl half way and goes on. The contenders take turns, each with
a server that has just been started; results go to memory if there is room, and are removed. PYTHON
is of an environment with bench/scrapy.txt; without it only autods is measured. What the columns
mean is in README.md beside this file.
"""

import argparse
import hashlib
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from _measure import Run, measured

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))
SITE: Any = import_module("services.site")
ELAPSED = "elapsed_time_seconds"
WORKS = ("again", "cached", "killed")
TRAPS = ("calendar/", "session/", "find", "rel/", "forever/")
"""As the paths begin that who has looked at a crawl would leave out by hand."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a crawl has come to: the image URLs whose bytes it holds, and images in the dataset."""

    urls: set[str]
    images: int


@dataclass(frozen=True, kw_only=True)
class Way:
    """A crawl by one of the two; `killed` after half the time that the way of that name took."""

    name: str
    work: str
    command: Callable[[Any, Path], list[str]]
    kept: Callable[[Any, Path, Any], Kept]
    killed: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run, what it asked the site for and what it came to.

    `twice` counts what had already come in before the kill: pages, images and the images' bytes.
    """

    run: Run
    requests: int
    image_bytes: int
    held: int
    wrong: int
    images: int
    forbidden: Counter[str]
    trapped: int
    twice: tuple[int, int, int]


@dataclass(kw_only=True)
class Bench:
    """The site, where results go, and the rows so far by work and name."""

    site: Any
    out: Path
    rows: dict[tuple[str, str], list[Row]] = field(default_factory=dict)

    def tell(self, story: list[Way]) -> None:
        """Let one way after the other go on in the same folder, with a server of their own."""
        shutil.rmtree(self.out, ignore_errors=True)
        (self.out / "kept").mkdir(parents=True)
        with self.site as site:
            before: dict[str, int] = {}
            for way in story:
                command = way.command(site, self.out)
                site.reset_log()
                if way.killed:
                    interrupted(command, self.out / "log", self._half(way.killed))
                    before = arrived(site)
                    continue
                run = measured(command, self.out / "log")
                row = looked_at(site, run, way.kept(site, self.out, run.said), before)
                self.rows.setdefault((way.work, way.name), []).append(row)
                print(f"  {way.name}, {way.work}: {run.wall:.1f} s, {run.others:.0%} of the "
                      f"machine with others, {dict(row.forbidden)}", file=sys.stderr)  # fmt: skip

    def _half(self, name: str) -> float:
        return self.rows["first", name][-1].run.wall / 2


def interrupted(command: list[str], log: Path, seconds: float) -> None:
    """Kill a command with all its processes after some seconds."""
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    time.sleep(seconds)
    if process.poll() is not None:
        raise SystemExit(f"{' '.join(command)} ended within {seconds:.1f} s:\n{log.read_text()}")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with suppress(ChildProcessError):  # Those it leaves behind are ours by now.
        while True:
            os.waitpid(-process.pid, 0)


def arrived(site: Any) -> dict[str, int]:
    """Give the bytes of each URL that was answered in full."""
    return {site.canonical(one): one.sent for one in site.requests if one.status == 200}


def looked_at(site: Any, run: Run, kept: Kept, before: dict[str, int]) -> Row:
    """Hold a run against the site's log and truth."""
    truth, asked = site.truth, site.requests
    pictures = truth.images.keys() | site.plan.photos.targets.keys()
    twice = before.keys() & arrived(site).keys()
    return Row(
        run=run,
        requests=len(asked),
        image_bytes=sum(one.sent for one in asked if site.canonical(one) in pictures),
        held=len(kept.urls & truth.held),
        wrong=len(kept.urls - truth.held),
        images=kept.images,
        forbidden=Counter(why for _, why in site.violations()),
        trapped=sum(site.trapped().values()),
        twice=(
            len(twice & truth.read),
            len(twice & pictures),
            sum(before[url] for url in twice & pictures),
        ),
    )


def autods(site: Any, out: Path, *, more: str = "") -> list[str]:
    """Give the command of a crawl as it is without any settings but its depth."""
    recipe = out / "recipe.yaml"
    recipe.write_text(
        f"name: bench\nsources: [{{crawl: '{site.url}', name: site, depth: {site.truth.depth}"
        f"{more}}}]\nhttp: {{allow_private: true}}\n"
    )
    workspace = ["--workspace", str(out / "kept"), "--json"]
    return [sys.executable, "-m", "autods", "run", "crawl", str(recipe), *workspace]


def autods_kept(site: Any, out: Path, said: Any) -> Kept:
    """Read the catalog; ends the bench if any image URL did not end as it should."""
    query = "SELECT uri, status, reason, asset_id FROM refs WHERE gone_at IS NULL"
    with closing(sqlite3.connect(out / "kept" / ".autods" / "catalog.db")) as db:
        found = {row[0]: row[1:] for row in db.execute(query)}
    wrong = [url for url, end in site.truth.images.items() if not _is_true(end, found.get(url))]
    images = said["metrics"]["unique_images"]
    if wrong or found.keys() != site.truth.images.keys() or images != site.truth.unique:
        raise SystemExit(f"{images} images of {site.truth.unique}; {wrong[:5]} did not end so")
    return Kept(urls={url for url, end in found.items() if end[2] is not None}, images=images)


def _is_true(end: Any, found: Any) -> bool:
    if found is None or end.sha256:
        return found is not None and found[2] is not None
    return found[2] is None and found[0] == end.end and found[1] in end.reasons


def scrapy(site: Any, out: Path, *, python: Path, options: tuple[str, ...]) -> list[str]:
    told = [one.format(out=out) for one in options]
    return [str(python), str(HERE / "_crawl_scrapy.py"), site.url, str(out / "kept"), *told]


def scrapy_kept(site: Any, out: Path, _said: Any) -> Kept:
    """Find what lies in its folder, by the names that Scrapy gives."""
    names = {hashlib.sha1(url.encode()).hexdigest(): url for url in site.truth.images}
    found = [file.stem for file in (out / "kept" / "full").iterdir()]
    return Kept(urls={names.get(name, name) for name in found}, images=len(found))


OURS, HAND = "autods", "autods, traps excluded by hand"
THEIRS, DENIED = "Scrapy", "Scrapy, traps denied by hand"


def stories(works: list[str], python: Path | None) -> Iterator[list[Way]]:
    """Yield who does what, one after the other, in the same folder."""
    for story in (*_our_stories(), *(_scrapy_stories(python) if python else ())):
        wanted = [way for way in story if way.work in ("first", *works)]
        if wanted:
            yield wanted


def _our_stories() -> Iterator[list[Way]]:
    ours = partial(Way, command=autods, kept=autods_kept)
    more = ", exclude: [" + ", ".join(f"'*/{path}*'" for path in TRAPS) + "]"
    by_hand = partial(ours, command=partial(autods, more=more), name=HAND)
    yield [ours(name=OURS, work="first"), ours(name=OURS, work="again")]
    yield [by_hand(work="first"), by_hand(work="again")]
    yield [ours(name=OURS, work="killed", killed=OURS), ours(name=OURS, work="killed")]


def _scrapy_stories(python: Path) -> Iterator[list[Way]]:
    deny = ("--deny", "/(" + "|".join(TRAPS) + ")")

    def way(name: str, work: str, *options: str, killed: str = "") -> Way:
        command = partial(scrapy, python=python, options=options)
        return Way(name=name, work=work, command=command, kept=scrapy_kept, killed=killed)

    yield [way(THEIRS, "first")]
    yield [way(DENIED, "first", *deny), way(DENIED, "again", *deny)]
    yield [way(f"{DENIED}, FilesPipeline", "first", *deny, "--files")]
    cached = (*deny, "--cache")
    yield [
        way(f"{DENIED}, HTTPCACHE filled", "cached", *cached),
        way(f"{DENIED}, HTTPCACHE, each asked", "cached", *cached, "--ask"),
    ]
    job = (*deny, "--job", "{out}/job")
    killed = way(DENIED, "killed", *job, killed=DENIED)
    yield [killed, way(f"{DENIED}, its JOBDIR", "killed", *job)]
    yield [killed, way(f"{DENIED}, begun anew", "killed", *deny)]


HEAD = (
    "wall s", "of it crawling", "CPU s", "peak MB", "requests", "MB of images", "images held",
    "held wrongly", "images in the dataset", "forbidden", "in traps",
)  # fmt: skip
AFTER = ("pages twice", "images twice", "MB twice")


def print_table(bench: Bench, work: str, title: str) -> None:
    head = (*HEAD, *AFTER) if work == "killed" else HEAD
    print(f"\n{title}\n")
    print("| | " + " | ".join(head) + " |")
    print("|---|" + "---:|" * len(head))
    for (done, name), rows in bench.rows.items():
        if done == work:
            cells = [*_cells(rows, bench.site.truth), *_twice(rows[-1])][: len(head)]
            print("| " + " | ".join([name, *cells]) + " |", flush=True)


def _cells(rows: list[Row], truth: Any) -> list[str]:
    last = rows[-1]
    wall, cpu, peak = (_median(rows, what) for what in ("wall", "cpu", "peak"))
    return [
        f"{wall:.1f}",
        f"{statistics.median(_crawling(row.run.said) for row in rows):.1f}",
        f"{cpu:.1f}",
        f"{peak:.0f}",
        f"{last.requests:,}",
        f"{last.image_bytes / 1e6:.1f}",
        f"{last.held:,} of {len(truth.held):,}",
        f"{last.wrong}",
        f"{last.images:,} ({truth.unique:,})",
        f"{last.forbidden.total():,}",
        f"{last.trapped:,}",
    ]


def _median(rows: list[Row], what: str) -> float:
    return statistics.median(getattr(row.run, what) for row in rows)


def _crawling(said: Any) -> float:
    """Give the seconds of our step, or between Scrapy's opening and closing its spider."""
    return float(said["metrics"]["crawl_duration"] if "metrics" in said else said[ELAPSED])


def _twice(row: Row) -> list[str]:
    pages, images, size = row.twice
    return [f"{pages:,}", f"{images:,}", f"{size / 1e6:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="200 pages with 1,000 images")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--also", nargs="*", choices=WORKS, default=WORKS)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    own = home / "autods-bench" / "scrapy" / "bin" / "python"
    parser.add_argument("--scrapy", type=Path, default=own, metavar="PYTHON")
    given = parser.parse_args()
    python = given.scrapy if given.scrapy.exists() else None
    if python is None:
        print(f"no {given.scrapy}: measuring without Scrapy (see bench/README.md)")
    pages, images = (200, 1_000) if given.quick else (2_000, 10_000)
    site = SITE.Site(pages=pages, images=images, drips=0)
    with tempfile.TemporaryDirectory(prefix="autods-bench-", dir=_roomy()) as folder:
        bench = Bench(site=site, out=Path(folder) / "out")
        for _ in range(given.repeats):
            for story in stories(given.also, python):
                bench.tell(story)
    for work in ("first", *given.also):
        title = f"{work}, {pages:,} pages, {images:,} images, medians of {given.repeats}"
        print_table(bench, work, title)


def _roomy() -> Path | None:
    """Give the folder in memory that Linux offers, if four GB fit in."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30 else None


if __name__ == "__main__":
    main()
