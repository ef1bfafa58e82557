"""What stands before the API: who may ask it from where, and the headers of every answer.

The API knows no users yet, so it trusts the machine it runs on. A page of another site that this
machine's browser shows is not to be trusted: it can send requests to the loopback, and by DNS
rebinding under a name of its own. So a request needs a `Host` of the loopback; one that a browser
sends for a page of another origin is refused unless it opens a page; and there is no CORS. What
changes something needs no token then, and `curl -X POST` works: `curl` has no origin.
"""

import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PROBLEM = "application/problem+json"
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Of every answer that does not say otherwise."""


class Guard:
    """Lets through what comes from this machine, as that; answers the rest with a problem."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        elif refused := refusal(scope["method"], _headers(scope)):
            await _answer(*refused, send=_with_headers(send))
        else:
            await self._app(scope, receive, _with_headers(send))


def refusal(method: str, headers: dict[str, str]) -> tuple[HTTPStatus, str] | None:
    """Tell why a request with those headers is refused, or None.

    >>> refusal("POST", {"host": "localhost:8000"})
    >>> refusal("GET", {"host": "rebound.example.org"})[0]
    <HTTPStatus.MISDIRECTED_REQUEST: 421>
    >>> refusal("POST", {"host": "127.0.0.1:8000", "origin": "http://127.0.0.1:3000"})[0]
    <HTTPStatus.FORBIDDEN: 403>
    """
    host = headers.get("host", "")
    if not is_loopback(_name(host)):
        return HTTPStatus.MISDIRECTED_REQUEST, (
            f"this server answers as localhost, 127.0.0.1 or [::1], not as {host!r}"
        )
    if not _from_here(method, host, headers):
        return HTTPStatus.FORBIDDEN, "pages of other origins may not ask this server"
    return None


def is_loopback(name: str) -> bool:
    """Tell whether a name or address means this machine alone.

    >>> [is_loopback(name) for name in ("localhost", "127.0.0.9", "::1", "0.0.0.0", "here.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def problem(status: HTTPStatus, detail: str, **more: Any) -> bytes:
    """Write a problem as RFC 9457 has it."""
    said = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    return json.dumps(said | more, ensure_ascii=False).encode()


def _from_here(method: str, host: str, headers: dict[str, str]) -> bool:
    """Believe `Sec-Fetch-Site`, which no page can forge; `Origin` where a browser lacks it."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site in {"same-origin", "none"}:
        return True
    if site is not None:
        opens_a_page = headers.get("sec-fetch-mode") == "navigate"
        return method == "GET" and opens_a_page and headers.get("sec-fetch-dest") == "document"
    return origin is None or origin == f"http://{host}"


def _name(host: str) -> str:
    """Take the name out of a `Host` header.

    >>> _name("[::1]:8000"), _name("localhost:80"), _name("::1"), _name("[::1]evil.com")
    ('::1', 'localhost', '', '')
    """
    if host.startswith("["):
        bracketed = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](:[0-9]+)?", host)
        return bracketed[1] if bracketed else ""
    name, _, port = host.partition(":")
    return "" if ":" in port else name


def _headers(scope: Scope) -> dict[str, str]:
    """Read the headers; one that is sent twice is taken as both, and so believed by nobody."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            said = list(message.get("headers", []))
            names = {name.lower() for name, _ in said}
            ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = said + [pair for pair in ours if pair[0] not in names]
        await send(message)

    return sent


async def _answer(status: HTTPStatus, detail: str, *, send: Send) -> None:
    body = problem(status, detail)
    headers = [(b"content-type", PROBLEM.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
