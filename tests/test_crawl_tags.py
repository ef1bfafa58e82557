"""Tags are read as the HTML standard reads them, and never in more than one pass."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from autods.crawl.tags import attributes, decoded, plain, tags

Seen = list[tuple[str, dict[str, str]]]


def seen(text: str) -> Seen:
    return [(tag.name, attributes(tag.written)) for tag in tags(text) if tag.kind == "open"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<A HREF=x>", [("a", {"href": "x"})]),
        ("<a href = 'x' title=\"a > b\">", [("a", {"href": "x", "title": "a > b"})]),
        ("<a href=x/>", [("a", {"href": "x/"})]),
        ("<a/href=x/b>", [("a", {"href": "x/b"})]),
        ("<a href=x href=y>", [("a", {"href": "x"})]),
        ("<a hidden title>", [("a", {"hidden": "", "title": ""})]),
        ("<a title='\n&quot;'>", [("a", {"title": '\n"'})]),
        ("<!-- <a> --><b>", [("b", {})]),
        ("<!--><b>", [("b", {})]),
        ("<!-- --!><b>", [("b", {})]),
        ("<!-- <b>", []),
        ("<!doctype html><b>", [("b", {})]),
        ("<?xml version='1'?><b>", [("b", {})]),
        ("<![CDATA[<a>]]><b>", [("b", {})]),
        ("< a><3><b>", [("b", {})]),
        ("<script>'<a>'</script ><b>", [("script", {}), ("b", {})]),
        ("<STYLE><a></StYlE><b>", [("style", {}), ("b", {})]),
        ("<script><a></scripted>", [("script", {})]),
        ("<noscript><b></noscript>", [("noscript", {}), ("b", {})]),
        ("<a href='x", []),
        ("<a href='x><b>", []),
        ("<b><a hre", [("b", {})]),
    ],
)
def test_tags_are_read(text: str, expected: Seen) -> None:
    assert seen(text) == expected


def test_in_xml_cdata_is_text_and_a_tag_may_close_itself() -> None:
    text = "<title><b/></title><![CDATA[<i>]]><script/><u x='/'>"
    assert [(tag.name, tag.kind) for tag in tags(text, xml=True)] == [
        ("title", "open"),
        ("b", "empty"),
        ("title", "close"),
        ("script", "empty"),
        ("u", "open"),
    ]


def test_a_script_tells_what_it_holds() -> None:
    found = [tag.text for tag in tags("<p>no<script type=x>1 < 2</script><style>a{}</style>")]
    assert found == ["", "1 < 2", "", "a{}", ""]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("&amp;&lt;&#65;&#x41;&Auml;", "&<AAÄ"),
        ("?a=1&copy=2&copyx;&copy;&copy", "?a=1&copy=2&copyx;©©"),
        ("&#0;&#xD800;&#99999999;&#1234567890;", "\ufffd\ufffd\ufffd&#1234567890;"),
        ("& &; &#; &#x;", "& &; &#; &#x;"),
    ],
)
def test_character_references_are_read(written: str, meant: str) -> None:
    assert decoded(written) == meant


def test_the_text_of_a_caption_has_no_tags() -> None:
    assert plain("A <b class='x'>red</b>\n&amp; blue <") == "A red & blue <"


# What a browser's parser neither moves, drops nor repeats.
NAMES = st.sampled_from(["a", "b", "img", "span", "i"])
VALUES = st.text(alphabet="ab /&;=<>'\"#x1\n", max_size=8)
WRITTEN = st.one_of(
    VALUES.filter(lambda value: '"' not in value).map('="{}"'.format),
    VALUES.filter(lambda value: "'" not in value).map(" = '{}'".format),
    st.text(alphabet="ab/&;#x1", min_size=1, max_size=5).map("={}".format),
    st.just(""),
)
ATTRIBUTES = st.lists(st.tuples(st.sampled_from(["x", "Y", "z-1"]), WRITTEN), max_size=3)
TAGS = st.tuples(NAMES, ATTRIBUTES, st.sampled_from(["", " ", " /"])).map(
    lambda tag: f"<{tag[0]}{''.join(f' {name}{value}' for name, value in tag[1])}{tag[2]}>"
)
HIDING = st.sampled_from(
    [
        "<!--<a>-->",
        "<!-- > ",
        "-->",
        "<!>",
        "</ a>",
        "<?a>",
        "&amp;",
        "text",
        "<",
        "<script>'<b>'</script>",
    ]
)


@given(st.lists(TAGS | HIDING, max_size=8).map("".join))
@example("<a x=a/ >")
def test_a_parser_of_html_sees_the_same_tags(text: str) -> None:
    root = LexborHTMLParser("<body>" + text + "<p>").root
    assert root is not None
    theirs = [
        (node.tag, {name: value or "" for name, value in node.attributes.items()})
        for node in root.traverse()
    ]
    names = {"a", "b", "img", "span", "i", "script"}
    expected = [each for each in theirs if each[0] in names]
    ours = seen("<body>" + text + "<p>")
    # A parser may repeat a tag that was left open, but invents none and loses none.
    assert [each for each in ours if each[0] in ("img", "script")] == [
        each for each in expected if each[0] in ("img", "script")
    ]
    assert {str(each) for each in ours if each[0] in names} == {str(each) for each in expected}


HOSTILE = [
    "<div>",
    "<a href='x",
    '<a b="c"',
    "<!--",
    "<script>",
    "<a b=c ",
    "<a =",
    "</",
    "<a b\n\n",
    "<",
    "<?",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_page_is_read_in_one_pass(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    assert sum(len(attributes(tag.written)) for tag in tags(text)) < 2 * len(text)


ODD = st.sampled_from([*"<>/!-ab ='\"&;[]?\n\0\ud800", "script", "CDATA["])


@given(st.lists(ODD, max_size=40).map("".join), st.booleans())
def test_any_text_is_read_in_its_order(text: str, xml: bool) -> None:
    at = 0
    for tag in tags(text, xml=xml):
        assert at <= tag.start < tag.end <= len(text)
        attributes(tag.written)
        at = tag.end
