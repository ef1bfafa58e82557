"""A URL of an endless corner is known by its look, or by how many look alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.crawl.traps import shape, trap


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("", None),
        ("a/b/c.html?x=1", None),
        ("/".join("abcdefghijklmnopqrst"), None),
        ("/".join("abcdefghijklmnopqrstu"), "path-too-deep"),
        ("a/a/b", None),
        ("a/a/a", "repeating-path"),
        ("x/a/b/a/b/a/b", "repeating-path"),
        ("a/b/a/b/a", None),
        ("a//a//a", "repeating-path"),
        ("1/11/111", None),
        ("?" + "&".join(f"p{n}=1" for n in range(10)), None),
        ("?" + "&".join(f"p{n}=1" for n in range(11)), "too-many-parameters"),
        ("?a=b/b/b/b#/c/c/c", None),
        ("a" * 1011, None),
        ("a" * 1012, "url-too-long"),
    ],
)
def test_a_trap_has_its_reason(rest: str, reason: str | None) -> None:
    assert trap(f"http://a.org/{rest}") == reason


@pytest.mark.parametrize(
    "urls",
    [
        ["/calendar/2024/01", "/calendar/0001/12", "/calendar/10000/3"],
        ["/2024-05-01/x", "/1999-12-31/x"],
        ["/may-2024", "/December-1999", "/sep-1", "/JUNE-30"],
        ["/s/9f86d081884c7d659a2f/b", "/s/e3b0c44298fc1c149afb/b", "/s/0123456789abcdef/b"],
        ["/s/Zk3hW9qLm2Xv8RtP/b", "/s/a1b2c3d4e5f6g7h8i9/b"],
        ["/o/123e4567-e89b-12d3-a456-426614174000", "/o/00000000-0000-0000-0000-000000000000"],
        ["/p?page=1", "/p?page=2", "/p?page=x&page=3", "/p?page"],
        ["/p?b=1&a=2", "/p?a=&b="],
        ["/f?f1=on&f2=on", "/f?f3=on", "/f?f77=off&f8=on"],
        ["/f?a=1&b=1&c=1&d=1", "/f?a=1&b=1&c=1&e=1", "/f?v=1&w=1&x=1&y=1&z=1"],
        ["/photo7.html", "/photo12345.html"],
    ],
)
def test_what_one_rule_makes_has_one_shape(urls: list[str]) -> None:
    assert len({shape(f"http://a.org{url}") for url in urls}) == 1


def test_what_differs_in_words_has_its_own_shape() -> None:
    paths = ["/", "/a", "/b", "/a/", "/a/1", "/a/1/2", "/a?x=1", "/a?y=1", "/a?x=1&y=1"]
    paths += ["/maybe", "/marching", "/decade", "/cafe", "/internationalization", "/deadbeef"]
    assert len({shape(f"http://a.org{path}") for path in paths}) == len(paths)
    hosts = [
        "http://a.org/1",
        "https://a.org/1",
        "http://b.org/1",
        "http://a.org:81/1",
        "http://a1.org/1",
    ]
    assert len({shape(url) for url in hosts}) == len(hosts)


@given(st.text(max_size=60))
def test_any_url_has_a_shape_that_is_its_own(rest: str) -> None:
    trap(rest)
    trap(f"http://a.org/{rest}")
    once = shape(f"http://a.org/{rest}")
    assert once.startswith("http://a.org")
    assert shape(once) == once


def test_a_hostile_url_is_judged_in_one_pass() -> None:
    for piece in ("a/", "1", "a", "a1", "&a", "a=&", "12345678-", "f", "may"):
        url = "http://a.org/" + piece * 20_000
        trap(url)
        shape(url)
