"""Several fetches of one run behave to a host as one, and go nowhere they are not allowed."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autods.errors import UsageError
from autods.records import Refusal
from autods.web.http import Fetched, HttpPolicy, Manners, Request, fetch
from loopback import Loopback, Page, redirect

OPEN = HttpPolicy(allow_private=True, backoff=0.01, timeout=5.0, per_host=64)


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


def fetched(
    urls: list[str],
    spool: Path,
    manners: Manners | None = None,
    policy: HttpPolicy = OPEN,
    allow: Callable[[str], Refusal | None] | None = None,
) -> dict[str, Fetched]:
    requests = [Request(index=index, url=url, allow=allow) for index, url in enumerate(urls)]
    return {one.url: one for one in fetch(requests, policy, spool, manners)}


def test_a_crawl_delay_holds_from_one_fetch_to_the_next_and_from_the_request_that_told_it(
    site: Loopback, tmp_path: Path
) -> None:
    manners = Manners()
    urls = [site.serve(f"/{n}", Page(body=b"x")) for n in range(3)]
    before = time.monotonic()
    fetched([site.serve("/robots.txt", Page())], tmp_path, manners)
    manners.set_delay(site.url("/robots.txt"), 0.06)
    for url in urls:
        assert fetched([url], tmp_path, manners)[url].size == 1
    assert time.monotonic() - before >= 3 * 0.06


def test_a_host_with_a_crawl_delay_is_asked_one_thing_at_a_time_and_others_are_not_held_up(
    site: Loopback, tmp_path: Path
) -> None:
    with Loopback("127.0.0.2") as other:
        slow = [site.serve(f"/{n}", Page(body=b"x", delay=0.05)) for n in range(4)]
        quick = [other.serve(f"/{n}", Page(body=b"x", delay=0.05)) for n in range(9)]
        manners = Manners()
        manners.set_delay(site.url("/"), 0.001)
        done = list(fetched([*slow, *quick], tmp_path, manners))
        assert site.peak == 1
        assert other.peak > 1
        assert done[-1] in slow


def test_fetches_that_take_turns_keep_a_delay_between_them(site: Loopback, tmp_path: Path) -> None:
    policy = replace(OPEN, delay_per_host=0.05, lookahead=1, concurrency=1)
    manners = Manners()
    urls = [site.serve(f"/{n}", Page(body=b"x")) for n in range(6)]
    before = time.monotonic()
    halves = [[Request(index=n, url=urls[n]) for n in half] for half in ((0, 1, 2), (3, 4, 5))]
    pages, images = (fetch(half, policy, tmp_path, manners) for half in halves)
    assert all(one.size == two.size == 1 for one, two in zip(pages, images, strict=True))
    assert len(site.hits) == 6
    assert time.monotonic() - before >= 5 * 0.05


@pytest.mark.slow
def test_a_pause_that_a_server_asked_for_holds_for_the_next_fetch_too(
    site: Loopback, tmp_path: Path
) -> None:
    manners, once = Manners(), replace(OPEN, retries=0)
    before = time.monotonic()
    busy = site.serve("/busy", Page(status=429, headers={"Retry-After": "1"}))
    answer = fetched([busy], tmp_path, manners, once)[busy]
    assert answer.retry_after == 1.0
    fetched([site.serve("/a", Page())], tmp_path, manners, once)
    assert time.monotonic() - before >= 1.0


def test_what_is_not_allowed_is_not_asked_for_and_neither_is_where_a_redirect_leads(
    site: Loopback, tmp_path: Path
) -> None:
    asked: list[str] = []

    def allow(url: str) -> Refusal | None:
        asked.append(url)
        return Refusal("rejected", "robots") if "/private" in url else None

    site.serve("/private/b", Page(body=b"x"))
    site.serve("/two", redirect("/private/b?q=ü".encode().decode("latin-1")))
    good = site.serve("/good", redirect("/end"))
    site.serve("/end", Page(body=b"x"))
    urls = [site.url("/private/ü"), site.serve("/one", redirect("/two")), good]
    ends = fetched(urls, tmp_path, allow=allow)
    reasons = [end.refusal and end.refusal.reason for end in map(ends.get, urls) if end]
    assert reasons == ["robots", "robots", None]
    assert (ends[urls[0]].tries, ends[urls[1]].final_url) == (0, site.url("/two"))
    assert sorted(hit.path for hit in site.hits) == ["/end", "/good", "/one", "/two"]
    assert site.url("/private/%C3%BC") in asked  # As it would go out.
    assert site.url("/private/b?q=%C3%BC") in asked


def test_an_error_of_the_callers_own_judgement_surfaces(site: Loopback, tmp_path: Path) -> None:
    def allow(_: str) -> Refusal | None:
        raise UsageError("no such rule")

    with pytest.raises(UsageError, match="no such rule"):
        fetched([site.serve("/a", Page())], tmp_path, allow=allow)


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_a_delay_that_cannot_be_is_named(seconds: float) -> None:
    with pytest.raises(UsageError, match=repr(seconds)):
        Manners().set_delay("https://example.org", seconds)


def test_an_origin_that_is_none_is_named() -> None:
    with pytest.raises(UsageError, match=r"'example\.org' is no origin"):
        Manners().set_delay("example.org", 1.0)


def test_an_origin_has_one_delay_however_it_is_written() -> None:
    manners = Manners()
    manners.set_delay("HTTP://Example.org/robots.txt", 2.0)
    assert manners.delay("http://example.org:80") == 2.0
    manners.set_delay("http://example.org", 0)
    assert manners.delay("http://example.org:80") == 0


def test_hosts_asked_long_ago_are_forgotten_and_what_still_holds_is_not() -> None:
    manners, began = Manners(), time.monotonic()
    manners.set_delay("http://patient:80", 500.0)
    manners.begin("http://patient:80", began)
    manners.pause("http://paused:80", began + 50_000)
    for n in range(20_000):
        manners.begin(f"http://host{n}:80", began + n)
    assert len(manners._began) < 10_000
    assert manners.open_at("http://paused:80") == began + 50_000
    quick = Manners()
    quick.begin("http://first:80", began, 90.0)
    for n in range(5_000):
        quick.begin(f"http://host{n}:80", began + n / 60)
    assert quick.open_at("http://first:80", 90.0) == began + 90.0
