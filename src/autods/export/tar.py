"""Write plain ustar archives with their DALI index in one pass, and index archives that exist."""

import hashlib
import os
import re
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from autods.errors import PlaceError, UsageError

BLOCK = 512
RECORD = 20 * BLOCK
"""GNU tar's and Python's default record: an archive ends in zeros up to a multiple of it."""

_FLUSH_BYTES = 4 << 20
_MAX_VECTORS = 1024  # Linux's IOV_MAX
_MAX_SIZE = 8**11 - 1
_NAME = re.compile(r"[!-~]{0,99}[!-.0-~]")

# The fields of POSIX.1-1988 (ustar), without name, size and checksum: mode 0644, owner 0:0, time 0.
_MODE_OWNER = b"0000644\0" + b"0000000\0" * 2
_TIME = b"00000000000\0"
_REST = (b"0" + bytes(100) + b"ustar\0" + b"00" + bytes(64) + b"0000000\0" * 2).ljust(356, b"\0")
_FIXED_SUM = sum(_MODE_OWNER + _TIME + b" " * 8 + _REST)
_PADDING = [bytes(-size % BLOCK) for size in range(BLOCK)]


def header(name: str, size: int) -> bytes:
    """Return the 512-byte ustar header of a regular file of `size` bytes.

    A name is 1 to 100 printable ASCII characters without spaces, no slash last: a longer or other
    one would need a PAX or GNU header, whose extra blocks are what puts DALI's index off, and the
    index itself separates its fields by spaces. Raises `UsageError` for another name or a size of
    8 GiB or more.

    >>> len(header("0001.jpg", 61_440))
    512
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a file in a shard: "
            "it must be 1 to 100 printable ASCII characters without spaces, no slash last"
        )
    if not 0 <= size <= _MAX_SIZE:
        raise UsageError(f"{name} has {size} bytes; a ustar archive holds files below 8 GiB")
    raw = name.encode("ascii")
    digits = b"%011o\0" % size
    total = _FIXED_SUM + sum(raw) + sum(digits)
    return b"".join((raw.ljust(100, b"\0"), _MODE_OWNER, digits, _TIME, b"%06o\0 " % total, _REST))


class TarWriter:
    r"""An archive being written: `add` samples, then `close`; its index needs no second read.

    The bytes depend on the names and contents alone: no time, no user, no locale. With `checksum`
    the archive's SHA-256 is taken on the way (which costs more than the writing: about 0.55 s of
    CPU a gigabyte with SHA instructions). Leaving a `with` block by an exception closes the file
    without its end mark; the caller is expected to write to a temporary name. Raises `PlaceError`
    when the disk refuses.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "dataset-000000.tar"
    >>> with TarWriter(path) as tar:
    ...     offsets = tar.add("0001", [("cls", b"7"), ("txt", b"a cat")])
    >>> offsets, tar.index, tar.size
    ([512, 1536], 'v1.2 1\ncls 512 1 0001.cls txt 1536 5 0001.txt\n', 10240)
    >>> folder.cleanup()
    """

    def __init__(self, path: Path, *, checksum: bool = False) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256() if checksum else None
        self._lines: list[str] = []
        self._chunks: list[bytes] = []
        self._waiting = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            raise PlaceError(f"cannot write {path}: {error.strerror}") from error

    def add(self, key: str, parts: Iterable[tuple[str, bytes]]) -> list[int]:
        """Add one sample, a file `key.ext` for every (ext, bytes); return the offset of each."""
        offsets = []
        fields = []
        for ext, data in parts:
            name = f"{key}.{ext}"
            size = len(data)
            offset = self.size + BLOCK
            self._chunks += (header(name, size), data, _PADDING[size % BLOCK])
            grown = BLOCK + size + -size % BLOCK
            self.size += grown
            self._waiting += grown
            offsets.append(offset)
            fields.append(f"{ext} {offset} {size} {name}")
        self._lines.append(" ".join(fields))
        if self._waiting >= _FLUSH_BYTES or len(self._chunks) >= _MAX_VECTORS - 124:
            self._flush()
        return offsets

    @property
    def count(self) -> int:
        """How many samples were added."""
        return len(self._lines)

    @property
    def index(self) -> str:
        """The DALI index (`v1.2`) of what was added."""
        return _index_text(self._lines)

    @property
    def sha256(self) -> str:
        """The archive's SHA-256 in hex, once closed; raises `UsageError` without `checksum`."""
        if self._hash is None:
            raise UsageError(f"{self.path} was written without checksum=True")
        return self._hash.hexdigest()

    def close(self) -> None:
        """Write the end mark (two zero blocks, filled up to a whole record) and close."""
        end = bytes(2 * BLOCK + -(self.size + 2 * BLOCK) % RECORD)
        self._chunks.append(end)
        self._waiting += len(end)
        self.size += len(end)
        try:
            self._flush()
        finally:
            os.close(self._file)

    def _flush(self) -> None:
        if self._hash is not None:
            for chunk in self._chunks:
                self._hash.update(chunk)
        try:
            _write_all(self._file, self._chunks, self._waiting)
        except OSError as error:
            raise PlaceError(f"cannot write {self.path}: {error.strerror}") from error
        self._chunks = []
        self._waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            os.close(self._file)


def tar_index(path: Path | str) -> str:
    """Return the DALI index (`v1.2`) of an uncompressed archive, whoever wrote it.

    A line per sample, `ext offset size name` for each of its files; consecutive files that share
    the name up to the first dot are one sample. Directories, links, hidden files and names without
    a dot are skipped, as DALI's own `wds2idx` does. Raises `PlaceError` when `path` cannot be read
    as such an archive.
    """
    samples: list[tuple[str, list[str]]] = []
    try:
        with tarfile.open(path, "r:") as archive:
            for entry in archive:
                _gather(samples, entry)
    except (OSError, tarfile.TarError) as error:
        raise PlaceError(
            f"{path} cannot be read as an uncompressed tar archive: {error}"
        ) from error
    return _index_text([" ".join(fields) for _, fields in samples])


def _gather(samples: list[tuple[str, list[str]]], entry: tarfile.TarInfo) -> None:
    folder, _, name = entry.name.rpartition("/")
    stem, dot, ext = name.partition(".")
    if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or not stem or not dot:
        return
    key = f"{folder}/{stem}"
    if not samples or samples[-1][0] != key:
        samples.append((key, []))
    samples[-1][1].append(f"{ext} {entry.offset_data} {entry.size} {entry.name}")


def _index_text(lines: Sequence[str]) -> str:
    return "\n".join((f"v1.2 {len(lines)}", *lines)) + "\n"


def _write_all(file: int, chunks: Sequence[bytes], total: int) -> None:
    if len(chunks) <= _MAX_VECTORS:
        written = os.writev(file, chunks)
        if written == total:
            return
    else:
        written = 0
    rest = memoryview(b"".join(chunks))[written:]
    while rest:
        rest = rest[os.write(file, rest) :]
