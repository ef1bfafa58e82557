"""How hard, how long and how politely an HTTP fetch may try: one frozen record of settings."""

import re
from dataclasses import dataclass
from functools import cached_property

from autods.errors import UsageError
from autods.web.guard import Network, networks

_NOT_NEGATIVE = ("max_redirects", "retries", "delay_per_host", "backoff", "max_backoff")
_POSITIVE = (
    "concurrency",
    "per_host",
    "lookahead",
    "connect_timeout",
    "timeout",
    "low_speed_time",
    "max_bytes",
)


@dataclass(frozen=True, kw_only=True)
class HttpPolicy:
    """What a fetch is allowed, with defaults fit for strangers' servers; times are in seconds.

    Load on others:

    - `concurrency` transfers at once in all; 128 images of 60 KB that take half a second each
      fill a 100 Mbit/s line, for some 40 MB of memory.
    - `per_host` at once per scheme, host and port; 6 is what Chrome and Firefox open to one
      HTTP/1.1 host, so no server sees more of us than of one visitor.
    - `delay_per_host`: least time between two starts on one host.
    - `lookahead`: how many requests may be read ahead and wait for their host. Requests are only
      read when a transfer is free and nothing that waits may start.

    Patience:

    - `connect_timeout`: name look-up, TCP and TLS. `timeout`: one try, its redirects included.
    - A transfer below `low_speed` bytes a second for `low_speed_time` is ended (whole seconds).
    - `retries` after the first try, on 408, 425, 429, 500, 502, 503, 504, timeouts and connection
      errors, each after a random share of `backoff * 2**n`, at most `max_backoff` ("full jitter",
      AWS Architecture Blog 2015). The share is drawn from the URL and the try, so runs repeat.
    - `max_retry_after`: the longest `Retry-After` that is waited for. The host as a whole is left
      alone for that time.

    Limits:

    - `max_bytes` of one body, as sent and as decoded; 64 MiB is above any photograph.
    - `max_redirects` of one try; 0 leaves it to the caller of `fetch` to go on.
    - `accept_encoding`: None asks for none, for images do not shrink; "gzip" or "br" for text.
    - `allow_private`: False keeps to the public internet, True lifts the guard, a tuple of networks
      opens these only: `("10.1.0.0/16",)`.

    Manners:

    - `user_agent` should name the operator and a way to reach them.
    - `respect_x_robots`: an `X-Robots-Tag` of noai, noimageai, noindex or noimageindex, without an
      agent or for ours (the word before the slash in `user_agent`, or `autods`), is obeyed.

    `resolve` pins names to addresses, in libcurl's words: `("example.org:443:10.1.2.3",)`; the
    guard still judges the address. There is no proxy, and those of the environment are ignored on
    purpose: behind a proxy the guard could not see the address that is asked. Raises UsageError
    naming the field and the value that cannot be.

    >>> HttpPolicy(concurrency=8, allow_private=("127.0.0.1/32",)).retries
    3
    """

    concurrency: int = 128
    per_host: int = 6
    delay_per_host: float = 0.0
    lookahead: int = 1024
    connect_timeout: float = 10.0
    timeout: float = 60.0
    low_speed: int = 1000
    low_speed_time: int = 20
    retries: int = 3
    backoff: float = 0.5
    max_backoff: float = 30.0
    max_retry_after: float = 60.0
    max_bytes: int = 64 * 2**20
    max_redirects: int = 5
    accept_encoding: str | None = None
    allow_private: bool | tuple[str, ...] = False
    user_agent: str = "autods/0.1 (dataset crawler; operator not named)"
    respect_x_robots: bool = True
    resolve: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)!r} must be above 0")
        for name in (*_NOT_NEGATIVE, "max_retry_after", "low_speed"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name}={getattr(self, name)!r} must be 0 or above")
        if not re.fullmatch(r"[\x20-\x7e]+", self.user_agent):
            raise UsageError(f"user_agent={self.user_agent!r} must be plain printable ASCII")
        _ = self.open_networks

    @cached_property
    def open_networks(self) -> tuple[Network, ...]:
        """The networks that `allow_private` opens; all there are if it is True."""
        if isinstance(self.allow_private, bool):
            return networks(("0.0.0.0/0", "::/0") if self.allow_private else ())
        return networks(self.allow_private)

    @cached_property
    def agents(self) -> frozenset[str]:
        """The names under which an `X-Robots-Tag` speaks to us, in lower case."""
        return frozenset({"autods", self.user_agent.partition("/")[0].strip().lower()})
