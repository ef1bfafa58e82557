"""A URL list becomes a version: politely, safely, and with every line accounted for."""

import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loopback import Loopback, Page, redirect

Build = Callable[..., dict[str, Any]]
Tree = Callable[..., dict[str, str]]

pytestmark = pytest.mark.slow

RECIPE = """\
name: crawl
sources:
  - urls: list.csv
http: {allow_private: ["127.0.0.1/32"], retries: 1, backoff: 0.01, timeout: 5}
dedup: {near: off}
"""


def jpeg(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


def write_list(folder: Path, rows: list[str], recipe: str = RECIPE) -> Path:
    (folder / "list.csv").write_text("url,caption,license,label\n" + "\n".join(rows) + "\n")
    (folder / "recipe.yaml").write_text(recipe)
    return folder / "recipe.yaml"


def test_every_line_of_an_untidy_list_is_accounted_for(
    site: Loopback, build: Build, tmp_path: Path
) -> None:
    good = [site.serve(f"/{n}.jpg", Page(body=jpeg(n))) for n in range(20)]
    copy = site.serve("/copy.jpg", Page(body=jpeg(0)))
    moved = site.serve("/moved.jpg", redirect(site.url("/target.jpg")))
    site.serve("/target.jpg", Page(body=jpeg(50)))
    healing = site.serve("/healing.jpg", Page(status=503), Page(body=jpeg(51)))
    bad = {
        site.serve("/page.jpg", Page(body=b"<html></html>")): "unsupported-format",
        site.serve("/cut.jpg", Page(body=jpeg(60)[:-900])): "truncated",
        site.serve("/noai.jpg", Page(headers={"X-Robots-Tag": "noai"})): "x-robots-noai",
        site.serve("/inside.jpg", redirect("http://127.0.0.2:1/x.jpg")): "private-address",
        "http://10.0.0.1/x.jpg": "private-address",
        "ftp://example.org/x.jpg": "unsupported-scheme",
        "not a url": "bad-url",
    }
    gone = site.url("/gone.jpg")
    urls = [*good, copy, moved, healing, *bad, gone, good[0]]
    built = build(write_list(tmp_path, [f"{url},,cc0,cat" for url in urls]), "-w", tmp_path)
    counts = built["facts"]["counts"]
    assert counts["inputs"] == len(urls)
    assert counts["accepted"] == 22
    assert counts["exact_duplicates"] == 2
    assert counts["failed_by"] == {"http-404": 1}
    wanted: dict[str, int] = {}
    for reason in bad.values():
        wanted[reason] = wanted.get(reason, 0) + 1
    assert counts["rejected_by"] == wanted
    assert built["facts"]["contents"]["licenses"] == {"cc0": 22}


def test_secrets_of_urls_are_kept_out_of_everything_shown(
    site: Loopback, build: Build, tmp_path: Path
) -> None:
    site.serve("/a.jpg?w=5&X-Amz-Signature=SECRET", Page(body=jpeg(1)))
    urls = [site.url("/a.jpg?w=5&X-Amz-Signature=SECRET"), "http://user:SECRET@example.org/b.jpg",
            "ftp://user:SECRET@example.org/c.jpg"]  # fmt: skip
    built = build(write_list(tmp_path, [f"{url},,," for url in urls]), "-w", tmp_path)
    assert built["facts"]["counts"]["accepted"] == 1
    shown = [p for p in (tmp_path / "datasets").rglob("*") if p.is_file()]
    assert [p for p in shown if b"SECRET" in p.read_bytes()] == []
    assert "SECRET" not in str(built)


def test_a_longer_list_fetches_only_what_is_new(
    site: Loopback, build: Build, tmp_path: Path
) -> None:
    urls = [site.serve(f"/{n}.jpg", Page(body=jpeg(n))) for n in range(12)]
    rows = [f"{url},a picture,," for url in urls]
    first = build(write_list(tmp_path, rows[:10]), "-w", tmp_path)
    again = build(write_list(tmp_path, rows[:10]), "-w", tmp_path)
    assert again["digest"] == first["digest"]
    more = build(write_list(tmp_path, rows), "-w", tmp_path)
    assert more["facts"]["changes"]["added"] == 2
    assert [site.asked(f"/{n}.jpg") for n in range(12)] == [1] * 12
    assert list((tmp_path / ".autods" / "spool").rglob("*.*")) == []


def test_private_addresses_are_refused_unless_the_recipe_allows_them(
    site: Loopback, build: Build, tmp_path: Path
) -> None:
    url = site.serve("/a.jpg", Page(body=jpeg(1)))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.jpg").write_bytes(jpeg(2))
    recipe = "name: safe\nsources:\n  - urls: list.csv\n  - folder: in\n"
    built = build(write_list(tmp_path, [f"{url},,,"], recipe), "-w", tmp_path)
    assert built["facts"]["counts"]["rejected_by"] == {"private-address": 1}
    assert site.asked("/a.jpg") == 0


def test_a_killed_download_goes_on_and_ends_in_the_same_bytes(
    site: Loopback, build: Build, tree: Tree, tmp_path: Path
) -> None:
    urls = [site.serve(f"/{n}.jpg", Page(body=jpeg(n), delay=0.02)) for n in range(60)]
    recipe = write_list(tmp_path, [f"{url},,," for url in urls])
    whole = build(recipe, "-w", tmp_path / "whole")
    for wait in (0.6, 0.9, 1.1, 1.3):
        command = [
            sys.executable,
            "-m",
            "autods",
            "build",
            str(recipe),
            "-w",
            str(tmp_path / "killed"),
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as job:
            time.sleep(wait)
            job.send_signal(signal.SIGKILL)
    again = build(recipe, "-w", tmp_path / "killed")
    assert again["digest"] == whole["digest"]
    shards = "shards/**/*.tar"
    assert tree(Path(again["folder"]), shards) == tree(Path(whole["folder"]), shards)
