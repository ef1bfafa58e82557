"""Measures near-duplicate search beside faiss, usearch and pybktree, where they are installed.

    python bench/neardup.py            everything: 10 s, about a minute with peers
    python bench/neardup.py 100000     only what is not larger than this

Hashes are random; one in twenty is a copy with up to 8 bits flipped, and 60 make a hot cluster,
half of it equal. Every line is one run: `x ours` is its time over ours, `found` the share of all
pairs that it gave. faiss and usearch use all cores, ours one.
"""

import importlib
import importlib.util
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.dedup.index import NearIndex, pairs_within

Hashes = NDArray[np.uint64]
Peer = Callable[[Hashes, int], int]


def planted(count: int) -> Hashes:
    random = np.random.default_rng(count)
    hashes = random.integers(0, 2**64, count, dtype=np.uint64)
    copies = count // 20
    flips = np.uint64(1) << random.integers(0, 64, (8, copies), dtype=np.uint64)
    flips[random.integers(0, 8, copies) < np.arange(8)[:, None]] = 0
    hashes[:copies] = hashes[-copies:] ^ np.bitwise_or.reduce(flips)
    near = np.uint64(1) << random.integers(0, 64, (2, 60), dtype=np.uint64)
    near[:, ::2] = 0
    hashes[copies : copies + 60] = hashes[copies] ^ np.bitwise_or.reduce(near)
    return random.permutation(hashes)


def ours(hashes: Hashes, radius: int) -> int:
    return len(pairs_within(hashes, radius).i)


def faiss(hashes: Hashes, radius: int) -> int:
    """Multi-index hashing, exact: 4 bands of 16 bits, each searched within radius / 4."""
    faiss = importlib.import_module("faiss")
    index = faiss.IndexBinaryMultiHash(64, 4, 16)
    index.nflip = radius // 4
    rows = hashes.view(np.uint8).reshape(-1, 8)
    index.add(rows)
    limits, *_ = index.range_search(rows, radius + 1)
    return int(limits[-1] - len(hashes)) // 2


def usearch(hashes: Hashes, radius: int) -> int:
    """A graph of neighbours, approximate: the nearest 64 of each are looked at."""
    index = importlib.import_module("usearch.index").Index(ndim=64, metric="hamming", dtype="b1")
    rows = hashes.view(np.uint8).reshape(-1, 8)
    index.add(np.arange(len(rows)), rows)
    found = index.search(rows, 64)
    pairs = (found.distances <= radius) & (found.keys != np.arange(len(rows))[:, None])
    return int(pairs.sum()) // 2


def pybktree(hashes: Hashes, radius: int) -> int:
    pybktree = importlib.import_module("pybktree")
    values = hashes.tolist()
    tree = pybktree.BKTree(pybktree.hamming_distance, values)
    found = sum(len(tree.find(value, radius)) for value in values)
    return (found - len(values)) // 2


def timed(work: Callable[..., Any], *args: object) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work(*args)
    return time.perf_counter() - start, result


def all_pairs(count: int, radius: int, peers: list[Peer]) -> None:
    hashes = planted(count)
    base, pairs = timed(ours, hashes, radius)
    print(f"{count:>9,} r={radius}  autods     {base:8.2f} s  {pairs:,} pairs")
    for peer in peers:
        name = peer.__name__
        if importlib.util.find_spec(name) is None:
            print(f"{'':15}{name:<10} is not installed")
            continue
        seconds, found = timed(peer, hashes, radius)
        share = f"x {seconds / base:.1f} ours, found {found / pairs:.1%}"
        print(f"{'':15}{name:<10} {seconds:8.2f} s  {share}")


def new_against(count: int, radius: int, new: int = 1_000) -> None:
    hashes = planted(count + new)
    kept, asked = hashes[:count], hashes[count:]
    index = NearIndex(radius)
    index.add(np.arange(count), kept)
    for when in ("first", "again"):
        seconds, hits = timed(lambda: index.search(asked, per_hash=count))
        print(f"{count:>9,} r={radius}  {new:,} new, {when}: {seconds / new * 1e3:.3f} ms an image")
    brute = sum(int((np.bitwise_count(kept ^ one) <= radius).sum()) for one in asked)
    searched, _ = timed(lambda: index.search(asked[:1]))
    added, _ = timed(lambda: index.add([count], asked[:1]))
    print(f"{'':15}recall {len(hits.id) / brute:.1%} of {brute:,}; ", end="")
    print(f"one more: {searched * 1e3:.2f} ms to search, {added * 1e3:.2f} ms to add")


if __name__ == "__main__":
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    cases: list[tuple[int, int, list[Peer]]] = [
        (10_000, 3, [pybktree]),
        (100_000, 3, [faiss]),
        (100_000, 8, [faiss, usearch]),
        (1_000_000, 3, [faiss]),
        (1_000_000, 8, []),
    ]
    for case in cases:
        if case[0] <= largest:
            all_pairs(*case)
    new_against(largest, 8)
