"""Times a month of `autods run candidates` beside seed 1's way, on one real S3 server.

    python bench/candidates.py [--photos 20000] [--gold 2000] [--days 30] [--side 400]
                               [--seed-share 0.1] [--at-once 1 16]
                               [--latency 0] [--port PORT] [--hurry]

autods collects each day in a process of its own and makes the month's two datasets after the last,
then makes them again. The seed's way is what its text describes: a day's photos are downloaded and
uploaded under their class, a month's datasets are downloaded and uploaded once more, one object
after the other (1) or several at once (16), without a check, a copy found or a catalog. As that is
slow, `--seed-share` has it do every tenth prediction and gold image only, and multiplies. Both go
through one proxy that counts, and lets each request wait `--latency` milliseconds. The server is
Swift, in memory if there is room, or what answers on PORT of the loopback to AWS's two variables
for keys; the database is SQLite.
"""

import argparse
import asyncio
import datetime as dt
import io
import json
import multiprocessing
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import _measure
import numpy as np
import obstore
from _measure import Run, measured
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))
PREDICTED: Any = import_module("predicted")
SERVERS: Any = import_module("services.swift")
PROCESSES: Any = import_module("services.processes")

HERE = Path(__file__).resolve()
CLASSES = ("Aristocratic", "Business", "Fire", "Fragile", "Heroin", "Inferno", "Melting", "Queen",
           "Renaissance", "Serious", "Soft", "Strong", "Sunny", "Vintage", "Warm")  # fmt: skip
FIRST = dt.date(2024, 11, 1)
PHOTOS_EACH, VERIFIED = 2, 0.5
"""Photos of a prediction, and the share of predictions that a person has verified."""

DAYS_OF_OURS = """
for day; do
    "$0" -m autods run candidates daily --date "$day" --json candidates.yaml -w .
done
"""
COUNTED = ("up", "down", "GET", "PUT", "copies", "HEAD", "POST", "DELETE")
"""Bytes towards the server and back, and requests; a copy within the server is no PUT here."""


@dataclass(frozen=True, kw_only=True)
class Month:
    """How much there is; `side` is of a photo, in pixels."""

    photos: int
    gold: int
    days: int
    side: int

    @property
    def dates(self) -> list[str]:
        return [str(FIRST + dt.timedelta(days=n)) for n in range(self.days)]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Make the predictions, spread evenly over the days; some are verified."""
        draw = random.Random(1)
        for number in range(self.photos // PHOTOS_EACH):
            day = FIRST + dt.timedelta(days=number * self.days * PHOTOS_EACH // self.photos)
            moment = dt.datetime.combine(day, dt.time(draw.randrange(24), draw.randrange(60)))
            style, verified = draw.choice(CLASSES), draw.random() < VERIFIED
            yield {
                "id": str(uuid.UUID(int=draw.getrandbits(128))),
                "user_id": str(uuid.UUID(int=draw.getrandbits(128))),
                "photo_urls": json.dumps([photo_key(number * PHOTOS_EACH + n)
                                          for n in range(PHOTOS_EACH)]),
                "style_id": style, "initial_prediction": style, "confidence": draw.random(),
                "is_verified": verified, "verified_by": 7 if verified else None,
                "verified_at": moment.isoformat(" ") if verified else None,
                "created_at": moment.isoformat(" "), "updated_at": moment.isoformat(" "),
            }  # fmt: skip

    def wanted(self) -> dict[str, int]:
        """Tell how many images there have to be in the days' folders and in the month's two."""
        verified = PHOTOS_EACH * sum(row["is_verified"] for row in self.rows())
        return {"candidates": self.photos, "verified": self.gold + verified,
                "full": self.gold + self.photos}  # fmt: skip


def photo_key(number: int) -> str:
    return f"users/{number % 997}/{number:06d}.jpg"


def gold_key(number: int) -> str:
    return f"datasets/gold/{CLASSES[number % len(CLASSES)]}/{number:06d}.jpg"


def photo(number: int, side: int) -> bytes:
    """Draw a picture that looks like no other: coarse noise made smooth, with a grain on it."""
    draw = np.random.default_rng(number)
    coarse = Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.int16)
    start = int(draw.integers(1 << 20))
    pixels = smooth + _grain(side)[start : start + smooth.size].reshape(smooth.shape)
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


@cache
def _grain(side: int) -> Any:
    return np.random.default_rng(0).normal(0, 8.0, 3 * side**2 + (1 << 20)).astype(np.int16)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What went through the proxy, by COUNTED's names."""

    of: dict[str, int]

    def __sub__(self, before: "Counts") -> "Counts":
        return Counts(of={name: count - before.of[name] for name, count in self.of.items()})

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(of={name: count + other.of[name] for name, count in self.of.items()})

    def __mul__(self, factor: float) -> "Counts":
        return Counts(of={name: round(count * factor) for name, count in self.of.items()})

    @property
    def requests(self) -> int:
        return sum(self.of.values()) - self.of["up"] - self.of["down"]

    @property
    def megabytes(self) -> float:
        return (self.of["up"] + self.of["down"]) / 1e6


@contextmanager
def counting(port: int, wait: float) -> Iterator[tuple[str, Callable[[], Counts]]]:
    """Stand before a server, in a process of its own: gives the URL, and what counts till now.

    Each request waits so many seconds before it goes on, as on a longer way.
    """
    counts = multiprocessing.Array("q", len(COUNTED), lock=False)
    here = PROCESSES.free_port()
    carrier = multiprocessing.get_context("fork").Process(
        target=_carry_all, args=(here, port, counts, wait), daemon=True
    )
    carrier.start()
    try:
        yield (
            f"http://127.0.0.1:{here}",
            lambda: Counts(of=dict(zip(COUNTED, counts, strict=True))),
        )
    finally:
        carrier.kill()
        carrier.join()


def _carry_all(here: int, port: int, counts: Any, wait: float) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        up = _carry(reader, to_server, partial(_count_asked, counts), wait)
        down = _carry(from_server, writer, partial(_count, counts, "down"), 0.0)
        await asyncio.gather(up, down, return_exceptions=True)

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", here, backlog=512)
        await server.serve_forever()

    asyncio.run(main())


async def _carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    begins: Callable[[bytes], bool],
    wait: float,
) -> None:
    try:
        while piece := await reader.read(1 << 16):
            if begins(piece) and wait:
                await asyncio.sleep(wait)
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


def _count(counts: Any, name: str, piece: bytes) -> bool:
    counts[COUNTED.index(name)] += len(piece)
    return False


def _count_asked(counts: Any, piece: bytes) -> bool:
    """Count a piece on its way to the server; tells whether a request begins with it.

    No client sends a head before it has the answer to the last one, so heads begin pieces.
    """
    _count(counts, "up", piece)
    method = piece[:8].partition(b" ")[0].decode("latin-1")
    if method not in COUNTED[2:]:
        return False
    head = piece.partition(b"\r\n\r\n")[0].lower()
    copies = method == "PUT" and b"\r\nx-amz-copy-source:" in head
    counts[COUNTED.index("copies" if copies else method)] += 1
    return True


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a run took; one that did a part of the work is multiplied by `factor`."""

    name: str
    runs: Sequence[Run]
    counts: Counts
    factor: float = 1.0

    @property
    def wall(self) -> float:
        return self.factor * sum(run.wall for run in self.runs)

    def with_(self, other: "Row", name: str) -> "Row":
        """Add up two runs of the same share."""
        both = (*self.runs, *other.runs)
        return Row(name=name, runs=both, counts=self.counts + other.counts, factor=self.factor)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where everything is, and the rows so far."""

    month: Month
    root: Path
    server: Any
    photos: str
    artifacts: str
    counts: Callable[[], Counts]
    rows: list[Row] = field(default_factory=list)

    def run(self, name: str, command: list[str], factor: float = 1.0) -> Row:
        before = self.counts()
        run = measured(command, self.root / "log")
        row = Row(name=name, runs=[run], counts=self.counts() - before, factor=factor)
        self.rows.append(row)
        print(f"  {name}: {run.wall:.1f} s, {run.others:.0%} of the machine with others and the "
              f"server, {row.counts.requests:,} requests", file=sys.stderr, flush=True)  # fmt: skip
        return row

    def said(self) -> list[dict[str, Any]]:
        """Read what the last command printed, one JSON document after the other."""
        text, decode = (self.root / "log").read_text().strip(), json.JSONDecoder().raw_decode
        found = []
        while text:
            document, end = decode(text)
            found.append(document)
            text = text[end:].lstrip()
        return found

    def images(self, bucket: str, kind: str) -> int:
        """Count the images that lie there, over all folders of a kind."""
        pages = obstore.list(self.server.store(bucket), f"datasets/{kind}/")
        return sum(one["path"].endswith(".jpg") for page in pages for one in page)


def ours(bench: Bench) -> Row:
    """Collect every day and make the month, see that all of it is there, and make it again."""
    dates, (year, month, _) = bench.month.dates, str(FIRST).split("-")
    daily = ["sh", "-ec", DAYS_OF_OURS, sys.executable, *dates]
    days = bench.run(f"autods, {len(dates)} days", daily)
    moved = sum(one["moved_bytes"] for said in bench.said() for one in said["published"])
    monthly = [sys.executable, "-m", "autods", "run", "candidates", "monthly", "--year", year,
               "--month", month, "--json", "candidates.yaml", "-w", "."]  # fmt: skip
    made = bench.run("autods, the month", monthly)
    (said,) = bench.said()
    _check_ours(bench, said)
    moved += said["verified"]["moved_bytes"] + said["full"]["moved_bytes"]
    print(f"  laying out moved {moved:,} bytes through autods, as it says", file=sys.stderr)
    both = days.with_(made, "autods, both")
    bench.rows.append(both)
    bench.run("autods, the month again", monthly)
    (said,) = bench.said()
    _check_ours(bench, said)
    if said["verified"]["new"] or said["full"]["new"]:
        raise SystemExit("nothing has changed, and yet there is a new version")
    return both


def _check_ours(bench: Bench, said: dict[str, Any]) -> None:
    there = {kind: bench.images(bench.artifacts, kind) for kind in bench.month.wanted()}
    store = bench.server.store(bench.artifacts)
    told = {"candidates": 0, "verified": 0, "full": 0}
    for kind in told:
        names = bench.month.dates if kind == "candidates" else [str(FIRST)[:7]]
        for name in names:
            manifest = obstore.get(store, f"datasets/{kind}/{name}/manifest.json").bytes()
            told[kind] += json.loads(bytes(manifest))["total_images"]
    images = {kind: said[kind]["images"] for kind in ("verified", "full")}
    if not told == there == bench.month.wanted() or images.items() > told.items():
        raise SystemExit(f"wanted {bench.month.wanted()}, told {told}, there {there}, {images}")


def seeds(bench: Bench, share: float, at_once: int) -> Row:
    """Do the same in the seed's way, on a share of it, into a bucket of its own."""
    month = bench.month
    step = max(1, round(1 / share))
    mine = list(month.rows())[::step]
    factor = month.photos / (len(mine) * PHOTOS_EACH)
    name = f"seed's way, {at_once} at once"
    with a_bucket(bench.server) as bucket:
        given = {"photos": bench.photos, "gold": bench.artifacts, "to": bucket, "step": step,
                 "dates": month.dates, "at_once": at_once}  # fmt: skip
        rows = []
        for verb, shown in (("days", f"{month.days} days"), ("month", "the month")):
            command = [sys.executable, str(HERE), "--seeds", json.dumps({"verb": verb, **given})]
            rows.append(bench.run(f"{name}, {shown}", command, factor))
        gold = len(range(0, month.gold, step))
        verified = PHOTOS_EACH * sum(row["is_verified"] for row in mine)
        wanted = {"candidates": len(mine) * PHOTOS_EACH, "verified": gold + verified,
                  "full": gold + len(mine) * PHOTOS_EACH}  # fmt: skip
        there = {kind: bench.images(bucket, kind) for kind in wanted}
        if there != wanted:
            raise SystemExit(f"{name}: wanted {wanted}, there {there}")
    both = rows[0].with_(rows[1], f"{name}, both")
    bench.rows.append(both)
    return both


class Seeds:
    """The seed's way, in a process of its own: prints how many objects it made."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.photos, self.gold, self.to = (_store(given[name]) for name in ("photos", "gold", "to"))
        with closing(sqlite3.connect("predictions.db")) as db:
            db.row_factory = sqlite3.Row
            self.rows = list(db.execute("SELECT * FROM user_styles ORDER BY rowid"))[
                :: given["step"]
            ]

    def days(self) -> int:
        return sum(self._day(date) for date in self.given["dates"])

    def _day(self, date: str) -> int:
        with closing(sqlite3.connect("predictions.db")) as db:
            query = "SELECT id FROM user_styles WHERE date(created_at) = ?"
            new = {row[0] for row in db.execute(query, (date,))}
        prefix = f"datasets/candidates/{date}"
        jobs = [
            (self.photos, url, f"{prefix}/{_named(row, position)}")
            for row in self.rows
            if row["id"] in new
            for position, url in enumerate(json.loads(row["photo_urls"])[:4])
        ]
        return self._bring(prefix, jobs)

    def month(self) -> int:
        folders = [f"datasets/candidates/{date}/" for date in self.given["dates"]]
        candidates = [key for folder in folders for key in _keys(self.to, folder)]
        gold = _keys(self.gold, "datasets/gold/")[:: self.given["step"]]
        verified = {row["id"] for row in self.rows if row["is_verified"]}
        checked = [
            key for key in candidates if key.split("_pred_")[1].split("_img_")[0] in verified
        ]
        made = 0
        for kind, new in (("verified", checked), ("full", candidates)):
            prefix = f"datasets/{kind}/{self.given['dates'][0][:7]}"
            jobs = [
                (source, key, "/".join((prefix, *key.split("/")[-2:])))
                for source, keys in ((self.gold, gold), (self.to, new))
                for key in keys
            ]
            made += self._bring(prefix, jobs)
        return made

    def _bring(self, prefix: str, jobs: list[tuple[Any, str, str]]) -> int:
        def bring(job: tuple[Any, str, str]) -> None:
            source, key, target = job
            obstore.put(self.to, target, obstore.get(source, key).bytes(), use_multipart=False)

        if self.given["at_once"] == 1:
            for job in jobs:
                bring(job)
        else:
            with ThreadPoolExecutor(self.given["at_once"]) as pool:
                list(pool.map(bring, jobs))
        obstore.put(self.to, f"{prefix}/manifest.json", json.dumps({"total": len(jobs)}).encode())
        return len(jobs)


def _named(row: Any, position: int) -> str:
    return f"{row['style_id']}/user_{row['user_id']}_pred_{row['id']}_img_{position}.jpg"


def _keys(store: Any, prefix: str) -> list[str]:
    found = (one["path"] for page in obstore.list(store, prefix) for one in page)
    return sorted(key for key in found if key.endswith(".jpg"))


def _store(bucket: str) -> Any:
    from obstore.store import S3Store

    return S3Store(bucket, client_options={"allow_http": True}, virtual_hosted_style_request=False)


def prepare(bench: Bench) -> None:
    """Write the database, the recipe, the photos and gold; not through the proxy."""
    names = PREDICTED.COLUMNS
    with closing(sqlite3.connect(bench.root / "predictions.db")) as db:
        db.execute(PREDICTED.TABLE)
        rows = ([row.get(name) for name in names] for row in bench.month.rows())
        db.executemany(f"INSERT INTO user_styles VALUES ({', '.join('?' * len(names))})", rows)
        db.commit()
    (bench.root / "candidates.yaml").write_text("database: predictions.db\n")
    started = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        photos = [(bench.photos, photo_key(n), n) for n in range(bench.month.photos)]
        gold = [(bench.artifacts, gold_key(n), 10**7 + n) for n in range(bench.month.gold)]
        stores = {bucket: bench.server.store(bucket) for bucket in (bench.photos, bench.artifacts)}

        def put(job: tuple[str, str, int]) -> int:
            bucket, key, number = job
            data = photo(number, bench.month.side)
            obstore.put(stores[bucket], key, data, use_multipart=False)
            return len(data)

        sizes = list(pool.map(put, photos + gold))
    print(f"  {len(sizes):,} photos of {np.mean(sizes) / 1e3:.0f} KB in "
          f"{time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)  # fmt: skip


HEAD = ("wall s", "ms a photo", "CPU s", "peak MB", "MB to the server", "MB from it", "requests",
        "GET", "PUT", "copies", "others")  # fmt: skip


def print_table(bench: Bench) -> None:
    month = bench.month
    print(f"\n{month.photos:,} photos in {month.days} days, {month.gold:,} gold; "
          f"{os.cpu_count()} processors\n")  # fmt: skip
    print("| | " + " | ".join(HEAD) + " |\n|---|" + "---:|" * len(HEAD))
    for row in bench.rows:
        scaled = f" (x {row.factor:.3g})" if row.factor != 1 else ""
        print("| " + " | ".join([row.name + scaled, *_cells(row, month.photos)]) + " |")


def _cells(row: Row, photos: int) -> list[str]:
    counts = row.counts * row.factor
    by_name = counts.of
    rest = counts.requests - by_name["GET"] - by_name["PUT"] - by_name["copies"]
    return [
        f"{row.wall:.1f}",
        f"{1000 * row.wall / photos:.1f}",
        f"{row.factor * sum(run.cpu for run in row.runs):.1f}",
        f"{max(run.peak for run in row.runs):.0f}",
        f"{by_name['up'] / 1e6:,.0f}",
        f"{by_name['down'] / 1e6:,.0f}",
        *(f"{n:,}" for n in (counts.requests, by_name["GET"], by_name["PUT"], by_name["copies"])),
        f"{rest:,}",
    ]


def print_ratios(mine: Row, others: list[Row]) -> None:
    print()
    for row in others:
        moved = (row.counts * row.factor).megabytes
        print(f"{row.name}: {row.wall / mine.wall:.1f}x the wall time of autods, "
              f"{moved / mine.counts.megabytes:.1f}x the bytes", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--gold", type=int, default=2_000)
    parser.add_argument("--days", type=int, default=30, choices=range(1, 31), metavar="1-30")
    parser.add_argument("--side", type=int, default=400)
    parser.add_argument("--seed-share", type=float, default=0.1)
    parser.add_argument("--at-once", type=int, nargs="*", default=[1, 16])
    parser.add_argument("--latency", type=float, default=0.0, metavar="MS")
    parser.add_argument("--port", type=int, help="of an S3 server of yours, on the loopback")
    parser.add_argument("--hurry", action="store_true", help="wait for nobody else to rest")
    parser.add_argument("--seeds", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.seeds:
        said = json.loads(given.seeds)
        print(json.dumps({"made": getattr(Seeds(said), said["verb"])()}))
        return
    if given.photos % (PHOTOS_EACH * given.days):
        parser.error(f"--photos must divide by {PHOTOS_EACH} photos of {given.days} days")
    if given.hurry:
        _measure._rest = lambda: None
    month = Month(photos=given.photos, gold=given.gold, days=given.days, side=given.side)
    with world(month, given.latency / 1000, given.port) as bench:
        mine = ours(bench)
        others = [seeds(bench, given.seed_share, at_once) for at_once in given.at_once]
        print_table(bench)
        print_ratios(mine, others)


class Yours(SERVERS.S3Server):  # type: ignore[misc]
    """A server that runs already, as the tests' own behaves to who makes buckets."""

    def __init__(self, port: int) -> None:
        self.port = port
        keys = (os.environ[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        self.owner = SERVERS.Credentials(*keys)

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def restore(self) -> None: ...


@contextmanager
def a_bucket(server: Any) -> Iterator[str]:
    """Give a new bucket's name; what is in it goes with the server, or is removed from yours."""
    if isinstance(server, Yours):
        with server.bucket() as name:
            yield name
    else:
        name = server.bucket_name()
        server.create_bucket(name)
        yield name


@contextmanager
def world(month: Month, wait: float = 0.0, port: int | None = None) -> Iterator[Bench]:
    """Start the server and the proxy, fill buckets and database; commands run in the folder."""
    room = 400_000 * (month.photos + month.gold)
    memory = Path("/dev/shm")
    fits = memory.is_dir() and shutil.disk_usage(memory).free > room
    with (
        tempfile.TemporaryDirectory(prefix="autods-bench-", dir=memory if fits else None) as root,
        PROCESSES.scratch("bench-candidates", room) as folder,
        Yours(port) if port else SERVERS.S3Server(folder) as server,
        counting(server.port, wait) as (endpoint, counts),
        a_bucket(server) as photos,
        a_bucket(server) as artifacts,
        _in(Path(root)),
    ):
        _tell(server, endpoint, photos, artifacts)
        bench = Bench(month=month, root=Path(root), server=server, photos=photos,
                      artifacts=artifacts, counts=counts)  # fmt: skip
        prepare(bench)
        yield bench


def _tell(server: Any, endpoint: str, photos: str, artifacts: str) -> None:
    """Say where everything is, as the processes to come are told."""
    for name in ("DB_NAME", "AUTODS_CATALOG", "AUTODS_STORE"):
        os.environ.pop(name, None)
    os.environ |= {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key, "AWS_REGION": server.region,
        "STYLE_PHOTO_BUCKET": photos, "ML_ARTIFACTS_BUCKET": artifacts,
    }  # fmt: skip


@contextmanager
def _in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


if __name__ == "__main__":
    main()
