"""Reads HTTP requests one after the other from a connection, to the byte and unchanged."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

PIECE = 1 << 16
"""Bytes of a body that are handed on at once."""

METHODS = frozenset({b"GET ", b"PUT ", b"HEAD", b"POST", b"DELE", b"OPTI", b"PATC"})
"""How a connection begins that speaks HTTP."""

LONGEST = 1 << 20
"""Bytes that the head of a request may have: the `limit` of the stream it is read from."""


@dataclass(frozen=True)
class Request:
    """The head of a request as it came in, and what it says; header names in lower case."""

    head: bytes
    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def waits(self) -> bool:
        """Whether the client sends its body only when it is told to go on."""
        return self.headers.get("expect", "").lower() == "100-continue"


async def read_request(stream: asyncio.StreamReader, begun: bytes = b"") -> Request:
    """Read the head of a request that starts with `begun`; IncompleteReadError at the end."""
    head = begun + await stream.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    fields = (line.partition(":") for line in lines if line)
    return Request(head, method, path, {name.lower(): value.strip() for name, _, value in fields})


async def read_body(stream: asyncio.StreamReader, request: Request) -> AsyncIterator[bytes]:
    """Read the body of a request in pieces, chunk sizes and trailers included where it has any.

    A body that S3 calls aws-chunked states its whole length, and is a body like others here.
    """
    if "chunked" not in request.headers.get("transfer-encoding", "").lower():
        async for piece in _exactly(stream, int(request.headers.get("content-length", 0))):
            yield piece
        return
    async for piece in _chunks(stream):
        yield piece


async def _chunks(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        line = await stream.readuntil(b"\n")
        yield line
        size = int(line.partition(b";")[0], 16)
        if not size:
            break
        async for piece in _exactly(stream, size + len(b"\r\n")):
            yield piece
    while line.strip():  # Trailers, up to an empty line.
        line = await stream.readuntil(b"\n")
        yield line


async def _exactly(stream: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await stream.read(min(size, PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(piece)
        yield piece
