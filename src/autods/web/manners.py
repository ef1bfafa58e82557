"""What the fetches of one run owe to the hosts they ask: distance, pauses, and places to avoid."""

import math

from autods.errors import UsageError
from autods.records import Refusal
from autods.web.guard import parse_url

_NEVER = -math.inf
# A start is remembered so many seconds, for a delay that its answer may set; where a delay is
# longer, so long. Among how many hosts it is worth a look for those that can be forgotten.
_A_WHILE = 60.0
_MANY = 4096


class Manners:
    """Shared by `fetch` calls that follow each other or take turns, in one thread.

    An origin is a `Target.host`, `scheme://host:port`; times are seconds of `time.monotonic()`.

    >>> manners = Manners()
    >>> manners.set_delay("https://example.org", 5)
    >>> manners.begin("https://example.org:443", 100.0)
    >>> manners.open_at("https://example.org:443")
    105.0
    """

    def __init__(self) -> None:
        self._delays: dict[str, float] = {}
        self._began: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._longest = _A_WHILE
        self._sweep_at = _MANY

    def set_delay(self, origin: str, seconds: float) -> None:
        """Keep so many seconds between two starts on an origin, and ask it one thing at a time.

        It counts from the last start before, which is robots.txt as a rule; 0 lifts it. Any URL
        of the origin names it. Raises UsageError naming what is no origin or no time.
        """
        target = parse_url(origin)
        if isinstance(target, Refusal):
            raise UsageError(f"{origin!r} is no origin: {target.detail}; write https://example.org")
        if not 0 <= seconds < math.inf:
            raise UsageError(f"a delay of {seconds!r} s for {origin} must be 0 or above")
        self._longest = max(self._longest, seconds)
        self._delays[target.host] = seconds
        if not seconds:
            del self._delays[target.host]

    def delay(self, origin: str) -> float:
        """Return the seconds set for an origin, else 0."""
        return self._delays.get(origin, 0.0)

    def open_at(self, origin: str, least: float = 0.0) -> float:
        """Return when an origin may be asked again, at `least` so long after it was asked last."""
        delay = max(least, self._delays.get(origin, 0.0))
        return max(self._began.get(origin, _NEVER) + delay, self._pauses.get(origin, _NEVER))

    def begin(self, origin: str, now: float, least: float = 0.0) -> None:
        """Remember that an origin is asked now; `least` as in `open_at`."""
        self._longest = max(self._longest, least)
        self._began[origin] = now
        if len(self._began) > self._sweep_at:
            self._sweep(now)

    def pause(self, origin: str, until: float) -> None:
        """Ask an origin for nothing before `until`."""
        self._pauses[origin] = max(until, self._pauses.get(origin, _NEVER))

    def _sweep(self, now: float) -> None:
        """Forget what can delay nobody any more, so that a list of a million hosts fits."""
        self._began = {key: at for key, at in self._began.items() if at > now - self._longest}
        self._pauses = {key: until for key, until in self._pauses.items() if until > now}
        self._sweep_at = max(_MANY, 2 * len(self._began))
