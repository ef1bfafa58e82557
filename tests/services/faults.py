"""A loopback proxy that stands before a real server and fails on demand, the same way each time.

    with FaultyProxy("127.0.0.1", server.port) as proxy:
        proxy.errors = (10, 503)        # every tenth HTTP request is answered 503, as S3 does
        proxy.delay = 0.1               # each piece of up to 64 KiB waits, both ways
        proxy.cut()                     # all open connections are reset now

The switches work at any time and on open connections too, unless they say otherwise. Bytes pass
unchanged, the Host header included, which is part of what S3 clients sign.
"""

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape

from services.http_requests import LONGEST, METHODS, PIECE, Request, read_body, read_request

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, with no time at all: a close is a reset."""

_REASONS = {
    500: ("Internal Server Error", "InternalError", "We encountered an internal error."),
    503: ("Service Unavailable", "SlowDown", "Please reduce your request rate."),
}
"""HTTP's reason, S3's code and S3's message by status."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class FaultyProxy:
    """The proxy, from `with` to its end; HTTP is told from other protocols by itself.

    `connections` and `requests` (HTTP only) came in; `failed` of the requests were answered here.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self.delay = 0.0
        """Seconds that each piece waits before it goes on, either way."""
        self.refuse = False
        """Whether new connections are reset at once."""
        self.connections = self.requests = self.failed = 0
        self._target = target_host, target_port
        self._errors: tuple[int, int] | None = None
        self._asked = 0
        self._cuts: list[int] = []
        self._unanswered: list[bytes] = []
        self._links: set[_Link] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._ready = threading.Event()
        self._leaving = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main()), name="faults", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join()

    @property
    def endpoint(self) -> str:
        """Where it is, as S3 clients want it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def errors(self) -> tuple[int, int] | None:
        """(n, status): every n-th HTTP request, counted from now, is answered here."""
        return self._errors

    @errors.setter
    def errors(self, errors: tuple[int, int] | None) -> None:
        if errors is not None and (errors[0] < 1 or errors[1] not in _REASONS):
            raise ValueError(f"{errors}: not (1 or more, one of {sorted(_REASONS)})")
        self._errors, self._asked = errors, 0

    def cut(self) -> int:
        """Reset all open connections, on both sides; return how many there were."""
        return asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    def cut_after(self, size: int, connections: int = 1) -> None:
        """Reset each of the next new connections once `size` bytes went towards the server."""
        self._cuts.extend([size] * connections)

    def lose_answer_to(self, words: bytes, times: int = 1) -> None:
        """Reset a connection in place of the server's answer to the next piece with `words`.

        So the server has done what it was asked, and the client cannot know. In HTTP the words
        are looked for in the heads of requests.
        """
        self._unanswered.extend([words] * times)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, sock=self._listener, limit=LONGEST)
        self._ready.set()
        await self._leaving.wait()
        server.close()
        self.delay, self.refuse = 0.0, True
        # Cancelled instead, each connection would be reported as a failure.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await self._cut()
            await asyncio.wait(others, timeout=0.05)

    async def _cut(self) -> int:
        links = list(self._links)
        for link in links:
            link.reset()
        return len(links)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        server = None if self.refuse else await self._reach()
        if server is None:
            _reset(writer)
            return
        link = _Link(self, (reader, writer), server, self._cuts.pop(0) if self._cuts else None)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)

    async def _reach(self) -> Stream | None:
        with suppress(OSError):
            return await asyncio.open_connection(*self._target, limit=LONGEST)
        return None

    def fault(self) -> int | None:
        """Count a request; return the status to answer it with, or None to pass it on."""
        self.requests += 1
        self._asked += 1
        if self._errors is None or self._asked % self._errors[0]:
            return None
        self.failed += 1
        return self._errors[1]

    def loses(self, piece: bytes) -> bool:
        """Say whether the answer to a piece is to be lost, and lose it once."""
        for words in self._unanswered:
            if words in piece:
                self._unanswered.remove(words)
                return True
        return False


class _Link:
    """One client's connection, and ours to the server for it; `left` bytes may go to the server."""

    def __init__(
        self, proxy: FaultyProxy, client: Stream, server: Stream, left: int | None
    ) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._left = left
        self._lost = False
        self._told: asyncio.Future[bytes] | None = None

    async def run(self) -> None:
        """Carry bytes both ways until the server is through."""
        up = asyncio.create_task(self._upwards())
        with suppress(OSError):
            await self._downwards()
        up.cancel()
        self._to_server.close()
        self._to_client.close()
        with suppress(OSError):
            await self._to_client.wait_closed()

    def reset(self) -> None:
        """End both sides, as a firewall does that forgets a connection."""
        _reset(self._to_client)
        _reset(self._to_server)

    async def _downwards(self) -> None:
        while piece := await self._from_server.read(PIECE):
            if self._told is not None and not self._told.done():
                self._told.set_result(piece)
            if self._lost and not _goes_on(piece):
                self.reset()
                return
            await self._pause()
            self._to_client.write(piece)
            await self._to_client.drain()

    async def _upwards(self) -> None:
        try:
            begun = await self._from_client.readexactly(4)
            await (self._requests if begun in METHODS else self._bytes)(begun)
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client has left.
        finally:
            self._to_server.write_eof()

    async def _bytes(self, piece: bytes) -> None:
        while piece:
            self._lost |= self._proxy.loses(piece)
            await self._send(piece)
            piece = await self._from_client.read(PIECE)

    async def _requests(self, begun: bytes) -> None:
        while True:
            request = await read_request(self._from_client, begun)
            begun = b""
            status = self._proxy.fault()
            if status is not None:
                await self._fail(request, status)
                return
            self._lost |= self._proxy.loses(request.head)
            if not await self._pass(request):
                # The body may come yet or never: what follows cannot be read as requests.
                await self._bytes(await self._from_client.read(PIECE))
                return

    async def _pass(self, request: Request) -> bool:
        """Pass a request on; return whether the server wanted all of it."""
        self._told = asyncio.get_running_loop().create_future() if request.waits else None
        await self._send(request.head)
        if self._told is not None and not _goes_on(await self._told):
            return False
        async for piece in read_body(self._from_client, request):
            await self._send(piece)
        return True

    async def _fail(self, request: Request, status: int) -> None:
        """Answer a request in the server's place and close, as an S3 server in trouble does."""
        if not request.waits:
            async for _ in read_body(self._from_client, request):
                pass  # To close with bytes unread would reset, and the answer might be lost.
        await self._pause()
        self._to_client.write(_answer(request, status))
        self._to_server.transport.abort()

    async def _send(self, piece: bytes) -> None:
        await self._pause()
        if self._left is not None:
            piece = piece[: self._left]
            self._left -= len(piece)
        self._to_server.write(piece)
        await self._to_server.drain()
        if self._left == 0:
            self.reset()
            raise ConnectionResetError

    async def _pause(self) -> None:
        """Wait as long as the delay says, as it stands from one moment to the next."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        while (left := begun + self._proxy.delay - clock()) > 0:
            await asyncio.sleep(min(left, 0.02))


def _goes_on(answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 100")


def _answer(request: Request, status: int) -> bytes:
    reason, code, message = _REASONS[status]
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
        f"<Message>{message}</Message><Resource>{escape(request.path)}</Resource></Error>"
    ).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    return head if request.method == "HEAD" else head + body


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        peer = writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
