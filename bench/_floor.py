"""Does to each file what the pass does, with libraries alone: what no engine can be faster than.

    python bench/_floor.py FOLDER PROCESSES [OUT]

A plain pool reads, names (SHA-256), decodes at the same scale, hashes the pixels and measures: no
catalog, no store, no supervision. With OUT each file is also written there under its name. Prints
the seconds from the first file to the last, without the start of the pool.
"""

import hashlib
import json
import multiprocessing
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import simplejpeg
from blake3 import blake3

from autods.features.measures import measure_picture
from autods.validate.raster import reduction


def take(path: str, out: str | None) -> Any:
    data = Path(path).read_bytes()
    name = hashlib.sha256(data).hexdigest()
    if out:
        Path(out, name).write_bytes(data)
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        scale = reduction(width, height)
        rows, columns = -(-height // scale), -(-width // scale)
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=rows, min_width=columns)
    except ValueError:
        return name
    bounds = (0.0, 0.0, height / scale, width / scale)
    seen = measure_picture(SimpleNamespace(pixels=pixels, bounds=bounds))
    return name, blake3(pixels.data.cast("B")).hexdigest(length=16), seen


def take_pair(pair: tuple[str, str | None]) -> Any:
    return take(*pair)


def main(folder: str, processes: str, out: str | None = None) -> None:
    if out:
        Path(out).mkdir(parents=True)
    files = sorted(map(str, Path(folder).glob("*.jpg")))
    with multiprocessing.Pool(int(processes)) as pool:
        pool.map(take_pair, [(files[0], None)] * 2 * int(processes), chunksize=1)
        started = time.perf_counter()
        pairs = ((path, out) for path in files)
        done = sum(1 for _ in pool.imap_unordered(take_pair, pairs, chunksize=64))
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "done": done}))


if __name__ == "__main__":
    main(*sys.argv[1:])
