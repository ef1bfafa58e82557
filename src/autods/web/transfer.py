"""One HTTP exchange through libcurl: what may be connected, what comes in, and how it is judged."""

import errno
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pycurl

from autods.errors import PlaceError, UsageError
from autods.records import Refusal
from autods.web.guard import may_connect
from autods.web.headers import Head, read_head, robots_refusal
from autods.web.policy import HttpPolicy

_ABORT = -1
# A body is written in pieces of this size, so a photograph costs one open and one write, and no
# file exists for what is refused at once; the pool holds at most `concurrency` times as much.
_PIECE = 128 * 1024
# The body of an error page is read this far, which keeps the connection; beyond it is cut off.
_ERROR_BODY = 64 * 1024
# 203 is a 200 that a proxy has changed. 202, 204, 205 and 206 are no whole body.
_WHOLE = frozenset({200, 203})
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

# libcurl's result codes as reasons; the second says whether another try may help. A failed look-up
# is tried again: an overrun resolver is the commonest cause of names that do not exist.
_REASONS = {
    pycurl.E_URL_MALFORMAT: ("bad-url", False),
    pycurl.E_COULDNT_RESOLVE_HOST: ("dns", True),
    pycurl.E_COULDNT_CONNECT: ("connect", True),
    pycurl.E_OPERATION_TIMEDOUT: ("timeout", True),
    pycurl.E_PARTIAL_FILE: ("short-body", True),
    pycurl.E_GOT_NOTHING: ("reset", True),
    pycurl.E_SEND_ERROR: ("reset", True),
    pycurl.E_RECV_ERROR: ("reset", True),
    pycurl.E_SSL_CONNECT_ERROR: ("tls", True),
    pycurl.E_PEER_FAILED_VERIFICATION: ("tls", False),
    pycurl.E_SSL_CERTPROBLEM: ("tls", False),
    pycurl.E_SSL_CIPHER: ("tls", False),
    pycurl.E_SSL_ISSUER_ERROR: ("tls", False),
    pycurl.E_BAD_CONTENT_ENCODING: ("bad-encoding", False),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """How one exchange ended: a file, a redirect, a 304 (none of the three), or a refusal.

    `again` says whether another try may help, `seconds` how long it took.
    """

    head: Head
    size: int = 0
    path: Path | None = None
    redirect: str | None = None
    refusal: Refusal | None = None
    again: bool = False
    seconds: float = 0.0


class Transfer:
    """One reused libcurl easy handle and the body it is bringing in."""

    def __init__(
        self,
        policy: HttpPolicy,
        certificates: str,
        names: Iterator[str],
        crashes: list[BaseException],
    ) -> None:
        self._policy = policy
        self._names = names
        self._lines: list[bytes] = []
        self._sockets: list[socket.socket] = []
        self._fd = -1
        self._reset()
        self.curl = _easy(policy, certificates)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        self.curl.setopt(pycurl.WRITEFUNCTION, guarded(self._take, crashes, _ABORT))
        opened = guarded(self._open_socket, crashes, pycurl.SOCKET_BAD)
        self.curl.setopt(pycurl.OPENSOCKETFUNCTION, opened)

    def start(
        self, url: str, *, headers: Sequence[bytes], timeout: float, fresh_name: bool
    ) -> None:
        """Make the handle ready for an exchange; see `Pool.start`."""
        self._reset()
        self._conditional = bool(headers)
        self.curl.setopt(pycurl.URL, url)
        # An empty list would leave the header lines of the exchange before in place.
        self.curl.unsetopt(pycurl.HTTPHEADER)
        if headers:
            self.curl.setopt(pycurl.HTTPHEADER, list(headers))
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, int(timeout * 1000)))
        # libcurl remembers failed look-ups too; a retry must ask again.
        self.curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0 if fresh_name else 60)

    def finish(self, code: int, message: str) -> Answer:
        """Judge how the exchange ended, and close its file or remove it."""
        self._close_sockets()
        self._cut = code != pycurl.E_OK
        head = self._read_head()
        path = None
        refusal, again = self._verdict(head, code, message)
        redirect = self._redirect(head) if refusal is None else None
        if refusal is None and head.status in _WHOLE:
            path = self._close_file()
        else:
            self.discard()
        seconds = self.curl.getinfo(pycurl.TOTAL_TIME) if redirect else 0.0
        size = self._size if path else 0
        return Answer(head, size, path, redirect, refusal, again, seconds)

    def discard(self) -> None:
        """Forget the body and remove what of it lies in the spool."""
        self._close_sockets()
        self._parts.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            Path(self._name).unlink(missing_ok=True)

    def _reset(self) -> None:
        self._lines.clear()
        self._head: Head | None = None
        self._refusal: Refusal | None = None
        self._parts: list[bytes] = []
        self._held = 0
        self._size = 0
        self._cut = False
        self._name = ""
        self._shut: list[str] = []
        self._opened = 0

    def _read_head(self) -> Head:
        """Read the head once, and refuse at once what a robots tag keeps from us."""
        if self._head is None:
            self._head = read_head(self._lines)
            if self._policy.respect_x_robots and self._head.status in _WHOLE and self._head.robots:
                word = robots_refusal(self._head.robots, self._policy.agents)
                if word:
                    detail = f"the server sent X-Robots-Tag: {word}"
                    self._refusal = Refusal("rejected", "x-robots-noai", detail)
        return self._head

    def _take(self, chunk: bytes) -> int | None:
        """Take a piece of the body as libcurl hands it over (WRITEFUNCTION)."""
        head = self._head or self._read_head()
        self._size += len(chunk)
        if self._refusal is not None:
            return _ABORT
        if head.status not in _WHOLE:
            return None if self._size <= _ERROR_BODY else _ABORT
        if self._size > self._policy.max_bytes:
            self._refusal = self._too_large()
            return _ABORT
        self._parts.append(chunk)
        self._held += len(chunk)
        if self._held >= _PIECE:
            self._flush()
        return None

    def _flush(self) -> None:
        """Write what is held; raises PlaceError if the spool does not take it."""
        data = memoryview(b"".join(self._parts))
        self._parts.clear()
        self._held = 0
        try:
            if self._fd < 0:
                self._name = next(self._names)
                self._fd = os.open(
                    self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
                )
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise PlaceError(
                f"cannot write to the spool at {self._name}: {error.strerror}"
            ) from error

    def _close_file(self) -> Path:
        if self._parts or self._fd < 0:
            self._flush()
        os.close(self._fd)
        self._fd = -1
        return Path(self._name)

    def _open_socket(self, _purpose: int, address: Any) -> Any:
        """Open a socket for the very address to be asked, or refuse (OPENSOCKETFUNCTION)."""
        family, kind, protocol, where = address
        if not may_connect(where[0], self._policy.open_networks):
            self._shut.append(where[0])
            return pycurl.SOCKET_BAD
        try:
            opened = socket.socket(family, kind, protocol)
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                text = "no socket left; raise `ulimit -n` or lower HttpPolicy.concurrency"
                raise PlaceError(text) from error
            return pycurl.SOCKET_BAD
        # pycurl duplicates the descriptor; ours is closed when the exchange ends.
        self._sockets.append(opened)
        self._opened += 1
        return opened

    def _close_sockets(self) -> None:
        for opened in self._sockets:
            opened.close()
        self._sockets.clear()

    def _verdict(self, head: Head, code: int, message: str) -> tuple[Refusal | None, bool]:
        """Return the refusal, if any, and whether another try may help.

        A whole head of an error or a redirect decides, whatever became of its body.
        """
        if self._refusal is not None:
            return self._refusal, False
        if head.status and head.status not in _WHOLE:
            return self._status_verdict(head)
        if code == pycurl.E_OK and head.status:
            return None, False
        if code == pycurl.E_FILESIZE_EXCEEDED:
            return self._too_large(), False
        if self._shut and not self._opened:
            detail = f"the host has no public address, only {', '.join(self._shut)}"
            return Refusal("rejected", "private-address", detail), False
        if code == pycurl.E_SSL_CACERT_BADFILE:
            raise UsageError(f"{message}; see CURL_CA_BUNDLE and SSL_CERT_FILE")
        reason, again = _REASONS.get(code, ("bad-response", False))
        status: Any = "rejected" if reason == "bad-url" else "failed"
        return Refusal(status, reason, message or "the answer is no HTTP"), again

    def _status_verdict(self, head: Head) -> tuple[Refusal | None, bool]:
        if (head.status == 304 and self._conditional) or self._redirect(head):
            return None, False
        detail = f"the server answered {head.status}"
        return Refusal("failed", f"http-{head.status}", detail), head.status in _AGAIN

    def _redirect(self, head: Head) -> str | None:
        """Return where an answer points to, as an absolute URL that libcurl has worked out."""
        if not 300 <= head.status < 400 or head.status == 304:
            return None
        raw: bytes | None = self.curl.getinfo_raw(pycurl.REDIRECT_URL) or self._cut_redirect(head)
        if raw is None:
            return None
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return re.sub(rb"[^\x21-\x7e]", lambda m: b"%%%02X" % m[0][0], raw).decode("ascii")

    def _cut_redirect(self, head: Head) -> bytes | None:
        """Work out the target ourselves where the body was cut off: libcurl does it at the end."""
        if not self._cut:
            return None
        base: str = self.curl.getinfo(pycurl.EFFECTIVE_URL)
        try:
            return urljoin(base, head.fields[b"location"]).encode("latin-1")
        except (KeyError, ValueError):
            return None

    def _too_large(self) -> Refusal:
        detail = f"the body is larger than max_bytes={self._policy.max_bytes}"
        return Refusal("rejected", "too-large", detail)


def guarded(
    callback: Callable[..., Any], crashes: list[BaseException], fallback: object
) -> Callable[..., Any]:
    """Wrap a callback for libcurl so that its error is kept for the caller of the loop.

    C code has no exceptions: pycurl prints most of them and goes on.
    """

    def call(*arguments: object) -> object:
        try:
            return callback(*arguments)
        except BaseException as error:  # noqa: BLE001 - raised again by `Pool.turn`
            crashes.append(error)
            return fallback

    return call


def ca_file() -> str:
    """Return the file of certificate authorities: $CURL_CA_BUNDLE, $SSL_CERT_FILE, else certifi's.

    pycurl's own OpenSSL knows of none. Raises UsageError naming the variable whose file is missing.
    """
    import certifi

    for variable in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        named = os.environ.get(variable)
        if named and not Path(named).is_file():
            raise UsageError(
                f"{variable}={named} names no file; unset it or point it to a PEM file"
            )
        if named:
            return named
    return certifi.where()


def _easy(policy: HttpPolicy, certificates: str) -> Any:
    """Make an easy handle with all that stays the same from exchange to exchange."""
    curl = pycurl.Curl()
    options = {
        pycurl.NOSIGNAL: 1,
        pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
        # HTTP/1.1, so that one transfer is one connection and `per_host` bounds both.
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
        # Redirects are followed by our own loop, which asks the guard and the host's queue again
        # and hands no header on; cookies and passwords files are off by default.
        pycurl.FOLLOWLOCATION: 0,
        pycurl.PROXY: "",
        pycurl.USERAGENT: policy.user_agent,
        pycurl.CAINFO: certificates,
        pycurl.BUFFERSIZE: 64 * 1024,
        pycurl.MAXFILESIZE_LARGE: policy.max_bytes,
        pycurl.CONNECTTIMEOUT_MS: max(1, int(policy.connect_timeout * 1000)),
        pycurl.LOW_SPEED_LIMIT: policy.low_speed,
        pycurl.LOW_SPEED_TIME: policy.low_speed_time,
    }
    if policy.accept_encoding is not None:
        options[pycurl.ACCEPT_ENCODING] = policy.accept_encoding
    if policy.resolve:
        options[pycurl.RESOLVE] = list(policy.resolve)
    for option, value in options.items():
        curl.setopt(option, value)
    return curl
