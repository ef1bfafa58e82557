"""What a robots.txt asks for is what is done, by the words of RFC 9309."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.crawl.robots import Rules, read_rules

AGENT = "autods/0.1 (dataset crawler)"


def allowed(text: str, path: str, agent: str = AGENT) -> bool:
    return read_rules(text, 200).allows(f"http://a.org{path}", agent)


@pytest.mark.parametrize("status", [404, 403, 401, 410, 301])
@pytest.mark.parametrize("text", [None, "User-agent: *\nDisallow: /"])
def test_a_host_without_rules_is_open(status: int, text: str | None) -> None:
    rules = read_rules(text, status)
    assert rules.allows("http://a.org/x", AGENT)
    assert (rules.delay(AGENT), rules.sitemaps) == (0.0, ())


@pytest.mark.parametrize("status", [0, 429, 500, 503, 599, 100])
def test_a_host_that_cannot_tell_is_closed(status: int) -> None:
    rules = read_rules("User-agent: *\nAllow: /\nSitemap: http://a.org/s.xml", status)
    assert not rules.allows("http://a.org/", AGENT)
    assert rules.allows("http://a.org/robots.txt", AGENT)
    assert (rules.delay(AGENT), rules.sitemaps) == (0.0, ())


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ("Disallow: /", "/x", False),
        ("Disallow: /", "/robots.txt", True),
        ("Disallow:", "/x", True),
        ("disallow: /no  # why", "/no/1", False),
        ("Disallow: /no", "/nothing", False),
        ("Disallow: /no/", "/no", True),
        ("Disallow: /no\nAllow: /no/yes", "/no/yes/1", True),
        ("Allow: /no/yes\nDisallow: /no", "/no/1", False),
        ("Allow: /x\nDisallow: /x", "/x", True),
        ("Disallow: /*.gif$", "/a/b.gif", False),
        ("Disallow: /*.gif$", "/a/b.gif?1", True),
        ("Disallow: /*?", "/a?b", False),
        ("Disallow: /a%3cd", "/a%3Cd", False),
        ("Disallow: /Füße", "/F%C3%BC%C3%9Fe", False),
        ("Disallow: /X", "/x", True),
        ("Nonsense\n: /\nDisallow /no", "/no", False),
    ],
)
def test_the_longest_rule_counts_and_of_two_the_kinder(
    rules: str, path: str, expected: bool
) -> None:
    assert allowed(f"User-agent: *\n{rules}", path) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("User-agent: *\nDisallow: /\n\nUser-agent: autods\nAllow: /", True),
        ("User-agent: AutoDS\nDisallow: /\nUser-agent: *\nAllow: /", False),
        ("User-agent: autods/2.0\nDisallow: /", False),
        ("User-agent: auto\nDisallow: /", True),
        ("User-agent: autods-other\nDisallow: /", True),
        ("User-agent: dataset\nDisallow: /", True),
        ("User-agent: other\nUser-agent: autods # and\nUser-agent: third\nDisallow: /", False),
        ("User-agent: autods\n\nUser-agent: other\nDisallow: /", False),
        ("User-agent: autods\nDisallow: /y\nUser-agent: other\nDisallow: /", True),
        ("User-agent: autods\nUser-agent: *\nAllow: /\nUser-agent: autods\nDisallow: /x", False),
        ("User-agent: ours\nDisallow: /", True),
        ("User-agent:\nDisallow: /", True),
        ("Disallow: /", True),
        ("\ufeffUser-agent: *\nDisallow: /", False),
        ("User-agent: *\r\nDisallow: /\r\n", False),
        ("<html><body>User-agent: *</body></html>", True),
    ],
)
def test_the_group_that_names_us_counts_or_that_of_all(text: str, expected: bool) -> None:
    assert allowed(text, "/x") is expected
    assert allowed(text, "/x", "autods") is expected


def test_two_agents_each_have_their_own_rules() -> None:
    rules = read_rules("User-agent: a\nDisallow: /a\nUser-agent: b\nDisallow: /b", 200)
    answers = [rules.allows(f"http://a.org/{path}", agent) for agent in "ab" for path in "ab"]
    assert answers == [False, True, True, False]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", 0.0),
        ("Crawl-delay: 1.5", 1.5),
        ("Request-rate: 1/5", 5.0),
        ("Request-rate: 30/1m\nCrawl-delay: 1", 2.0),
        ("Crawl-delay: 86400", 60.0),
        ("Crawl-delay: soon", 0.0),
        ("Crawl-delay: nan", 0.0),
        ("Crawl-delay: -1", 0.0),
        ("Request-rate: 1/0", 0.0),
        ("Request-rate: 0/1", 0.0),
    ],
)
def test_a_delay_that_is_asked_for_is_kept_within_reason(said: str, seconds: float) -> None:
    assert read_rules(f"User-agent: *\n{said}", 200).delay(AGENT) == seconds


def test_sitemaps_are_named_for_all() -> None:
    text = """Sitemap: http://A.org/1.xml
        User-agent: other
        sitemap: https://b.org/2.xml # too
        Sitemap: http://a.org/1.xml
        Sitemap: /no.xml
        Sitemap: ftp://a.org/no.xml"""
    assert read_rules(text, 200).sitemaps == ("http://a.org/1.xml", "https://b.org/2.xml")


def test_rules_are_equal_if_their_text_is() -> None:
    one, two = (read_rules("User-agent: *\nDisallow: /x", 200) for _ in range(2))
    assert not one.allows("http://a.org/x", AGENT)
    assert one == two
    assert hash(one) == hash(two)


@pytest.mark.parametrize(
    "piece",
    [
        "User-agent: a{}\n",
        "Disallow: /*a*b*c{}$\n",
        "Disallow: /{}\n",
        "Sitemap: http://a.org/{}\n",
        "User-agent: *\n",
    ],
)
def test_hostile_rules_take_little_time_and_space(piece: str) -> None:
    lines = [piece.format(n) for n in range(8000)]
    agents = [f"User-agent: a{n}\n" for n in range(8000)]
    for text in ("".join(agents + lines), "User-agent: *\n" + "".join(lines), "*" * 500_000):
        rules = read_rules(text, 200)
        rules.allows("http://a.org/" + "ab" * 500, AGENT)
        assert len(rules.sitemaps) <= 1000


def test_no_more_is_read_than_half_a_megabyte() -> None:
    text = "User-agent: *\n" + "#" * 2**19 + "\nDisallow: /"
    assert allowed(text, "/x")


FIELDS = ["User-agent", "Disallow", "Allow", "Crawl-delay", "Request-rate", "Sitemap"]
WORDS = st.sampled_from([*FIELDS, *": */$\n%#1\u2028[", "autods"])


@given(st.lists(WORDS, max_size=30).map("".join), st.text(max_size=20), st.text(max_size=8))
def test_any_text_is_a_robots_txt(text: str, path: str, agent: str) -> None:
    rules = read_rules(text, 200)
    rules.allows(f"http://a.org/{path}", agent)
    rules.allows(path, agent)
    assert 0 <= rules.delay(agent) <= 60
    assert isinstance(rules.sitemaps, tuple)


def test_rules_without_text_ask_nothing() -> None:
    assert Rules() == read_rules(None, 404) == read_rules("", 200)
