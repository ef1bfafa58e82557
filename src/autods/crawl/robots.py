"""What a host asks of crawlers in its robots.txt (RFC 9309)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from autods.crawl.urls import normalise

if TYPE_CHECKING:
    from protego import Protego

LONGEST = 512 * 2**10
"""In characters; RFC 9309 asks that at least 500 KiB be read, and no more need be."""
LONGEST_DELAY = 60.0

_MOST_SITEMAPS = 1000
_AGENT_LINE = re.compile(r"\s*user[\s_-]*agent\s*(?::|\s)\s*([^#]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Rules:
    r"""The rules of one host; `closed` where nothing may be asked for.

    >>> rules = read_rules("User-agent: *\nDisallow: /no\nCrawl-delay: 2", 200)
    >>> rules.allows("http://a.org/no/1", "autods/0.1"), rules.delay("autods/0.1")
    (False, 2.0)
    """

    text: str = ""
    closed: bool = False
    _read: "dict[str, Protego]" = field(
        default_factory=dict, init=False, repr=False, compare=False, hash=False
    )

    def allows(self, url: str, agent: str) -> bool:
        """Tell whether `agent` (a user agent, or the word before its slash) may ask for a URL.

        The group that names it counts, else that of `*`; of the rules that match the longest, and
        of two such the one that allows. The robots.txt itself may always be asked for.
        """
        if not self.text and not self.closed:
            return True
        path = "/" + url.partition("://")[2].partition("/")[2]
        if path.partition("?")[0] == "/robots.txt":
            return True
        try:
            return not self.closed and self._of(agent).can_fetch(url, "ours")
        except ValueError:
            return False

    def delay(self, agent: str) -> float:
        """Give the least time between two requests in seconds, at most 60; 0 if none is asked."""
        if not self.text:
            return 0.0
        rules = self._of(agent)
        rate = rules.request_rate("ours")
        asked = rules.crawl_delay("ours") or 0.0
        return min(LONGEST_DELAY, max(asked, rate.seconds / rate.requests if rate else 0.0))

    @property
    def sitemaps(self) -> tuple[str, ...]:
        """The sitemaps that it names, in full, each once."""
        if not self.text:
            return ()
        rules = next(iter(self._read.values()), None) or self._of("*")
        urls = (normalise(word) for word in islice(rules.sitemaps, _MOST_SITEMAPS))
        return tuple(dict.fromkeys(url for url in urls if url))

    def _of(self, agent: str) -> "Protego":
        """Read the rules for one agent, once."""
        from protego import Protego

        token = _token(agent)
        if token not in self._read:
            self._read[token] = Protego.parse("\n".join(_for_one(self.text, token)))
        return self._read[token]


def read_rules(text: str | None, status: int) -> Rules:
    """Read a robots.txt as it was answered; `status` 0 is a host that could not be reached.

    A success is read; 429, a server error and no answer close the host; any other status, such as
    404 or a redirect too many, opens all of it (RFC 9309, 2.3.1).
    """
    if 200 <= status < 300:
        return Rules(text=(text or "")[:LONGEST].removeprefix("\ufeff"))
    return Rules(closed=status == 429 or status >= 500 or status < 200)


def _token(agent: str) -> str:
    return agent.partition("/")[0].strip().lower()


def _for_one(text: str, token: str) -> Iterator[str]:
    """Give the lines with all agents but one and `*` made the same.

    So the token counts as a whole, where Protego takes its beginning for it; and 15,000 agents
    with 20,000 rules take no space for each of each.
    """
    names = {token: "ours", "*": "*"}
    for line in text.splitlines():
        named = _AGENT_LINE.match(line)
        yield f"User-agent: {names.get(_token(named[1]), 'others')}" if named else line
