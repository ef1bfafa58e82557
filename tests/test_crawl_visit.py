"""A crawl meets servers of every kind: each page ends with its reason, nothing else is asked."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from autods.catalog import Catalog
from autods.crawl.crawl import Crawled, crawl, crawl_refs
from autods.run import Silent
from crawling import OPEN, endings, html, job, nothing, shown
from loopback import Loopback, Page, gzip_bomb, redirect

TEXT = {"Content-Type": "text/plain"}


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with closing(Catalog(str(tmp_path / "catalog.db"))) as catalog:
        yield catalog


def run(catalog: Catalog, site: Loopback, tmp_path: Path, **scope: Any) -> Crawled:
    return crawl(job(catalog, site, tmp_path / "spool", **scope), Silent(), wave=nothing)


def robots(site: Loopback, text: str, **more: Any) -> None:
    site.serve("/robots.txt", Page(body=text.encode(), headers=TEXT, **more))


def test_every_kind_of_answer_has_its_ending(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    answers = {
        "/fine": html("/"),
        "/gone": Page(status=404),
        "/broken": Page(status=500),
        "/moved": redirect("/fine"),
        "/self": redirect("/self#here"),
        "/large": Page(body=b"<p>" * 99_999, headers={"Content-Type": "text/html"}),
        "/bomb": gzip_bomb(50_000_000),
        "/paper": Page(body=b"%PDF", headers={"Content-Type": "application/pdf"}),
        "/photo": Page(body=b"\xff\xd8", headers={"Content-Type": "image/jpeg"}),
        "/mute": Page(body=b"<p>untyped</p>"),
        "/words": Page(body=b"plain", headers=TEXT),
    }
    site.serve("/", html(*answers))
    for path, page in answers.items():
        site.serve(path, page)
    done = run(catalog, site, tmp_path, page_bytes=100_000)
    assert endings(catalog, site) == {
        "/": "read",
        "/fine": "read",
        "/gone": "failed http-404",
        "/broken": "failed http-500",
        "/moved": "redirect",
        "/self": "failed redirect-loop",
        "/large": "rejected too-large",
        "/bomb": "rejected too-large",
        "/paper": "rejected not-a-page",
        "/photo": "image",
        "/mute": "read",
        "/words": "rejected not-a-page",
    }
    assert shown(catalog) == ["photo"]
    assert done.pages == {"read": 3, "failed": 3, "redirect": 1, "rejected": 4, "image": 1}
    assert site.asked("/fine") == 1
    assert not list((tmp_path / "spool").rglob("*.*"))


def test_what_robots_txt_forbids_is_not_asked_for(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    robots(site, "User-agent: *\nDisallow: /private\nDisallow: /no.jpg")
    site.serve("/", html("/private/a", "/open", shows="yes no"))
    site.serve("/open", html())
    run(catalog, site, tmp_path)
    assert endings(catalog, site) == {"/": "read", "/private/a": "rejected robots", "/open": "read"}
    assert site.asked("/private/a") == 0
    assert site.asked("/robots.txt") == 1
    refs = [ref for _, ref in crawl_refs(catalog, 1, "site")]
    assert [Path(ref.uri).stem for ref in refs] == ["yes", "no"]
    assert refs[0].location == refs[0].uri == site.url("/yes.jpg")
    assert refs[1].location.startswith("refused:robots:http://127.0.0.1")


def test_rules_that_cannot_be_had_forbid_all_and_missing_ones_nothing(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    with Loopback() as closed, Loopback() as missing:
        closed.serve("/robots.txt", Page(status=503))
        closed.serve("/", html())
        missing.serve("/", html())
        site.serve("/", html(closed.url("/"), missing.url("/")))
        hosts = tuple(f"127.0.0.1:{s.port}" for s in (site, closed, missing))
        run(catalog, site, tmp_path, hosts=hosts)
        assert list(endings(catalog, site).values()) == [
            "read", "rejected robots-unreachable", "read"]  # fmt: skip
        assert closed.asked("/") == 0


def test_robots_txt_may_be_left_aside_by_choice(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    robots(site, "User-agent: *\nDisallow: /")
    site.serve("/", html(shows="1"))
    assert run(catalog, site, tmp_path, robots=False).pages == {"read": 1}
    assert site.asked("/robots.txt") == 0
    assert len(list(crawl_refs(catalog, 1, "site"))) == 1


def test_images_of_other_hosts_are_cleared_by_their_own_rules(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    with Loopback() as other:
        robots(other, "User-agent: *\nDisallow: /b")
        urls = [other.url("/a.jpg"), site.url("/c.jpg"), other.url("/b.jpg")]
        images = "".join(f'<img src="{url}">' for url in urls)
        site.serve("/", Page(body=images.encode(), headers={"Content-Type": "text/html"}))
        run(catalog, site, tmp_path)
        refs = [ref for _, ref in crawl_refs(catalog, 1, "site")]
        assert [ref.uri for ref in refs] == urls
        assert [ref.location.partition(":")[0] for ref in refs] == ["http", "http", "refused"]


def test_a_delay_that_is_asked_for_is_kept(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    robots(site, "User-agent: *\nCrawl-delay: 0.1")
    site.serve("/", html("/a", "/b"))
    site.serve("/a", html())
    site.serve("/b", html())
    run(catalog, site, tmp_path)
    times = [hit.when for hit in site.hits]
    assert len(times) == 4
    assert min(b - a for a, b in pairwise(times)) >= 0.09
    assert site.peak == 1


def test_sitemaps_lead_to_what_no_page_links_to(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    def listing(tag: str, *paths: str) -> Page:
        entries = "".join(f"<loc>{site.url(path)}</loc>" for path in paths)
        inner = "sitemap" if tag == "sitemapindex" else "url"
        items = entries.replace("<loc>", f"<{inner}><loc>").replace("</loc>", f"</loc></{inner}>")
        space = "http://www.sitemaps.org/schemas/sitemap/0.9"
        text = f'<{tag} xmlns="{space}">{items}</{tag}>'
        return Page(body=text.encode(), headers={"Content-Type": "application/xml"})

    robots(site, f"Sitemap: {site.url('/all.xml')}")
    site.serve("/all.xml", listing("sitemapindex", "/one.xml", "/lost.xml"))
    site.serve("/one.xml", listing("urlset", "/hidden"))
    site.serve("/", html())
    site.serve("/hidden", html(shows="found"))
    run(catalog, site, tmp_path, sitemaps=True)
    assert endings(catalog, site) == {
        "/all.xml": "read",
        "/": "read",
        "/one.xml": "read",
        "/lost.xml": "failed http-404",
        "/hidden": "read",
    }
    assert shown(catalog) == ["found"]


def test_stylesheets_are_read_for_their_images(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    style = {"Content-Type": "text/css"}
    site.serve("/", html(css="/s/a.css", shows="1"))
    sheet = b"@import 'b.css'; body { background: url(back.png) }"
    site.serve("/s/a.css", Page(body=sheet, headers=style))
    site.serve("/s/b.css", Page(body=b"p { background: url(/2.png) }", headers=style))
    assert run(catalog, site, tmp_path).pages == {"read": 3}
    assert shown(catalog) == ["1", "back", "2"]
    assert run(catalog, site, tmp_path, stylesheets=False).pages == {"read": 1}


def test_what_a_header_asks_us_to_leave_is_left(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    site.serve("/", html("/follow", shows="1", X_Robots_Tag="noimageai"))
    site.serve("/follow", html("/never", shows="2", X_Robots_Tag="nofollow"))
    run(catalog, site, tmp_path)
    assert list(endings(catalog, site)) == ["/", "/follow"]
    assert shown(catalog) == ["2"]
    run(catalog, site, tmp_path, http=replace(OPEN, respect_x_robots=False))
    assert list(endings(catalog, site)) == ["/", "/follow", "/never"]


def test_a_server_that_does_not_answer_holds_up_nobody_else(
    catalog: Catalog, site: Loopback, tmp_path: Path
) -> None:
    site.serve("/", html("/slow", "/a", "/b", shows="1"))
    site.serve("/slow", Page(body=b"<p>", delay=30))
    site.serve("/a", html(shows="2"))
    site.serve("/b", html())
    run(catalog, site, tmp_path, http=replace(OPEN, timeout=0.4, retries=0))
    assert endings(catalog, site) == {
        "/": "read", "/slow": "failed timeout", "/a": "read", "/b": "read"}  # fmt: skip
    assert shown(catalog) == ["1", "2"]
