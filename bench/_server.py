"""Serves a folder on the loopback; what is asked for under /slow/ is answered after ten seconds.

nginx sends the files where it is installed, for a server in Python would be what is measured;
the slow answers come from asyncio behind it, under the same host and port.
"""

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

DELAY = 10.0
"""Seconds before an answer under /slow/."""

_NGINX = """\
worker_processes 1; daemon off; pid nginx.pid; error_log stderr error; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; default_type image/jpeg;
  keepalive_requests 1000000;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096; root "{root}";
    location /slow/ {{ proxy_pass http://127.0.0.1:{slow}; proxy_read_timeout 60s; }}
  }}
}}
"""


@contextmanager
def serving(root: Path, scratch: Path) -> Iterator[str]:
    """Serve `root` while inside; gives the URL before the file names."""
    slow = _free_port()
    python = subprocess.Popen([sys.executable, __file__, str(root), str(slow)])
    servers, port = [python], slow
    try:
        _wait_for(slow, python)
        if shutil.which("nginx"):
            port = _free_port()
            servers.append(_nginx(root, scratch, port, slow))
            _wait_for(port, servers[-1])
        else:
            print("no nginx (apt-get install nginx-light): a slower server in Python stands in")
        yield f"http://127.0.0.1:{port}"
    finally:
        for server in reversed(servers):
            server.terminate()
            server.wait()


def _nginx(root: Path, scratch: Path, port: int, slow: int) -> "subprocess.Popen[bytes]":
    scratch.mkdir(parents=True, exist_ok=True)
    user = "user root;" if Path.home().owner() == "root" else ""
    config = scratch / "nginx.conf"
    config.write_text(_NGINX.format(root=root.absolute(), port=port, slow=slow, user=user))
    return subprocess.Popen(["nginx", "-p", str(scratch), "-e", "stderr", "-c", str(config)])


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(100):
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"the server on port {port} did not start: {server.args!r}")


async def _answer(root: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with closing(writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1].decode()
            if path.startswith("/slow/"):
                await asyncio.sleep(DELAY)
            data = (root / path.removeprefix("/slow").lstrip("/")).read_bytes()
            about = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + about.encode() + data)
            await writer.drain()


async def _serve(root: Path, port: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _answer(root, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # The client has left, as clients do.

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
