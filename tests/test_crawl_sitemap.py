"""A sitemap, a feed or a list is read however it is packed and broken, and nothing in it grows."""

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.crawl import sitemap
from autods.crawl.found import FoundImage
from autods.crawl.sitemap import Sitemap, read_sitemap

AT = "http://a.org/sitemap.xml"

URLSET = """<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
        xmlns:i="http://www.google.com/schemas/sitemap-image/1.1">
  <url><loc> http://a.org/b?x=1&amp;y=2
  </loc><lastmod>2024-01-01</lastmod>
    <i:image><i:loc>http://a.org/1.jpg?w=1&amp;h=2</i:loc><i:caption>A &lt;red&gt;
      cat</i:caption><i:title>no</i:title><i:license>http://cc.org/by</i:license></i:image>
    <i:image><i:loc><![CDATA[ http://a.org/2.jpg?a=1&b=2 ]]></i:loc><i:title>Two</i:title></i:image>
    <i:image><i:caption>no loc</i:caption></i:image>
  </url>
  <!-- <url><loc>http://a.org/no</loc></url> -->
  <url><loc>http://a.org/c</loc><loc></loc></url><url><loc>ftp://a.org/no</loc></url>
  <url><loc>http://A.org:80/b?y=2&amp;x=1</loc></url>
</urlset>"""
READ = Sitemap(
    pages=("http://a.org/b?x=1&y=2", "http://a.org/c"),
    images=(
        FoundImage("http://a.org/1.jpg?w=1&h=2", "A <red> cat", "http://cc.org/by", "sitemap"),
        FoundImage("http://a.org/2.jpg?a=1&b=2", "Two", None, "sitemap"),
    ),
)


@pytest.mark.parametrize(
    "data",
    [
        URLSET.encode(),
        b"\xef\xbb\xbf" + URLSET.encode(),
        ("\ufeff" + URLSET).encode("utf-16-le"),
        URLSET.replace("UTF-8", "ISO-8859-1").encode("latin-1"),
        gzip.compress(URLSET.encode()),
        gzip.compress(URLSET[:500].encode()) + gzip.compress(URLSET[500:].encode()),
        URLSET.replace("<url>", "<s:url>").replace("</url>", "</s:url>").encode(),
        URLSET.replace("&amp;", "&").encode(),
    ],
)
def test_a_sitemap_is_read_however_it_is_written(data: bytes) -> None:
    assert read_sitemap(data, AT) == READ


def test_an_index_names_sitemaps() -> None:
    index = """<sitemapindex><sitemap><loc>http://a.org/1.xml.gz</loc></sitemap>
        <sitemap><loc>/2.xml</loc></sitemap></sitemapindex>"""
    assert read_sitemap(index.encode(), AT) == Sitemap(
        sitemaps=("http://a.org/1.xml.gz", "http://a.org/2.xml")
    )


def test_a_feed_of_rss_names_pages_and_images() -> None:
    rss = """<rss><channel><title>T</title><link>http://a.org/no</link>
        <image><url>http://a.org/no.png</url><link>http://a.org/no</link></image>
        <item><title><b/></title><link>http://a.org/1</link><description><![CDATA[<img src=no>
          <link>no</link>]]></description>
          <enclosure url="http://a.org/1.jpg" type="image/jpeg"/>
          <enclosure url="http://a.org/no.mp3" type="audio/mpeg"/>
          <media:group><media:content url="http://a.org/2" medium="image"/></media:group>
          <media:content url="http://a.org/3.png"/><media:content url="http://a.org/no"/></item>
        <item><link><![CDATA[http://a.org/2]]></link></item></channel></rss>"""
    found = read_sitemap(rss.encode(), AT)
    assert found.pages == ("http://a.org/1", "http://a.org/2")
    assert [image.url[13:] for image in found.images] == ["1.jpg", "2", "3.png"]


def test_a_feed_of_atom_names_pages_and_images() -> None:
    atom = """<feed><link href="http://a.org/no"/><entry><link rel="alternate" href="1"/>
        <link rel="enclosure" type="image/png" href="/1.png"/><link rel="edit" href="no"/>
        <content type="html">&lt;img src=no></content></entry>
        <entry><link href="2"/></entry></feed>"""
    found = read_sitemap(atom.encode(), AT)
    assert found.pages == ("http://a.org/1", "http://a.org/2")
    assert [image.url for image in found.images] == ["http://a.org/1.png"]


def test_a_plain_list_has_a_page_on_each_line() -> None:
    lines = "http://a.org/1\r\n\n  http://a.org/2 \nnot one\nhttp://a.org/1\n"
    for data in (lines.encode(), gzip.compress(lines.encode()), b"\xef\xbb\xbf" + lines.encode()):
        assert read_sitemap(data, AT).pages == ("http://a.org/1", "http://a.org/2")


def test_what_stands_before_an_end_that_is_missing_counts() -> None:
    cut = URLSET[: URLSET.index("/c</loc>") + 1].encode()
    assert read_sitemap(cut, AT) == Sitemap(READ.pages[:1], (), READ.images)
    noise = "".join(f"<url><loc>http://a.org/{n}</loc></url>" for n in range(5000))
    packed = gzip.compress(f"<urlset>{noise}".encode())
    found = read_sitemap(packed[: len(packed) // 2], AT)
    assert 1000 < len(found.pages) < 4000
    assert found.reason == "damaged"
    assert read_sitemap(packed[:100] + b"\xff" * 100 + packed[200:], AT).reason == "damaged"


def test_a_bomb_of_gzip_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "LONGEST", 2**20)
    head = b"<urlset><url><loc>http://a.org/1</loc></url>"
    bomb = gzip.compress(head + b" " * 50 * 2**20)
    tracemalloc.start()
    found = read_sitemap(bomb, AT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == Sitemap(pages=("http://a.org/1",), reason="too-large")
    assert peak < 8 * 2**20


def test_a_billion_laughs_are_none() -> None:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 30))
    xml = f"""<?xml version="1.0"?><!DOCTYPE urlset [<!ENTITY l0 "lol">{entities}
        <!ENTITY x SYSTEM "file:///etc/passwd">]><urlset><url><loc>http://a.org/&l29;&x;</loc></url>
        <url><loc>http://a.org/2</loc></url></urlset>"""
    assert read_sitemap(xml.encode(), AT).pages == ("http://a.org/&l29;&x;", "http://a.org/2")


@pytest.mark.slow
def test_no_more_entries_are_read_than_the_protocol_allows() -> None:
    urls = "".join(f"<url><loc>http://a.org/{n}</loc></url>" for n in range(50_001))
    found = read_sitemap(f"<urlset>{urls}".encode(), AT)
    assert len(found.pages) == 50_000
    assert found.reason == "too-many"


def test_what_is_nested_too_deep_is_not_read_further() -> None:
    nested = "<a>" * 100_000 + "<url><loc>http://a.org/no</loc></url>"
    assert read_sitemap(nested.encode(), AT) == Sitemap(reason="too-deep")


@pytest.mark.parametrize(
    "piece", ["<url>", "<loc>", "</loc>", "<a b='", "<!--", "<![CDATA[", "&a;", "x\n", "<a/>"]
)
def test_a_hostile_sitemap_is_read_in_one_pass(piece: str) -> None:
    assert read_sitemap(piece.encode() * (200_000 // len(piece)), AT).pages == ()


PARTS = st.sampled_from(
    "<url>|</url>|<loc>|</loc>|<image:image>|</image:image>|<image:loc>|http://a.org/1|<![CDATA[|]]>"
    "|<item>|<entry>|<link href='x'/>|<link>|</link>|&|<!DOCTYPE a [|\0| |<x>".split("|")
)


@given(st.lists(PARTS, max_size=20).map("".join), st.booleans())
def test_any_text_is_a_sitemap(text: str, packed: bool) -> None:
    data = text.encode()
    read_sitemap(gzip.compress(data) if packed else data, AT)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_sitemap(data: bytes) -> None:
    assert read_sitemap(data, AT).sitemaps == ()
    read_sitemap(b"\x1f\x8b" + data, AT)
    assert read_sitemap(gzip.compress(data), AT).pages == read_sitemap(data, AT).pages
