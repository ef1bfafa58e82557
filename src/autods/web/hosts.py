"""Who may start next: one queue per host, taken in turn, with a bound and a pause for each."""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from autods.web.manners import Manners

Job = TypeVar("Job")


@dataclass(slots=True, eq=False)
class _Host(Generic[Job]):
    """One host's queue; `listed` while the host stands in the round or in the list of waits."""

    key: str
    queue: deque[Job] = field(default_factory=deque)
    active: int = 0
    listed: bool = False


class Hosts(Generic[Job]):
    """Jobs that wait for their host; `pop` hands out the next that may start, hosts in turn.

    All times are seconds of one clock that the caller reads (`time.monotonic()`). When a host may
    be asked again is kept by `manners`, which others may share; `delay` is the least for all. A
    host for which the manners have a delay of its own is asked one thing at a time. It is forgotten
    here when nothing is left to do, so memory follows the work under way.

    >>> hosts = Hosts[str](per_host=1)
    >>> for job, host in [("a1", "a"), ("a2", "a"), ("b1", "b")]:
    ...     hosts.push(job, host)
    >>> hosts.pop(0.0), hosts.pop(0.0), hosts.pop(0.0)
    ('a1', 'b1', None)
    >>> hosts.done("a")
    >>> hosts.pop(0.0)
    'a2'
    """

    def __init__(
        self, *, per_host: int, delay: float = 0.0, manners: Manners | None = None
    ) -> None:
        self._per_host = per_host
        self._delay = delay
        self._manners = manners or Manners()
        self._hosts: dict[str, _Host[Job]] = {}
        self._round: deque[_Host[Job]] = deque()
        self._waits: list[tuple[float, int, _Host[Job] | None, tuple[Job, str] | None]] = []
        self._order = count()
        self._size = 0

    def __len__(self) -> int:
        """How many jobs wait, for their turn or for their time."""
        return self._size

    @property
    def ready(self) -> bool:
        """Whether some job may be able to start without a wait."""
        return bool(self._round)

    def push(self, job: Job, key: str, *, first: bool = False) -> None:
        """Let a job wait for its host, `first` before the others there."""
        self._size += 1
        self._enqueue(job, key, first=first)

    def push_at(self, when: float, job: Job, key: str) -> None:
        """Let a job wait until `when`, and then for its host, before the others there."""
        self._size += 1
        heappush(self._waits, (when, next(self._order), None, (job, key)))

    def pause(self, key: str, until: float) -> None:
        """Start nothing more on a host before `until`."""
        self._manners.pause(key, until)

    def pop(self, now: float) -> Job | None:
        """Take the next job that may start now, counted as active on its host until `done`."""
        self._wake(now)
        while self._round:
            host = self._round.popleft()
            host.listed = False
            if not self._could_start(host):
                continue
            open_at = self._manners.open_at(host.key, self._delay)
            if open_at > now:
                self._wait(host, open_at)
                continue
            host.active += 1
            self._manners.begin(host.key, now, self._delay)
            job = host.queue.popleft()
            self._size -= 1
            self._list(host)
            return job
        return None

    def done(self, key: str) -> None:
        """Say that a job taken by `pop` has ended, so that its host may start another."""
        host = self._hosts[key]
        host.active -= 1
        self._list(host)
        self._forget(host)

    def next_time(self) -> float | None:
        """When the next wait ends; None if nothing waits for a time."""
        return self._waits[0][0] if self._waits else None

    def _host(self, key: str) -> _Host[Job]:
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = _Host(key)
        return host

    def _enqueue(self, job: Job, key: str, *, first: bool) -> None:
        host = self._host(key)
        if first:
            host.queue.appendleft(job)
        else:
            host.queue.append(job)
        self._list(host)

    def _list(self, host: _Host[Job]) -> None:
        """Give a host its place in the round if it could use one."""
        if self._could_start(host) and not host.listed:
            host.listed = True
            self._round.append(host)

    def _could_start(self, host: _Host[Job]) -> bool:
        share = 1 if self._manners.delay(host.key) else self._per_host
        return bool(host.queue) and host.active < share

    def _wait(self, host: _Host[Job], until: float) -> None:
        """Take a host out of the round until it opens again."""
        host.listed = True
        heappush(self._waits, (until, next(self._order), host, None))

    def _forget(self, host: _Host[Job]) -> None:
        """Drop a host with nothing to do."""
        if not (host.queue or host.active or host.listed):
            del self._hosts[host.key]

    def _wake(self, now: float) -> None:
        """Bring back every job and every host whose time has come."""
        while self._waits and self._waits[0][0] <= now:
            _, _, host, waiting = heappop(self._waits)
            if waiting is not None:
                self._enqueue(*waiting, first=True)
            if host is not None:
                host.listed = False
                self._list(host)
                self._forget(host)
