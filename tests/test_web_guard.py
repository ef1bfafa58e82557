"""The guard: no URL and no name leads a fetch into a network that is not public."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.errors import UsageError
from autods.records import Refusal
from autods.web import guard
from autods.web.guard import check_url, is_public, may_connect, networks, parse_url
from autods.web.http import HttpPolicy, fetch_one
from loopback import Loopback, Page, redirect

CLOSED = HttpPolicy(retries=0, connect_timeout=2, timeout=2)


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback() as server:
        server.serve("/x", Page(body=b"secret"))
        yield server


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.0.3",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.1.1",
        "198.19.0.1",
        "203.0.113.9",
        "224.0.0.251",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "localhost",
        "",
        "1.2.3",
    ],
)
def test_an_address_off_the_public_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "93.184.215.14",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "223.255.255.255",
        "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
        "2002:101:101::1",
    ],
)
def test_an_address_of_the_public_internet_is_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_every_ipv6_form_of_an_ipv4_address_is_judged_alike(address: IPv4Address) -> None:
    number = int(address)
    forms = (
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80)),
    )
    assert {is_public(str(form)) for form in forms} == {is_public(str(address))}


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6, network="2000::/3"))
def test_what_python_calls_private_is_never_public(address: IPv4Address | IPv6Address) -> None:
    if address.is_private or address.is_multicast or address.is_reserved:
        assert not is_public(str(address))


@given(st.ip_addresses(v=6))
def test_outside_global_unicast_only_forms_of_ipv4_are_public(address: IPv6Address) -> None:
    if is_public(str(address)):
        assert int(address) >> 125 == 1 or int(address) >> 32 in {0xFFFF, 0x64FF9B << 64}


def test_an_allowed_network_is_open_and_its_neighbours_are_not() -> None:
    allowed = networks(("127.0.0.1/32", "fd00::/8"))
    assert may_connect("127.0.0.1", allowed)
    assert may_connect("::ffff:127.0.0.1", allowed)
    assert may_connect("fd12::1", allowed)
    assert not may_connect("127.0.0.2", allowed)


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(UsageError, match=r"'10\.0\.0\.0/40'"):
        HttpPolicy(allow_private=("10.0.0.0/40",))
    with pytest.raises(UsageError, match="must be a tuple"):
        networks("10.0.0.0/8")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cat.jpg",
        "//example.org/cat.jpg",
        "http:///cat.jpg",
        "http:cat.jpg",
        "http://",
        "http://exa mple.org/",
        "http://example.org\\@127.0.0.1/",
        "http://a%2eorg/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://example.org:99999/",
        "http://example.org:0/",
        "http://example.org:8o/",
        "http://example.org/a\nb",
        "http://example.org/a\x00b",
        "\thttp://example.org/",
        " http://example.org/",
        "http://example.org/ ",
        "http://example.org/\ud800",
        "http://" + "ü" * 80 + ".org/",
    ],
)
def test_what_is_no_url_is_refused_as_such(url: str) -> None:
    refusal = check_url(url)
    assert refusal is not None
    assert (refusal.status, refusal.reason) == ("rejected", "bad-url")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.org/b", "data:,x", "gopher://a/"])
def test_only_http_and_https_are_fetched(url: str) -> None:
    refusal = check_url(url)
    assert refusal is not None
    assert refusal.reason == "unsupported-scheme"


@pytest.mark.parametrize("url", ["http://me:hush@example.org/", "https://hush@example.org/"])
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    refusal = check_url(url)
    assert refusal is not None
    assert refusal.reason == "bad-url"
    assert "hush" not in refusal.detail


@pytest.mark.parametrize(
    ("url", "wire", "host"),
    [
        ("HTTP://Example.ORG", "http://example.org/", "http://example.org:80"),
        ("https://a.org?q=1", "https://a.org/?q=1", "https://a.org:443"),
        ("http://a.org/?", "http://a.org/?", "http://a.org:80"),
        ("http://a.org:8080/x#y", "http://a.org:8080/x", "http://a.org:8080"),
        ("http://a.org/ü b%20c", "http://a.org/%C3%BC%20b%20c", "http://a.org:80"),
        ("http://例え.jp/", "http://xn--r8jz45g.jp/", "http://xn--r8jz45g.jp:80"),
        ("http://[::1]:81/", "http://[::1]:81/", "http://[::1]:81"),
    ],
)
def test_a_url_is_made_fit_for_the_wire(url: str, wire: str, host: str) -> None:
    assert parse_url(url) == (wire, host)


@given(st.from_regex(guard._PLAIN, fullmatch=True))
def test_the_short_way_reads_a_url_as_the_long_way_does(url: str) -> None:
    short = parse_url(url)
    if not isinstance(short, Refusal):
        assert guard._parse(url) == short


@given(st.sampled_from(["", "http://", "https://a.org/"]), st.text())
def test_any_text_is_either_fit_for_the_wire_or_refused(start: str, text: str) -> None:
    parsed = parse_url(start + text)
    if not isinstance(parsed, Refusal):
        assert parsed.url.isascii()
        assert " " not in parsed.url
        assert parse_url(parsed.url) == parsed


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "１２７.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ],
)
def test_no_spelling_of_an_own_address_gets_through(
    host: str, site: Loopback, tmp_path: Path
) -> None:
    fetched = fetch_one(site.url("/x", host), CLOSED, tmp_path)
    assert fetched.refusal is not None
    assert (fetched.refusal.status, fetched.refusal.reason) == ("rejected", "private-address")
    assert site.hits == []


def test_ipv6_loopback_is_refused_and_can_be_opened(tmp_path: Path) -> None:
    with Loopback("::1") as site:
        url = site.serve("/x", Page(body=b"yes"))
        refused = fetch_one(url, CLOSED, tmp_path)
        opened = HttpPolicy(retries=0, allow_private=("::1/128",))
        assert refused.refusal is not None
        assert refused.refusal.reason == "private-address"
        assert fetch_one(url, opened, tmp_path).size == 3


def test_a_public_name_that_resolves_to_loopback_is_refused(site: Loopback, tmp_path: Path) -> None:
    pinned = (f"photos.example.com:{site.port}:127.0.0.1",)
    url = site.url("/x", "photos.example.com")
    fetched = fetch_one(url, HttpPolicy(retries=0, resolve=pinned), tmp_path)
    assert fetched.refusal is not None
    assert fetched.refusal.reason == "private-address"
    assert "127.0.0.1" in fetched.refusal.detail
    opened = HttpPolicy(retries=0, resolve=pinned, allow_private=("127.0.0.1/32",))
    assert fetch_one(url, opened, tmp_path).size == 6


def test_a_redirect_from_an_allowed_address_to_another_is_refused(
    site: Loopback, tmp_path: Path
) -> None:
    with Loopback("127.0.0.2") as inner:
        url = site.serve("/go", redirect(inner.serve("/x", Page(body=b"secret"))))
        fetched = fetch_one(url, HttpPolicy(retries=0, allow_private=("127.0.0.1/32",)), tmp_path)
        assert fetched.refusal is not None
        assert fetched.refusal.reason == "private-address"
        assert inner.hits == []
        assert fetch_one(url, HttpPolicy(allow_private=("127.0.0.0/8",)), tmp_path).size == 6
        assert fetch_one(url, HttpPolicy(allow_private=True), tmp_path).size == 6


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/"])
def test_a_redirect_out_of_http_is_refused(to: str, site: Loopback, tmp_path: Path) -> None:
    url = site.serve("/go", redirect(to))
    fetched = fetch_one(url, HttpPolicy(allow_private=True), tmp_path)
    assert fetched.refusal is not None
    assert fetched.refusal.reason == "unsupported-scheme"


def test_a_proxy_of_the_environment_is_ignored(
    site: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Loopback("127.0.0.2") as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url("/"))
        assert fetch_one(site.url("/x"), HttpPolicy(allow_private=True), tmp_path).size == 6
        assert proxy.hits == []
