"""The generated site's server: a process that answers from a table and writes down who asked.

python -m services.site_server FOLDER

FOLDER holds `setup.pickle`: the ports by origin, the control port and {(origin, path): Answer}.
The control port serves GET /log, POST /reset and POST /change/FILE (a pickle of more answers in
FOLDER). One event loop without streams: some 8,000 requests a second on one core.
"""

import asyncio
import gc
import json
import pickle
import signal
import socket
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.site_answers import Answer, Place, plain_path
from services.site_traps import trapped

_NONE = Answer(status=404, body=b"<!doctype html><title>Not here</title>", content_type="text/html")
_PIECE = 1 << 16


class Site:
    """The answers and the log; all in one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: dict[Place, Answer] = {}
        self.log: list[list[Any]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self._asked: Counter[Place] = Counter()
        self._zipped: dict[Place, tuple[Answer, bytes]] = {}

    def find(self, origin: str, target: str) -> Answer:
        """Find what a request is answered with, one state after the other where there are some."""
        place = (origin, target)
        answer = self.answers.get(place)
        if answer is None:
            place = (origin, plain_path(target))
            answer = self.answers.get(place)
        if answer is None:
            return (trapped(target) if origin == "site" else None) or _NONE
        if answer.before:
            self._asked[place] += 1
            if self._asked[place] <= len(answer.before):
                return answer.before[self._asked[place] - 1]
        return answer

    def zipped(self, place: Place, answer: Answer) -> bytes:
        """Return a compressed body, compressed once."""
        held = self._zipped.get(place)
        if held is None or held[0] is not answer:
            held = self._zipped[place] = (answer, answer.zipped())
        return held[1]

    def control(self, method: str, path: str) -> bytes:
        """Do what the control port is asked for."""
        if path.startswith("/change/"):
            name = path.rpartition("/")[2]
            changed: dict[Place, Answer] = pickle.loads((self.folder / name).read_bytes())
            self.answers |= changed
        elif path == "/reset":
            self.log.clear()
        elif path == "/log":
            return json.dumps(self.log).encode()
        return b"{}"


class Connection(asyncio.Protocol):
    """One client's connection; one request after the other."""

    def __init__(self, site: Site, origin: str) -> None:
        self._site = site
        self._origin = origin
        self._buffer = b""
        self._busy = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._serve()

    def _serve(self) -> None:
        while not self._busy:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._buffer = rest
            self._request(head)

    def _request(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = (*first.split(" "), "", "")[:3]
        fields = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        if self._origin == "control":
            self._write(200, Answer(body=self._site.control(method, target)), headers, (method, ""))
            return
        entry: list[Any] = [time.time(), self._origin, target, 0, 0, False]
        entry += [headers.get("user-agent", "")]
        entry[5] = "if-none-match" in headers or "if-modified-since" in headers
        self._site.log.append(entry)
        answer = self._site.find(self._origin, target)
        if answer.delay or answer.streamed:
            self._busy = True
            task = asyncio.ensure_future(self._later(answer, headers, (method, target), entry))
            self._site.tasks.add(task)
            task.add_done_callback(self._site.tasks.discard)
            return
        self._reply(answer, headers, (method, target), entry)

    def _reply(
        self, answer: Answer, headers: dict[str, str], asked: tuple[str, str], entry: list[Any]
    ) -> None:
        status = 304 if answer.unchanged(headers) else answer.status
        entry[3] = status
        entry[4] = self._write(status, answer, headers, asked)

    def _write(
        self, status: int, answer: Answer, headers: dict[str, str], asked: tuple[str, str]
    ) -> int:
        """Send an answer; return how many bytes its body has on the wire."""
        body, encoding = b"" if status == 304 else answer.body, None
        if answer.zips and body and "gzip" in headers.get("accept-encoding", ""):
            body, encoding = self._site.zipped((self._origin, asked[1]), answer), "gzip"
        head = answer.head(status, len(body), encoding)
        if asked[0] == "HEAD":
            body = b""
        self._transport.write(head + body)
        return len(body)

    async def _later(
        self, answer: Answer, headers: dict[str, str], asked: tuple[str, str], entry: list[Any]
    ) -> None:
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.streamed:
            await self._stream(answer, entry)
        else:
            self._reply(answer, headers, asked, entry)
        self._busy = False
        self._serve()

    async def _stream(self, answer: Answer, entry: list[Any]) -> None:
        """Send a body over and over, as fast as the client takes it, until it leaves or it ends."""
        length = len(answer.body) * answer.repeat if answer.sized else None
        entry[3] = answer.status
        self._transport.write(answer.head(answer.status, length, None))
        piece = answer.body
        framed = piece if answer.sized else b"%x\r\n%s\r\n" % (len(piece), piece)
        done = 0
        while not self._transport.is_closing() and (answer.pause or done < answer.repeat):
            self._transport.write(framed)
            done += 1
            entry[4] = max(0, done * len(piece) - self._transport.get_write_buffer_size())
            await (asyncio.sleep(answer.pause) if answer.pause else self._writable.wait())
        if not answer.sized:
            self._transport.write(b"0\r\n\r\n")
        entry[4] = max(0, done * len(piece) - self._transport.get_write_buffer_size())


def _listen(port: int) -> list[socket.socket]:
    """Listen on the loopback, for IPv6 too where there is one: `localhost` may be either."""
    sockets = [socket.create_server(("127.0.0.1", port), backlog=512)]
    with suppress(OSError):
        sockets.append(socket.create_server(("::1", port), family=socket.AF_INET6, backlog=512))
    return sockets


async def main(folder: Path) -> None:
    """Serve until SIGTERM."""
    setup = pickle.loads((folder / "setup.pickle").read_bytes())
    site = Site(folder)
    site.answers = setup["answers"]
    gc.freeze()
    loop = asyncio.get_running_loop()
    leaving = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, leaving.set)
    # Control comes last: once it answers, all do.
    for origin, port in setup["ports"].items():
        for listener in _listen(port):
            await loop.create_server(lambda o=origin: Connection(site, o), sock=listener)  # type: ignore[misc]
    await leaving.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
