"""Fetch a stream of URLs into files: one window over all of them, polite to each host.

One libcurl multi loop in the calling process. It keeps `policy.concurrency` transfers under way,
whatever the order of the requests, so a host that hangs costs its own place and nobody else's.
"""

import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from autods.errors import PlaceError
from autods.records import Refusal
from autods.web.guard import Target, parse_url
from autods.web.headers import Head, retry_after
from autods.web.hosts import Hosts
from autods.web.manners import Manners
from autods.web.policy import HttpPolicy

if TYPE_CHECKING:
    from autods.web.pool import Pool
    from autods.web.transfer import Answer

__all__ = ["Fetched", "HttpPolicy", "Manners", "Request", "fetch", "fetch_one"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A URL to fetch; `index` is the caller's own number for it.

    With `etag` or `last_modified` from an earlier fetch the server may answer "unchanged" (304).
    They are sent to the URL's own host only, never on to where it redirects. `allow` is asked for
    every URL before it is requested, the targets of redirects too; a refusal that it gives is how
    the request ends.
    """

    index: int
    url: str
    etag: str | None = None
    last_modified: str | None = None
    allow: Callable[[str], Refusal | None] | None = None

    def refusal(self, url: str) -> Refusal | None:
        """Say why a URL is not to be requested; None if it may be."""
        return None if self.allow is None else self.allow(url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """How a request ended.

    With a body, `path` is a file of `size` bytes that is now the caller's to read and remove. With
    status 304 there is none, and no refusal. Otherwise `refusal` says why. `final_url` is what was
    asked last, after redirects, `status` its answer (0 if none), `tries` how often it was begun.
    `redirect` is where that answer points to, where `max_redirects=0` left it to the caller to go.
    `robots_tags` are its `X-Robots-Tag` fields, for `headers.directives`, and `retry_after` the
    seconds after which it asked us to come back.
    """

    index: int
    url: str
    path: Path | None = None
    size: int = 0
    final_url: str = ""
    status: int = 0
    content_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    tries: int = 0
    redirect: str | None = None
    robots_tags: tuple[str, ...] = ()
    retry_after: float | None = None
    refusal: Refusal | None = None


def fetch(
    requests: Iterable[Request], policy: HttpPolicy, spool: Path, manners: Manners | None = None
) -> Generator[Fetched, None, None]:
    """Fetch every request into a file in `spool`, in the order in which they end.

    Requests are read only as transfers come free, and never more than `policy.lookahead` ahead of
    what is started. Bodies are streamed to disk, so memory does not grow with their size. No
    single request raises: what cannot be had has a `refusal`, with one of these reasons.

    - `failed`, worth another run: `http-404` and every other status, `timeout`, `connect`, `dns`,
      `tls`, `reset`, `short-body`, `bad-response`, `bad-encoding`, `too-many-redirects`,
      `redirect` (with `max_redirects=0`), `redirect-loop`, `retry-after-too-long`.
    - `rejected`, final: `bad-url`, `unsupported-scheme`, `private-address`, `too-large`,
      `x-robots-noai`.

    Calls that share `manners` keep their distance from a host together, and request no URL that
    these do not allow; their refusals come with reasons of their own.

    Closing the generator aborts what is under way and removes its files. While the caller works on
    an item the transfers wait too and their clocks run, so hand long work to others. Raises
    PlaceError if the spool cannot be written or descriptors run out.

    >>> from tempfile import mkdtemp
    >>> for done in fetch([Request(index=7, url="ftp://a.org/b")], HttpPolicy(), Path(mkdtemp())):
    ...     print(done.index, done.refusal.reason)
    7 unsupported-scheme
    """
    from autods.web.pool import Pool

    try:
        spool.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlaceError(f"cannot make the spool folder {spool}: {error.strerror}") from error
    with closing(Pool(policy, spool)) as pool:
        yield from _Window(requests, policy, pool, manners or Manners()).run()


def fetch_one(url: str, policy: HttpPolicy, spool: Path) -> Fetched:
    """Fetch a single URL; see `fetch`."""
    with closing(fetch([Request(index=0, url=url)], policy, spool)) as fetched:
        return next(fetched)


@dataclass(slots=True)
class _Job:
    """A request on its way: where its current try stands, and how often it has begun."""

    request: Request
    origin: Target
    here: Target
    tries: int = 1
    left: float = 0.0
    seen: set[str] = field(default_factory=set)
    reason: str = ""


class _Window:
    """The requests under way and those that wait, and what is decided when an exchange ends."""

    def __init__(
        self, requests: Iterable[Request], policy: HttpPolicy, pool: "Pool", manners: Manners
    ) -> None:
        self._source = iter(requests)
        self._dry = False
        self._policy = policy
        self._pool = pool
        self._manners = manners
        self._hosts = Hosts[_Job](
            per_host=policy.per_host, delay=policy.delay_per_host, manners=manners
        )

    def run(self) -> Iterator[Fetched]:
        while True:
            yield from self._fill()
            if self._dry and not self._pool.active and not self._hosts:
                return
            self._pool.turn(self._patience())
            for job, answer in self._pool.ended():
                fetched = self._settle(job, answer)
                if fetched is not None:
                    yield fetched

    def _fill(self) -> Iterator[Fetched]:
        """Start what may start, reading requests where nothing that waits may; bounded a round."""
        for _ in range(self._policy.concurrency):
            if not self._pool.free:
                return
            job = self._hosts.pop(time.monotonic())
            if job is not None:
                self._start(job)
                continue
            if not self._hungry():
                return
            refused = self._read()
            if refused is not None:
                yield refused

    def _hungry(self) -> bool:
        return not self._dry and len(self._hosts) < self._policy.lookahead

    def _patience(self) -> float | None:
        """Seconds until something besides the transfers wants attention; None if nothing does."""
        if self._pool.free and (self._hosts.ready or self._hungry()):
            return 0.0
        due = self._hosts.next_time()
        if due is None or not self._pool.free:
            return None
        return max(0.0, due - time.monotonic())

    def _read(self) -> Fetched | None:
        """Read one request and let it wait for its host, or refuse it at once."""
        request = next(self._source, None)
        if request is None:
            self._dry = True
            return None
        target = parse_url(request.url)
        if not isinstance(target, Refusal):
            target = request.refusal(target.url) or target
        if isinstance(target, Refusal):
            return Fetched(index=request.index, url=request.url, refusal=target)
        self._hosts.push(_Job(request, target, target, left=self._policy.timeout), target.host)
        return None

    def _start(self, job: _Job) -> None:
        job.seen.add(job.here.url)
        headers = _validators(job.request) if job.here.host == job.origin.host else ()
        fresh = job.reason == "dns"
        self._pool.start(job, job.here.url, headers=headers, timeout=job.left, fresh_name=fresh)

    def _settle(self, job: _Job, answer: "Answer") -> Fetched | None:
        """Decide what an ended exchange means: the end, or (None) a step or a try more."""
        now = time.monotonic()
        asked = job.here
        refusal = answer.refusal
        goes_on = False
        if answer.redirect is not None:
            refusal = self._follow(job, answer.redirect, answer.seconds)
            goes_on = refusal is None
        elif refusal is not None and answer.again:
            refusal = self._again(job, answer.head, refusal, now)
            goes_on = refusal is None
        self._hosts.done(asked.host)
        return None if goes_on else _fetched(job, asked, answer, refusal)

    def _follow(self, job: _Job, url: str, seconds: float) -> Refusal | None:
        """Send a job on to where it was redirected, through that host's queue; or say why not."""
        target = parse_url(url)
        if isinstance(target, Refusal):
            return Refusal(target.status, target.reason, f"redirected, but {target.detail}")
        if target.url in job.seen:
            return Refusal("failed", "redirect-loop", f"redirected back to {target.url}")
        if not self._policy.max_redirects:
            job.here = target
            return Refusal("failed", "redirect", f"redirected to {target.url}")
        if len(job.seen) > self._policy.max_redirects:
            detail = f"more than max_redirects={self._policy.max_redirects}"
            return Refusal("failed", "too-many-redirects", detail)
        if seconds >= job.left:
            detail = f"the redirects took timeout={self._policy.timeout} s"
            return Refusal("failed", "timeout", detail)
        refusal = job.request.refusal(target.url)
        if refusal is not None:
            return refusal
        job.here = target
        job.left -= seconds
        self._hosts.push(job, target.host, first=True)
        return None

    def _again(self, job: _Job, head: Head, refusal: Refusal, now: float) -> Refusal | None:
        """Let a job wait for another try from the start, if the server and the policy grant one."""
        asked = retry_after(head.get(b"retry-after")) or 0.0
        if asked > self._policy.max_retry_after:
            detail = f"{refusal.detail}, to come back in {asked:.0f} s; "
            detail += f"max_retry_after={self._policy.max_retry_after}"
            return Refusal("failed", "retry-after-too-long", detail)
        self._hosts.pause(job.here.host, now + asked)
        if job.tries > self._policy.retries:
            return refusal
        wait = max(asked, backoff(job.request.url, job.tries, self._policy))
        job.tries += 1
        job.here = job.origin
        job.left = self._policy.timeout
        job.reason = refusal.reason
        job.seen.clear()
        self._hosts.push_at(now + wait, job, job.origin.host)
        return None


def backoff(url: str, tries: int, policy: HttpPolicy) -> float:
    """Return the seconds to wait after the given number of failed tries (1, 2, ...).

    Exponential with full jitter; the draw is a hash of URL and try, the same in every run.

    >>> policy = HttpPolicy(backoff=1.0, max_backoff=4.0)
    >>> [round(backoff("http://a.org/", tries, policy), 2) for tries in (1, 2, 3, 4)]
    [0.91, 0.17, 1.33, 1.66]
    """
    drawn = blake2b(f"{tries} {url}".encode(errors="replace"), digest_size=8).digest()
    share = int.from_bytes(drawn, "big") / 2**64
    return share * min(policy.max_backoff, policy.backoff * 2.0 ** min(tries - 1, 60))


def _validators(request: Request) -> tuple[bytes, ...]:
    """Return the header lines that ask for a body only if it has changed."""
    fields = (("If-None-Match", request.etag), ("If-Modified-Since", request.last_modified))
    # Latin-1 as it came in; a control character would be a second header line smuggled in.
    return tuple(
        f"{name}: {value}".encode("latin-1")
        for name, value in fields
        if value and re.fullmatch(r"[\x20-\x7e\xa0-\xff]+", value)
    )


def _fetched(job: _Job, asked: Target, answer: "Answer", refusal: Refusal | None) -> Fetched:
    head = answer.head
    return Fetched(
        index=job.request.index,
        url=job.request.url,
        path=answer.path,
        size=answer.size,
        final_url=asked.url,
        status=head.status,
        content_type=head.get(b"content-type"),
        etag=head.get(b"etag"),
        last_modified=head.get(b"last-modified"),
        tries=job.tries,
        redirect=None if job.here is asked else job.here.url,
        robots_tags=head.robots,
        retry_after=retry_after(head.get(b"retry-after")),
        refusal=refusal,
    )
