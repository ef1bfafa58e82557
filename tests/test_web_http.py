"""The fetcher against a real server that misbehaves: every ending has its reason."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.errors import AutodsError, PlaceError, UsageError
from autods.web.http import Fetched, HttpPolicy, Request, backoff, fetch, fetch_one
from loopback import Loopback, Page, gzip_bomb, redirect

OPEN = HttpPolicy(allow_private=True, backoff=0.01, timeout=5.0, per_host=64)
ONCE = replace(OPEN, retries=0)


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


def requests(*urls: str) -> list[Request]:
    return [Request(index=index, url=url) for index, url in enumerate(urls)]


def reason(fetched: Fetched) -> str:
    """Return `status reason` of a refusal, and see that it left no file."""
    assert fetched.refusal is not None
    assert fetched.path is None
    assert fetched.size == 0
    return f"{fetched.refusal.status} {fetched.refusal.reason}"


def test_every_body_arrives_whole_in_a_file_of_its_own(site: Loopback, tmp_path: Path) -> None:
    draw = random.Random(1)
    bodies = [draw.randbytes(draw.choice([0, 1, 5000, 131_072, 400_000])) for _ in range(60)]
    urls = [site.serve(f"/{n}", Page(body=body, pieces=3)) for n, body in enumerate(bodies)]
    fetched = list(fetch(requests(*urls), OPEN, tmp_path))
    assert sorted(one.index for one in fetched) == list(range(60))
    for one in fetched:
        assert one.refusal is None
        assert one.path is not None
        assert one.path.read_bytes() == bodies[one.index]
        assert (one.size, one.status, one.tries) == (len(bodies[one.index]), 200, 1)
        assert one.final_url == one.url == urls[one.index]
    assert len(list(tmp_path.iterdir())) == 60


def test_what_the_server_says_of_a_body_is_kept(site: Loopback, tmp_path: Path) -> None:
    said = {"Content-Type": "image/jpeg", "ETag": '"7é"', "Last-Modified": "yesterday"}
    fetched = fetch_one(site.serve("/a", Page(body=b"x", headers=said)), OPEN, tmp_path)
    assert fetched.content_type == "image/jpeg"
    assert fetched.etag == '"7é"'
    assert fetched.last_modified == "yesterday"


def test_results_come_in_the_order_in_which_they_end(site: Loopback, tmp_path: Path) -> None:
    slow = site.serve("/slow", Page(body=b"s", delay=0.2))
    quick = site.serve("/quick", Page(body=b"q"))
    assert [one.url for one in fetch(requests(slow, quick), OPEN, tmp_path)] == [quick, slow]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 501])
def test_a_final_status_is_not_tried_again(status: int, site: Loopback, tmp_path: Path) -> None:
    url = site.serve("/a", Page(status=status, body=b"no" * 99_999))
    fetched = fetch_one(url, OPEN, tmp_path)
    assert reason(fetched) == f"failed http-{status}"
    assert (fetched.status, fetched.tries, site.asked("/a")) == (status, 1, 1)


@pytest.mark.parametrize("status", [201, 202, 204, 206, 300, 304])
def test_a_success_without_a_whole_body_is_none(
    status: int, site: Loopback, tmp_path: Path
) -> None:
    fetched = fetch_one(site.serve("/a", Page(status=status)), OPEN, tmp_path)
    assert reason(fetched) == f"failed http-{status}"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_trouble_is_tried_again(status: int, site: Loopback, tmp_path: Path) -> None:
    url = site.serve("/a", Page(status=status), Page(status=status), Page(body=b"healed"))
    fetched = fetch_one(url, OPEN, tmp_path)
    assert (fetched.refusal, fetched.size, fetched.tries) == (None, 6, 3)


def test_a_trouble_that_stays_is_given_up(site: Loopback, tmp_path: Path) -> None:
    fetched = fetch_one(site.serve("/a", Page(status=503)), replace(OPEN, retries=2), tmp_path)
    assert reason(fetched) == "failed http-503"
    assert (fetched.tries, site.asked("/a")) == (3, 3)


def test_a_server_that_never_answers_ends_by_timeout(site: Loopback, tmp_path: Path) -> None:
    url = site.serve("/a", Page(delay=30))
    fetched = fetch_one(url, replace(OPEN, timeout=0.1, retries=1), tmp_path)
    assert reason(fetched) == "failed timeout"
    assert fetched.tries == 2


def test_a_body_that_stalls_ends_by_timeout_and_leaves_no_file(
    site: Loopback, tmp_path: Path
) -> None:
    url = site.serve("/a", Page(body=bytes(400_000), pieces=2, pause=30))
    assert reason(fetch_one(url, replace(ONCE, timeout=0.2), tmp_path)) == "failed timeout"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_trickle_is_ended_by_the_low_speed_limit(site: Loopback, tmp_path: Path) -> None:
    url = site.serve("/a", Page(body=bytes(1000), pieces=1000, pause=0.05))
    policy = replace(ONCE, timeout=30.0, low_speed=1000, low_speed_time=1)
    assert reason(fetch_one(url, policy, tmp_path)) == "failed timeout"


def test_no_one_listening_is_a_failed_connect(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    fetched = fetch_one(f"http://127.0.0.1:{port}/", replace(OPEN, retries=1), tmp_path)
    assert reason(fetched) == "failed connect"
    assert (fetched.status, fetched.tries) == (0, 2)


def test_a_name_that_does_not_exist_is_a_failed_look_up(tmp_path: Path) -> None:
    # A label of more than 63 letters fails in the resolver itself, without any network.
    fetched = fetch_one(f"http://{'a' * 64}.invalid/", replace(OPEN, retries=1), tmp_path)
    assert reason(fetched) == "failed dns"
    assert fetched.tries == 2


def test_a_server_without_tls_is_a_failed_handshake(site: Loopback, tmp_path: Path) -> None:
    url = site.url("/a").replace("http:", "https:")
    assert reason(fetch_one(url, ONCE, tmp_path)) == "failed tls"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1, its own authority, with its key in the same file."""
    if shutil.which("openssl") is None and not os.environ.get("CI"):
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += " -subj /CN=test -addext subjectAltName=IP:127.0.0.1 -keyout key -out crt"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key").read_bytes() + (folder / "crt").read_bytes())
    return both


def test_an_unknown_certificate_is_refused_and_not_tried_again(
    certificate: Path, tmp_path: Path
) -> None:
    with Loopback(certificate=certificate) as site:
        fetched = fetch_one(site.serve("/a", Page(body=b"x")), OPEN, tmp_path)
        assert reason(fetched) == "failed tls"
        assert (fetched.tries, site.hits) == (1, [])


@pytest.mark.parametrize("variable", ["CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_authorities_come_from_the_environment(
    variable: str, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(certificate))
    with Loopback(certificate=certificate) as site:
        assert fetch_one(site.serve("/a", Page(body=b"x")), OPEN, tmp_path).size == 1


def test_a_missing_or_broken_authority_file_is_named(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    with pytest.raises(UsageError, match=r"SSL_CERT_FILE=.*gone\.pem"):
        fetch_one("http://127.0.0.1:1/", OPEN, tmp_path)
    (tmp_path / "gone.pem").write_text("no certificate")
    with Loopback(certificate=certificate) as site, pytest.raises(UsageError, match=r"gone\.pem"):
        fetch_one(site.url("/"), OPEN, tmp_path)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_relative_ones_too(
    status: int, site: Loopback, tmp_path: Path
) -> None:
    site.serve("/b/c", redirect("../d?q=ü".encode().decode("latin-1"), status))
    end = site.serve("/d?q=%C3%BC", Page(body=b"here", headers={"ETag": "e"}))
    fetched = fetch_one(site.serve("/a", redirect("/b/c", status)), OPEN, tmp_path)
    assert (fetched.final_url, fetched.size, fetched.etag) == (end, 4, "e")
    assert (fetched.status, fetched.tries) == (200, 1)


def test_redirects_in_a_circle_are_a_loop(site: Loopback, tmp_path: Path) -> None:
    site.serve("/b", redirect("/a"))
    fetched = fetch_one(site.serve("/a", redirect("/b")), OPEN, tmp_path)
    assert reason(fetched) == "failed redirect-loop"
    assert len(site.hits) == 2


def test_max_redirects_are_followed_and_no_more(site: Loopback, tmp_path: Path) -> None:
    for step in range(4):
        site.serve(f"/{step}", redirect(f"/{step + 1}"))
    site.serve("/4", Page(body=b"end"))
    assert fetch_one(site.url("/0"), replace(OPEN, max_redirects=4), tmp_path).size == 3
    fetched = fetch_one(site.url("/0"), replace(OPEN, max_redirects=3), tmp_path)
    assert reason(fetched) == "failed too-many-redirects"
    assert fetched.final_url == site.url("/3")


def test_a_redirect_that_is_not_to_be_followed_is_handed_to_the_caller(
    site: Loopback, tmp_path: Path
) -> None:
    there = redirect("../d?q=ü#top".encode().decode("latin-1"), 301)
    url = site.serve("/b/c", replace(there, body=bytes(300_000)))
    fetched = fetch_one(url, replace(OPEN, max_redirects=0), tmp_path)
    assert reason(fetched) == "failed redirect"
    assert fetched.redirect == site.url("/d?q=%C3%BC")
    assert (fetched.final_url, fetched.status, fetched.tries) == (url, 301, 1)
    assert len(site.hits) == 1


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (redirect("ftp://a.b/"), "rejected unsupported-scheme"),
        (redirect("http://a b\x7f/"), "rejected bad-url"),
        (redirect("/a"), "failed redirect-loop"),
        (Page(status=302), "failed http-302"),
        (Page(status=302, body=bytes(300_000)), "failed http-302"),
        (Page(status=404, headers={"Location": "/b"}), "failed http-404"),
    ],
)
def test_a_redirect_that_leads_nowhere_has_no_target(
    page: Page, why: str, site: Loopback, tmp_path: Path
) -> None:
    fetched = fetch_one(site.serve("/a", page), replace(OPEN, max_redirects=0), tmp_path)
    assert reason(fetched) == why
    assert fetched.redirect is None


@pytest.mark.parametrize(
    "body",
    [
        Page(body=bytes(300_000)),
        Page(body=bytes(4096), endless=True),
        Page(body=bytes(1000), claims=2000, reset=True),
    ],
    ids=["large", "endless", "cut"],
)
def test_a_redirect_counts_whatever_becomes_of_its_body(
    body: Page, site: Loopback, tmp_path: Path
) -> None:
    page = replace(body, status=302, headers={"Location": "/é".encode().decode("latin-1")})
    url = site.serve("/a", page)
    end = site.serve("/%C3%A9", Page(body=b"end"))
    assert fetch_one(url, OPEN, tmp_path).final_url == end
    assert fetch_one(url, replace(OPEN, max_redirects=0), tmp_path).redirect == end


def test_a_redirect_that_was_followed_is_none_any_more(site: Loopback, tmp_path: Path) -> None:
    site.serve("/b", redirect("/c"))
    url = site.serve("/a", redirect("/b"))
    assert fetch_one(url, replace(OPEN, max_redirects=1), tmp_path).redirect is None


def test_a_password_in_a_redirect_is_dropped(site: Loopback, tmp_path: Path) -> None:
    site.serve("/b", Page(body=b"x"))
    url = site.serve("/a", redirect(site.url("/b").replace("//", "//me:hush@")))
    fetched = fetch_one(url, OPEN, tmp_path)
    assert fetched.size == 1
    assert "hush" not in repr(fetched)
    assert all("authorization" not in hit.headers for hit in site.hits)


def test_the_timeout_spans_the_redirects_of_a_try(site: Loopback, tmp_path: Path) -> None:
    site.serve("/1", replace(redirect("/2"), delay=0.1))
    site.serve("/2", Page(delay=0.1))
    url = site.serve("/0", replace(redirect("/1"), delay=0.1))
    assert reason(fetch_one(url, replace(ONCE, timeout=0.25), tmp_path)) == "failed timeout"


def test_a_retry_begins_at_the_first_url_again(site: Loopback, tmp_path: Path) -> None:
    site.serve("/b", Page(status=500), Page(body=b"ok"))
    fetched = fetch_one(site.serve("/a", redirect("/b")), OPEN, tmp_path)
    assert (fetched.size, fetched.tries, site.asked("/a")) == (2, 2, 2)


@pytest.mark.parametrize(
    "broken",
    [
        Page(raw=b"", reset=True),
        Page(raw=b""),
        Page(raw=b"HTTP/1.1 200 OK\r\nContent-Le", reset=True),
        Page(body=bytes(1000), claims=2000, reset=True),
        Page(status=302, raw=b"HTTP/1.1 302 Found\r\nLocation: /a\r\n", reset=True),
    ],
)
def test_a_cut_connection_is_a_reset_and_tried_again(
    broken: Page, site: Loopback, tmp_path: Path
) -> None:
    url = site.serve("/a", broken, Page(body=b"ok"))
    assert fetch_one(url, OPEN, tmp_path).tries == 2
    assert reason(fetch_one(site.serve("/b", broken), ONCE, tmp_path)) == "failed reset"


def test_a_body_shorter_than_announced_is_short_and_tried_again(
    site: Loopback, tmp_path: Path
) -> None:
    short = Page(body=bytes(300_000), claims=300_001)
    assert reason(fetch_one(site.serve("/a", short), ONCE, tmp_path)) == "failed short-body"
    fetched = fetch_one(site.serve("/b", short, Page(body=b"whole")), OPEN, tmp_path)
    assert (fetched.size, fetched.tries) == (5, 2)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


@pytest.mark.parametrize(
    "raw",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"<html>not a header</html>\r\n\r\n"],
)
def test_what_is_no_http_is_a_bad_response(raw: bytes, site: Loopback, tmp_path: Path) -> None:
    assert reason(fetch_one(site.serve("/a", Page(raw=raw)), ONCE, tmp_path)) == (
        "failed bad-response"
    )


@pytest.mark.parametrize(
    "page",
    [
        Page(body=bytes(100_001)),
        Page(body=bytes(100_001), pieces=50, chunked=True),
        Page(body=bytes(4096), endless=True),
        Page(body=bytes(4096), endless=True, chunked=True),
    ],
    ids=["announced", "chunked", "endless", "endless-chunked"],
)
def test_a_body_above_the_limit_is_cut_off(page: Page, site: Loopback, tmp_path: Path) -> None:
    fetched = fetch_one(site.serve("/a", page), replace(OPEN, max_bytes=100_000), tmp_path)
    assert reason(fetched) == "rejected too-large"
    assert list(tmp_path.iterdir()) == []
    assert fetched.tries == 1


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_of_exactly_the_limit_passes(chunked: bool, site: Loopback, tmp_path: Path) -> None:
    url = site.serve("/a", Page(body=bytes(100_000), pieces=7, chunked=chunked))
    assert fetch_one(url, replace(OPEN, max_bytes=100_000), tmp_path).size == 100_000


def test_a_gzip_bomb_does_not_pass_and_none_is_asked_for_by_default(
    site: Loopback, tmp_path: Path
) -> None:
    bomb = gzip_bomb(20_000_000)
    policy = replace(OPEN, max_bytes=1_000_000)
    asking = replace(policy, accept_encoding="gzip")
    assert reason(fetch_one(site.serve("/a", bomb), asking, tmp_path)) == "rejected too-large"
    assert list(tmp_path.iterdir()) == []
    assert fetch_one(site.url("/a"), policy, tmp_path).size == len(bomb.body)
    assert [hit.headers.get("accept-encoding") for hit in site.hits] == ["gzip", None]


def test_an_encoded_body_is_decoded_if_asked_for(site: Loopback, tmp_path: Path) -> None:
    asking = replace(ONCE, accept_encoding="gzip")
    assert fetch_one(site.serve("/a", gzip_bomb(1000)), asking, tmp_path).size == 1000
    broken = Page(body=b"not gzip at all", headers={"Content-Encoding": "gzip"})
    assert reason(fetch_one(site.serve("/b", broken), asking, tmp_path)) == "failed bad-encoding"


@pytest.mark.parametrize(
    "tag", ["noai", "NoImageAI", "noarchive, noindex", "autods: noai", "*: noimageindex", "none"]
)
def test_a_robots_tag_is_obeyed_before_the_body(tag: str, site: Loopback, tmp_path: Path) -> None:
    page = Page(body=bytes(65_536), endless=True, headers={"X-Robots-Tag": tag})
    fetched = fetch_one(site.serve("/a", page), OPEN, tmp_path)
    assert reason(fetched) == "rejected x-robots-noai"
    assert (fetched.tries, fetched.status) == (1, 200)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tag", ["otherbot: noai", "nofollow", "max-snippet: 5", "noaim"])
def test_a_robots_tag_for_others_or_other_things_is_not_ours(
    tag: str, site: Loopback, tmp_path: Path
) -> None:
    url = site.serve("/a", Page(body=b"x", headers={"X-Robots-Tag": tag}))
    assert fetch_one(url, OPEN, tmp_path).size == 1


def test_a_robots_tag_counts_without_a_body_and_can_be_switched_off(
    site: Loopback, tmp_path: Path
) -> None:
    url = site.serve("/a", Page(headers={"X-Robots-Tag": "noai"}))
    assert reason(fetch_one(url, OPEN, tmp_path)) == "rejected x-robots-noai"
    assert fetch_one(url, replace(OPEN, respect_x_robots=False), tmp_path).refusal is None


def test_robots_tags_are_handed_to_a_caller_who_judges_by_himself(
    site: Loopback, tmp_path: Path
) -> None:
    tag = {"X-Robots-Tag": "otherbot: noai, autods: nofollow"}
    url = site.serve("/a", Page(body=b"x", headers=tag))
    fetched = fetch_one(url, replace(OPEN, respect_x_robots=False), tmp_path)
    assert fetched.robots_tags == (tag["X-Robots-Tag"],)


def test_our_agent_is_the_one_we_call_ourselves(site: Loopback, tmp_path: Path) -> None:
    url = site.serve("/a", Page(body=b"x", headers={"X-Robots-Tag": "snailbot: noai"}))
    policy = replace(OPEN, user_agent="SnailBot/2 (+mailto:snail@example.org)")
    assert reason(fetch_one(url, policy, tmp_path)) == "rejected x-robots-noai"
    assert site.hits[0].headers["user-agent"] == policy.user_agent


def test_an_unchanged_body_is_not_sent_again(site: Loopback, tmp_path: Path) -> None:
    url = site.serve("/a", Page(body=b"x", headers={"ETag": '"7"', "Last-Modified": "then"}))
    asks = [
        Request(index=0, url=url, etag='"7"'),
        Request(index=1, url=url, last_modified="then"),
        Request(index=2, url=url, etag='"6"'),
    ]
    fetched = {one.index: one for one in fetch(asks, OPEN, tmp_path)}
    for index in (0, 1):
        one = fetched[index]
        assert (one.status, one.path, one.size, one.refusal) == (304, None, 0, None)
    assert (fetched[2].status, fetched[2].size) == (200, 1)


def test_a_validator_is_not_sent_on_to_another_host(site: Loopback, tmp_path: Path) -> None:
    with Loopback("127.0.0.2") as other:
        target = other.serve("/x", Page(body=b"x", headers={"ETag": "e"}))
        ask = Request(index=0, url=site.serve("/a", redirect(target)), etag="e")
        [fetched] = fetch([ask], OPEN, tmp_path)
        assert fetched.size == 1
        assert "if-none-match" in site.hits[0].headers
        assert "if-none-match" not in other.hits[0].headers


@pytest.mark.parametrize("etag", ['"a"\r\nX-Evil: 1', "\x00", "€"])
def test_a_validator_that_is_no_header_is_not_sent(
    etag: str, site: Loopback, tmp_path: Path
) -> None:
    [_] = fetch([Request(index=0, url=site.serve("/a", Page()), etag=etag)], OPEN, tmp_path)
    assert not {"if-none-match", "x-evil"} & site.hits[0].headers.keys()


def test_cookies_are_neither_kept_nor_sent(site: Loopback, tmp_path: Path) -> None:
    url = site.serve("/a", Page(status=503, headers={"Set-Cookie": "a=1; Path=/"}), Page(body=b"x"))
    assert fetch_one(url, OPEN, tmp_path).tries == 2
    assert all("cookie" not in hit.headers for hit in site.hits)


def test_a_url_goes_out_as_a_browser_would_send_it(site: Loopback, tmp_path: Path) -> None:
    site.serve("/%C3%BC%20b?q=%20", Page(body=b"x"))
    assert fetch_one(site.url("/ü b?q=%20#top"), OPEN, tmp_path).size == 1


@pytest.mark.slow
def test_retry_after_seconds_are_waited_for_by_the_whole_host(
    site: Loopback, tmp_path: Path
) -> None:
    site.serve("/a", Page(status=429, headers={"Retry-After": "1"}), Page(body=b"a"))
    site.serve("/b", Page(body=b"b"))
    policy = replace(OPEN, per_host=1)
    fetched = list(fetch(requests(site.url("/a"), site.url("/b")), policy, tmp_path))
    assert all(one.refusal is None for one in fetched)
    first, second, third = (hit.when for hit in site.hits)
    assert min(second, third) - first >= 1.0


def test_a_retry_after_date_in_the_past_means_now(site: Loopback, tmp_path: Path) -> None:
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    page = Page(status=503, headers={"Retry-After": past})
    assert fetch_one(site.serve("/a", page, Page(body=b"x")), OPEN, tmp_path).size == 1


def test_a_retry_after_of_nonsense_is_none(site: Loopback, tmp_path: Path) -> None:
    page = Page(status=503, headers={"Retry-After": f"1 Jan {'9' * 20} 00:00:00 GMT"})
    fetched = fetch_one(site.serve("/a", page, Page(body=b"x")), OPEN, tmp_path)
    assert (fetched.size, fetched.retry_after) == (1, None)


@pytest.mark.parametrize("by", ["seconds", "date"])
def test_a_retry_after_beyond_the_limit_is_not_waited_for(
    by: str, site: Loopback, tmp_path: Path
) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    page = Page(status=503, headers={"Retry-After": "3600" if by == "seconds" else later})
    fetched = fetch_one(site.serve("/a", page), replace(OPEN, max_retry_after=60.0), tmp_path)
    assert reason(fetched) == "failed retry-after-too-long"
    assert (fetched.status, fetched.tries) == (503, 1)
    assert fetched.retry_after is not None
    assert 3500 < fetched.retry_after <= 3600


def test_one_host_is_asked_for_no_more_than_its_share_at_once(
    site: Loopback, tmp_path: Path
) -> None:
    urls = [site.serve(f"/{n}", Page(body=b"x", delay=0.02)) for n in range(20)]
    assert len(list(fetch(requests(*urls), replace(OPEN, per_host=3), tmp_path))) == 20
    assert 1 < site.peak <= 3


def test_no_more_transfers_are_under_way_than_allowed(site: Loopback, tmp_path: Path) -> None:
    urls = [site.serve(f"/{n}", Page(body=b"x", delay=0.02)) for n in range(20)]
    assert len(list(fetch(requests(*urls), replace(OPEN, concurrency=4), tmp_path))) == 20
    assert 1 < site.peak <= 4


def test_a_slow_host_does_not_hold_up_the_others(site: Loopback, tmp_path: Path) -> None:
    with Loopback("127.0.0.2") as slow:
        crawl = [slow.serve(f"/{n}", Page(body=b"s", delay=30)) for n in range(4)]
        quick = [site.serve(f"/{n}", Page(body=b"q")) for n in range(40)]
        policy = replace(OPEN, concurrency=4, per_host=2)
        fetched = fetch(requests(*crawl, *quick), policy, tmp_path)
        assert {one.url for one in islice(fetched, 40)} == set(quick)
        fetched.close()
        assert len(slow.hits) <= 2


def test_hanging_urls_cost_only_their_own_places(site: Loopback, tmp_path: Path) -> None:
    hung = [site.serve(f"/hung{n}", Page(delay=30)) for n in range(3)]
    quick = [site.serve(f"/{n}", Page(body=b"q")) for n in range(100)]
    fetched = fetch(requests(*hung, *quick), replace(ONCE, concurrency=4), tmp_path)
    assert {one.url for one in islice(fetched, 100)} == set(quick)
    fetched.close()


def test_starts_on_one_host_keep_their_distance(site: Loopback, tmp_path: Path) -> None:
    urls = [site.serve(f"/{n}", Page(body=b"x")) for n in range(5)]
    began = time.monotonic()
    assert len(list(fetch(requests(*urls), replace(OPEN, delay_per_host=0.05), tmp_path))) == 5
    assert time.monotonic() - began >= 4 * 0.05


def test_requests_are_read_only_a_bounded_way_ahead(site: Loopback, tmp_path: Path) -> None:
    read = 0

    def endless_list() -> Iterator[Request]:
        nonlocal read
        while True:
            read += 1
            yield Request(index=read, url=site.url("/a"))

    site.serve("/a", Page(body=b"x"))
    policy = replace(OPEN, concurrency=4, per_host=2, lookahead=10)
    fetched = fetch(endless_list(), policy, tmp_path)
    for done in range(50):
        assert next(fetched).size == 1
        assert read <= done + 1 + 4 + 10
    fetched.close()


def test_closing_early_stops_the_transfers_and_removes_their_files(
    site: Loopback, tmp_path: Path
) -> None:
    halves = [site.serve(f"/{n}", Page(body=bytes(300_000), pieces=2, pause=30)) for n in range(5)]
    quick = site.serve("/quick", Page(body=b"mine"))
    fetched = fetch(requests(*halves, *[quick] * 10_000), OPEN, tmp_path)
    mine = [next(fetched).path]
    while len(list(tmp_path.iterdir())) < len(mine) + len(halves):
        mine.append(next(fetched).path)
    fetched.close()
    assert sorted(tmp_path.iterdir()) == sorted(path for path in mine if path)


def test_an_error_in_the_list_of_requests_surfaces(site: Loopback, tmp_path: Path) -> None:
    def broken_list() -> Iterator[Request]:
        yield Request(index=0, url=site.serve("/a", Page(body=bytes(300_000), delay=0.1)))
        raise AutodsError("the list broke off")

    with pytest.raises(AutodsError, match="the list broke off"):
        list(fetch(broken_list(), OPEN, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_spool_that_vanishes_surfaces_as_a_place_error(site: Loopback, tmp_path: Path) -> None:
    spool = tmp_path / "spool"

    def list_that_removes_the_spool() -> Iterator[Request]:
        spool.rmdir()
        yield Request(index=0, url=site.serve("/a", Page(body=bytes(300_000))))

    with pytest.raises(PlaceError, match="cannot write to the spool"):
        list(fetch(list_that_removes_the_spool(), OPEN, spool))


def test_a_spool_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlaceError, match="cannot make the spool folder"):
        fetch_one("http://example.org/", OPEN, tmp_path / "file" / "spool")


class _Interrupted(Exception):  # noqa: N818 - stands for KeyboardInterrupt, which pytest takes itself
    pass


@pytest.mark.parametrize("flood", [False, True], ids=["while-waiting", "in-callbacks"])
def test_a_signal_surfaces_at_once_and_leaves_no_file(
    flood: bool, site: Loopback, tmp_path: Path
) -> None:
    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise _Interrupted

    crawl = Page(body=bytes(200_000), endless=True) if flood else Page(body=b"x", delay=30)
    urls = [site.serve(f"/{n}", crawl) for n in range(8)]
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.15)
    try:
        with pytest.raises(_Interrupted):
            list(fetch(requests(*urls), replace(OPEN, max_bytes=10**9), tmp_path))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert list(tmp_path.iterdir()) == []


def test_bad_urls_among_good_ones_are_answered_without_being_asked(
    site: Loopback, tmp_path: Path
) -> None:
    good = site.serve("/a", Page(body=b"x"))
    fetched = {
        one.index: one for one in fetch(requests("no url", good, "ftp://a.b/"), OPEN, tmp_path)
    }
    assert reason(fetched[0]) == "rejected bad-url"
    assert reason(fetched[2]) == "rejected unsupported-scheme"
    assert (fetched[0].tries, fetched[0].final_url, fetched[1].size) == (0, "", 1)


def test_one_request_at_a_time_is_enough(site: Loopback, tmp_path: Path) -> None:
    urls = [site.serve(f"/{n}", Page(body=b"x")) for n in range(3)]
    policy = replace(OPEN, lookahead=1, concurrency=1)
    assert [one.size for one in fetch(requests("no url", *urls), policy, tmp_path)] == [0, 1, 1, 1]


def test_no_requests_give_no_results(tmp_path: Path) -> None:
    assert list(fetch([], OPEN, tmp_path)) == []


@pytest.mark.parametrize(
    "wrong", [{"concurrency": 0}, {"timeout": -1.0}, {"retries": -1}, {"user_agent": "a\nb"}]
)
def test_a_policy_that_cannot_be_names_the_field(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        replace(OPEN, **wrong)  # type: ignore[arg-type]


@given(st.text(), st.integers(1, 40), st.floats(0, 10), st.floats(0, 100))
def test_backoff_grows_within_its_bounds_and_repeats(
    url: str, tries: int, base: float, most: float
) -> None:
    policy = HttpPolicy(backoff=base, max_backoff=most)
    wait = backoff(url, tries, policy)
    assert 0 <= wait <= min(most, base * 2 ** (tries - 1))
    assert wait == backoff(url, tries, policy)
