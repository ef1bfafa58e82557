"""Shuffle a stream of any length in bounded memory, to an order that seed and keys alone decide.

It is an external merge sort by a hash of (seed, key). Samples are gathered until `memory` bytes are
held; a stream that ends before is sorted where it is and never touches the disk. Otherwise each
such portion is sorted and written to a run file, and the runs are merged as they are read back,
front to back, one sample of each in memory at a time. When there are `FAN_IN` runs of one size they
are first merged into one of the next size, so that few files are open however long the stream is.
The run files take as much disk as the samples, in `folder`, until the merge is done.
"""

import hashlib
import heapq
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from autods.errors import UsageError
from autods.export.encode import Encoded

FAN_IN = 64
MEMORY = 256 << 20
"""Bytes of samples held before a run is written: 256 MiB, some 4,000 pictures of 60 KB."""

_HEAD = struct.Struct("<8sHH")
_PART = struct.Struct("<HQ")


class _Placed(NamedTuple):
    place: bytes
    sample: Encoded


def placing(seed: int) -> Callable[[str], bytes]:
    """Return the function from a key to its place in the order of `seed`: 8 bytes of BLAKE2b.

    >>> place = placing(0)
    >>> sorted(["0001", "0002", "0003"], key=place)
    ['0002', '0003', '0001']
    """
    secret = hashlib.blake2b(digest_size=8, key=str(seed).encode())

    def place(key: str) -> bytes:
        digest = secret.copy()
        digest.update(key.encode())
        return digest.digest()

    return place


def shuffled(
    samples: Iterable[Encoded], *, seed: int, folder: Path, memory: int = MEMORY
) -> Iterator[Encoded]:
    """Yield the samples in the order of `seed`, whatever order they come in.

    Nothing is yielded before the last one is read. Raises `UsageError` when a key comes twice.
    """
    place = placing(seed)
    runs = _Runs(folder)
    held: list[_Placed] = []
    weight = 0
    for sample in samples:
        held.append(_Placed(place(sample.key), sample))
        weight += 300 + sum(len(data) for _, data in sample.parts)
        if weight > memory:
            runs.add(sorted(held))
            held, weight = [], 0
    return _distinct(heapq.merge(*runs.read(), sorted(held)))


class _Runs:
    """The run files of one sort, by size: `levels[i]` holds runs of `FAN_IN ** i` portions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._levels: list[list[Path]] = []
        self._made = 0

    def add(self, portion: Iterable[_Placed], level: int = 0) -> None:
        path = self._folder / f"run-{self._made:06d}"
        self._made += 1
        with path.open("wb", buffering=1 << 20) as file:
            for placed in portion:
                _write(file, placed)
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(path)
        if len(self._levels[level]) == FAN_IN:
            full, self._levels[level] = self._levels[level], []
            self.add(heapq.merge(*map(_read, full)), level + 1)

    def read(self) -> list[Iterator[_Placed]]:
        return [_read(path) for level in self._levels for path in level]


def _write(file: BinaryIO, placed: _Placed) -> None:
    key = placed.sample.key.encode()
    file.write(_HEAD.pack(placed.place, len(key), len(placed.sample.parts)) + key)
    for name, data in placed.sample.parts:
        ext = name.encode()
        file.write(_PART.pack(len(ext), len(data)) + ext)
        file.write(data)


def _read(path: Path) -> Iterator[_Placed]:
    """Yield what a run file holds, and remove the file at its end."""
    with path.open("rb", buffering=1 << 20) as file:
        while head := file.read(_HEAD.size):
            place, key_length, part_count = _HEAD.unpack(head)
            key = file.read(key_length).decode()
            parts = []
            for _ in range(part_count):
                ext_length, size = _PART.unpack(file.read(_PART.size))
                parts.append((file.read(ext_length).decode(), file.read(size)))
            yield _Placed(place, Encoded(key, tuple(parts)))
    path.unlink()


def _distinct(placed: Iterable[_Placed]) -> Iterator[Encoded]:
    last = None
    for _, sample in placed:
        if sample.key == last:
            raise UsageError(f"two samples have the key {last!r}; readers would take them as one")
        last = sample.key
        yield sample
