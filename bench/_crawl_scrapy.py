"""Crawls a site's images with Scrapy: what `crawl.py` runs beside autods, by Scrapy's own Python.

    python bench/_crawl_scrapy.py URL OUT [--deny REGEX] [--files] [--cache] [--ask] [--job FOLDER]

One file instead of a project, with Scrapy's own tools wherever it has one: SitemapSpider, link
extractors, selectors, ImagesPipeline. It knows all the ways to show an image of the site it is
made for; images lie in OUT/full, named by the SHA-1 of their URLs.
"""

import argparse
import json
import re
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from scrapy import Request, Selector
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response, TextResponse
from scrapy.linkextractors import IGNORED_EXTENSIONS, LinkExtractor
from scrapy.pipelines.files import FilesPipeline
from scrapy.pipelines.images import ImagesPipeline
from scrapy.spiders import SitemapSpider
from scrapy.utils.response import get_base_url, get_meta_refresh
from scrapy.utils.url import url_has_any_extension
from w3lib.url import url_query_cleaner

AGENT = "autods"
"""The rules of robots.txt that hold for the one hold for the other."""

DEPTH = 5
PAGE_BYTES = 10 << 20
LIMITS = {
    "CONCURRENT_REQUESTS": 128,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 6,
    "CONCURRENT_ITEMS": 8,  # A page has three; the 100 there are else cost 40 % more processor.
    "DEPTH_LIMIT": DEPTH,
    "DOWNLOAD_MAXSIZE": 64 << 20,
    "DOWNLOAD_TIMEOUT": 60,
    "RETRY_TIMES": 3,
    "AUTOTHROTTLE_ENABLED": False,
    "CLOSESPIDER_TIMEOUT": 600,
    "METAREFRESH_ENABLED": False,  # Else such a page's own images are lost.
}
"""As autods has them. Crawl-delay is none of Scrapy's settings: nobody obeys it."""

BREADTH_FIRST = {
    "DEPTH_PRIORITY": 1,
    "SCHEDULER_DISK_QUEUE": "scrapy.squeues.PickleFifoDiskQueue",
    "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
}
"""As its documentation says: else a page may first be met deeper than it lies."""

TRACKING = ["utm_source", "gclid", "PHPSESSID"]
PICTURES = {"jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff", "avif"}
ENDINGS = {f".{name}" for name in PICTURES}
IN_CSS = re.compile(r"""url\(\s*["']?(.*?)["']?\s*\)""")
IMPORTED = re.compile(r"""@import\s+(?:url\()?["']?([^"')\s]+)""")
SHOWN = (
    "meta[property='og:image']::attr(content)",
    "meta[name='twitter:image']::attr(content)",
    "link[rel='image_src']::attr(href)",
    "link[rel='preload'][as='image']::attr(href)",
    "video::attr(poster)",
    "input[type='image']::attr(src)",
    "svg image::attr(href)",
)


def plain(url: str) -> str:
    """Write a URL as others write it: host in lower case, no dots, no tracking, no session."""
    parts = urlsplit(url_query_cleaner(url, TRACKING, remove=True))
    if parts.scheme.lower() not in {"http", "https"}:
        return url
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return urljoin(f"{parts.scheme}://{parts.netloc.lower()}/", path or "/")


class Images(SitemapSpider):
    """Follows the links of one host and the entries of its sitemaps, and yields images by page."""

    name = "images"

    def __init__(self, url: str, deny: str) -> None:
        super().__init__()
        self.url = url
        self.allowed_domains = [urlsplit(url).hostname]
        self.sitemap_urls = [urljoin(url, "/robots.txt")]
        self.links = LinkExtractor(
            tags=("a", "area", "iframe"),
            attrs=("href", "src"),
            process_value=plain,
            deny=deny or (),
            deny_extensions=set(IGNORED_EXTENSIONS) - PICTURES,
        )

    async def start(self) -> AsyncIterator[Request]:
        # As Scrapy's own `start` does: a crawl that goes on would else not even begin.
        yield self.page(self.url).replace(dont_filter=True)
        async for request in super().start():
            yield request

    def page(self, url: str) -> Request:
        return Request(url, self.parse, meta={"download_maxsize": PAGE_BYTES})

    def _parse_sitemap(self, response: Response) -> Iterator[Any]:
        """Take the images, too, that a sitemap names."""
        yield from super()._parse_sitemap(response) or ()
        if body := self._get_sitemap_body(response):
            tree = Selector(text=body.decode(), type="xml")
            tree.remove_namespaces()
            yield {"image_urls": tree.xpath("//image/loc/text()").getall()}

    def parse(self, response: Response) -> Iterator[Any]:
        if not isinstance(response, TextResponse):
            if response.headers.get("Content-Type", b"").startswith(b"image/"):
                yield {"image_urls": [response.url]}
            return
        said = response.css(f"meta[name='robots'], meta[name='{AGENT}']").xpath("@content").getall()
        if not any("noimageindex" in rule for rule in said):
            yield {"image_urls": self.absolute(response, shown(response))}
        for sheet in response.css("link[rel='stylesheet']::attr(href)").getall():
            yield response.follow(sheet, self.parse_css)
        if not any("nofollow" in rule for rule in said):
            links = [link for link in self.links.extract_links(response) if not link.nofollow]
            pictures = [link.url for link in links if url_has_any_extension(link.url, ENDINGS)]
            yield {"image_urls": pictures}
            for link in links:
                if link.url not in pictures and link.url.startswith(self.url):
                    yield self.page(link.url)
            if refreshed := get_meta_refresh(response)[1]:
                yield self.page(refreshed)

    def parse_css(self, response: TextResponse) -> Iterator[Any]:
        imported = IMPORTED.findall(response.text)
        yield {"image_urls": self.absolute(response, IN_CSS.findall(response.text))}
        for sheet in imported:
            yield response.follow(sheet, self.parse_css)

    def absolute(self, response: TextResponse, found: Any) -> list[str]:
        base = get_base_url(response) if response.css("base") else response.url
        whole = (urljoin(base, url.strip()) for url in found if not url.startswith("data:"))
        return list(dict.fromkeys(map(plain, whole)))


def shown(page: TextResponse) -> Iterator[str]:
    """Yield the images of a page as it names them, the largest of those there is a choice of."""
    yield from chain.from_iterable(page.css(one).getall() for one in SHOWN)
    for image in page.css("img:not([width='1'])"):
        names = image.attrib
        lazy = names.get("data-src") or names.get("data-original") or names.get("data-lazy-src")
        chosen = [names.get("srcset"), *image.xpath("ancestor::picture//source/@srcset").getall()]
        choice = max(chain.from_iterable(map(candidates, filter(None, chosen))), default=None)
        if choice or lazy or "src" in names:
            yield choice[1] if choice else lazy or names["src"]
    for style in page.css("style::text, *::attr(style)").getall():
        yield from IN_CSS.findall(style)
    for script in page.css("script[type='application/ld+json']::text").getall():
        yield from in_json(json.loads(script))


def candidates(srcset: str) -> Iterator[tuple[float, str]]:
    for one in re.split(r",\s+", srcset):
        url, _, size = one.strip().partition(" ")
        yield float(size.strip("wx ") or 1), url


def in_json(found: Any) -> Iterator[str]:
    if isinstance(found, list):
        yield from chain.from_iterable(map(in_json, found))
    elif isinstance(found, dict):
        if found.get("@type") == "ImageObject":
            yield found["contentUrl"]
        yield from in_json(list(found.values()))


class FromAnywhere:
    """The images of a page may lie on other hosts than the pages."""

    def get_media_requests(self, item: Any, info: Any) -> list[Request]:
        asked = super().get_media_requests(item, info)
        return [request.replace(meta={"allow_offsite": True}) for request in asked]


class KeptImages(FromAnywhere, ImagesPipeline):
    """Decodes every image and keeps a JPEG of it."""


class KeptFiles(FromAnywhere, FilesPipeline):
    """Keeps what comes in."""


def settings(given: argparse.Namespace) -> dict[str, Any]:
    out = str(given.out)
    pipeline = KeptFiles if given.files else KeptImages
    chosen = {
        **LIMITS,
        **BREADTH_FIRST,
        "USER_AGENT": AGENT,
        "ROBOTSTXT_OBEY": True,
        "ITEM_PIPELINES": {pipeline: 1},
        "MEDIA_ALLOW_REDIRECTS": True,
        "FILES_STORE": out,
        "FILES_URLS_FIELD": "image_urls",
        "IMAGES_STORE": out,
        "JOBDIR": given.job and str(given.job),
        "LOG_LEVEL": "INFO",
        "LOG_FILE": f"{out}.log",
        "TELNETCONSOLE_ENABLED": False,
    }
    if given.cache:
        policy = "scrapy.extensions.httpcache.RFC2616Policy"
        chosen |= {"HTTPCACHE_ENABLED": True, "HTTPCACHE_POLICY": policy}
        chosen |= {"HTTPCACHE_DIR": f"{out}-cache"}
    if given.ask:
        # Else neither an image of less than 90 days nor what its date calls fresh is asked for.
        # "no-cache" would not do: with it Scrapy sends no validators.
        chosen |= {"DEFAULT_REQUEST_HEADERS": {"Cache-Control": "max-age=0"}}
        chosen |= {"IMAGES_EXPIRES": 0, "FILES_EXPIRES": 0}
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("out", type=Path)
    parser.add_argument("--deny", default="", help="pages not to follow: a regular expression")
    parser.add_argument("--files", action="store_true", help="FilesPipeline: decode nothing")
    parser.add_argument("--cache", action="store_true", help="HTTPCACHE, by RFC 2616")
    parser.add_argument("--ask", action="store_true", help="ask each whether it has changed")
    parser.add_argument("--job", type=Path, help="JOBDIR")
    given = parser.parse_args()
    process = CrawlerProcess(settings(given))
    crawler = process.create_crawler(Images)
    process.crawl(crawler, url=given.url, deny=given.deny)
    process.start()
    print(json.dumps(crawler.stats.get_stats(), default=str))


if __name__ == "__main__":
    main()
