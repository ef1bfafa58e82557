"""The queue of a crawl, on both databases: its order is the site's, whoever answers first."""

import random
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.crawl_tables import images, pages
from autods.crawl.found import FoundImage
from autods.crawl.frontier import Frontier
from autods.crawl.leads import Leads, Outcome, Pending
from autods.crawl.rounds import Round
from autods.crawl.scope import Scope

Site = Mapping[str, Leads | str]
"""What each URL leads to, or why it cannot be had."""

ROOT = "http://a.org/"


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    with closing(Catalog(catalog_url)) as catalog:
        yield catalog


def opened(catalog: Catalog, scope: Scope, source: str = "s", **more: Any) -> Frontier:
    """What a process that starts has: the round that is not finished, or a new one."""
    round_ = Round.begin(catalog, catalog.dataset_id("cats"), source, scope)
    frontier = Frontier(catalog, round_, scope)
    frontier.open(more.get("sitemaps", ()), scope.seeds)
    return frontier


def outcome(page: Pending, site: Site) -> Outcome:
    found = site.get(page.url, "http-404")
    if isinstance(found, str):
        return Outcome(page_id=page.id, status="failed", reason=found, detail="no")
    status = "redirect" if found.redirect else "read"
    return Outcome(page_id=page.id, status=status, leads=found, etag=f'"{page.url}"', requests=1)


def visit(frontier: Frontier, site: Site, draw: random.Random | None = None) -> None:
    """Answer for all pages, in the queue's order or in any."""
    while waiting := frontier.pending(-1):
        if draw is not None:
            waiting = draw.sample(waiting, draw.randint(1, len(waiting)))
        frontier.keep([outcome(page, site) for page in waiting])


def tables(catalog: Catalog, source: str = "s") -> tuple[Any, ...]:
    """All that a crawl has decided, without times and row numbers."""
    found = []
    for table, names in (
        (pages, ("ordinal", "url", "round", "depth", "hops", "kind", "status", "reason", "etag")),
        (images, ("ordinal", "url", "round", "caption", "meta", "first_round", "reason")),
    ):
        query = sa.select(*(table.c[name] for name in names)).where(table.c.source == source)
        with catalog.read() as db:
            found.append(db.execute(query.order_by(table.c.round, table.c.ordinal)).all())
    round_ = Round.newest(catalog, catalog.dataset_id("cats"), source)
    assert round_ is not None
    return (*found, round_.queued, round_.expanded, round_.imaged, round_.stats)


def queue(catalog: Catalog) -> list[str]:
    return [row.url.removeprefix(ROOT) for row in tables(catalog)[0]]


def leads(*links: str, shows: str = "", **more: Any) -> Leads:
    shown = tuple(FoundImage(f"{ROOT}{name}.jpg", caption=name) for name in shows.split())
    return Leads(links=tuple(ROOT + link for link in links), images=shown, **more)


def wild_site(draw: random.Random) -> Site:
    """Sixty pages that link anywhere: round in circles, to other hosts, to nothing."""
    names = [f"p{n}" for n in range(60)]
    site: dict[str, Leads | str] = {}
    for name in ["", *names]:
        kind = draw.random()
        if kind < 0.1:
            site[ROOT + name] = "timeout"
        elif kind < 0.2:
            site[ROOT + name] = Leads(redirect=ROOT + draw.choice(names))
        else:
            links = [*draw.choices(names, k=draw.randint(0, 6)), "gone"]
            shows = " ".join(f"i{draw.randint(0, 80)}" for _ in range(draw.randint(0, 5)))
            site[ROOT + name] = leads(*links, shows=shows, stylesheets=(ROOT + "s.css",))
    site[ROOT] = leads(*names[:5], shows="logo")
    site[ROOT + "s.css"] = leads(shows="back i3")
    return site


@pytest.mark.parametrize("seed", range(4))
def test_places_do_not_depend_on_the_order_of_answers_nor_on_restarts(
    catalog: Catalog, seed: int
) -> None:
    draw = random.Random(seed)
    site = wild_site(draw)
    scope = Scope(seeds=(ROOT,), pages=draw.choice([20, 1000]), images=draw.choice([15, 1000]),
                  depth=draw.choice([2, 50]), per_shape=draw.choice([0, 12]))  # fmt: skip
    visit(opened(catalog, scope, "calm"), site)
    for _ in range(200):
        frontier = opened(catalog, scope)  # As if the process before had been killed.
        waiting = frontier.pending(-1)
        if not waiting:
            break
        some = draw.sample(waiting, draw.randint(1, len(waiting)))
        frontier.keep([outcome(page, site) for page in some])
    assert tables(catalog) == tables(catalog, "calm")
    assert Round.begin(catalog, catalog.dataset_id("cats"), "s", scope).expanded > 10


def test_links_join_breadth_first_each_once_in_the_order_of_their_pages(catalog: Catalog) -> None:
    site = {
        ROOT: leads("b", "a", "b", shows="1 2"),
        ROOT + "b": leads("d", "", shows="2 3"),
        ROOT + "a": leads("c", "d", shows="4"),
        ROOT + "c": leads(),
        ROOT + "d": leads(),
    }
    visit(opened(catalog, Scope(seeds=(ROOT,))), site, random.Random(1))
    found = tables(catalog)
    assert [(row.url.removeprefix(ROOT), row.depth) for row in found[0]] == [
        ("", 0), ("b", 1), ("a", 1), ("d", 2), ("c", 2)]  # fmt: skip
    assert [row.caption for row in found[1]] == ["1", "2", "3", "4"]
    assert [row.meta["page"] for row in found[1]] == [ROOT, ROOT, ROOT + "b", ROOT + "a"]


def test_what_is_not_followed_is_counted_as_often_as_it_was_found(catalog: Catalog) -> None:
    out = "http://b.org/x"
    site = {
        ROOT: Leads(links=(out, ROOT + "1", ROOT + "2", ROOT + "3"), images=(FoundImage(ROOT),)),
        ROOT + "1": Leads(links=(out, ROOT + "3", ROOT + "deep")),
        ROOT + "2": leads("deep", shows="1 2"),
    }
    scope = Scope(seeds=(ROOT,), pages=3, images=2, depth=1)
    visit(opened(catalog, scope), site)
    assert tables(catalog)[-1]["skipped"] == {
        "other-host": 2, "over-page-budget": 1, "too-deep": 3, "over-image-budget": 1}  # fmt: skip


def test_a_calendar_without_end_is_followed_only_so_far(catalog: Catalog) -> None:
    site = {f"{ROOT}day/{n}": leads(f"day/{n + 1}", f"day/{n + 2}") for n in range(500)}
    site[ROOT] = leads("day/1", "about")
    visit(opened(catalog, Scope(seeds=(ROOT,), depth=400, per_shape=7)), site)
    assert queue(catalog) == ["", "day/1", "about", *(f"day/{n}" for n in range(2, 8))]
    assert tables(catalog)[-1]["skipped"] == {"per-shape": 3}


@pytest.mark.parametrize("seed", range(3))
def test_pages_of_one_shape_are_gone_through_as_long_as_they_bring_images(
    catalog: Catalog, seed: int
) -> None:
    """A gallery's pages are alike, too; killed between any two answers, no other page is asked."""
    site = {f"{ROOT}photo/{n}": leads(f"photo/{n + 1}", f"photo/{n + 2}", shows=f"p{min(n, 40)}")
            for n in range(500)}  # fmt: skip
    site[ROOT] = leads("photo/0")
    draw, scope = random.Random(seed), Scope(seeds=(ROOT,), depth=400, per_shape=5)
    frontier = opened(catalog, scope)
    while waiting := frontier.pending(-1):
        some = draw.sample(waiting, draw.randint(1, len(waiting)))
        frontier.keep([outcome(page, site) for page in some])
        frontier = opened(catalog, scope)  # The process before was killed.
    assert queue(catalog) == ["", *(f"photo/{n}" for n in range(46))]
    assert len(tables(catalog)[1]) == 41


def test_a_redirect_is_a_link_at_the_same_depth_and_a_circle_of_them_ends(catalog: Catalog) -> None:
    site = {
        ROOT: leads("a", "chain0"),
        ROOT + "a": Leads(redirect=ROOT + "b"),
        ROOT + "b": Leads(redirect=ROOT + "a"),
        **{f"{ROOT}chain{n}": Leads(redirect=f"{ROOT}chain{n + 1}") for n in range(50)},
    }
    visit(opened(catalog, Scope(seeds=(ROOT,), depth=1)), site)
    assert queue(catalog) == ["", "a", "chain0", "b", *(f"chain{n}" for n in range(1, 6))]
    assert {row.depth for row in tables(catalog)[0]} == {0, 1}
    assert tables(catalog)[-1]["skipped"] == {"too-many-redirects": 1}


def test_lists_of_pages_come_first_and_what_they_list_is_as_near_as_a_seed(
    catalog: Catalog,
) -> None:
    lists, more = ROOT + "sitemap.xml", ROOT + "more.xml"
    site = {
        lists: Leads(links=(ROOT + "x", "http://b.org/"), sitemaps=(more, "http://b.org/s.xml")),
        more: leads("y"),
        ROOT: leads("z"),
    }
    scope = Scope(seeds=(ROOT,), depth=0)
    visit(opened(catalog, scope, sitemaps=[lists]), site)
    assert queue(catalog) == ["sitemap.xml", "", "more.xml", "x", "y"]
    assert tables(catalog)[-1]["joined"] == {"page": 3, "css": 0, "sitemap": 2}
    assert tables(catalog)[-1]["skipped"] == {"other-host": 2, "too-deep": 1}


def test_a_later_round_keeps_what_is_known_and_only_what_it_has_seen_is_of_it(
    catalog: Catalog,
) -> None:
    scope = Scope(seeds=(ROOT,))
    site = {ROOT: leads("a", "b", shows="1 2"), ROOT + "a": leads(shows="3"), ROOT + "b": leads()}
    first = opened(catalog, scope)
    visit(first, site)
    first.round.finish(catalog)
    second = opened(catalog, scope)
    assert second.round.number == 2
    (root,) = second.pending(-1)
    assert root.etag == f'"{ROOT}"'
    now = {ROOT: leads("b", shows="2 4")}
    second.keep([outcome(root, now)])
    (again,) = second.pending(-1)
    assert (again.url, again.etag) == (ROOT + "b", f'"{ROOT}b"')
    second.keep([Outcome(page_id=again.id, status="unchanged", leads=None)])
    shown = {row.url[len(ROOT)]: (row.round, row.first_round) for row in tables(catalog)[1]}
    assert shown == {"1": (1, 1), "3": (1, 1), "2": (2, 1), "4": (2, 2)}
    rounds = {row.url.removeprefix(ROOT): row.round for row in tables(catalog)[0]}
    assert rounds == {"": 2, "a": 1, "b": 2}


def test_an_unchanged_page_leads_where_it_led_before(catalog: Catalog) -> None:
    scope = Scope(seeds=(ROOT,))
    site = {ROOT: leads("a", shows="1"), ROOT + "a": leads("b", shows="2"), ROOT + "b": leads()}
    first = opened(catalog, scope)
    visit(first, site)
    first.round.finish(catalog)
    second = opened(catalog, scope)
    while waiting := second.pending(-1):
        second.keep([Outcome(page_id=p.id, status="unchanged", leads=None) for p in waiting])
    assert second.round.is_done is False  # Two images wait to be cleared.
    assert (second.round.queued, second.round.imaged) == (3, 2)


def test_another_scope_is_another_round(catalog: Catalog) -> None:
    first = opened(catalog, Scope(seeds=(ROOT,)))
    assert opened(catalog, Scope(seeds=(ROOT,))).round.number == 1
    assert opened(catalog, Scope(seeds=(ROOT,), depth=2)).round.number == 2
    with catalog.read() as db:
        assert db.scalar(sa.select(sa.func.count()).select_from(pages)) == 1
    assert first.round.finished_at is None


def test_text_that_no_database_takes_is_kept_all_the_same(catalog: Catalog) -> None:
    odd = FoundImage(ROOT + "1.jpg", caption="a\0b\ud800", license="\0")
    site = {ROOT: Leads(images=(odd,))}
    visit(opened(catalog, Scope(seeds=(ROOT,))), site)
    assert tables(catalog)[1][0].caption == "a\\x00b\\ud800"
