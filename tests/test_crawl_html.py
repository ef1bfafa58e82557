"""A page shows its images and leads on in every way that HTML has, and may ask us not to look."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.crawl.charset import text_of
from autods.crawl.html import Found, FoundImage, from_json, read_page, to_json
from autods.crawl.srcset import offers

AT = "http://a.org/d/page"


def read(html: str, content_type: str | None = "text/html") -> Found:
    return read_page(html.encode(), AT, content_type)


def short(url: str) -> str:
    return url.removeprefix("http://a.org/d/")


def shown(html: str) -> list[tuple[str, str]]:
    return [(short(image.url), image.how) for image in read(html).images]


def led(html: str) -> list[str]:
    return [short(link) for link in read(html).links]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<img src=1.jpg>", [("1.jpg", "img")]),
        ("<IMG SRC=' 1.jpg\n'>", [("1.jpg", "img")]),
        (
            "<img src=/1.jpg><img src=//b.org/2.jpg>",
            [("http://a.org/1.jpg", "img"), ("http://b.org/2.jpg", "img")],
        ),
        ("<img src=1.jpg><img src=1.jpg>", [("1.jpg", "img")]),
        ("<img src='1.jpg?b=2&a=1&utm_source=x'>", [("1.jpg?b=2&a=1&utm_source=x", "img")]),
        ("<img src=no.gif data-src=1.jpg>", [("1.jpg", "img")]),
        ("<img src=no.gif data-original=1.jpg data-src=no.jpg>", [("1.jpg", "img")]),
        ("<img src=data:image/gif;base64,AA data-lazy-src=1.jpg>", [("1.jpg", "img")]),
        ("<img src=no.jpg srcset='no2.jpg 100w, 1.jpg 900w, no3.jpg 500w'>", [("1.jpg", "img")]),
        ("<img src=no.jpg srcset='1.jpg 2x, no2.jpg 1.5x, no3.jpg'>", [("1.jpg", "img")]),
        ("<img src=1.jpg srcset='no.jpg 0w, no2.jpg 1q, , data:,x 9w'>", [("1.jpg", "img")]),
        ("<img src=no.gif data-srcset='no.jpg 100w,1.jpg 900w'>", [("1.jpg", "img")]),
        ("<img srcset='a,b.jpg 1x'>", [("a,b.jpg", "img")]),
        (
            "<picture><source srcset='no 9w, 1.webp 90w'><img src=no></picture><img src=2.jpg>",
            [("1.webp", "picture"), ("2.jpg", "img")],
        ),
        (
            """<picture><source media='(max-width: 9px)' srcset=no.jpg>
            <source media='(min-width:99px)' srcset=no.jpg>
            <source media='(min-width:999px)' srcset=1.jpg><img src=no.jpg></picture>""",
            [("1.jpg", "picture")],
        ),
        (
            "<picture><source media='(max-width:9px)' srcset=no.jpg><img src=1.jpg></picture>",
            [("1.jpg", "picture")],
        ),
        (
            "<picture><source type=image/jxl srcset='no.jxl 9x'><img src=1.jpg></picture>",
            [("1.jpg", "picture")],
        ),
        ("<picture><source data-srcset=1.jpg></picture>", [("1.jpg", "picture")]),
        (
            "<picture><source srcset=1.jpg><picture><source srcset=2.jpg>",
            [("1.jpg", "picture"), ("2.jpg", "picture")],
        ),
        ("<video><source src=no.mp4 srcset=no.jpg></video>", []),
        ("<video poster=1.jpg src=no.mp4>", [("1.jpg", "poster")]),
        ("<input type=IMAGE src=1.gif><input src=no.gif>", [("1.gif", "input")]),
        (
            "<svg><image href=1.jpg /><image xlink:href=2.jpg></svg>",
            [("1.jpg", "svg"), ("2.jpg", "svg")],
        ),
        (
            "<object data=1 type=image/png></object><embed src=2.webp><object data=no.swf>",
            [("1", "object"), ("2.webp", "object")],
        ),
        (
            "<body background=1.gif><table background=2.gif>",
            [("1.gif", "background"), ("2.gif", "background")],
        ),
        ("<p style='background: url(&quot;1.png&quot;)'>", [("1.png", "style")]),
        ("<style>a{background:url(1.png)}</style>", [("1.png", "style")]),
        ("<meta property=og:image content=1.jpg>", [("1.jpg", "meta")]),
        (
            "<meta name=Twitter:Image content=1.jpg><meta property=og:image:url content=2.jpg>",
            [("1.jpg", "meta"), ("2.jpg", "meta")],
        ),
        (
            "<meta itemprop=image content=1.jpg><link itemprop=image href=2.jpg>",
            [("1.jpg", "meta"), ("2.jpg", "meta")],
        ),
        (
            "<link rel=image_src href=1.jpg><link rel='shortcut icon' href=no.ico>",
            [("1.jpg", "meta")],
        ),
        (
            "<link rel=preload as=image href=no imagesrcset='1.jpg 9w'><link rel=preload href=no>",
            [("1.jpg", "preload")],
        ),
        ("<a href=1.jpg>see</a><a href=wiki/File:No.jpg>", [("1.jpg", "link")]),
        ("<iframe src=1.jpg></iframe>", [("1.jpg", "link")]),
        ("<noscript><img src=1.jpg></noscript>", [("1.jpg", "img")]),
        (
            "<img src=no.gif width=1 height=1><img src=no.gif height='2px'><img src=1.gif width=9>",
            [("1.gif", "img")],
        ),
        ("<img><img src><img src=' '><img src=javascript:x><img src=blob:1>", []),
        (
            "<!-- <img src=no> --><script>'<img src=no>'</script><textarea><img src=no></textarea>",
            [],
        ),
        (
            "<template><img src=no.jpg><template></template></template><img src=1.jpg>",
            [("1.jpg", "img")],
        ),
    ],
)
def test_images_are_found(html: str, expected: list[tuple[str, str]]) -> None:
    assert shown(html) == expected


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<a href=b>", ["b"]),
        ("<a href='b?y=2&amp;x=1&copy=3#top'>", ["b?copy=3&x=1&y=2"]),
        ("<a href=b><a href=b#c><a href=./b>", ["b"]),
        ("<a href=#top><a href><a name=x><a href=mailto:me@a.org><a href=javascript:x()>", []),
        ("<a href=no rel='NoFollow me'><area href=b><a rel=me href=c>", ["b", "c"]),
        ("<iframe src=b></iframe><frame src=c>", ["b", "c"]),
        (
            "<link rel=next href=b><link rel=prev href=c><link rel=canonical href=d>",
            ["b", "c", "d"],
        ),
        (
            "<link rel=alternate href=b><link rel=alternate type=application/rss+xml href=no>",
            ["b"],
        ),
        (
            "<meta http-equiv=Refresh content='0; URL=\"b\"'><meta http-equiv=refresh content=5>",
            ["b"],
        ),
        ("<meta http-equiv=refresh content='5,c'>", ["c"]),
    ],
)
def test_links_are_found(html: str, expected: list[str]) -> None:
    assert led(html) == expected


def test_stylesheets_are_found() -> None:
    found = read(
        "<link rel='stylesheet preload' href=1.css?v=2&a=1>"
        "<link rel=stylesheet type=text/less href=no>"
        "<style>@import '2.css';</style><link rel=stylesheet href>"
    )
    assert [short(url) for url in found.stylesheets] == ["1.css?v=2&a=1", "2.css"]


@pytest.mark.parametrize(
    ("base", "full"),
    [
        ("<base href=/x/>", "http://a.org/x/1.jpg"),
        ("<BASE target=_top><base href=//b.org/x/><base href=/no/>", "http://b.org/x/1.jpg"),
        ("<base href='javascript:x'>", "http://a.org/d/1.jpg"),
        ("<!-- <base href=/no/> -->", "http://a.org/d/1.jpg"),
    ],
)
def test_a_base_counts_for_all_of_the_page(base: str, full: str) -> None:
    assert [image.url for image in read(f"<img src=1.jpg>{base}").images] == [full]


def test_json_ld_describes_images() -> None:
    html = """<script type="application/ld+json; charset=utf-8">{"@context": "https://schema.org",
        "@graph": [
          {"@type": "Recipe", "image": ["1.jpg", {"@type": "ImageObject", "url": "2.jpg"}],
           "thumbnailUrl": "no.jpg", "url": "no.html"},
          {"@type": ["ImageObject"], "contentUrl": "3.jpg", "thumbnailUrl": "no.jpg", "url": "no",
           "license": "https://cc.org/by", "caption": " A  cat ", "thumbnail": {"image": "no.jpg"}},
          {"@type": "VideoObject", "contentUrl": "no.mp4", "thumbnailUrl": ["4.jpg"]},
          {"@type": "Thing", "image": {"@id": "#no"}}]}</script>
        <script type=application/ld+json><!-- {"image": {"url": "5.jpg",
          "license": {"name": "L"}}} --></script>
        <script type=application/ld+json>{"image": "no.jpg", }</script>
        <script type=text/javascript>{"image": "no.jpg"}</script>"""
    found = read(html).images
    assert [(short(image.url), image.caption, image.license) for image in found] == [
        ("1.jpg", None, None),
        ("2.jpg", None, None),
        ("3.jpg", "A cat", "https://cc.org/by"),
        ("4.jpg", None, None),
        ("5.jpg", None, "L"),
    ]
    assert {image.how for image in found} == {"json-ld"}


def test_an_image_is_called_what_is_said_of_it() -> None:
    html = """<img src=1 alt=' A  red\ncat ' title=no><img src=2 alt='' title=T>
        <figure><img src=3 alt=Own><img src=4 title=no>
        <figcaption>A <b>blue</b> &amp; dog</figcaption></figure>
        <figure><figcaption>Before</figcaption><img src=5></figure><img src=6>
        <figure><img src=7 title=T><figure><figcaption>Inner</figcaption><img src=8>
        <meta property=og:image content=9><meta property=og:image:alt content=Nine>
        <img src=10><img src=10 alt=Ten>"""
    captions = {short(image.url): image.caption for image in read(html).images}
    assert captions == {
        "1": "A red cat",
        "2": "T",
        "3": "Own",
        "4": "A blue & dog",
        "5": "Before",
        "6": None,
        "7": "T",
        "8": "Inner",
        "9": "Nine",
        "10": "Ten",
    }


ALL = "<a href=b><img src=1.jpg><a href=2.jpg><link rel=stylesheet href=3.css>"


@pytest.mark.parametrize(
    ("meta", "left"),
    [
        ("<meta name=robots content=nofollow>", (0, 1, 1)),
        ("<meta name=ROBOTS content='INDEX, NOFOLLOW'>", (0, 1, 1)),
        ("<meta name=autods content='noindex nofollow'>", (0, 0, 0)),
        ("<meta name=robots content=none>", (0, 0, 0)),
        ("<meta name=robots content=noindex>", (1, 0, 0)),
        ("<meta name=robots content=noimageindex>", (1, 0, 0)),
        ("<meta name=robots content='noai, noimageai'>", (1, 0, 0)),
        ("<meta name=robots content='all, max-image-preview: none'>", (1, 2, 1)),
        ("<meta name=googlebot content=none>", (1, 2, 1)),
        ("<meta name=description content=none>", (1, 2, 1)),
    ],
)
def test_what_an_author_asks_is_heeded_wherever_it_stands(meta: str, left: tuple[int, ...]) -> None:
    for html in (meta + ALL, ALL + meta):
        found = read(html)
        assert (len(found.links), len(found.images), len(found.stylesheets)) == left


def test_what_was_asked_is_told() -> None:
    found = read("<meta name=robots content=none><meta name=robots content=noai>")
    assert found == Found(nofollow=True, noindex=True, noimageindex=True)


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        ("<img alt=Füße src=1>".encode(), None),
        (codecs.BOM_UTF8 + "<img alt=Füße src=1>".encode(), "text/html; charset=latin1"),
        ("<img alt=Füße src=1>".encode("latin1"), "text/html; charset=ISO-8859-1"),
        ("<meta charset=windows-1252><img alt=Füße src=1>".encode("cp1252"), "text/html"),
        ("<img alt=Füße src=1>".encode("cp1252"), None),
        ("\ufeff<img alt=Füße src=1>".encode("utf-16-le"), None),
        ("\ufeff<img alt=Füße src=1>".encode("utf-16-be"), "text/html; charset=utf-8"),
        ("<img alt=Füße src=1>".encode("utf-16-le"), 'text/html; charset="utf-16"'),
        ("<meta charset=utf-16><img alt=Füße src=1>".encode(), None),
        ("<img alt=Füße src=1>".encode(), "text/html; charset=punycode"),
        ("<img alt=Füße src=1>".encode(), "text/html; charset=unicode_escape"),
        ("<img alt=Füße src=1>".encode(), "text/html; charset=hex"),
        ("<meta charset=zip><img alt=Füße src=1>".encode(), None),
    ],
)
def test_a_page_is_read_in_its_encoding(data: bytes, content_type: str | None) -> None:
    assert [image.caption for image in read_page(data, AT, content_type).images] == ["Füße"]


def test_other_scripts_have_their_encodings() -> None:
    assert text_of("猫".encode("shift_jis"), "text/html; charset=Shift_JIS") == "猫"
    assert text_of("猫".encode("gbk"), "text/html; charset=gb2312") == "猫"
    assert text_of("кот".encode("koi8-r"), "text/html; charset=koi8-r") == "кот"


def test_xhtml_closes_its_tags_itself() -> None:
    xhtml = "<?xml version='1.0'?><script src='no'/><img src='1.jpg'/><title/><img src='2.jpg'/>"
    found = read(xhtml, "application/xhtml+xml; charset=utf-8")
    assert [short(image.url) for image in found.images] == ["1.jpg", "2.jpg"]


def test_what_was_found_survives_json() -> None:
    image = FoundImage("http://a.org/1.jpg", "A cat", "CC0", "json-ld")
    found = Found(("http://a.org/",), (image,), ("http://a.org/s.css",), nofollow=True)
    assert from_json(to_json(found)) == found
    assert to_json(Found()) == {}
    assert from_json({}) == Found()


def test_a_page_has_no_more_than_so_many_links_and_images() -> None:
    found = read("".join(f"<a href={n}><img src={n}.jpg>" for n in range(11_000)))
    assert (len(found.links), len(found.images)) == (10_000, 10_000)
    assert short(found.links[-1]) == "9999"


HOSTILE = [
    "<div>",
    "<p><font size=1>",
    "<picture><source srcset=a>",
    "<source srcset=a>",
    "<figure><figcaption>x",
    "<template>",
    "<img srcset='a 1w,",
    "<p style='a:url('>",
    "<a href=x>",
    "<base x>",
    "<meta name=robots content=x>",
    "<script type=application/ld+json>",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_page_is_read_in_one_pass(piece: str) -> None:
    found = read(piece * (200_000 // len(piece)))
    assert len(found.links) + len(found.images) <= 2


def test_the_bomb_that_fills_a_browser_is_a_page_like_any_other() -> None:
    fonts = "".join(f"<font size={n}>" for n in range(3000))
    assert shown(f"<p>{fonts}{'<p>x' * 3000}<img src=1.jpg>") == [("1.jpg", "img")]


@pytest.mark.parametrize(
    "json", ["[" * 100_000, '{"image":' * 100_000, "1" * 100_000, '"\\ud800"', "NaN"]
)
def test_hostile_json_has_no_images(json: str) -> None:
    assert shown(f"<script type=application/ld+json>{json}</script>") == []


def test_hostile_sizes_are_read_in_one_pass() -> None:
    for piece in (",", "a ", "a 1w,", "(", "a (", "1x ", ", ,"):
        assert len(offers(piece * 50_000)) <= 1000


PARTS = st.sampled_from(
    """<img src=|<a href=|'|"|>|x.jpg|<picture>|<source srcset=| 1w,|<figure>|</figure>|<figcaption>
    |<style>|url(|<script type=application/ld+json>|{"image":|<base href=|<meta name=robots content=
    |\0|\ud800|&#xD800;|//|:|%|<!--""".split("|")
)


@given(st.lists(PARTS, max_size=20).map("".join), st.sampled_from([None, "text/html", "text/xml"]))
def test_any_page_is_read_and_fit_for_a_database(html: str, content_type: str | None) -> None:
    data = html.encode("utf-8", "surrogatepass")
    found = read_page(data, AT, content_type)
    assert from_json(to_json(found)) == found


@given(st.binary(max_size=200), st.text(max_size=30))
def test_any_bytes_are_a_page(data: bytes, content_type: str) -> None:
    read_page(data, AT, content_type)
