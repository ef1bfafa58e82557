"""The generated site serves what its truth says."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urljoin

import numpy as np
import pytest

from autods.dedup.confirm import same_picture, stack_thumbs
from autods.features import Features, measure
from autods.validate import Picture, decode, same_pixels
from autods.web.http import Fetched, HttpPolicy, Request, fetch
from services.site import Site
from services.site_answers import plain_path
from services.site_leaf import STYLES, spell

pytestmark = pytest.mark.slow

PORTS = (15101, 15102, 15103, 15104)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(pages=60, images=300, slow=0.5) as made:
        yield made


def policy(**options: object) -> HttpPolicy:
    quick = {"backoff": 0.05, "timeout": 3.0, "retries": 1, "allow_private": True} | options
    return HttpPolicy(user_agent="autods/0.1 (a test)", **quick)  # type: ignore[arg-type]


def had(urls: list[str], spool: Path, **options: object) -> dict[str, tuple[Fetched, bytes]]:
    """Fetch URLs: how each ended, and its bytes."""
    requests = [Request(index=index, url=url) for index, url in enumerate(urls)]
    with closing(fetch(requests, policy(**options), spool)) as found:
        return {one.url: (one, one.path.read_bytes() if one.path else b"") for one in found}


def wanted(site: Site) -> list[str]:
    """The image URLs that may be asked for."""
    return [url for url in site.truth.images if url not in site.truth.never]


def test_as_many_pages_are_read_and_images_shown_as_were_asked_for(site: Site) -> None:
    assert len(site.truth.read) == 60
    assert len(site.truth.images) == 300
    ends = Counter(image.end for image in site.truth.images.values())
    assert set(ends) == {"asset", "duplicate", "rejected", "failed"}
    assert ends["asset"] == site.truth.unique
    kinds = {image.kind for image in site.truth.images.values()}
    assert kinds == {"", "bytes", "pixels", "near"}


def test_every_image_ends_as_the_truth_says(site: Site, tmp_path: Path) -> None:
    for url, (got, body) in had(wanted(site), tmp_path).items():
        image = site.truth.images[url]
        if {"robots", "robots-unreachable"}.intersection(image.reasons):
            assert got.final_url in site.truth.never
        elif image.sha256:
            assert sha256(body).hexdigest() == image.sha256, url
            assert isinstance(decode(body), Picture)
        elif got.refusal is not None:
            assert got.refusal.reason in image.reasons, (url, got)
            assert got.refusal.status == image.end
        else:
            judged = decode(body)
            assert not isinstance(judged, Picture)
            assert judged.reason in image.reasons


def test_every_page_ends_as_the_truth_says(site: Site, tmp_path: Path) -> None:
    options = {"max_bytes": 10 << 20, "max_redirects": 0, "accept_encoding": "gzip"}
    whys = {
        "too-large": {"too-large"}, "bomb": {"too-large", "bad-encoding"}, "endless": {"timeout"},
        "redirect-loop": {"too-many-redirects", "redirect"},
    }  # fmt: skip
    for url, (got, body) in had(list(site.truth.pages), tmp_path, **options).items():
        page = site.truth.pages[url]
        if page.end == "read":
            assert got.refusal is None, url
            assert b"h1" in body.replace(b"\0", b"")
        elif page.end == "redirect":
            assert got.refusal is not None
            assert 300 < got.status < 400
        elif page.why in whys or page.why.startswith("http-"):
            assert got.refusal is not None
            assert got.refusal.reason in whys.get(page.why, {page.why})
    sent = {one.path: one.sent for one in site.requests if "/odd/big" in one.path}
    assert max(sent.values()) < 20 << 20


def test_pictures_of_one_group_are_near_and_others_are_far(site: Site, tmp_path: Path) -> None:
    seen: dict[str, Features] = {}
    for url, (_, body) in had(sorted(site.truth.held), tmp_path).items():
        picture = decode(body)
        assert isinstance(picture, Picture)
        seen[url] = measure(picture)
    urls = sorted(seen)
    hashes = np.array([seen[url].phash for url in urls], np.uint64)
    groups = np.array([site.truth.images[url].group for url in urls])
    distances = np.bitwise_count(hashes[:, None] ^ hashes)
    same = groups[:, None] == groups
    assert distances[same].max() <= 4
    assert distances[~same].min() > 12
    left, right = np.nonzero(np.triu(same, 1))
    thumbs = stack_thumbs([seen[url].thumb for url in urls])
    assert same_picture(thumbs[left], thumbs[right])[0].all()


def test_copies_are_equal_in_bytes_or_pixels_as_their_kind_says(site: Site) -> None:
    photos = {photo.url: photo for photo in site.plan.photos.all}
    for urls in site.truth.groups.values():
        first = next(url for url in urls if site.truth.images[url].end == "asset")
        for url in urls - {first}:
            image = site.truth.images[url]
            equal = image.sha256 == site.truth.images[first].sha256
            assert equal == (image.kind == "bytes")
            if image.kind in {"pixels", "near"}:
                answers = site.plan.photos.answers
                a, b = (answers[site.plan.photos.place(photos[u].url)].body for u in (first, url))
                assert same_pixels(a, b) == (image.kind == "pixels")


def test_the_same_seed_makes_the_same_bytes() -> None:
    one, two = (Site(60, 200, 3, ports=PORTS) for _ in range(2))
    other = Site(60, 200, 4, ports=PORTS)
    assert one.plan.answers() == two.plan.answers()
    assert one.truth == two.truth
    assert not {image.sha256 for image in other.truth.images.values()} - {""} & one.truth.blobs


def test_with_other_ports_the_images_are_the_same(site: Site) -> None:
    elsewhere = Site(60, 300, slow=0.5, ports=PORTS)
    assert elsewhere.truth.counts() == site.truth.counts()
    assert elsewhere.truth.blobs == site.truth.blobs


def test_a_request_that_names_the_present_state_is_answered_304(site: Site, tmp_path: Path) -> None:
    urls = [url for url in wanted(site) if site.truth.images[url].sha256]
    first = had(urls, tmp_path)
    again = [
        Request(index=index, url=url, etag=got.etag, last_modified=got.last_modified)
        for index, (url, (got, _)) in enumerate(first.items())
    ]
    with closing(fetch(again, policy(), tmp_path)) as found:
        for one in found:
            changes = site.truth.images[one.url].changes
            assert (one.status == 304) == (changes != "none"), one
    said = {site.truth.images[url].changes: bool(got.etag) for url, (got, _) in first.items()}
    assert said == {"both": True, "etag": True, "modified": False, "none": False}


def test_however_a_url_is_written_it_names_the_same_thing(site: Site) -> None:
    for leaf in site.plan.leaves.values():
        base = leaf.base or leaf.url
        for to in leaf.follows:
            for style in STYLES:
                found = urljoin(base, spell(to, base, style)).partition("#")[0]
                origin, path = re.fullmatch(r"(?i)(http://[^/]+)(.*)", found, re.DOTALL).groups()  # type: ignore[union-attr]
                assert urljoin(origin.lower(), plain_path(path)) == to, (base, style)


def test_pages_shrink_for_who_accepts_gzip(site: Site, tmp_path: Path) -> None:
    site.reset_log()
    had([site.url], tmp_path)
    had([site.url], tmp_path, accept_encoding="gzip")
    whole, packed = (one.sent for one in site.requests)
    assert packed < whole / 1.5


def test_traps_have_no_end(site: Site, tmp_path: Path) -> None:
    for prefix in site.truth.traps:
        seen, todo = set[str](), [prefix]
        while todo and len(seen) < 30:
            url = todo.pop()
            seen.add(url)
            got, body = had([url], tmp_path, max_redirects=0)[url]
            links = re.findall(r'href="([^"]+)"', body.decode().replace("&amp;", "&"))
            if got.status == 307:
                links = [f"/forever/{len(seen)}"]
            todo += {urljoin(url, link) for link in links} - seen
        assert len(seen) == 30, prefix
        assert all(url.startswith(prefix) for url in seen)


def test_the_log_tells_who_asked_for_what_and_what_was_wrong(site: Site, tmp_path: Path) -> None:
    site.reset_log()
    private = f"{site.url}private/secret.html"
    had([site.url, private, f"{site.url}%6Fdd/?utm_source=x", f"{site.url}none"], tmp_path)
    assert {one.agent for one in site.requests} == {"autods/0.1 (a test)"}
    assert site.asked()[f"{site.url}odd/"] == 1
    assert dict(site.violations()) == {private: "robots", f"{site.url}none": "unknown"}


def test_what_changes_is_served_and_stands_in_the_truth(tmp_path: Path) -> None:
    with Site(60, 300, slow=0.1, drips=0) as site:
        before = site.truth
        change = site.change(images=4, pages=2, gone=3)
        after = site.truth
        assert after.read - before.read == set(change.pages)
        assert after.images.keys() - before.images.keys() == set(change.images)
        assert len(change.images) == 6
        assert after.unique == before.unique + 6 - 3
        got = had([*change.changed, *change.gone, *change.pages, *change.images], tmp_path)
        for url in (*change.changed, *change.images):
            assert sha256(got[url][1]).hexdigest() == after.images[url].sha256
        assert all(before.images[url].sha256 != after.images[url].sha256 for url in change.changed)
        assert {got[url][0].status for url in change.gone} == {404}
        assert {got[url][0].status for url in change.pages} == {200}


def test_the_truth_is_plain_data(site: Site) -> None:
    assert json.loads(json.dumps(site.truth.to_json()))["depth"] == 5


def test_how_many_requests_a_second(site: Site) -> None:
    path = next(u for u in site.truth.held if u.startswith(site.url)).removeprefix(site.url)
    with closing(HTTPConnection("127.0.0.1", site.ports["site"])) as client:
        begun = time.perf_counter()
        for _ in range(1000):
            client.request("GET", f"/{path}")
            client.getresponse().read()
        print(f"{1000 / (time.perf_counter() - begun):,.0f} requests/s, one client")
