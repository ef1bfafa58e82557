"""The SDK: seed 4's names do what the seed says, over a real server."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import autods
from autods.errors import AutodsError, UsageError
from autods.web.policy import HttpPolicy
from loopback import Loopback, Page

pytestmark = pytest.mark.slow
LOOPBACK = HttpPolicy(allow_private=("127.0.0.1/32",), retries=0, timeout=5)


def jpeg(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((128, 96), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


def test_a_url_becomes_an_asset_once(server: Loopback, tmp_path: Path) -> None:
    server.serve("/a.jpg", Page(body=jpeg(1)))
    url = server.url("/a.jpg")
    with autods.IngestClient(tmp_path, http=LOOPBACK) as client:
        first = client.ingest_url(url, license="cc0", source="web")
        again = client.ingest_url(url, license="cc0", source="web")
        assert client.workspace.store.get(first["s3_key"]) == jpeg(1)
    assert first == again
    assert first["status"] == "ingested"
    assert (first["license"], first["source"], first["source_url"]) == ("cc0", "web", url)
    assert server.asked("/a.jpg") == 1


def test_a_batch_has_one_answer_each_in_order(server: Loopback, tmp_path: Path) -> None:
    server.serve("/a.jpg", Page(body=jpeg(1)))
    server.serve("/copy.jpg", Page(body=jpeg(1)))
    server.serve("/page.jpg", Page(body=b"<html>no picture</html>"))
    (tmp_path / "local.jpg").write_bytes(jpeg(2))
    wanted = [server.url("/a.jpg"), server.url("/copy.jpg"), server.url("/page.jpg"),
              server.url("/missing.jpg"), str(tmp_path / "local.jpg"), "no url"]  # fmt: skip
    with autods.IngestClient(tmp_path / "w", http=LOOPBACK) as client:
        found = client.ingest_batch(wanted)
    assert [row["source_url"] for row in found] == wanted
    states = [row["status"] for row in found]
    assert states == ["ingested", "duplicate", "rejected", "failed", "ingested", "rejected"]
    assert [row["reason"] for row in found][2:4] == ["unsupported-format", "http-404"]
    assert found[0]["checksum"] == found[1]["checksum"]


def test_a_private_address_is_refused_unless_allowed(server: Loopback, tmp_path: Path) -> None:
    server.serve("/a.jpg", Page(body=jpeg(1)))
    with autods.IngestClient(tmp_path) as client:
        found = client.ingest_url(server.url("/a.jpg"))
    assert (found["status"], found["reason"]) == ("rejected", "private-address")
    assert server.asked("/a.jpg") == 0


def test_one_url_instead_of_a_list_is_a_kind_error(tmp_path: Path) -> None:
    with (
        autods.IngestClient(tmp_path) as client,
        pytest.raises(UsageError, match="takes a list of URLs"),
    ):
        client.ingest_batch("http://example.org/a.jpg")


def test_validate_asset_tells_images_from_others(tmp_path: Path) -> None:
    with autods.IngestClient(tmp_path) as client:
        assert client.validate_asset(jpeg(1))
        assert not client.validate_asset(jpeg(1)[:500])
        assert not client.validate_asset(b"")


def test_preprocess_gives_the_features_of_the_seed() -> None:
    found = autods.preprocess_asset("uuid-123", jpeg(1))
    assert found["id"] == "uuid-123"
    assert found["dimensions"] == {"width": 128, "height": 96}
    assert (found["format"], found["file_size"]) == ("jpg", len(jpeg(1)))
    assert found["phash"] == autods.extract_pHash(jpeg(1))
    assert len(found["phash"]) == 16
    with pytest.raises(UsageError, match="valid: image"):
        autods.preprocess_asset("x", b"", modality="smell")
    with pytest.raises(AutodsError, match="asset x: empty"):
        autods.preprocess_asset("x", b"")


def test_build_from_python_needs_no_main_guard(tmp_path: Path) -> None:
    """A plain script, without `if __name__ == "__main__"`, builds in worker processes."""
    import subprocess
    import sys

    (tmp_path / "in" / "cat").mkdir(parents=True)
    (tmp_path / "in" / "cat" / "a.jpg").write_bytes(jpeg(3))
    script = tmp_path / "script.py"
    script.write_text("import autods\nprint(autods.build('in').version.name)\n")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "in@v1"), done.stderr
