"""A folder's papers say what is in it: seed 1's manifest, two tables, a diff and a card."""

import calendar
import datetime as dt
import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from PIL import Image

from autods.recipes.candidates import papers
from autods.recipes.candidates.card import card
from autods.recipes.candidates.config import CLASSES
from autods.recipes.candidates.papers import (
    DAILY,
    EXCLUDED,
    SAMPLES,
    differences,
    excluded_table,
    parquet_bytes,
    samples_table,
)
from test_report_facts import HOSTILE

if TYPE_CHECKING:
    import pyarrow as pa

MADE = dt.datetime(2024, 12, 1, 1, tzinfo=dt.UTC)
few = effort(max_examples=50, deadline=None)
_text = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))


def image(number: int, label: str = "Warm", origin: str = "human", **more: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256(b"%d" % number).hexdigest()
    about = {"prediction_id": f"p{number}", "user_id": f"u{number % 7}", "position": 0}
    known = {} if origin == "gold" else about | {"day": "2024-11-06"}
    path = f"{label}/user_u_pred_p{number}_img_0.jpg"
    found = {"size": 5000 + number, "width": 300, "height": 200, "format": "JPEG"}
    row = {"path": path, "label": label, "origin": origin, "sha256": sha256, "split": "train"}
    return row | known | found | {"asset": f"raw/{sha256[:2]}/{sha256}"} | more


def month(rows: list[dict[str, Any]], left: list[dict[str, Any]] | None = None, **more: Any) -> str:
    said: dict[str, Any] = {
        "kind": "full",
        "version": "2024-11-v1",
        "created_at": MADE,
        "samples": samples_table(rows),
        "excluded": excluded_table(left or []),
        "days": ["2024-11-06"],
        "month_days": 30,
        "classes": CLASSES,
        "settings": {},
    }
    return card(**said | more)


def described(samples: "pa.Table", days: list[str]) -> dict[str, Any]:
    return papers.manifest("verified", "2024-11-v1", MADE, 2024, 11, samples, days, CLASSES)


def test_the_manifest_is_the_seed_s_example_key_by_key() -> None:
    days = [f"2024-11-{day:02d}" for day in range(1, 1 + calendar.monthrange(2024, 11)[1])]
    rows = [
        image(number, CLASSES[number % 2], "gold" if number < 1000 else "human")
        for number in range(1250)
    ]
    found = described(samples_table(rows), days)
    assert json.loads(papers.manifest_bytes(found)) == {
        "dataset_type": "verified",
        "version": "2024-11-v1",
        "created_at": "2024-12-01T01:00:00",
        "year": 2024,
        "month": 11,
        "total_images": 1250,
        "gold_images": 1000,
        "new_images": 250,
        "collection_dates": days,
        "class_distribution": {"Aristocratic": 625, "Business": 625},
    }
    assert list(found) == [
        "dataset_type", "version", "created_at", "year", "month", "total_images", "gold_images",
        "new_images", "collection_dates", "class_distribution",
    ]  # fmt: skip


def test_a_day_with_nothing_still_has_its_papers() -> None:
    nothing = samples_table([], DAILY)
    found = described(nothing, [])
    assert (found["total_images"], found["gold_images"], found["new_images"]) == (0, 0, 0)
    assert found["class_distribution"] == {}
    assert read(parquet_bytes(nothing)).schema.equals(DAILY)
    assert read(parquet_bytes(excluded_table([]))).schema.equals(EXCLUDED)


def test_a_class_that_left_the_list_is_still_counted() -> None:
    rows = [image(1, "Warm"), image(2, "Gone"), image(3, "Fire")]
    counts = described(samples_table(rows), [])["class_distribution"]
    assert list(counts.items()) == [("Fire", 1), ("Warm", 1), ("Gone", 1)]


@pytest.mark.parametrize("hours", [0, 2, -5])
def test_times_are_written_in_utc_without_a_zone(hours: int) -> None:
    made = MADE.astimezone(dt.timezone(dt.timedelta(hours=hours)))
    table = samples_table([image(1, verified_at=made)])
    assert table["verified_at"].to_pylist() == [MADE.replace(tzinfo=None)]
    about = papers.manifest("full", "v", made, 2024, 11, table, [], CLASSES)
    assert about["created_at"] == "2024-12-01T01:00:00"


def read(data: bytes) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(pa.BufferReader(data)) as file:
        return file.read(use_threads=False)


def test_the_same_rows_in_any_order_give_the_same_bytes() -> None:
    rows = [image(number, CLASSES[number % 15]) for number in range(100)]
    one, other = samples_table(rows), samples_table(rows[::-1])
    assert parquet_bytes(one) == parquet_bytes(other)
    assert parquet_bytes(read(parquet_bytes(one))) == parquet_bytes(one)
    left = [
        {"uri": "a", "prediction_id": str(number % 5), "position": number} for number in range(9)
    ]
    assert parquet_bytes(excluded_table(left)) == parquet_bytes(excluded_table(left[::-1]))


def test_what_is_not_known_is_null_and_a_lone_surrogate_is_a_question_mark() -> None:
    (row,) = samples_table([{"path": "Warm/\ud800.jpg", "another": 1}]).to_pylist()
    assert row == dict.fromkeys(SAMPLES.names) | {"path": "Warm/?.jpg"}
    (row,) = excluded_table([{"uri": None}]).to_pylist()
    assert row == dict.fromkeys(EXCLUDED.names)


def test_a_diff_names_paths_and_knows_bytes_wherever_they_lie() -> None:
    old = samples_table([image(1), image(2), image(3), image(4)])
    moved = image(3, path="Warm/elsewhere.jpg")
    new = samples_table([image(2), moved, image(4, "Fire"), image(5)])
    assert json.loads(papers.diff_json(old, new, "v1", "v2")) == {
        "from": "v1",
        "to": "v2",
        "added": [image(5)["path"]],
        "removed": [image(1)["path"]],
        "relabelled": [
            {
                "sha256": image(4)["sha256"],
                "path": image(4, "Fire")["path"],
                "old": "Warm",
                "new": "Fire",
            }
        ],
        "unchanged": 2,
    }


_rows = st.lists(st.tuples(st.integers(0, 9), st.sampled_from([*CLASSES[:3], None])), max_size=20)


@few
@given(_rows, _rows)
def test_a_diff_accounts_for_every_image_on_both_sides(
    old: list[tuple[int, str]], new: list[tuple[int, str]]
) -> None:
    was, now = (
        samples_table([image(n, label, path=f"{label}/{i}") for i, (n, label) in enumerate(rows)])
        for rows in (old, new)
    )
    found = differences(was, now, "v1", "v2")
    both = len(found["relabelled"]) + found["unchanged"]
    assert len(found["added"]) + both == len(new)
    assert len(found["removed"]) + both == len(old)
    again = differences(now, now, "v2", "v2")
    assert (again["added"], again["removed"], again["relabelled"]) == ([], [], [])


def test_a_diff_of_many_copies_of_the_same_bytes_is_not_a_product_of_them() -> None:
    same = samples_table([image(1, path=f"Warm/{number}") for number in range(3000)])
    assert differences(same, same, "v1", "v2")["unchanged"] == 3000


def test_the_card_says_in_words_what_is_in_the_month() -> None:
    rows = [image(n, "Warm", "gold") for n in range(4)]
    rows += [image(n, "Fire", "human", initial_prediction="Fire") for n in range(4, 6)]
    rows += [image(6, "Fire", "human", initial_prediction="Soft")]
    rows += [image(n, "Soft", "model", confidence=0.7, split="test") for n in range(7, 9)]
    text = month(rows, gold="gold@v3", settings={"radius": 8})
    assert (
        "9 images in 3 classes: 4 gold and 5 new (3 verified by a person, 2 labelled by a model "
        "alone). Of 9 photos looked at, 0 were left out. Made on 2024-12-01 01:00 UTC." in text
    )
    assert "| Warm | 4 | 0 | 0 | 4 | 44.4 % | ████████████████████ |" in text
    assert "| test | 0 | 0 | 2 | 2 | 22.2 % |" in text
    assert "Warm, has 2.0 times the images of the smallest, Soft (4 and 2)" in text
    assert "Without an image: Aristocratic, Business, Fragile" in text
    assert "1 of 30 days had candidates: the first 2024-11-06, the last 2024-11-06." in text
    assert "4 gold images, of gold@v3." in text
    assert "2 labels are a model's, which no person has checked." in text
    assert "median confidence in them is 0.70" in text
    assert "Of 3 new images that a person verified, 2 (66.7 %)" in text
    assert "```yaml\nradius: 8\n```" in text


def test_the_card_counts_what_was_left_out_by_its_reason() -> None:
    def out(uri: str, status: str, reason: str | None, **more: Any) -> dict[str, Any]:
        return {"uri": uri, "status": status, "reason": reason, "label": "Warm", **more}

    left = [
        out("users/2/b.jpg", "left-out", "unverified"),
        out("users/1/a.jpg", "left-out", "unverified"),
        out("users/3/c.jpg", "left-out", "unknown-class", label="Foggy"),
        out("users/4/d.jpg", "failed", "missing-object"),
        out("users/5/e.jpg", "duplicate", None, duplicate_of="Fire/x.jpg")
        | {"kind": "near", "conflict": True},
    ]
    text = month([image(1)], left)
    assert (
        "| left-out | unverified: no person has verified it | 2 | 33.3 % | users/1/a.jpg |" in text
    )
    assert "| duplicate | near: the same looks | 1 | 16.7 % | users/5/e.jpg |" in text
    assert "| users/5/e.jpg | Warm | Fire/x.jpg |" in text
    assert "| Foggy | 1 |" in text
    assert "1 photo could not be had and may join a later revision." in text


def test_the_card_tells_what_changed_by_lists_or_by_counts() -> None:
    old, new = samples_table([image(1), image(2)]), samples_table([image(2, "Fire"), image(3)])
    text = month([image(2, "Fire")], diff=differences(old, new, "full 2024-11-v1", "v2"))
    assert "## What changed since full 2024-11-v1\n\n1 added, 1 removed, 1 relabelled, 0" in text
    assert "| Fire/user\\_u\\_pred\\_p2" in text.replace("r_u_p", "r\\_u\\_p").replace(
        "d_p", "d\\_p"
    )
    text = month([image(2)], diff={"added": 5, "removed": 2, "relabelled": 1}, before="2024-10-v1")
    assert "## What changed since 2024-10-v1\n\n5 added, 2 removed, 1 relabelled." in text
    assert "The images and their classes are the same" in month(
        [image(2)], diff=differences(old, old, "v1", "v2")
    )
    assert "## What changed" not in month([image(2)])


def _matter_and_text(made: str) -> tuple[Any, str]:
    _, matter, text = re.split(r"(?m)^---$", made, maxsplit=2)
    return yaml.safe_load(matter), text


def _outside_of_code(made: str) -> list[str]:
    return re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", _matter_and_text(made)[1]).splitlines()


def _hostile(text: str) -> str:
    rows = [image(1, text, path=f"{text}/a", split=text, format=text, origin=text), image(2)]
    left: list[dict[str, Any]] = [
        {"uri": text, "status": text, "reason": text, "label": text, "duplicate_of": text},
        {"uri": text, "status": "left-out", "reason": "unknown-class", "label": text},
        {"uri": text, "status": "duplicate", "kind": text, "label": text, "conflict": True},
    ]
    moved = [{"sha256": "0", "path": text, "old": text, "new": text}]
    diff = {"from": text, "added": [], "removed": [], "relabelled": moved, "unchanged": 1}
    more: dict[str, Any] = {"version": text, "days": [text], "gold": text, "classes": [f"{text}!"]}
    more |= {"settings": {text: text}, "materialize": "manifest", "store_url": text}
    return month(rows, left, diff=diff, **more)


@pytest.mark.slow
@few
@given(_text.map(lambda text: f"{text}x"))  # No name that is one of ours, nor an empty one.
def test_foreign_text_adds_no_heading_no_cell_and_no_markup(text: str) -> None:
    made, usual = _hostile(text), _outside_of_code(_hostile("harmless"))
    made.encode()
    assert _matter_and_text(made)[0]["license"] == "unknown"
    for line, plain in zip(_outside_of_code(made), usual, strict=True):
        assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", plain))
        assert line.startswith("#") == plain.startswith("#")
        assert not re.search(r"<[a-z/!]", line)


def test_a_month_without_any_image_has_a_card() -> None:
    text = month([], days=[])
    assert "0 images in 0 classes: 0 gold and 0 new. Of 0 photos looked at" in text
    assert "0 of 30 days had candidates." in text
    assert "## How to read it" not in text


def test_images_of_which_nothing_is_known_have_a_card() -> None:
    rows = [{"path": "Warm/a.jpg", "sha256": "0"}, {"path": "Warm/b.jpg", "label": "Warm"}]
    text = month(rows, [{"uri": None}])
    assert "| *none* | 1 | 1 | 50.0 % |" in text
    assert card(
        kind="candidates", version="2024-11-06", created_at=MADE, days=[], month_days=30,
        samples=samples_table(rows, DAILY), excluded=excluded_table([]), classes=CLASSES,
        settings={},
    ).count("## Splits") == 0  # fmt: skip


def _picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 20)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("materialize", ["copy", "manifest"])
def test_the_code_on_the_card_opens_the_first_image(tmp_path: Path, materialize: str) -> None:
    row = image(1)
    store = tmp_path / "it's a store"
    near = tmp_path / row["path"] if materialize == "copy" else store / row["asset"]
    near.parent.mkdir(parents=True)
    near.write_bytes(_picture())
    (tmp_path / "samples.parquet").write_bytes(parquet_bytes(samples_table([row])))
    text = month([row], materialize=materialize, store_url=str(store))
    (code,) = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "(30, 20) Warm"


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("s3://art/autods", 'open_store("s3://art/autods", Settings.read(Path()).s3_access())'),
        ("", "autods.open().store"),
    ],
)
def test_the_code_opens_a_server_s_store_and_the_workspace_s(url: str, line: str) -> None:
    text = month([image(1)], materialize="manifest", store_url=url)
    (code,) = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    compile(code, "card", "exec")
    assert line in code


@pytest.mark.slow
def test_fifty_thousand_images_are_counted_without_a_loop_over_them() -> None:
    rows = [image(n, CLASSES[n % 15], ("gold", "human", "model")[n % 3]) for n in range(50_000)]
    assert "50,000 images in 15 classes: 16,667 gold" in month(rows)
