"""Samples per CPU-second of writing shards: ours beside webdataset's ShardWriter and tarfile.

    .venv/bin/python bench/shards.py [samples] [rounds]

Every writer gets the same samples (a 60 KB jpg, a json of about 300 bytes) and 1,000 of them a
shard. `TarWriter` does what ShardWriter does, and the DALI index beside; `create_shards` does much
more (shuffle, SHA-256 of each shard, index, parquet sidecar). The rounds are interleaved, each
writer overwrites its own files (fresh pages of the file cache cost a virtual machine more than the
writing does), the figures are medians.
"""

import io
import json
import random
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from webdataset import ShardWriter

from autods.export import TarWriter, create_shards
from autods.export.encode import json_bytes

Samples = list[dict[str, Any]]
SHARD = 1000


def make_samples(count: int) -> Samples:
    noise = random.Random(0)
    pictures = [noise.randbytes(60_000) for _ in range(64)]
    meta = {"label": "cat", "caption": "a cat on a mat " * 12, "width": 640, "height": 480}
    return [
        {"__key__": f"{i:020x}", "jpg": pictures[i % 64], "json": {**meta, "number": i}}
        for i in range(count)
    ]


def with_webdataset(samples: Samples, out: Path) -> None:
    with ShardWriter(str(out / "%06d.tar"), maxcount=SHARD, verbose=0) as writer:
        for sample in samples:
            writer.write(sample)


def with_tarfile(samples: Samples, out: Path) -> None:
    for start in range(0, len(samples), SHARD):
        with tarfile.open(out / f"{start}.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for sample in samples[start : start + SHARD]:
                parts = {"jpg": sample["jpg"], "json": json.dumps(sample["json"]).encode()}
                for ext, data in parts.items():
                    entry = tarfile.TarInfo(f"{sample['__key__']}.{ext}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))


def with_tar_writer(samples: Samples, out: Path) -> None:
    for start in range(0, len(samples), SHARD):
        with TarWriter(out / f"{start}.tar") as archive:
            for sample in samples[start : start + SHARD]:
                parts = [("jpg", sample["jpg"]), ("json", json_bytes(sample["json"]))]
                archive.add(sample["__key__"], parts)
        (out / f"{start}.tar.idx").write_text(archive.index)


def with_create_shards(samples: Samples, out: Path) -> None:
    create_shards(samples, str(out / "dataset-%06d.tar"), max_count=SHARD)


WRITERS = (with_webdataset, with_tarfile, with_tar_writer, with_create_shards)


def cpu_seconds(write: Callable[[Samples, Path], None], samples: Samples, folder: Path) -> float:
    folder.mkdir(exist_ok=True)
    start = time.process_time()
    write(samples, folder)
    return time.process_time() - start


def main(count: int = 1000, rounds: int = 25) -> None:
    samples = make_samples(count)
    taken: dict[str, list[float]] = {write.__name__: [] for write in WRITERS}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        for _ in range(rounds):
            for write in WRITERS:
                seconds = cpu_seconds(write, samples, Path(folder) / write.__name__)
                taken[write.__name__].append(seconds)
    base = statistics.median(taken["with_webdataset"])
    for name, times in taken.items():
        middle = statistics.median(times)
        print(f"{name[5:]:14} {count / middle:9,.0f} samples/CPU-s {base / middle:6.2f}x")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
