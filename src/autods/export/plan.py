"""Divide members into shards by the bits of their keys, so that a changed member changes one shard.

The plan is a trie over the bits of the key (a SHA-256): all members start in one bucket, and a
bucket with more than `max_count` members splits in two by the next bit. The set of buckets is
therefore a function of the member set alone, whatever the order they came in, and one more member
falls into exactly one bucket. As keys are near uniform, all buckets of a version reach the limit at
about the same time and then halve together: shards are filled between one half and the whole of
`max_count`. Extendible hashing (Fagin, Nievergelt, Pippenger and Strong, 1979) splits alike.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autods.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORD = 64


def plan_shards(keys: "Sequence[str] | NDArray[np.uint8]", max_count: int) -> "NDArray[np.int32]":
    """Return the shard number of every key, numbered from 0 in the order of the trie.

    `keys` are n hex strings of one length, or a uint8 array of shape (n, bytes); they must be
    distinct. The answer has shape (n,). Raises `UsageError` for repeated or malformed keys and for
    a `max_count` below 1.

    >>> plan_shards(["00", "7f", "80", "c0", "ff"], max_count=2).tolist()
    [0, 0, 1, 2, 2]
    >>> plan_shards(["ff", "80", "c0", "7f", "00"], max_count=2).tolist()
    [2, 1, 2, 0, 0]
    """
    import numpy as np

    if max_count < 1:
        raise UsageError(f"max_count is {max_count}; a shard holds at least 1 sample")
    words = _words(keys)
    order = _sorted_order(words)
    words = words[order]
    _refuse_repeats(words)
    sizes = _bucket_sizes(words, max_count)
    numbers = np.empty(len(words), dtype=np.int32)
    numbers[order] = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    return numbers


def _words(keys: "Sequence[str] | NDArray[np.uint8]") -> "NDArray[np.uint64]":
    """Return the keys as big-endian 64-bit words, shape (n, words), so that order is bit order."""
    import numpy as np

    raw = keys if isinstance(keys, np.ndarray) else _from_hex(keys)
    if raw.ndim != 2 or raw.dtype != np.uint8 or (len(raw) and not raw.shape[1]):
        raise UsageError(
            f"keys have shape {raw.shape} and type {raw.dtype}; they must be (n, bytes) of uint8"
        )
    width = max(8, raw.shape[1] + -raw.shape[1] % 8)
    padded = np.zeros((len(raw), width), dtype=np.uint8)
    padded[:, : raw.shape[1]] = raw
    return padded.view(">u8").astype(np.uint64)


def _from_hex(keys: Sequence[str]) -> "NDArray[np.uint8]":
    import numpy as np

    if not len(keys):
        return np.empty((0, 8), dtype=np.uint8)
    length = len(keys[0])
    odd = next((key for key in keys if len(key) != length), None)
    if odd is not None:
        raise UsageError(f"key {odd!r} has {len(odd)} characters, the first key has {length}")
    try:
        raw = bytes.fromhex("".join(keys))
    except ValueError as error:
        raise UsageError(f"keys must be hexadecimal, such as {keys[0]!r}: {error}") from error
    return np.frombuffer(raw, dtype=np.uint8).reshape(len(keys), -1)


def _sorted_order(words: "NDArray[np.uint64]") -> "NDArray[np.intp]":
    import numpy as np

    order = np.argsort(words[:, 0], kind="stable")
    first = words[order, 0]
    if (first[1:] == first[:-1]).any():
        return np.lexsort(words.T[::-1])
    return order


def _refuse_repeats(words: "NDArray[np.uint64]") -> None:
    same = (words[1:] == words[:-1]).all(axis=1)
    if same.any():
        key = words[int(same.argmax())].astype(">u8").tobytes().hex()
        raise UsageError(f"key {key} is given twice; the members of a version are a set")


def _bucket_sizes(words: "NDArray[np.uint64]", max_count: int) -> list[int]:
    """Return how many of the sorted keys fall into each bucket that is not empty, in trie order."""
    import numpy as np

    sizes = []
    todo = [(0, len(words), 0)]
    while todo:
        low, high, depth = todo.pop()
        if high - low <= max_count:
            sizes.append(high - low)
            continue
        column = words[low:high, depth // _WORD]
        shift = _WORD - 1 - depth % _WORD
        # The least key of the right half: the common prefix, a one, then zeros.
        border = ((int(column[0]) >> shift) | 1) << shift
        middle = low + int(np.searchsorted(column, np.uint64(border)))
        todo += [(middle, high, depth + 1), (low, middle, depth + 1)]
    return [size for size in sizes if size]
