"""`autods run crawl` and `autods runs`: real images, all modes, everywhere, stopped, taken up."""

import json
import os
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

from conftest import EVERYWHERE
from loopback import Loopback, Page, redirect

pytestmark = pytest.mark.slow

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def picture(seed: int, kind: str = "JPEG") -> bytes:
    import io

    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC).save(out, kind)
    return out.getvalue()


@pytest.fixture
def gallery() -> Iterator[Loopback]:
    """Ten pages with two pictures each; every picture takes a while."""
    with Loopback() as site:
        links = "".join(f'<a href="/page/{n}">{n}</a>' for n in range(10))
        html = {"Content-Type": "text/html"}
        site.serve("/robots.txt", Page(status=404))
        site.serve("/", Page(body=links.encode(), headers=html))
        for n in range(10):
            shown = f'<img src="/{n}.jpg"><img src="/{n}b.jpg" alt="picture {n}">'
            site.serve(f"/page/{n}", Page(body=shown.encode(), headers=html))
            site.serve(f"/{n}.jpg", Page(body=picture(n), delay=0.2, headers={"ETag": f'"{n}"'}))
            site.serve(f"/{n}b.jpg", Page(body=picture(n + 100), headers={"ETag": f'"{n}b"'}))
        yield site


@pytest.mark.parametrize("mode", ["strict", "lenient", "report-only"])
def test_the_project_s_images_in_the_three_modes(
    autods: Cli, data: Path, tmp_path: Path, mode: str
) -> None:
    images = data / "images"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: images\nsources:\n- folder: {images / 'accept'}\n- folder: {images / 'reject'}\n"
        f"validate: {{mode: {mode}}}\nhot_storage_threshold: 50\nexport: [parquet]\n"
    )
    done = autods("run", "crawl", "--json", recipe, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)["metrics"]
    accept, reject = (len(list((images / name).iterdir())) for name in ("accept", "reject"))
    assert metrics["images_crawled"] == accept + reject
    # What cannot be decoded, and JPEGs that end early, which lenient keeps; the seed's words.
    assert metrics["invalid_images"] == reject
    assert metrics["valid_images"] == accept
    kept = metrics["unique_images"]
    assert metrics["hot_storage_count"] + metrics["cold_storage_count"] == kept - withheld(
        autods, tmp_path
    )
    assert metrics["hot_storage_count"] == 50
    if mode == "report-only":
        assert kept == accept + reject - metrics["duplicates_removed"]
    if mode == "strict":
        assert kept == accept - metrics["duplicates_removed"]


def withheld(autods: Cli, root: Path) -> int:
    shown = json.loads(autods("show", "images@v1", "--json", cwd=root).stdout)
    counts = shown.get("counts") or shown["stats"]
    return int(counts.get("withheld", 0))


@pytest.mark.parametrize("places", EVERYWHERE, indirect=True)
def test_a_crawl_is_the_same_everywhere(
    autods: Cli, gallery: Loopback, tmp_path: Path, places: dict[str, str]
) -> None:
    done = autods("run", "crawl", gallery.url("/"), "--allow-private", "--name", "g", "--json",
                  "--labels", "txt", "-w", tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["version"] == "g@v1"
    assert said["metrics"]["images_crawled"] == 20
    assert said["metrics"]["unique_images"] == 20
    show = json.loads(autods("runs", "show", "1", "--json", "-w", tmp_path).stdout)
    assert [step["status"] for step in show["steps"]] == [
        "done", "done", "done", "done", "done", "done", "done", "done"]  # fmt: skip


@pytest.mark.parametrize("places", ["postgres-s3"], indirect=True)
def test_what_one_machine_began_another_one_ends(
    autods: Cli, gallery: Loopback, tmp_path: Path, places: dict[str, str]
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        autods("init", root)
    pace(gallery, 9)
    process = start(one, gallery.url("/"), places)
    until_at_work(autods, one)
    refused = autods("runs", "recover", "1", "-w", other)
    assert refused.returncode == 4
    assert "another process is at work" in refused.stderr
    process.kill()
    process.communicate()
    pace(gallery, 0)
    done = autods("runs", "recover", "1", "--json", "-w", other)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["version"], said["metrics"]["unique_images"]) == ("g@v1", 20)
    assert (other / "datasets" / "g" / "v1" / "version.txt").exists()


def start(root: Path, url: str, places: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "autods", "run", "crawl", url, "--allow-private", "--json"]
    return subprocess.Popen([*command, "--name", "g", "-w", str(root)], text=True,
                            env=os.environ | (places or {}),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def pace(gallery: Loopback, delay: float) -> None:
    """Have half of the pictures take so many seconds from now on."""
    for n in range(10):
        gallery.serve(f"/{n}.jpg", Page(body=picture(n), delay=delay, headers={"ETag": f'"{n}"'}))


def until_at_work(autods: Cli, root: Path) -> None:
    for _ in range(300):
        listed = autods("runs", "list", "--json", "-w", root)
        found = json.loads(listed.stdout) if listed.returncode == 0 else []
        if found and found[0]["status"] == "running":
            return
        time.sleep(0.05)
    raise AssertionError("the run does not begin")


def test_a_run_is_cancelled_from_another_process_and_taken_up(
    autods: Cli, gallery: Loopback, tmp_path: Path
) -> None:
    autods("init", tmp_path)
    pace(gallery, 9)
    process = start(tmp_path, gallery.url("/"))
    until_at_work(autods, tmp_path)
    assert autods("runs", "cancel", "1", "-w", tmp_path).returncode == 0
    _, err = process.communicate(timeout=60)
    pace(gallery, 0)
    assert (process.returncode, "Traceback" in err) == (1, False)
    assert "cancelled" in err
    watched = autods("runs", "watch", "1", "-w", tmp_path)
    assert watched.returncode == 1
    assert "cancelled" in watched.stdout
    done = autods("runs", "recover", "1", "--json", "-w", tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["unique_images"] == 20
    assert autods("runs", "cancel", "1", "-w", tmp_path).returncode == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_goes_on_with_the_same_command(
    autods: Cli, gallery: Loopback, tmp_path: Path, number: int
) -> None:
    autods("init", tmp_path)
    pace(gallery, 9)
    process = start(tmp_path, gallery.url("/"))
    until_at_work(autods, tmp_path)
    time.sleep(0.3)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=60)
    pace(gallery, 0)
    assert process.returncode != 0
    assert "Traceback" not in err
    listed = json.loads(autods("runs", "list", "--json", "-w", tmp_path).stdout)
    assert listed[0]["status"] == ("killed" if number == signal.SIGKILL else "interrupted")
    out, err = start(tmp_path, gallery.url("/")).communicate(timeout=120)
    said = json.loads(out)
    assert (said["run"], said["metrics"]["unique_images"]) == (1, 20), err


def test_a_search_of_the_user_s_is_a_source(autods: Cli, gallery: Loopback, tmp_path: Path) -> None:
    gallery.serve("/moved.jpg", redirect("/1.jpg"))
    (tmp_path / "engines.py").write_text(
        "def find(query):\n"
        f"    base = {gallery.url('')!r}\n"
        "    yield f'{base}/1.jpg'\n"
        "    yield {'url': f'{base}/{query}b.jpg', 'caption': 'a ' + query, 'rank': 2}\n"
        "    yield 'file:///etc/passwd'\n"
    )
    (tmp_path / "recipe.yaml").write_text(
        "name: found\nsources:\n- search: engines.py:find\n"
        "  queries: ['2', '3']\n  label_by_query: true\n"
        "http: {allow_private: true}\npipeline: {enable_labeling: true}\n"
    )
    done = autods("run", "crawl", "--json", tmp_path / "recipe.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)["metrics"]
    assert (metrics["images_crawled"], metrics["images_labeled"]) == (3, 3)
    labels = sorted(p.read_text() for p in tmp_path.glob("datasets/found/v1/labels/txt/*/*/*.txt"))
    assert [label.strip() for label in labels] == ["2", "2", "3"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.yaml"], "no recipe nowhere.yaml"),
        (["http://a.org/", "recipe.yaml"], "'recipe.yaml' is no URL"),
        (["one.yaml", "two.yaml"], "one recipe file at a time"),
        (["ftp://a.org/"], "ftp://a.org/"),
        (["http://a.org/", "--depth", "-1"], "--depth"),
        (["http://127.0.0.1:9/", "--name", "x"], "127.0.0.1"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    autods: Cli, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = autods("run", "crawl", *arguments, "-w", tmp_path, cwd=tmp_path)
    assert done.returncode in {2, 3}
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_keeps_the_metrics_it_ended_with(
    autods: Cli, gallery: Loopback, tmp_path: Path
) -> None:
    def run() -> dict[str, Any]:
        done = autods("run", "crawl", gallery.url("/"), "--allow-private", "--name", "g", "--json",
                      "-w", tmp_path)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    first = run()
    gallery.serve("/page/3", Page(status=404))
    second = run()
    assert (first["version"], second["version"]) == ("g@v1", "g@v2")
    assert (first["metrics"]["unique_images"], second["metrics"]["unique_images"]) == (20, 18)
    shown = json.loads(autods("runs", "show", "1", "--json", "-w", tmp_path).stdout)
    assert shown["metrics"] == first["metrics"]
    assert "unique_images" in autods("runs", "show", "1", "-w", tmp_path).stdout
    again = json.loads(autods("runs", "recover", "1", "--json", "-w", tmp_path).stdout)
    assert again["metrics"] == first["metrics"]
    assert again["version"] == "g@v1"
    refused = autods("runs", "recover", "1", "--from-step", "4", "-w", tmp_path)
    assert refused.returncode == 2
    assert "run 2 of g came after run 1" in refused.stderr
    assert shown == json.loads(autods("runs", "show", "1", "--json", "-w", tmp_path).stdout) | {
        "asked_at": shown["asked_at"]}  # fmt: skip


def test_a_recover_beside_a_run_at_work_leaves_it_alone(
    autods: Cli, gallery: Loopback, tmp_path: Path
) -> None:
    autods("init", tmp_path)
    pace(gallery, 9)
    process = start(tmp_path, gallery.url("/"))
    until_at_work(autods, tmp_path)
    for arguments in (["recover", "1"], ["recover", "1", "--from-step", "1"]):
        refused = autods("runs", *arguments, "-w", tmp_path)
        assert refused.returncode == 4
        assert "another process is at work on run 1" in refused.stderr
    listed = json.loads(autods("runs", "list", "--json", "-w", tmp_path).stdout)
    assert listed[0]["status"] == "running"
    pace(gallery, 0)
    out, err = process.communicate(timeout=120)
    assert json.loads(out)["metrics"]["unique_images"] == 20, err
    shown = json.loads(autods("runs", "show", "1", "--json", "-w", tmp_path).stdout)
    assert (shown["status"], shown["error"]) == ("done", None)


def test_a_try_that_takes_too_long_is_followed_by_one_that_goes_on(
    autods: Cli, gallery: Loopback, tmp_path: Path
) -> None:
    gallery.serve("/robots.txt", Page(body=b"User-agent: *\nCrawl-delay: 0.25"))
    (tmp_path / "recipe.yaml").write_text(
        f"name: g\nsources: [{{crawl: '{gallery.url('/')}'}}]\nhttp: {{allow_private: true}}\n"
        "pipeline: {crawl_timeout: 6}\n"
    )
    done = autods("run", "crawl", "recipe.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["unique_images"] == 20
    shown = json.loads(autods("runs", "show", "1", "--json", "-w", tmp_path).stdout)
    assert shown["steps"][1]["tries"] > 1
    assert list((tmp_path / ".autods" / "spool").glob("*/*")) == []
    assert not (tmp_path / ".autods" / "temp").exists()


def test_rules_for_robots_hold_for_their_source_alone(
    autods: Cli, gallery: Loopback, tmp_path: Path
) -> None:
    """One site forbids its pictures; they are had all the same where a list names them."""
    with Loopback() as other:
        other.serve("/robots.txt", Page(body=b"User-agent: *\nDisallow: /"))
        other.serve("/x.jpg", Page(body=picture(900)))
        other.serve("/y.jpg", Page(body=picture(901)))
        gallery.serve("/moved.jpg", redirect(other.url("/x.jpg")))
        html = {"Content-Type": "text/html"}
        shows = b'<img src="/moved.jpg"><img src="/1.jpg">'
        gallery.serve("/page/1", Page(body=shows, headers=html))
        (tmp_path / "list.txt").write_text(other.url("/y.jpg") + "\n")
        (tmp_path / "recipe.yaml").write_text(
            f"name: g\nsources:\n- crawl: '{gallery.url('/')}'\n- urls: list.txt\n"
            "http: {allow_private: true}\n"
        )
        done = autods("run", "crawl", "recipe.yaml", "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        refused = json.loads(autods("show", "--refused", "--json", cwd=tmp_path).stdout)
        assert {(row["uri"], row["reason"]) for row in refused} == {
            (gallery.url("/moved.jpg"), "robots")}  # fmt: skip
        assert other.asked("/x.jpg") == 0
        assert other.asked("/robots.txt") == 1
        assert json.loads(done.stdout)["metrics"]["unique_images"] == 20


def test_what_a_site_says_does_not_steer_the_terminal(
    autods: Cli, gallery: Loopback, tmp_path: Path
) -> None:
    gallery.serve("/", Page(body=b"x", headers={"Content-Type": "text/\x1b[2Jevil"}))
    done = autods(
        "run", "crawl", gallery.url("/"), "--allow-private", "--name", "g", "-w", tmp_path
    )
    assert done.returncode == 3
    for said in (done.stderr, autods("runs", "list", "-w", tmp_path).stdout):
        assert "evil" in said
        assert "\x1b" not in said
