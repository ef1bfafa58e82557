"""A real HTTP server on the loopback, for tests: it serves what it is told, well or badly.

    with Loopback() as site:
        url = site.serve("/cat.jpg", Page(status=503), Page(body=b"meow"))   # heals at the 2nd ask

Threads and sockets of the standard library only, so that every byte that goes out is chosen here.
"""

import socket
import socketserver
import ssl
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Page:
    """One answer. A request with the page's own ETag or Last-Modified is answered 304.

    `delay` s pass before the first byte; the body goes out in `pieces` with `pause` s between.
    `claims` is the Content-Length to state instead of the true one. `endless` repeats the body
    until the client leaves, `chunked` or not; both state no length. `raw` is sent instead of all
    that, and the connection closed. `reset` cuts the connection with a TCP reset after the body.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    pieces: int = 1
    pause: float = 0.0
    claims: int | None = None
    chunked: bool = False
    endless: bool = False
    raw: bytes | None = None
    reset: bool = False


@dataclass(frozen=True)
class Hit:
    """One request as it came in; header names in lower case, `when` by time.monotonic()."""

    path: str
    headers: Mapping[str, str]
    when: float


def redirect(to: str, status: int = 302) -> Page:
    """Return a page that points elsewhere."""
    return Page(status=status, headers={"Location": to})


def gzip_bomb(size: int) -> Page:
    """Return a page of about a thousandth of `size` bytes that unpacks to `size` zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(bytes(size)) + packer.flush()
    return Page(body=packed, headers={"Content-Encoding": "gzip"})


class Loopback:
    """The server, from `with` to its end; `hits` and `sent` (body bytes by path) are its log."""

    def __init__(self, host: str = "127.0.0.1", certificate: Path | None = None) -> None:
        self.hits: list[Hit] = []
        self.sent: Counter[str] = Counter()
        self.peak = 0
        self._pages: dict[str, tuple[Page, ...]] = {}
        self._asked: Counter[str] = Counter()
        self._open = 0
        self._lock = threading.Lock()
        self._leaving = threading.Event()
        self._server = _Server(host, self)
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.context = context
            self._scheme = "https"
        self.port: int = self._server.server_address[1]
        self._host = f"[{host}]" if ":" in host else host
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, path: str, *pages: Page) -> str:
        """Answer `path` with the first page, then the second, and so on; the last one stays."""
        self._pages[path] = pages
        return self.url(path)

    def url(self, path: str, host: str | None = None) -> str:
        """Return the URL of a path, under another name of this machine if one is given."""
        return f"{self._scheme}://{host or self._host}:{self.port}{path}"

    def asked(self, path: str) -> int:
        """Return how often a path was asked for."""
        return self._asked[path]

    def answer(self, hit: Hit) -> Page:
        """Choose the page for a request and write the request down."""
        with self._lock:
            self.hits.append(hit)
            pages = self._pages.get(hit.path, (Page(status=404, body=b"no such page"),))
            page = pages[min(self._asked[hit.path], len(pages) - 1)]
            self._asked[hit.path] += 1
            self._open += 1
            self.peak = max(self.peak, self._open)
        self._leaving.wait(page.delay)
        return page

    def answered(self) -> None:
        """Take note that a request has been dealt with."""
        with self._lock:
            self._open -= 1

    def body(self, path: str, page: Page, out: socket.socket) -> None:
        """Send a body in its pieces, as long as the server is there and the client listens."""
        size = max(1, -(-len(page.body) // page.pieces))
        pieces = [page.body[at : at + size] for at in range(0, len(page.body), size)]
        while not self._leaving.is_set():
            for number, piece in enumerate(pieces):
                if number:
                    self._leaving.wait(page.pause)
                out.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if page.chunked else piece)
                self.sent[path] += len(piece)
            if not page.endless:
                break
        if page.chunked:
            out.sendall(b"0\r\n\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, host: str, site: Loopback) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.site = site
        self.context: ssl.SSLContext | None = None
        super().__init__((host, 0), _Connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that leave early are what these tests are about."""


class _Connection(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.server.context is not None:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)

    def handle(self) -> None:
        with self.request.makefile("rb") as lines:
            # A TLS greeting at a plain server has no line end to wait for.
            while lines.peek(1)[:1] != b"\x16":
                first = lines.readline().split()
                if len(first) != 3:
                    return
                pairs = iter(lambda: lines.readline().strip(), b"")
                fields = (pair.decode("latin-1").partition(":") for pair in pairs)
                headers = {name.lower(): value.strip() for name, _, value in fields}
                hit = Hit(first[1].decode("latin-1"), headers, time.monotonic())
                if not self._reply(hit):
                    return

    def finish(self) -> None:
        self.request.close()

    def _reply(self, hit: Hit) -> bool:
        """Answer one request; return whether the connection can take another."""
        page = self.server.site.answer(hit)
        try:
            return self._send(hit, page)
        finally:
            self.server.site.answered()

    def _send(self, hit: Hit, page: Page) -> bool:
        if page.raw is not None:
            self.request.sendall(page.raw)
            return self._hang_up(page)
        if _unchanged(hit, page):
            self.request.sendall(b"HTTP/1.1 304 Not Modified\r\n\r\n")
            return True
        sized = not (page.endless or page.chunked)
        self.request.sendall(_head(page, sized=sized))
        self.server.site.body(hit.path, page, self.request)
        if page.reset or page.claims is not None or not (sized or page.chunked):
            return self._hang_up(page)
        return True

    def _hang_up(self, page: Page) -> bool:
        if page.reset:
            linger = struct.pack("ii", 1, 0)
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return False


def _head(page: Page, *, sized: bool) -> bytes:
    headers = dict(page.headers)
    if page.chunked:
        headers["Transfer-Encoding"] = "chunked"
    if sized:
        headers["Content-Length"] = str(len(page.body) if page.claims is None else page.claims)
    lines = (f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {page.status} Said\r\n{''.join(lines)}\r\n".encode("latin-1")


def _unchanged(hit: Hit, page: Page) -> bool:
    pairs = (("if-none-match", "ETag"), ("if-modified-since", "Last-Modified"))
    return any(
        hit.headers.get(asked) == page.headers.get(said)
        for asked, said in pairs
        if asked in hit.headers
    )
