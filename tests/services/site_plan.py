"""The generated site as a whole: its pages and what links to what, and the truth that follows."""

import gzip
from collections import deque
from hashlib import sha256
from html import escape
from itertools import cycle

from services.site_answers import Answer, Place
from services.site_ground import Ground, Shape
from services.site_leaf import FOR_IMAGES, STYLES, WAYS, Leaf
from services.site_odd import BARRED, add_odd_pages
from services.site_photos import BEGAN, Photo
from services.site_pictures import Pictures
from services.site_traps import ENTRIES, TRAPS
from services.site_truth import ImageEnd, PageEnd, Truth
from services.site_words import SECTIONS

_ROBOTS = """\
User-agent: *
Disallow: /only-others-barred/
Disallow: /private/

User-agent: autods
Disallow: /private/
Allow: /private/open/
Disallow: /images/barred/
Disallow: /*print=1

Sitemap: {site}/sitemap-index.xml
"""


class Plan(Ground):
    """All that is answered, and the truth about it; the same for the same shape and ports."""

    def __init__(self, shape: Shape, origins: dict[str, str]) -> None:
        super().__init__(shape, origins)
        self._sheets: dict[str, tuple[Leaf, list[Photo]]] = {}
        self._listed: dict[str, list[Photo]] = {}
        self._ways = cycle(self.chance.sample(WAYS, len(WAYS)))
        self.photos.fill(shape.images - 1)
        add_odd_pages(self)
        self._grow()
        self._deal([photo for photo in self.photos.all if not photo.pages])
        self._serve_the_rest()

    def answers(self) -> dict[Place, Answer]:
        """Write all there is to answer."""
        pages = {self.photos.place(url): leaf.answer() for url, leaf in self.leaves.items()}
        sheets = {self.photos.place(url): self._sheet(url) for url in self._sheets}
        thumbnail = Answer(body=Pictures(0).plain(20), content_type="image/jpeg")
        small = {
            self.photos.place(url): thumbnail
            for leaf in self.leaves.values()
            for url, why in leaf.unwanted
            if why == "smaller"
        }
        return {
            **self.served,
            **small,
            **self.photos.answers,
            **self._sitemaps(),
            **sheets,
            **pages,
        }

    def truth(self) -> Truth:
        """Walk the site as a correct crawl does, and write down what it meets."""
        truth = Truth(depth=self.shape.depth)
        truth.traps = {self.site + path: what for path, what in TRAPS.items()}
        self._walk(truth)
        truth.aids = {**self.aids, **self.photos.targets}
        truth.aids |= dict.fromkeys(self._sheets, "stylesheet")
        truth.never = {**self.never, **self.photos.barred}
        for url, leaf in self.leaves.items():
            reached = url in truth.pages
            assert reached != bool(leaf.why), f"{url}: {leaf.why or 'should be read'}"
            truth.never |= dict(leaf.unwanted)
            for photo in leaf.shows:
                if reached and not _hides_images(leaf):
                    truth.images.setdefault(photo.url, _image_end(photo, url))
                else:
                    truth.never.setdefault(photo.url, "on a page that shows it to nobody")
            if leaf.why:
                truth.never[url] = leaf.why
        for photo in self.photos.all:
            truth.never.pop(photo.url, None)
            truth.images.setdefault(photo.url, _image_end(photo, photo.pages[0]))
            if photo.role in {"barred", "closed"}:
                truth.never[photo.url] = "robots"
        return truth

    def add_page(self) -> tuple[Leaf, list[Photo]]:
        """Add a page with three new images, and lead to it from the home page."""
        leaf = self.leaf(f"/news/{next(self.names)}.html")
        self.home.link(leaf.url)
        self.home.edits += 1
        leaf.link(self.home.url)
        new = [self.photos.plain() for _ in range(3)]
        for photo in new:
            leaf.show(photo, "img", "path")
            photo.pages.append(leaf.url)
        return leaf, new

    def _walk(self, truth: Truth) -> None:
        first = [self.home.url, *(leaf.url for leaf in self.orphans)]
        queue = deque((url, 0) for url in first)
        while queue:
            url, depth = queue.popleft()
            if url in truth.pages or depth > self.shape.depth:
                continue
            leaf, end = self.leaves.get(url), self.ends.get(url)
            if leaf is not None and leaf.why not in BARRED:
                truth.pages[url] = PageEnd(end="read", depth=depth)
                if not any("nofollow" in what for who, what in leaf.robots if who != "googlebot"):
                    queue.extend((to, depth + 1) for to in leaf.follows)
            elif end is not None:
                truth.pages[url] = PageEnd(end=end.end, depth=depth, why=end.why)
                if end.to:
                    queue.append((end.to, depth))

    def _grow(self) -> None:
        """Add sections, categories and items until there are as many pages as asked for."""
        left = self.shape.pages - sum(not leaf.why for leaf in self.leaves.values())
        count = max(2, min(len(SECTIONS), left // 40))
        sections = [self._section(name) for name in SECTIONS[:count]]
        wide = max(1, round((left / count) ** 0.5) - 1)
        groups = [
            (section, self._below(section, f"{_path(section)}{next(self.names)}/"))
            for section in sections
            for _ in range(wide)
        ]
        assert left >= count * (1 + wide)
        items: list[Leaf] = []
        for number in range(left - count * (1 + wide)):
            section, group = groups[number % len(groups)]
            item = self._below(group, f"{_path(group)}{next(self.names)}.html")
            item.link(section.url)
            items.append(item)
        for item in items:
            for other in self.chance.sample(items, min(3, len(items))):
                item.link(other.url, self.chance.choice(STYLES))
        for path in ENTRIES:
            self.home.link(self.site + path)

    def _section(self, name: str) -> Leaf:
        section = self._below(self.home, f"/{name}/")
        section.sheet = f"{self.site}/css/{name}.css"
        self._sheets[section.sheet] = (section, [])
        self._sheets[f"{self.site}/css/{name}-more.css"] = (section, [])
        return section

    def _below(self, parent: Leaf, path: str) -> Leaf:
        style = self.chance.choice(STYLES)
        leaf = self.child(parent, path, style=style, sheet=parent.sheet)
        leaf.link(self.home.url)
        leaf.link(parent.url, "relative")
        return leaf

    def _deal(self, photos: list[Photo]) -> None:
        """Show each image on some page, one in twenty on another page too."""
        open_pages = [leaf for leaf in self.leaves.values() if not leaf.why and leaf.only]
        here = cycle(open_pages)
        for number, photo in enumerate(photos):
            if number % 100 == 1:
                self._list(photo, self.orphans[number // 100 % len(self.orphans)])
                continue
            self._show(photo, next(here), next(self._ways))
            if number % 20 == 2:
                self._show(photo, self.chance.choice(open_pages), "img")

    def _show(self, photo: Photo, leaf: Leaf, how: str) -> None:
        if how in {"css", "css-import"} and leaf.sheet:
            url = leaf.sheet if how == "css" else leaf.sheet.replace(".css", "-more.css")
            self._sheets[url][1].append(photo)
            photo.how = photo.how or how
            photo.pages.append(self._sheets[url][0].url)
            return
        usable = how in leaf.only and not how.startswith("css")
        leaf.show(photo, how if usable else "img", self.chance.choice(FOR_IMAGES))
        photo.pages.append(leaf.url)

    def _list(self, photo: Photo, leaf: Leaf) -> None:
        """Name an image in a sitemap only."""
        photo.how = "sitemap"
        photo.pages.append(leaf.url)
        self._listed.setdefault(leaf.url, []).append(photo)

    def _sheet(self, url: str) -> Answer:
        """Write a stylesheet; the first of a section imports the second."""
        more = url.replace(".css", "-more.css")
        lines = [f'@import "{more}";'] if more in self._sheets else []
        for number, photo in enumerate(self._sheets[url][1]):
            quoted = f'"{photo.url}"' if number % 2 else photo.url
            lines.append(f".c{number}::before {{ background: url({quoted}) center; }}")
        return _text("\n".join([*lines, "body { color: #123 }"]), "text/css")

    def _sitemaps(self) -> dict[Place, Answer]:
        """Write an index (that lists itself), a compressed sitemap of pages and one of images."""
        names = ("/sitemap-index.xml", "/sitemaps/pages.xml.gz", "/sitemaps/pictures.xml")
        index = "".join(f"<sitemap><loc>{self.site}{name}</loc></sitemap>" for name in names)
        urls = [leaf.url for leaf in self.orphans] + [self.home.url]
        urls += [url for url, leaf in self.leaves.items() if leaf.why in BARRED]
        pages = "".join(f"<url><loc>{escape(url)}</loc></url>" for url in urls)
        shown = "".join(
            f"<url><loc>{url}</loc>{''.join(map(_image_entry, photos))}</url>"
            for url, photos in self._listed.items()
        )
        packed = gzip.compress(_urlset(pages).encode(), 6, mtime=0)
        body = f'<sitemapindex xmlns="{_SCHEMA}">{index}</sitemapindex>'
        return {
            ("site", names[0]): _text(body, "application/xml"),
            ("site", names[1]): Answer(body=packed, content_type="application/gzip"),
            ("site", names[2]): _text(_urlset(shown), "text/xml"),
        }

    def _serve_the_rest(self) -> None:
        delay = f"User-agent: *\nCrawl-delay: {self.shape.crawl_delay}\n"
        self.serve("/robots.txt", _text(_ROBOTS.format(site=self.site), "text/plain"))
        self.serve("/robots.txt", _text(delay, "text/plain"), "cdn")
        self.serve("/robots.txt", Answer(status=503, body=b"down"), "closed")
        for origin in self.origins.values():
            self.aids |= {f"{origin}/robots.txt": "robots", f"{origin}/sitemap.xml": "sitemap"}
            self.never[f"{origin}/favicon.ico"] = "icon"
        for _, path in self._sitemaps():
            self.aids[self.site + path] = "sitemap"
        for leaf in self.leaves.values():
            leaf.unwanted.append((f"{leaf.origin}/pixel.gif?from={leaf.number}", "pixel"))


def _path(leaf: Leaf) -> str:
    return leaf.url.removeprefix(leaf.origin)


_SCHEMA = "http://www.sitemaps.org/schemas/sitemap/0.9"
_IMAGES = "http://www.google.com/schemas/sitemap-image/1.1"


def _urlset(urls: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<urlset xmlns="{_SCHEMA}" xmlns:image="{_IMAGES}">{urls}</urlset>'
    )


def _image_entry(photo: Photo) -> str:
    return f"<image:image><image:loc>{escape(photo.url)}</image:loc></image:image>"


def _text(body: str, kind: str) -> Answer:
    tag = f'W/"{sha256(body.encode()).hexdigest()[:16]}"'
    return Answer(body=body.encode(), content_type=kind, etag=tag, modified=BEGAN, zips=True)


def _hides_images(leaf: Leaf) -> bool:
    return any("noimageindex" in what for who, what in leaf.robots if who != "googlebot")


def _image_end(photo: Photo, page: str) -> ImageEnd:
    return ImageEnd(
        end=photo.end, how=photo.how, page=page, reasons=photo.reasons, sha256=photo.sha256,
        group=photo.picture if photo.sha256 else None, kind=photo.kind, changes=photo.changes,
        caption=photo.caption if len(photo.pages) < 2 else None,
        license=photo.license if len(photo.pages) < 2 else None,
    )  # fmt: skip
