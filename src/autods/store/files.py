"""Files of this machine, read piece by piece and written whole or not at all."""

import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from autods.errors import PlaceError
from autods.store.protocol import TEMPORARY

PIECE = 1024 * 1024
"""How many bytes of a large blob are read at a time."""


def reading(path: Path) -> IO[bytes]:
    """Open a file that is to be stored; raises PlaceError if it cannot be read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise PlaceError(f"cannot read {path}: {error.strerror}") from error


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Read an open file in pieces of 1 MB."""
    while piece := file.read(PIECE):
        yield piece


def into_file(path: Path, data: Iterable[bytes]) -> None:
    """Write pieces into a file under a temporary name, then rename it.

    Raises PlaceError if it cannot be written; an error of `data` itself goes through.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        file = temporary.open("xb")
    except OSError as error:
        raise PlaceError(f"cannot write {path}: {error.strerror}") from error
    try:
        with file:
            for piece in data:
                file.write(piece)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise PlaceError(f"cannot write {path}: {error.strerror}") from error
        raise
