"""The head of an answer is read as HTTP and the robots convention mean it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.web.headers import Head, directives, read_head, retry_after, robots_refusal

OURS = frozenset({"autods"})


def test_the_last_head_counts_and_early_ones_do_not() -> None:
    lines = [
        b"HTTP/1.1 103 Early Hints\r\n",
        b"ETag: early\r\n",
        b"\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"content-TYPE:  image/png \r\n",
        b"X-Robots-Tag: a\r\n",
        b"X-Robots-Tag: b\r\n",
        b"\r\n",
        b"Trailer: 1\r\n",
    ]
    head = read_head(lines)
    assert (head.status, head.robots) == (200, ("a", "b"))
    assert (head.get(b"content-type"), head.get(b"etag")) == ("image/png", None)


@pytest.mark.parametrize(
    "lines", [[], [b"HTTP/1.1 200 OK\r\n"], [b"\r\n"], [b"HTTP/1.1 abc\r\n", b"\r\n"]]
)
def test_a_head_that_is_not_whole_has_no_status(lines: list[bytes]) -> None:
    assert read_head(lines).status == 0


@given(st.lists(st.binary(max_size=20)))
def test_no_header_line_is_too_odd_to_be_read(lines: list[bytes]) -> None:
    assert isinstance(read_head([b"HTTP/2 200\r\n", *lines]), Head)


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        (["noai"], "noai"),
        (["all, NoIndex"], "noindex"),
        (["autods: noai"], "noai"),
        (["AutoDS : noimageai"], "noimageai"),
        (["otherbot: noindex, noai"], None),
        (["otherbot: noindex, autods: noai"], "noai"),
        (["otherbot: noindex", "noimageindex"], "noimageindex"),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], "noai"),
        (["unavailable_after: Friday, 25-Jun-10 15:00:00 PST, noai"], "noai"),
        (["max-image-preview: none"], None),
        (["nofollow, noarchive, nosnippet"], None),
        ([""], None),
        ([], None),
    ],
)
def test_only_what_is_said_to_us_is_obeyed(tags: list[str], word: str | None) -> None:
    assert robots_refusal(tags, OURS) == word


def test_all_that_is_said_to_us_can_be_read_and_nothing_else() -> None:
    tags = ["NoFollow, otherbot: noai, AutoDS: noindex", "max-snippet: 5, unavailable_after: x"]
    heard = ["nofollow", "noindex", "max-snippet", "unavailable_after"]
    assert list(directives(tags, OURS)) == heard


ENDLESS = "1 Jan 99999999999999999999 00:00:00 GMT"


@pytest.mark.parametrize("value", [None, "", "-1", "1.5", "soon", "٣", "9" * 12, ENDLESS])
def test_a_retry_after_that_says_nothing_is_none(value: str | None) -> None:
    assert retry_after(value) is None


@given(st.integers(0, 10**6))
def test_a_retry_after_date_is_as_far_away_as_it_says(seconds: int) -> None:
    now = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    assert (
        retry_after(format_datetime(now + timedelta(seconds=seconds), usegmt=True), now) == seconds
    )
    assert retry_after(format_datetime(now - timedelta(seconds=seconds), usegmt=True), now) == 0
    assert retry_after(str(seconds)) == seconds


@given(
    st.from_regex(r"(Mon, )?[0-9]{1,3}[ -](Jan|Dez)[ -][0-9]{1,25}( [0-9:.]{1,9}( [+-][0-9]+)?)?")
    | st.text(st.characters(codec="latin-1"))
)
def test_no_retry_after_is_too_odd_to_be_read(value: str) -> None:
    seconds = retry_after(value)
    assert seconds is None or seconds >= 0
