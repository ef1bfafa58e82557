"""The odd pages of the generated site: what real sites do to crawlers, one page for each."""

from services.site_answers import Answer, redirect
from services.site_ground import End, Ground
from services.site_leaf import Leaf
from services.site_photos import gzip_bomb

BARRED = ("robots", "other-host", "user-in-url", "too-long")
"""Why a page may not be asked for although something leads there."""

_ERROR = b"<!doctype html><title>Sorry</title><p>Not now, or never.</p>"
_MARKUP = b"<!doctype html><title>Long</title>" + b"<p>more and more of it</p>" * 2500


def add_odd_pages(plan: Ground) -> None:
    """Add them all, most of them led to from /odd/."""
    odd = plan.child(plan.home, "/odd/")
    for add in (
        _charsets, _bases, _rules, _robots, _hosts, _elements, _redirects, _refusals, _endless,
        _nonsense, _depths, _numbers, _orphans,
    ):  # fmt: skip
        add(plan, odd)


def _charsets(plan: Ground, odd: Leaf) -> None:
    plan.child(odd, "/odd/utf-sixteen.html", charset="utf-16", declares="bom")
    plan.child(odd, "/odd/latin.html", charset="iso-8859-1", declares="meta")
    plan.child(odd, "/odd/cyrillic.html", charset="windows-1251")
    plan.child(odd, "/odd/xhtml.xhtml", kind="application/xhtml+xml")


def _bases(plan: Ground, odd: Leaf) -> None:
    base = plan.child(odd, "/odd/base.html", base=f"{plan.site}/elsewhere/deep/")
    base.link(odd.url, "relative")
    plan.child(odd, "/odd/base-cdn.html", base=f"{plan.origins['cdn']}/images/")


def _rules(plan: Ground, odd: Leaf) -> None:
    """What a page forbids to follow or to index, for all or for some."""
    ours, others = (("robots", "nofollow"),), (("googlebot", "nofollow, noimageindex"),)
    page = plan.child(odd, "/odd/nofollow.html", robots=ours, only=("img",))
    plan.child(page, "/odd/behind-nofollow.html", "nofollow")
    page = plan.child(odd, "/odd/for-others.html", robots=others)
    plan.child(page, "/odd/behind-for-others.html")
    behind = plan.leaf("/odd/behind-rel-nofollow.html", "nofollow")
    odd.link(behind.url, follow=False)
    for who in ("robots", "autods"):
        rules = ((who, "noimageindex"),)
        page = plan.child(odd, f"/odd/noimageindex-{who}.html", robots=rules, only=())
        page.show(plan.photos.stray("noimageindex"), "img", "path")
        plan.child(page, f"/odd/behind-noimageindex-{who}.html")


def _robots(plan: Ground, odd: Leaf) -> None:
    plan.child(odd, "/private/secret.html", "robots")
    plan.child(odd, "/odd/again.html?print=1", "robots")
    plan.child(odd, "/private/open/hello.html")
    plan.child(odd, "/only-others-barred/welcome.html")


def _hosts(plan: Ground, odd: Leaf) -> None:
    for parent, path in ((plan.home, "/"), (odd, "/partner/offers.html")):
        plan.child(parent, path, "other-host", origin="other")
    plan.child(odd, "/about.html", "other-host", origin="cdn")


def _elements(plan: Ground, odd: Leaf) -> None:
    """Links that are no <a>."""
    ways = {
        "framed": '<iframe src="{}"></iframe>',
        "mapped": '<map name="m"><area href="{}" alt="there"></map>',
        "refreshed": '<meta http-equiv="refresh" content="5; url={}">',
    }
    page = plan.child(odd, "/odd/elements.html")
    for name, markup in ways.items():
        there = plan.leaf(f"/odd/{name}.html")
        page.follows.append(there.url)
        (page.head if name == "refreshed" else page.body).append(markup.format(there.url))
    page.head.append(f'<link rel="canonical" href="{odd.url}">')


def _redirects(plan: Ground, odd: Leaf) -> None:
    arrived = plan.leaf("/odd/arrived.html")
    leads = {
        "/odd/moved": arrived.url,
        "/odd/chain-one": f"{plan.site}/odd/chain-two",
        "/odd/chain-two": f"{plan.site}/odd/chain-three",
        "/odd/chain-three": plan.leaf("/odd/chain-end.html").url,
        "/odd/to-private": plan.leaf("/private/redirected.html", "robots").url,
        "/odd/away": plan.leaf("/landing.html", "other-host", origin="other").url,
        "/odd/loop-there": f"{plan.site}/odd/loop-back",
        "/odd/loop-back": f"{plan.site}/odd/loop-there",
        "/odd/loop-self": f"{plan.site}/odd/loop-self",
    }
    for number, (path, to) in enumerate(leads.items()):
        written = to.removeprefix(plan.site) if number % 2 else to
        hidden = path in {"/odd/chain-two", "/odd/chain-three", "/odd/loop-back"}
        end = End("redirect", "redirect-loop" if "loop" in path else "", to)
        answer = redirect(written, 302 if number % 3 else 301)
        plan.end(None if hidden else odd, path, end, answer)


def _refusals(plan: Ground, odd: Leaf) -> None:
    for status in (403, 404, 410, 500):
        plan.end(odd, f"/odd/status-{status}.html", End("refused", f"http-{status}"), Answer(
            status=status, body=_ERROR, content_type="text/html"
        ))  # fmt: skip
    pdf = Answer(body=b"%PDF-1.7\n", content_type="application/pdf")
    plan.end(odd, "/odd/brochure.pdf", End("refused", "not-a-page"), pdf)
    plan.end(odd, "/odd/nothing.html", End("refused", "empty"), Answer(content_type="text/html"))
    plan.child(odd, "/odd/heals.html", before=(Answer(status=503, body=_ERROR),))
    _view(plan, odd)


def _view(plan: Ground, odd: Leaf) -> None:
    """Lead to an image by a link that looks like a page's."""
    photo = plan.photos.plain("behind-a-page", origin="site")
    served = plan.photos.answers.pop(plan.photos.place(photo.url))
    photo.url = plan.end(odd, "/odd/view-of-the-lake", End("image"), served)
    plan.photos.answers[plan.photos.place(photo.url)] = served
    photo.how, photo.pages = "page", [odd.url]


def _endless(plan: Ground, odd: Leaf) -> None:
    """Bodies without end or measure: 50 MB with and without a length, a bomb, drops."""
    kind = "text/html; charset=utf-8"
    times = (50 << 20) // len(_MARKUP)
    big = Answer(body=_MARKUP, content_type=kind, repeat=times)
    plan.end(odd, "/odd/big.html", End("refused", "too-large"), big)
    long = Answer(body=_MARKUP, content_type=kind, repeat=times, sized=False)
    plan.end(odd, "/odd/big-chunked.html", End("refused", "too-large"), long)
    packed = (("Content-Encoding", "gzip"),)
    bomb = Answer(body=gzip_bomb(), content_type=kind, headers=packed)
    plan.end(odd, "/odd/bomb.html", End("refused", "bomb"), bomb)
    drops = Answer(body=b"<p>", content_type=kind, sized=False, pause=0.2)
    for number in range(plan.shape.drips):
        plan.end(odd, f"/odd/drips-{number}.html", End("refused", "endless"), drops)


def _nonsense(plan: Ground, odd: Leaf) -> None:
    """Links that lead nowhere, or to what no crawler asks for."""
    host = plan.site.removeprefix("http://")
    never = {
        f"http://me:secret@{host}/odd/with-password.html": "user-in-url",
        f"{plan.site}/odd/{'long-' * 500}.html": "too-long",
    }
    for link in (
        "javascript:void(0)", "mailto:me@example.org", "tel:+49", "http://[", "http://", "//", "#",
        "ftp://127.0.0.1/a", "data:text/html,<a href=x>", "http://127.0.0.1:99999/", "http:// /",
        *never,
    ):  # fmt: skip
        odd.body.append(f'<li><a href="{link}">?</a></li>')
    plan.never[f"{plan.site}/odd/with-password.html"] = "user-in-url"
    plan.never |= never


def _depths(plan: Ground, odd: Leaf) -> None:
    """A chain of pages that goes deeper than a crawl does."""
    parent = plan.home
    for depth in range(1, plan.shape.depth + 4):
        why = "too-deep" if depth > plan.shape.depth else ""
        parent = plan.child(parent, f"/deep/{next(plan.names)}.html", why)


def _numbers(plan: Ground, odd: Leaf) -> None:
    """Few pages of one shape, as an archive has them; no trap."""
    parent = plan.home
    for number in range(1, 4):
        parent = plan.child(parent, f"/list?page={number}")
        plan.child(parent, f"/archive/item-{number}.html")


def _orphans(plan: Ground, odd: Leaf) -> None:
    """Pages that only a sitemap knows."""
    for _ in range(max(3, plan.shape.pages // 50)):
        orphan = plan.leaf(f"/leaflets/{next(plan.names)}.html")
        orphan.link(plan.home.url)
        plan.orphans.append(orphan)
