"""One spelling for a URL: equal ones become equal, different ones stay different."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autods.crawl.urls import LONGEST, looks_like_image, normalise, origin_of
from autods.errors import UsageError
from autods.web.guard import Target, parse_url

BASE = "http://a.org/b/c/d?q=1"


@pytest.mark.parametrize(
    ("written", "full"),
    [
        # RFC 3986, 5.4.1 and 5.4.2, on http.
        ("g", "http://a.org/b/c/g"),
        ("./g", "http://a.org/b/c/g"),
        ("g/", "http://a.org/b/c/g/"),
        ("/g", "http://a.org/g"),
        ("//g", "http://g/"),
        ("?y", "http://a.org/b/c/d?y"),
        ("g?y", "http://a.org/b/c/g?y"),
        ("#s", "http://a.org/b/c/d?q=1"),
        ("g#s", "http://a.org/b/c/g"),
        ("", "http://a.org/b/c/d?q=1"),
        (".", "http://a.org/b/c/"),
        ("..", "http://a.org/b/"),
        ("../..", "http://a.org/"),
        ("../../../g", "http://a.org/g"),
        ("/./g", "http://a.org/g"),
        ("g.", "http://a.org/b/c/g."),
        ("..g", "http://a.org/b/c/..g"),
        ("g;", "http://a.org/b/c/g;"),
        ("g;x=1/../y", "http://a.org/b/c/y"),
        ("g?y/../x", "http://a.org/b/c/g?y/../x"),
        ("HTTPS://B.org", "https://b.org/"),
        ("g/./h", "http://a.org/b/c/g/h"),
        ("g/../h", "http://a.org/b/c/h"),
    ],
)
def test_a_reference_is_resolved_as_the_rfc_says(written: str, full: str) -> None:
    assert normalise(written, BASE) == full


@pytest.mark.parametrize(
    "written",
    [
        "http://example.org/~cat/x",
        "HTTP://EXAMPLE.org:80/~cat/x",
        "http://example.org./%7Ecat/x",
        "http://example.org/%7ecat/x#here",
        "http://example.org/a/../~cat/./x",
        "http://example.org/a/%2E%2e/~cat/x",
        "  http://example.org/~ca\nt/x\t",
        "http:\\\\example.org\\~cat\\x",
        "http://example.org/~cat/x?",
        "http://example.org/~cat/x?utm_source=a&UTM_medium=b&gclid=1&fbclid=2",
        "http://example.org/~cat;jsessionid=0A1B/x?PHPSESSID=abc",
        "http://example.org/~cat/x?sid=9f86d081884c7d659a2f",
        "http://example.org/(S(lit3py55t21z5v55vlm25s55))/~cat/x",
    ],
)
def test_spellings_of_one_page_become_one(written: str) -> None:
    assert normalise(written) == "http://example.org/~cat/x"


def test_what_may_differ_stays_apart() -> None:
    urls = ["/a", "/a/", "/A", "/a//b", "/a/b", "/a%2Fb", "/a?x=1", "/a?x=1&x=2", "/a?x=2&x=1"]
    urls += ["/a?sid=7", "/a?2024&05", "/a?05&2024", "/a%25", "/a?x"]
    assert len({normalise(url, BASE) for url in urls}) == len(urls)
    assert (
        len({normalise("/", f"{at}://a.org{on}") for at in ("http", "https") for on in ("", ":81")})
        == 4
    )


def test_parameters_are_sorted_by_name_and_those_of_one_name_keep_their_order() -> None:
    assert (
        normalise("http://a.org/?b=2&a[]=9&a[]=1&&c=") == "http://a.org/?a%5B%5D=9&a%5B%5D=1&b=2&c="
    )


def test_the_query_of_an_image_stays_as_it_is_written() -> None:
    signed = "http://a.org/c%41t.jpg?w=1&h=%2f%zz&utm_source=x&sid=9f86d081884c7d659a2f&"
    assert normalise(signed, keep_query=True) == signed.replace("%41", "A")


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("http://Bücher.example/Füße", "http://xn--bcher-kva.example/F%C3%BC%C3%9Fe"),
        ("http://[2001:DB8::0:1]:80/", "http://[2001:db8::1]/"),
        ("https://a.org:8443", "https://a.org:8443/"),
        ("http://a.org/100%", "http://a.org/100%25"),
        ('http://a.org/a b"<>^`{|}[]', "http://a.org/a%20b%22%3C%3E%5E%60%7B%7C%7D%5B%5D"),
    ],
)
def test_odd_letters_are_spelled_one_way(written: str, full: str) -> None:
    assert normalise(written) == full


@pytest.mark.parametrize(
    "written",
    [
        "",
        "cat.jpg",
        "//a.org/",
        "mailto:me@a.org",
        "javascript:void(0)",
        "JavaScript:alert(1)",
        "java\nscript:alert(1)",
        "data:image/png;base64,AAAA",
        "ftp://a.org/",
        "file:///etc/passwd",
        "http://me@a.org/",
        "http://me:hush@a.org/",
        "http:\\\\me@a.org/",
        "http:a.org/b",
        "http:/a.org/b",
        "http://",
        "http://./",
        "http://[::1/",
        "http://[::g]/",
        "http://a.org:99999/",
        "http://a.org/\x00b",
        "http://a.org/\ud800",
        "http://a.org/" + "a" * LONGEST,
        "http://a.org/" + "ü" * 400,
        "http://" + "ü" * 80 + ".org/",
    ],
)
def test_what_cannot_be_asked_for_is_none(written: str) -> None:
    assert normalise(written) is None
    assert normalise(written, keep_query=True) is None


PIECES = st.sampled_from(
    [*"/.%?#&=;:@+ \\[]()", "..", "%2e", "%2F", "%4", "%%34", ";sid=", "/(S(a))", "utm_a", "a", "ü"]
)
TEXT = st.lists(PIECES | st.text(max_size=2), max_size=12).map("".join)


@given(
    st.sampled_from(["http://a.org/", "https://", "HTTP:\\\\", "", "//", "x:"]), TEXT, st.booleans()
)
@example("http://a.org/", "%%34%31", False)
@example("http://a.org/", "..;sid=1/", False)
@example("http://a.org/", ";si;sid=1d=1", False)
@example("http://a.org/", "?utm_a;%&a", False)
def test_a_spelling_is_its_own_and_fit_for_the_wire(start: str, text: str, keep: bool) -> None:
    for base in (None, BASE):
        url = normalise(start + text, base, keep_query=keep)
        if url is not None:
            assert normalise(url, keep_query=keep) == url
            assert normalise(url, BASE, keep_query=keep) == url
            parsed = parse_url(url)
            assert isinstance(parsed, Target)
            assert parsed.url == url
            assert len(url) <= LONGEST
            assert origin_of(url) == parsed.host


def test_who_is_asked_is_told_with_the_port() -> None:
    assert origin_of("http://a.org/b") == "http://a.org:80"
    assert origin_of("https://[::1]:81/b") == "https://[::1]:81"
    with pytest.raises(UsageError, match="mailto:me"):
        origin_of("mailto:me@a.org")


@pytest.mark.parametrize("name", ["a.jpg", "b/a.JPEG?x=1", "a.b.webp#c", "a.avif", "%C3%BC.png"])
def test_the_end_of_a_path_tells_an_image(name: str) -> None:
    assert looks_like_image(f"http://a.org/{name}")


@pytest.mark.parametrize(
    "name", ["", "jpg", "a.jpg/", "?a.jpg", "a.html", "wiki/File:Cat.jpg", "wiki/File%3ACat.jpg"]
)
def test_another_end_does_not(name: str) -> None:
    assert not looks_like_image(f"http://a.org/{name}")
