"""Times the places, both databases and both stores, beside what one would write without autods.

    python bench/places.py [rows pending reads objects] [--rows 50000] [--objects 500]
                           [--repeats 3] [--on sqlite postgres] [--peers FOLDER] [--bucket NAME]

`rows` loads refs; `pending` and `reads` ask twice as many; `objects` puts, lists, reads, copies and
removes 50 KB each. The contenders take turns, repeat after repeat, each in a process of its own
whose start is not counted; medians are printed as markdown tables. The peers are run by the Python
of the environment `--peers` (README.md beside this file says how to make it); without it, only
autods is measured. PostgreSQL and Swift are started from the tests' packages; `--bucket` names an
empty bucket of another S3 server, found as AWS's programs find theirs, by AWS_ENDPOINT_URL,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from _places_servers import Databases, bucket, databases, local, swift

HERE = Path(__file__).parent
WORKS = ("rows", "pending", "reads", "objects")
DATABASES = ("sqlite", "postgres")

Figures = dict[str, dict[str, float]]
Place = Callable[[], AbstractContextManager[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A way to do a job; all of a table must find the same, and the first is what others are to."""

    name: str
    job: str
    told: dict[str, Any] = field(default_factory=dict)
    ours: bool = False
    runs: list[Figures] = field(default_factory=list)


def autods(name: str, job: str, **told: object) -> Contender:
    return Contender(name=f"autods: {name}", job=job, told=told, ours=True)


def peer(name: str, job: str, **told: object) -> Contender:
    return Contender(name=name, job=job, told=told)


class Bench:
    """Runs contenders in turns and prints their tables."""

    def __init__(self, peers: Path | None, repeats: int) -> None:
        self.peers = peers
        self.repeats = repeats

    def compete(self, title: str, place: Place, contenders: list[Contender]) -> None:
        there = [one for one in contenders if one.ours or self.peers]
        load = os.getloadavg()[0]
        for turn in range(self.repeats):
            # The order turns round: the disk remembers the one before.
            for one in there if turn % 2 == 0 else reversed(there):
                with place() as told:
                    one.runs.append(self.run(one, told))
        check(there)
        busy = f"load {load:.1f} before, {os.getloadavg()[0]:.1f} after"
        print_table(f"{title}, medians of {self.repeats}; {busy}", there)

    def run(self, one: Contender, told: dict[str, Any]) -> Figures:
        script = HERE / ("_places_ours.py" if one.ours else "_places_theirs.py")
        python = sys.executable if one.ours else str(self.peers)
        os.sync()  # What the run before has written is not this one's to wait for.
        done = subprocess.run(
            [python, str(script), one.job],
            input=json.dumps({**one.told, **told}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{one.name} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
        said = ", ".join(f"{verb} {told['seconds']:.2f} s" for verb, told in figures.items())
        print(f"  {one.name}: {said}", file=sys.stderr, flush=True)
        return figures


def check(contenders: list[Contender]) -> None:
    found: dict[str, set[float]] = {}
    for one in contenders:
        for run in one.runs:
            for verb, figures in run.items():
                found.setdefault(verb, set()).add(figures["found"])
    if unlike := {verb: numbers for verb, numbers in found.items() if len(numbers) > 1}:
        raise SystemExit(f"the contenders do not agree: {unlike}")


def print_table(title: str, contenders: list[Contender]) -> None:
    verbs = list(dict.fromkeys(verb for one in contenders for verb in one.runs[0]))
    print(f"\n{title}\n")
    print("| seconds (x autods) | " + " | ".join(verbs) + " | CPU s | MB |")
    print("|---|" + "---:|" * (len(verbs) + 2))
    for one in contenders:
        cells = [_cell(one, contenders[0], verb) for verb in verbs]
        cpu = sum(_median(one, verb, "cpu") for verb in one.runs[0])
        memory = max(_median(one, verb, "mb") for verb in one.runs[0])
        print("| " + " | ".join([one.name, *cells, f"{cpu:.2f}", f"{memory:.0f}"]) + " |")
    sys.stdout.flush()


def _cell(one: Contender, base: Contender, verb: str) -> str:
    if verb not in one.runs[0]:
        return ""
    seconds = _median(one, verb, "seconds")
    shown = f"{seconds:.3g}" if seconds < 10 else f"{seconds:.1f}"
    if one is base or verb not in base.runs[0]:
        return shown
    return f"{shown} ({seconds / _median(base, verb, 'seconds'):.2g}x)"


def _median(one: Contender, verb: str, what: str) -> float:
    return statistics.median(run[verb][what] for run in one.runs)


def rows(bench: Bench, place: Databases, count: int) -> None:
    ways = [
        autods("Catalog.load", "load", count=count),
        autods("Catalog.insert_new", "insert_new", count=count),
        autods("list_refs", "listing", count=count),
        peer("pandas.to_sql", "to_sql", count=count),
    ]
    bench.compete(f"{count:,} rows into refs, {place.name}", partial(_empty, place), ways)
    # It is slow enough for fewer rows to show it.
    few = count // 10
    multi = peer("pandas.to_sql, method='multi'", "to_sql", count=few, method="multi")
    ways = [autods("Catalog.load", "load", count=few), multi]
    bench.compete(f"{few:,} rows into refs, {place.name}", partial(_empty, place), ways)


@contextmanager
def _empty(place: Databases) -> Iterator[dict[str, Any]]:
    with place.catalog() as url:
        yield {"url": url}


def asked(bench: Bench, place: Databases, count: int, works: list[str]) -> None:
    """Measure what only reads: one catalog serves all."""
    with place.catalog() as url:
        fill = autods("fill", "fill", count=count)
        bench.run(fill, {"url": url})
        place.settle(url)
        there = partial(_there, url)
        if "pending" in works:
            title = f"pending, 1 % of {count:,}, {place.name}"
            ways = [autods("count_pending, Claims.take", "pending")]
            bench.compete(title, there, [*ways, peer("two selects and set()", "difference")])
            title = f"pending, all of {count:,} (new settings), {place.name}"
            changed = {"fingerprint": "another"}
            ways = [autods("count_pending, Claims.take", "pending", **changed)]
            ways += [peer("two selects and set()", "difference", **changed)]
            bench.compete(title, there, ways)
        if "reads" in works:
            title = f"{count:,} rows x 5 columns read, {place.name}"
            ways = [peer("pandas.read_sql", "read_sql"), peer("ADBC fetch_arrow_table", "adbc")]
            bench.compete(title, there, [autods("Catalog.arrow", "read"), *ways])


@contextmanager
def _there(url: str) -> Iterator[dict[str, Any]]:
    yield {"url": url}


def objects(bench: Bench, folder: Path, count: int, own: str | None) -> None:
    what = f"{count:,} objects of 50 KB"
    ours = partial(autods, "Store", "store", count=count)
    files = peer("write_bytes, read_bytes, shutil.copy", "files", count=count)
    bench.compete(f"{what}, local folder", partial(local, folder), [ours(), files])
    if own is None:
        with swift() as server:
            bench.compete(f"{what}, Swift", partial(bucket, server), [ours(), *_clients(count)])
    else:
        bench.compete(f"{what}, {own}", partial(_own, own), [ours(), *_clients(count)])


def _clients(count: int) -> list[Contender]:
    return [
        peer("boto3 in a loop", "boto3", count=count),
        peer("boto3, 16 threads", "boto3", count=count, threads=16),
        peer("s3fs", "s3fs", count=count),
    ]


@contextmanager
def _own(name: str) -> Iterator[dict[str, Any]]:
    access = {
        "endpoint": os.environ.get("AWS_ENDPOINT_URL"),
        "access_key": os.environ["AWS_ACCESS_KEY_ID"],
        "secret_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "region": os.environ.get("AWS_REGION", "us-east-1"),
    }
    yield {"url": f"s3://{name}", "access": access}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"of {', '.join(WORKS)}")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("--peers", type=Path, default=home / "autods-bench" / "places")
    parser.add_argument("--on", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument("--bucket", help="of another S3 server than Swift")
    given = parser.parse_args()
    works = given.works or list(WORKS)
    if unknown := set(works) - set(WORKS):
        parser.error(f"no work {unknown} (valid: {', '.join(WORKS)})")
    measure(given, works)


def measure(given: argparse.Namespace, works: list[str]) -> None:
    python = given.peers / "bin" / "python"
    if not python.exists():
        print(f"no peers in {given.peers}: measuring without them (see bench/README.md)")
    bench = Bench(python if python.exists() else None, given.repeats)
    with tempfile.TemporaryDirectory(prefix="autods-bench-") as name:
        folder = Path(name)
        if set(works) - {"objects"}:
            with databases(folder) as places:
                for place in (one for one in places if one.kind in given.on):
                    if "rows" in works:
                        rows(bench, place, given.rows)
                    if set(works) & {"pending", "reads"}:
                        asked(bench, place, 2 * given.rows, works)
        if "objects" in works:
            objects(bench, folder, given.objects, given.bucket)


if __name__ == "__main__":
    main()
