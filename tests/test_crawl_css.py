"""A stylesheet names images and further sheets, wherever CSS lets it."""

from itertools import pairwise

import pytest
import tinycss2  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from autods.crawl.css import image_urls, imports

BASE = "http://a.org/s/x.css"


def names(css: str) -> list[str]:
    return [url.removeprefix("http://a.org/s/") for url in image_urls(css, BASE)]


@pytest.mark.parametrize(
    ("css", "expected"),
    [
        ("a{background:url(1.png)}", ["1.png"]),
        ("a{background:URL( '1.png' ) , url(\"2.png\")}", ["1.png", "2.png"]),
        ("a{background:url(\n1.png\n)}", ["1.png"]),
        ("a{background:url(../i/1.png)}", ["http://a.org/i/1.png"]),
        ("a{background:url(1.png);b:url(1.png)}", ["1.png"]),
        ("/* url(no.png) */a{b:url(1.png)}/* url(no.png)", ["1.png"]),
        ("a{content:'url(no.png)';b:url(1.png)}", ["1.png"]),
        (r"a{b:url(a\).png);c:url('b\'.png');d:url(\31.png)}", ["a).png", "b'.png", "1.png"]),
        ("a{b:url(1.png", []),
        ("a{b:url(1 2.png);c:url(3.png)}", ["3.png"]),
        ("a{b:url(data:image/png;base64,AAAA);c:url(#shadow);d:url()}", []),
        ("@font-face{src:url(f.woff2),url(f.svg)}a{b:url(1.png)}", ["1.png"]),
        ("@font-face-x{b:url(1.png)}", ["1.png"]),
        ("@namespace url(no.png);a{b:url(1.png)}", ["1.png"]),
        ("@import url(no.css);a{cursor:url(c.cur)}", []),
        ("@media (min-width:9px){a{b:url(1.png)}}", ["1.png"]),
        ("a{my-url(no.png):1;b:curl(no.png)}", []),
        ("a{b:image-set('1.png' 1x, '2.png' 2x)}", ["2.png"]),
        ("a{b:-webkit-image-set(url(2.png) 192dpi, url(1.png) 1x)}", ["2.png"]),
        ("a{b:image-set('1.avif' type('image/avif'), '2.png' type('no.png'))}", ["1.avif"]),
        (
            "a{b:image-set(linear-gradient(red, blue) 1x, /* ' */ '1.png' .5x);c:url(2.png)}",
            ["1.png", "2.png"],
        ),
    ],
)
def test_images_are_found(css: str, expected: list[str]) -> None:
    assert names(css) == expected


def test_imported_sheets_are_found() -> None:
    css = """@charset "utf-8"; @import "1.css"; @import/* ; */url(2.css) screen;
        @IMPORT url('3.css') layer(url); @import ; /* @import "no.css"; */ @import-x "no.css";
        a { content: '@import "no.css";' }"""
    assert [url[-5:] for url in imports(css, BASE)] == ["1.css", "2.css", "3.css"]


TOKENS = st.sampled_from(
    [
        *"{}();:,'\" \n",
        "/*",
        "*/",
        "url(",
        "url( 'a.png' )",
        "url(b.png)",
        "red",
        "9px",
        "@media",
    ]
)


@given(st.lists(TOKENS, max_size=25).map("".join))
def test_a_parser_finds_no_other_images(css: str) -> None:
    assert [name for name in names(css) if name in ("a.png", "b.png")] == parsed(css)


def parsed(css: str) -> list[str]:
    """What tinycss2 makes of it, wherever it is sure that something is a URL."""
    found, left = [], tinycss2.parse_component_value_list(css, skip_comments=True)
    while left:
        node = left.pop(0)
        is_url = node.type == "function" and node.lower_name == "url"
        inner = [each for each in getattr(node, "arguments", ()) if each.type != "whitespace"]
        if node.type == "url":
            found.append(node.value)
        elif is_url and len(inner) == 1 and inner[0].type == "string":
            found.append(inner[0].value)
        left = [*getattr(node, "arguments", ()), *(getattr(node, "content", None) or ()), *left]
    whole = [name for name in found if name in ("a.png", "b.png")]
    return list(dict.fromkeys(whole))


HOSTILE = [
    "{",
    "url(",
    "url('",
    "'",
    '"a',
    "/*",
    "\\",
    "image-set(",
    "@import ",
    "@font-face{",
    "(",
    "url(a\\",
    "url( ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_sheet_is_read_in_one_pass(piece: str) -> None:
    css = piece * (200_000 // len(piece))
    assert len(image_urls(css, BASE)) <= 1
    assert len(imports(css, BASE)) <= 1


@given(st.text(alphabet=[*"url('\"\\)/*@import;{ \x00\ud800\u20ac"], max_size=60))
def test_any_text_is_read(css: str) -> None:
    assert all(
        left != right for left, right in pairwise(image_urls(css, BASE) + imports(css, BASE))
    )
