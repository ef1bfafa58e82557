"""Every duplicate has its row, the first groups their pictures, and the score means one thing."""

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from autods.assemble.checks import Checks, judge, judges
from autods.catalog import Catalog
from autods.catalog.tables import blobs, refs
from autods.dedup.confirm import same_picture
from autods.dedup.decide import DedupPolicy
from autods.dedup.place import place
from autods.dedup.waiting import Placing
from autods.engine import Engine, LocalEngine
from autods.ingest.listing import list_refs, refs_of
from autods.ingest.pending import keep_arrivals
from autods.ingest.work import Input, take_in
from autods.recipes.counting import count_inputs, count_storage
from autods.recipes.duplicates import Duplicates, picture_of, write_duplicates
from autods.recipes.passing import PRELOAD, inspect, same_bytes_pixels
from autods.records import Ref
from autods.report.counts import Counts
from autods.report.duplicates import (
    MAX_COPIES,
    MAX_GROUPS,
    Duplicate,
    Group,
    Shown,
    render_duplicates,
    shortened,
    write_table,
)
from autods.report.facts import Held
from autods.report.html import render_report
from autods.run import Silent
from autods.validate import Limits
from autods.versions import Version
from autods.workspace import Workspace, init
from test_report_facts import GIF, HOSTILE, cats, few

Mode = Literal["strict", "lenient", "report-only"]
Near = Literal["drop", "keep", "off"]
HOSTILE_NAME = '=HYPERLINK("x")<script>alert(1)<'


def _photo(seed: int, side: int = 160) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(noise).resize((side, side * 3 // 4), Image.Resampling.BICUBIC)


@pytest.fixture
def inputs(tmp_path: Path) -> list[Ref]:
    """Eleven inputs of two sources: every kind of duplicate, and every other end."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    _photo(0).save(folder / "a.jpg", quality=95)
    _photo(1).save(folder / "b.png", compress_level=1)
    _photo(1).save(folder / "b-packed.png", compress_level=9)
    _photo(2).save(folder / "c.jpg", quality=95)
    _photo(2, 320).save(folder / "c-large.jpg", quality=90)
    _photo(3, 16).save(folder / "tiny.png")
    (folder / "corrupt.jpg").write_bytes((folder / "a.jpg").read_bytes()[:200])
    named = [
        ("a.jpg", "site", "a.jpg"),
        ("b.png", "site", "b.png"),
        ("b-packed.png", "site", "b-packed.png"),
        ("c.jpg", "site", "c.jpg"),
        ("c-large.jpg", "site", "c-large.jpg"),
        ("tiny.png", "site", "tiny.png"),
        ("corrupt.jpg", "site", "corrupt.jpg"),
        ("missing.jpg", "site", "missing.jpg"),
        ("copies/a.jpg", "mirror", "a.jpg"),
        (HOSTILE_NAME, "mirror", "c-large.jpg"),
        ("copies/tiny.png", "mirror", "tiny.png"),
    ]
    return [Ref(uri=u, source=s, location=str(folder / file)) for u, s, file in named]


@dataclass
class Placed:
    """A dataset of which everything is taken in and placed."""

    workspace: Workspace
    dataset_id: int
    repeated: int
    policy: str = "policy"

    @property
    def catalog(self) -> Catalog:
        return self.workspace.catalog

    @property
    def counts(self) -> Counts:
        return count_inputs(self.catalog, self.dataset_id, self.policy, repeated=self.repeated)

    @property
    def found(self) -> Duplicates:
        return Duplicates(self.catalog, self.dataset_id, self.policy)


PlaceAll = Callable[..., Placed]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = LocalEngine(1, preload=PRELOAD)
    yield engine
    engine.close()


@pytest.fixture
def place_all(
    engine: Engine, catalog_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PlaceAll]:
    """Take inputs in and place them, by a mode of validation and of near-duplicates."""
    monkeypatch.setenv("AUTODS_CATALOG", catalog_url)
    workspace = init(tmp_path)

    def run(
        wanted: Sequence[Ref],
        mode: Mode = "strict",
        near: Near = "drop",
        dataset: str = "d",
        withhold: str | None = None,
    ) -> Placed:
        catalog, store = workspace.catalog, workspace.store
        dataset_id = catalog.dataset_id(dataset)
        listing = list_refs(catalog, dataset_id, refs_of(partial(iter, wanted)))
        _take_in(workspace, engine, dataset_id, keep_refused=mode == "report-only")
        checks = Checks(mode=mode, min_width=32)
        named = judges(checks)
        placing = Placing(
            catalog=catalog, dataset_id=dataset_id, policy="policy", radius=8, lookalike_radius=4,
            near=DedupPolicy(near=near), index_path=tmp_path / f"{dataset}.near",
            judge=lambda row: judge(row, named), filters=mode == "strict", confirm=same_picture,
            same_pixels=partial(same_bytes_pixels, store),
            settle=lambda _, kept: {asset for asset, sha256, _ in kept if sha256 == withhold},
        )  # fmt: skip
        place(placing, Silent())
        return Placed(workspace, dataset_id, listing.repeated)

    yield run
    workspace.close()


def _take_in(workspace: Workspace, engine: Engine, dataset_id: int, *, keep_refused: bool) -> None:
    query = sa.select(refs.c.id, refs.c.location).where(refs.c.dataset_id == dataset_id)
    with workspace.catalog.read() as db:
        rows = db.execute(query.order_by(refs.c.id)).all()
    items = [Input(row.id, row.location) for row in rows]
    work = partial(
        take_in, store=workspace.store, inspect=partial(inspect, limits=Limits()),
        max_bytes=1 << 20, keep_refused=keep_refused,
    )  # fmt: skip
    for batch, arrivals in engine.map(work, [items] if items else []):
        with workspace.catalog.begin() as db:
            keep_arrivals(workspace.catalog, db, batch, arrivals, fingerprint="now")


def test_every_duplicate_has_a_row_with_its_original(
    place_all: PlaceAll, inputs: list[Ref]
) -> None:
    rows = list(place_all(inputs).found.rows())
    said = [(r.original_uri, r.original_verdict, r.copy_uri, r.copy_source, r.kind) for r in rows]
    assert said == [
        ("b.png", "kept", "b-packed.png", "site", "pixels"),
        ("c.jpg", "kept", "c-large.jpg", "site", "near"),
        ("a.jpg", "kept", "copies/a.jpg", "mirror", "bytes"),
        ("c-large.jpg", "duplicate", HOSTILE_NAME, "mirror", "bytes"),
        ("tiny.png", "rejected", "copies/tiny.png", "mirror", "bytes"),
    ]
    near = rows[1]
    assert near.distance is not None
    assert near.distance <= 8
    assert near.score is not None
    assert near.score > 0.98
    assert rows[0].original_sha256 != rows[0].copy_sha256
    assert rows[2].original_sha256 == rows[2].copy_sha256


def test_the_rows_left_out_are_the_duplicates_counted(
    place_all: PlaceAll, inputs: list[Ref]
) -> None:
    for mode, near in product(get_args(Mode), get_args(Near)):
        placed = place_all([*inputs, inputs[0]], mode, near, dataset=f"{mode}-{near}")
        ends = Counter(row.copy_verdict for row in placed.found.rows())
        assert placed.repeated == 1
        assert ends["duplicate"] + placed.repeated == placed.counts.duplicates
        assert ends["kept"] == (near == "keep")


def test_the_quality_score_is_the_same_however_strict_the_recipe(
    place_all: PlaceAll, inputs: list[Ref]
) -> None:
    for mode, near in product(get_args(Mode), ("drop", "keep")):
        counts = place_all(inputs, mode, near, dataset=f"{mode}-{near}").counts
        assert (counts.inputs, counts.failed, counts.sound) == (11, 1, 3)
        assert counts.quality_score == pytest.approx(100 * 3 / 10)


def test_what_a_mode_keeps_in_spite_of_itself_is_flagged(
    place_all: PlaceAll, inputs: list[Ref]
) -> None:
    counts = [place_all(inputs, mode, dataset=mode).counts for mode in get_args(Mode)]
    assert [one.flagged for one in counts] == [0, 1, 2]
    assert [one.accepted for one in counts] == [3, 4, 5]


def test_near_copies_that_nobody_looks_for_raise_the_score(
    place_all: PlaceAll, inputs: list[Ref]
) -> None:
    assert place_all(inputs, near="off").counts.quality_score == pytest.approx(100 * 4 / 10)


def test_what_a_source_repeats_does_not_change_the_score(
    place_all: PlaceAll, inputs: list[Ref]
) -> None:
    once = place_all(inputs).counts
    again = place_all([*inputs, *inputs[:4]]).counts
    assert (again.inputs, again.repeated) == (once.inputs + 4, 4)
    assert again.quality_score == once.quality_score


def test_an_empty_dataset_counts_zero_and_has_a_page(place_all: PlaceAll) -> None:
    placed = place_all([])
    assert placed.counts.outcomes == {"accepted": 0, "duplicates": 0, "rejected": 0, "failed": 0}
    assert placed.counts.quality_score == 0
    assert list(placed.found.rows()) == []
    groups, total = placed.found.groups()
    page = render_duplicates("d@v1", placed.counts, groups, total)
    assert "No input was a duplicate of another." in page


def test_storage_is_counted_by_tier(place_all: PlaceAll, inputs: list[Ref]) -> None:
    placed = place_all(inputs)
    files = sorted((Path(ref.location).stat().st_size, ref.uri) for ref in inputs[:4:3])
    hot = {
        "hot": Held(members=3, size=sum(Path(inputs[i].location).stat().st_size for i in (0, 1, 3)))
    }
    assert count_storage(placed.catalog, placed.dataset_id, placed.policy) == hot
    with placed.catalog.begin() as db:
        db.execute(blobs.update().values(tier="cold").where(blobs.c.size == files[0][0]))
    storage = count_storage(placed.catalog, placed.dataset_id, placed.policy)
    assert list(storage.items()) == [
        ("hot", Held(members=2, size=hot["hot"].size - files[0][0])),
        ("cold", Held(members=1, size=files[0][0])),
    ]


def test_groups_begin_where_the_doubt_is_largest(place_all: PlaceAll, inputs: list[Ref]) -> None:
    groups, total = place_all(inputs).found.groups()
    heads = [group.original.sightings[0][0] for group in groups]
    assert heads == ["c.jpg", "b.png", "a.jpg", "tiny.png"]
    assert total == 4
    assert [group.copies_total for group in groups] == [1, 1, 0, 0]
    near = groups[0]
    assert near.larger is near.copies[0]
    assert near.copies[0].sightings == [("c-large.jpg", "site"), (HOSTILE_NAME, "mirror")]
    assert groups[2].original.times_seen == 2
    assert "first" in groups[2].why
    assert "rejected: too-small" in groups[3].why
    some, of = place_all(inputs).found.groups(most=2)
    assert (len(some), of) == (2, 4)


def test_an_original_that_was_withheld_says_so(place_all: PlaceAll, inputs: list[Ref]) -> None:
    sha256 = place_all(inputs).found.groups()[0][0].original.sha256
    placed = place_all(inputs, dataset="other", withhold=sha256)
    group = placed.found.groups()[0][0]
    assert group.original.verdict == "withheld"
    assert "was withheld" in group.why
    rows = [row for row in placed.found.rows() if row.kind == "near"]
    assert [row.original_verdict for row in rows] == ["withheld"]
    assert placed.counts.near_duplicates == 1


def written(placed: Placed, engine: Engine, number: int = 1) -> Path:
    """The folder of a version of which the duplicates are written."""
    version = Version(
        dataset="d", dataset_id=placed.dataset_id, number=number, digest="", parent_number=None,
        manifest="", recipe={}, stats={}, created_at=dt.datetime(2024, 1, number, tzinfo=dt.UTC),
    )  # fmt: skip
    write_duplicates(placed.workspace, version, placed.policy, placed.counts, engine)
    return placed.workspace.dataset_folder("d", number)


class _Page(HTMLParser):
    """What a page consists of: its elements, and where they point."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.shape: list[tuple[str, list[str]]] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, [name for name, _ in attrs]))
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_and_table_are_written_beside_the_report(
    place_all: PlaceAll, inputs: list[Ref], engine: Engine
) -> None:
    folder = written(place_all(inputs), engine)
    assert sorted(path.name for path in folder.iterdir()) == [
        "duplicates.html", "duplicates.parquet"
    ]  # fmt: skip
    table = pq.read_table(folder / "duplicates.parquet")
    assert table.column_names == list(Duplicate._fields)
    assert table.num_rows == 5
    assert HOSTILE_NAME in table["copy_uri"].to_pylist()
    page = _Page((folder / "duplicates.html").read_text())
    pictures = [link for link in page.links if link.startswith("data:image/jpeg;base64,")]
    assert len(pictures) == 6
    assert page.links[0] == "#groups"
    assert set(page.links) - set(pictures) == {
        "#groups", "report.html", "report.html#score", "duplicates.parquet"
    }  # fmt: skip
    assert HOSTILE_NAME in page.text
    assert "script" not in [tag for tag, _ in page.shape]
    assert "The copy no. 5 has more pixels: 320 × 240 JPEG" in page.text


def test_the_same_inputs_give_the_same_bytes(
    place_all: PlaceAll, inputs: list[Ref], engine: Engine
) -> None:
    before = written(place_all(inputs), engine)
    bytes_of = {path.name: path.read_bytes() for path in before.iterdir()}
    again = written(place_all(inputs, dataset="again"), engine)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == bytes_of


def test_a_crowd_of_copies_is_cut_on_the_page_and_whole_in_the_table(
    place_all: PlaceAll, inputs: list[Ref]
) -> None:
    seen = [replace(inputs[0], uri=f"{n}.jpg") for n in range(50)]
    folder = Path(inputs[0].location).parent
    for number in range(MAX_COPIES + 3):
        _photo(9).save(folder / f"crowd-{number}.jpg", quality=95 - number)
        seen.append(Ref(f"crowd-{number}.jpg", "site", str(folder / f"crowd-{number}.jpg")))
    found = place_all(seen).found
    crowd, same = found.groups()[0]
    assert (len(crowd.copies), crowd.copies_total) == (MAX_COPIES, MAX_COPIES + 2)
    assert (len(same.original.sightings), same.original.times_seen) == (3, 50)
    assert len(list(found.rows())) == 49 + MAX_COPIES + 2


def shown(text: str = "a.jpg", **changes: Any) -> Shown:
    original = Shown(
        sha256="ab" * 32, arrival=1, verdict="kept", sightings=[(text, text)], times_seen=1,
        size=1000, data=GIF, width=100, height=50, format="JPEG",
    )  # fmt: skip
    return replace(original, **changes)


def group(text: str = "a.jpg") -> Group:
    copy = shown(
        text, verdict="duplicate", arrival=2, kind="near", distance=3, score=0.99, reason=text
    )
    return Group(original=shown(text), copies=[copy], copies_total=1)


ONE = Counts(inputs=2, accepted=1, near_duplicates=1)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_and_nothing_else(text: str) -> None:
    page = _Page(render_duplicates(text, ONE, [group(text)], 1))
    assert page.shape == _Page(render_duplicates("d@v1", ONE, [group("harmless")], 1)).shape
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", page.text)


@few
@given(st.text(max_size=400), st.integers(8, 200))
def test_a_shortened_text_is_no_longer_than_asked(text: str, longest: int) -> None:
    assert len(shortened(text, longest)) <= longest


def test_a_page_of_the_most_that_it_shows_stays_a_few_megabytes() -> None:
    thumb = np.random.default_rng(0).integers(0, 256, 384, np.uint8).tobytes()
    places = [("https://example.org/" + 1500 * "x", "site")] * 3
    one = shown(data=picture_of(thumb), sightings=places, times_seen=9)
    full = Group(original=one, copies=[one] * MAX_COPIES, copies_total=99)
    page = render_duplicates("d@v1", ONE, [full] * MAX_GROUPS, 1000)
    assert "Showing 200 of 1,000 groups." in page
    assert len(page) < 8_000_000


def test_a_thumb_of_the_catalog_is_a_picture() -> None:
    import io

    flat = bytes([120] * 256 + [128] * 128)
    with Image.open(io.BytesIO(picture_of(flat))) as picture:
        assert (picture.size, picture.mode) == ((16, 16), "RGB")
        assert picture.getpixel((8, 8)) == (120, 120, 120)


def test_the_report_links_to_the_page_where_there_is_one() -> None:
    assert 'href="duplicates.html"' not in render_report(cats())
    places = {"duplicates": "datasets/cats/v3/duplicates.html"}
    assert 'href="duplicates.html"' in render_report(cats(places=places))


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    assert write_table([], tmp_path / "v1") == 0
    table = pq.read_table(tmp_path / "v1" / "duplicates.parquet")
    assert table.column_names == list(Duplicate._fields)
