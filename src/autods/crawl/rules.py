"""What each origin's robots.txt allows: asked once a round, kept in the catalog."""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.crawl_tables import robots
from autods.catalog.tables import now
from autods.crawl.robots import Rules, read_rules
from autods.crawl.rounds import Round
from autods.crawl.urls import normalise, origin_of
from autods.crawl.validators import validators
from autods.records import Refusal
from autods.run import batched
from autods.storable import printable
from autods.web.http import Fetched, HttpPolicy, Manners, Request, fetch

MOST = 256
"""So many origins' rules are remembered; the others are read from the catalog again."""

_BYTES = 512 * 1024
_PATH = "/robots.txt"


UNASKED = "robots-unasked"
"""Why an image failed whose redirect leads to a host not known yet: for a moment only."""


class Robots:
    """The rules of one round; the delays they ask for are told to `manners`.

    An answer below 500 that is no text allows all; where there is none, or a server's error, all
    is refused for this round (RFC 9309). With `obeyed` false everything is allowed.
    """

    def __init__(
        self,
        catalog: Catalog,
        round_: Round,
        http: HttpPolicy,
        spool: Path,
        *,
        manners: Manners,
        obeyed: bool,
    ) -> None:
        self._catalog, self._round, self._spool = catalog, round_, spool
        self.manners = manners
        self._agent = http.user_agent.partition("/")[0].strip()
        self._policy = replace(
            http,
            max_bytes=8 * _BYTES,
            max_redirects=5,
            accept_encoding="gzip",
            respect_x_robots=False,
            timeout=min(http.timeout, 30.0),
            retries=min(http.retries, 2),
        )
        self._obeyed = obeyed
        self.wanted: set[str] = set()
        self._known: OrderedDict[str, tuple[Rules, str]] = OrderedDict()

    def unknown(self, urls: Iterable[str]) -> set[str]:
        """Give the origins of URLs whose rules this round has not asked for yet."""
        if not self._obeyed:
            return set()
        wanted = {origin_of(url) for url in urls}
        return wanted - self._load(wanted)

    def refusal(self, url: str) -> Refusal | None:
        """Say why a URL of a known origin may not be asked for; None if it may."""
        if not self._obeyed:
            return None
        origin = origin_of(url)
        self._load({origin})
        rules, detail = self._known[origin]
        if rules.allows(url, self._agent):
            return None
        if detail:
            return Refusal("rejected", "robots-unreachable", f"{origin}{_PATH}: {detail}"[:1000])
        return Refusal("rejected", "robots", f"{origin}{_PATH} disallows it for {self._agent}")

    def allow(self, url: str) -> Refusal | None:
        """Judge a URL whose origin may not be known yet: then it is `wanted`, and waits for that.

        What asks here is in the middle of other transfers, which must not wait for an answer.
        """
        if not self._obeyed or url.endswith(_PATH):
            return None
        unknown = self.unknown([url])
        if not unknown:
            return self.refusal(url)
        self.wanted |= unknown
        return Refusal("failed", UNASKED, f"the robots.txt of {origin_of(url)} comes first")

    def sitemaps(self, origin: str) -> tuple[str, ...]:
        """Give the sitemaps that a known origin names."""
        if not self._obeyed:
            return ()
        self._load({origin})
        return self._known[origin][0].sitemaps

    def ask(self, origins: Collection[str]) -> int:
        """Fetch the robots.txt of origins, if it has changed; gives how many requests it took."""
        asked = sorted(origins)
        self.wanted -= set(asked)
        return sum(map(self._ask, batched(asked, 128)))

    def _ask(self, origins: list[str]) -> int:
        before = self._rows(robots.c.origin.in_(origins))
        requests = [_request(n, origin, before.get(origin)) for n, origin in enumerate(origins)]
        kept, asked = [], 0
        with closing(fetch(requests, self._policy, self._spool, self.manners)) as answers:
            for got in answers:
                origin = origins[got.index]
                kept.append({"origin": origin, **_said(got, before.get(origin))})
                asked += got.tries
        self._keep(kept, before)
        return asked

    def _keep(self, kept: list[dict[str, Any]], before: dict[str, Any]) -> None:
        ours = {"dataset_id": self._round.dataset_id, "source": self._round.source}
        ours |= {"round": self._round.number, "fetched_at": now()}
        new = [row | ours for row in kept if row["origin"] not in before]
        with self._catalog.begin() as db:
            self._catalog.insert_new(db, robots, new)
            for row in kept:
                if row["origin"] in before:
                    known = robots.c.id == before[row["origin"]].id
                    db.execute(sa.update(robots).where(known).values(row | ours))

    def _load(self, origins: set[str]) -> set[str]:
        """Have the rules of origins at hand; gives those this round has asked for."""
        there = {origin for origin in origins if origin in self._known}
        for some in batched(sorted(origins - there), 128):
            this_round = robots.c.round == self._round.number
            for origin, row in self._rows(robots.c.origin.in_(some), this_round).items():
                self._remember(origin, row)
                there.add(origin)
        for origin in there:
            self._known.move_to_end(origin)
        while len(self._known) > max(MOST, len(there)):
            self._known.popitem(last=False)
        return there

    def _remember(self, origin: str, row: Any) -> None:
        rules = read_rules(row.text, row.status)
        self._known[origin] = (rules, row.detail or "")
        if delay := rules.delay(self._agent):
            self.manners.set_delay(origin, delay)

    def _rows(self, *among: sa.ColumnElement[bool]) -> dict[str, Any]:
        query = sa.select(robots).where(*self._round.ours(robots), *among)
        with self._catalog.read() as db:
            return {row.origin: row for row in db.execute(query)}


def _request(index: int, origin: str, before: Any) -> Request:
    url = normalise(origin + _PATH) or origin + _PATH
    if before is None:
        return Request(index=index, url=url)
    etag, last_modified = before.etag, before.last_modified
    return Request(index=index, url=url, etag=etag, last_modified=last_modified)


def _said(got: Fetched, before: Any) -> dict[str, Any]:
    """Turn an answer into what is kept of it; unchanged, it is what was kept before."""
    said = {"status": got.status, "text": None, "detail": None, "etag": None, "last_modified": None}
    if got.path is not None:
        with got.path.open("rb") as file:
            text = file.read(_BYTES).decode(errors="replace")
        got.path.unlink(missing_ok=True)
        return said | {"text": printable(text), **validators(got)}
    if got.refusal is None and before is not None:
        return {name: getattr(before, name) for name in said}
    refusal = got.refusal or Refusal("failed", "bad-response", "a 304 that nobody asked for")
    if refusal.reason in {"too-many-redirects", "redirect-loop"}:
        return said | {"status": 404}  # RFC 9309: after five redirects it counts as none.
    if 400 <= got.status < 500 and got.status != 429:
        return said
    status = got.status if got.status >= 400 else 0
    return said | {"status": status, "detail": f"{refusal.reason}: {refusal.detail}"[:1000]}
