"""A whole crawl on both databases: killed anywhere it ends the same, and again it costs little."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.crawl_tables import crawls, robots
from autods.crawl.crawl import UNASKED, crawl, crawl_refs, rules_of
from autods.crawl.rounds import Round
from autods.errors import PlaceError, SourceError
from autods.records import Refusal
from autods.run import Silent
from crawling import OPEN, decided, endings, html, job, nothing, shown
from loopback import Loopback, Page, redirect


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    with closing(Catalog(catalog_url)) as catalog:
        yield catalog


def refused(refusal: Refusal | None) -> str | None:
    return refusal.reason if refusal else None


def web_of(site: Loopback, size: int, seed: int = 1, slow: float = 0.0) -> None:
    """Pages that link to any of each other, some slow, some lost, some redirected."""
    draw = random.Random(seed)
    names = [f"/p{n}" for n in range(size)]
    site.serve("/robots.txt", Page(body=b"User-agent: *\nDisallow: /p7\nDisallow: /i3"))
    site.serve("/", html(*names[:4], shows="logo"))
    for name in names:
        kind = draw.random()
        if kind < 0.1:
            site.serve(name, redirect(draw.choice(names)))
        elif kind < 0.9:
            shows = " ".join(f"i{draw.randint(0, 2 * size)}" for _ in range(draw.randint(0, 4)))
            page = html(*draw.choices(names, k=5), shows=shows, ETag=f'"{name}"')
            site.serve(name, replace(page, delay=draw.random() * slow))


class StoppedError(Exception):
    """What a run raises that is to end."""


class StopAfter(Silent):
    """A watcher that has the run end after so many pages."""

    def __init__(self, pages: int) -> None:
        self.left = pages

    def advance(self, count: int = 1) -> None:
        self.left -= count
        if self.left < 0:
            raise StoppedError


@pytest.mark.slow
def test_a_crawl_that_is_stopped_anywhere_ends_as_if_it_had_not_been(
    catalog: Catalog, site: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web_of(site, 80)
    bounds = {"pages": 60, "images": 50, "depth": 4}
    with closing(Catalog(str(tmp_path / "calm.db"))) as calm:
        crawl(job(calm, site, tmp_path / "a", **bounds), Silent(), wave=nothing)
        expected = decided(calm)
    monkeypatch.setattr("autods.crawl.visit._KEPT_AT_ONCE", 3)
    for pages in (0, 1, 2, 5, 11, 23):
        with pytest.raises(StoppedError):
            crawl(job(catalog, site, tmp_path / "b", **bounds), StopAfter(pages), wave=nothing)
    done = crawl(job(catalog, site, tmp_path / "b", **bounds), Silent(), wave=nothing)
    assert decided(catalog) == expected
    assert (done.round, done.images) == (1, 50)
    assert sum(done.pages.values()) == 60
    assert done.skipped["over-page-budget"] > 5


CHILD = """
import sys
from contextlib import closing
from dataclasses import replace
from dataclasses import replace
from pathlib import Path
from autods.catalog import Catalog
from autods.crawl.crawl import crawl
from autods.run import Silent
from crawling import job, nothing
with closing(Catalog(sys.argv[1])) as catalog:
    here = job(catalog, sys.argv[2], Path(sys.argv[3]), pages=70, images=90)
    print("ready", flush=True)
    crawl(here, Silent(), wave=nothing)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_changes_nothing(
    catalog: Catalog, catalog_url: str, site: Loopback, tmp_path: Path
) -> None:
    web_of(site, 90, slow=0.05)
    with closing(Catalog(str(tmp_path / "calm.db"))) as calm:
        here = job(calm, site, tmp_path / "a", pages=70, images=90)
        crawl(here, Silent(), wave=nothing)
        expected = decided(calm)
    command = [sys.executable, "-c", CHILD, catalog_url, site.url("/"), str(tmp_path / "b")]
    draw, killed = random.Random(7), 0
    while True:
        with subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(draw.random() * 0.1)
            if killed < 7:
                child.kill()
            if child.wait() == 0:
                break
            assert child.returncode == -signal.SIGKILL
            killed += 1
    assert decided(catalog) == expected
    assert killed > 2


def test_a_second_round_asks_only_whether_anything_changed(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    site.serve("/robots.txt", html(ETag='"r"'))
    site.serve("/", html("/a", shows="1", ETag='"1"'))
    site.serve("/a", html("/b", shows="2", Last_Modified="yesterday"))
    site.serve("/b", html(shows="3", ETag='"old"'), html(shows="4", ETag='"new"'))
    first = crawl(job(catalog, site, tmp_path), Silent(), wave=nothing)
    assert (first.requests, first.unchanged) == (4, 0)
    site.sent.clear()
    second = crawl(job(catalog, site, tmp_path), Silent(), wave=nothing)
    assert set(site.sent) == {"/b"}
    assert (second.round, second.unchanged, second.pages) == (2, 2, {"read": 1, "unchanged": 2})
    assert shown(catalog) == ["1", "2", "4"]
    assert [ordinal for ordinal, _ in crawl_refs(catalog, 1, "site")] == [0, 1, 2]
    assert [ordinal for ordinal, _ in crawl_refs(catalog, 1, "site", after=1)] == [2]


def test_a_page_that_failed_or_moved_is_read_whole_by_the_next_round(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    said = {"ETag": '"1"'}
    site.serve("/", html("/a", ETag='"1"'))
    site.serve("/a", html(shows="1", ETag='"1"'), Page(status=404), html(shows="1", **said))
    for expected in (["1"], [], ["1"]):
        crawl(job(catalog, site, tmp_path), Silent(), wave=nothing)
        assert shown(catalog) == expected


def test_images_are_handed_on_while_the_crawl_goes_on(
    catalog: Catalog, site: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autods.crawl.visit.WAVE_PAGES", 10)
    web_of(site, 60)
    seen: list[int] = []
    sizes: list[int] = []

    def wave() -> None:
        after = seen[-1] if seen else -1
        seen.extend(ordinal for ordinal, _ in crawl_refs(catalog, 1, "site", after=after))
        sizes.append(len(seen))

    done = crawl(job(catalog, site, tmp_path), Silent(), wave=wave)
    assert seen == list(range(done.images))
    assert len(sizes) >= 3
    assert sizes[0] < sizes[-1]


def test_what_a_crawl_says_of_all_its_images_is_said_of_each(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    site.serve("/", html(shows="cat"))
    crawl(job(catalog, site, tmp_path, license="cc0", label="cat"), Silent(), wave=nothing)
    ((_, ref),) = crawl_refs(catalog, 1, "site")
    assert (ref.license, ref.label, ref.source, ref.stamp) == ("cc0", "cat", "site", "")
    assert ref.meta == {"page": site.url("/"), "how": "img"}
    assert ref.caption == "cat"


def test_a_round_that_is_finished_is_not_run_twice_by_one_who_asks_since_when(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    site.serve("/", html(shows="1"))
    here = job(catalog, site, tmp_path)
    first = crawl(here, Silent(), wave=nothing)
    with catalog.read() as db:
        begun = db.scalars(sa.select(crawls.c.started_at)).one()
    assert crawl(here, Silent(), wave=nothing, since=begun) == first
    assert site.asked("/") == 1
    assert crawl(here, Silent(), wave=nothing).round == 2


def test_a_site_of_which_no_page_can_be_had_is_an_error_that_names_it(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    here = job(catalog, site, tmp_path)
    with pytest.raises(
        SourceError, match=r"127.0.0.1:\d+/ could not be had: http-404: .* answered 404"
    ):
        crawl(here, Silent(), wave=nothing)
    site.serve("/", redirect("http://example.org/"))
    with pytest.raises(SourceError, match=r"redirects to http://example.org/"):
        crawl(here, Silent(), wave=nothing)
    site.serve("/", html())
    assert crawl(here, Silent(), wave=nothing).pages == {"read": 1}


def test_two_cannot_crawl_the_same_at_once(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    site.serve("/", html())
    here = job(catalog, site, tmp_path)
    with catalog.lock(here.name), pytest.raises(PlaceError, match="at work"):
        crawl(here, Silent(), wave=nothing)


def test_whoever_fetches_images_asks_the_hosts_that_redirects_lead_to(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    with Loopback() as other:
        other.serve("/robots.txt", Page(body=b"User-agent: *\nDisallow: /a\nCrawl-delay: 7"))
        site.serve("/", html(shows="1"))
        here = job(catalog, site, tmp_path)
        crawl(here, Silent(), wave=nothing)
        rules = rules_of(here)
        assert rules is not None
        assert rules.allow(site.url("/1.jpg")) is None
        for name in ("/a.jpg", "/b.jpg"):  # Not asked in the middle of other transfers.
            assert refused(rules.allow(other.url(name))) == UNASKED
        assert other.asked("/robots.txt") == 0
        rules.ask(rules.wanted)
        assert refused(rules.allow(other.url("/a.jpg"))) == "robots"
        assert refused(rules.allow(other.url("/b.jpg"))) is None
        assert other.asked("/robots.txt") == 1
        assert here.manners.delay(f"http://127.0.0.1:{other.port}") == 7
        with catalog.read() as db:
            assert db.scalar(sa.select(sa.func.count()).select_from(robots)) == 2
        newest = Round.newest(catalog, 1, "site")
        assert newest is not None
        assert newest.finished_at is not None


def test_a_seed_s_redirect_to_https_or_into_the_site_is_gone_after(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    site.serve("/", redirect("/en/"))
    site.serve("/en/", html("/en/cats/", "/de/", shows="1"))
    site.serve("/en/cats/", html(shows="2"))
    crawl(job(catalog, site, tmp_path, include=("*/cats/*",)), Silent(), wave=nothing)
    assert endings(catalog, site) == {"/": "redirect", "/en/": "read", "/en/cats/": "read"}
    assert shown(catalog) == ["1", "2"]


def test_a_page_that_cannot_be_had_just_now_keeps_what_it_led_to(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    site.serve("/robots.txt", Page(status=404))
    site.serve("/", html("/a", "/b", shows="1"))
    site.serve("/a", html("/c", shows="2"))
    site.serve("/b", html(shows="3"))
    site.serve("/c", html(shows="4"))
    http = replace(OPEN, retries=0)
    crawl(job(catalog, site, tmp_path, http=http), Silent(), wave=nothing)
    assert shown(catalog) == ["1", "2", "3", "4"]
    site.serve("/a", Page(status=503))
    site.serve("/b", Page(status=404))
    done = crawl(job(catalog, site, tmp_path, http=http), Silent(), wave=nothing)
    assert shown(catalog) == ["1", "2", "4"]
    assert endings(catalog, site) == {
        "/": "read", "/a": "failed http-503", "/b": "failed http-404", "/c": "read"}  # fmt: skip
    assert done.pages["failed"] == 2
    site.serve("/a", html("/c", shows="2b"))
    crawl(job(catalog, site, tmp_path, http=http), Silent(), wave=nothing)
    assert shown(catalog) == ["1", "2b", "4"]
