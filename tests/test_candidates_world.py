"""The made-up world is the same for one seed, has every trouble, and knows what follows from it."""

import datetime as dt
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from autods.dedup.confirm import RADIUS, same_picture, stack_thumbs
from autods.errors import UsageError
from autods.features import Features, measure
from autods.recipes.candidates.config import read_candidates
from autods.recipes.candidates.world import Look, World, group_of, put_into, write_demo
from autods.recipes.candidates.world.photo_troubles import PHOTO_TROUBLES
from autods.recipes.candidates.world.row_troubles import ROW_TROUBLES
from autods.recipes.candidates.world.shapes import File, Life, object_name
from autods.recipes.candidates.world.truth import Key, MonthTruth, Out, SetTruth
from autods.records import Refusal
from autods.validate import Picture, decode, same_pixels

Objects = dict[str, bytes]


def moment(year: int, month: int, day: int, hour: int = 0) -> dt.datetime:
    """A moment in UTC, without a zone as everywhere here."""
    return dt.datetime.combine(dt.date(year, month, day), dt.time(hour))


START = dt.date(2024, 11, 1)
DECEMBER = moment(2024, 12, 1, 1)
LATER = moment(2024, 12, 20, 1)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def world() -> World:
    """Three months, as the simulated quarter has them."""
    return World(START, 90)


@pytest.fixture(scope="module")
def november() -> World:
    return World(START, 30)


@pytest.fixture(scope="module")
def month(november: World) -> MonthTruth:
    return november.month_truth(2024, 11, DECEMBER)


def days(world: World) -> list[dt.date]:
    return [START + n * DAY for n in range(world.setting.days)]


def into(objects: Objects) -> Callable[[str, bytes | None], None]:
    def put(key: str, data: bytes | None) -> None:
        if data is None:
            del objects[key]
        else:
            objects[key] = data

    return put


def lives_with(world: World, test: Callable[[Life], bool]) -> list[Life]:
    return [life for life in world.lives if test(life)]


def rows_of(url: str) -> list[tuple[object, ...]]:
    """All rows, in the order of their ids."""
    place = url.replace("postgresql://", "postgresql+psycopg://") if "://" in url else None
    engine = sa.create_engine(place or f"sqlite:///{url}")
    with engine.connect() as db:
        rows = db.execute(sa.text("SELECT * FROM user_styles ORDER BY id")).fetchall()
    engine.dispose()
    return [tuple(str(cell) for cell in row) for row in rows]


def test_every_trouble_is_there(world: World) -> None:
    wanted = {*PHOTO_TROUBLES, *ROW_TROUBLES, "deleted users", "gold promoted", "gold removed"}
    assert {name: world.census[name] for name in wanted if not world.census.get(name)} == {}


def test_the_census_counts_what_is_there(world: World) -> None:
    gone = lives_with(world, lambda life: life.gone is not None)
    old = lives_with(world, lambda life: life.day < START)
    ahead = lives_with(world, lambda life: life.created > life.updated)
    late = lives_with(world, lambda life: life.visible > life.updated <= life.created)
    cut = [s for life in world.lives for s in life.shots if s.file and s.file.form == "cut"]
    census = world.census
    assert census["deleted rows"] == len(gone)
    assert census["from before the start"] == len(old)
    ahead_of_us = census["created ahead over midnight"] + census["created two days ahead"]
    assert ahead_of_us == len(ahead)
    assert census["committed late"] + census["committed after midnight"] == len(late)
    assert census["truncated photo"] == len(cut)


def test_late_rows_are_within_the_overlap(world: World) -> None:
    delays = [life.visible - life.updated for life in world.lives]
    assert dt.timedelta(minutes=10) < max(delays) < dt.timedelta(minutes=40)


def test_a_month_has_every_trouble_but_other_months(november: World) -> None:
    missing = {*PHOTO_TROUBLES, *ROW_TROUBLES} - november.census.keys()
    assert missing <= {"near, other month"}


def test_without_trouble_there_is_none() -> None:
    calm = World(START, 30, per_day=3, trouble=0)
    assert set(calm.census.values()) == {0}
    seen = [calm.day_truth(day, DECEMBER) for day in days(calm)]
    assert all(truth.objects and not truth.excluded for truth in seen)
    month = calm.month_truth(2024, 11, DECEMBER)
    assert month.full.left_out == {}
    assert {out.reason for out in month.verified.left_out.values()} == {"unverified"}
    assert len(month.collection_dates) == 30


@pytest.mark.slow
def test_the_same_seed_gives_the_same_world(catalog_url: str, november: World) -> None:
    objects: list[Objects] = [{}, {}]
    november.create(catalog_url)
    november.advance(catalog_url, into(objects[0]), into(objects[0]), DECEMBER)
    first = rows_of(catalog_url)
    again = World(START, 30)
    assert again.lives == november.lives
    again.advance(catalog_url, into(objects[1]), into(objects[1]), DECEMBER)
    assert rows_of(catalog_url) == first
    assert objects[0] == objects[1]
    assert World(START, 30, seed=8).lives != november.lives


@pytest.mark.slow
def test_many_small_steps_are_one_large_one(tmp_path: Path) -> None:
    world = World(START, 30, per_day=4)
    small, large = str(tmp_path / "small.db"), str(tmp_path / "large.db")
    stepwise: Objects = {}
    atonce: Objects = {}
    for url in (small, large):
        world.create(url)
    for hours in range(0, 50 * 24, 17):
        until = moment(2024, 11, 1) + dt.timedelta(hours=hours)
        world.advance(small, into(stepwise), into(stepwise), until)
        world.advance(small, into(stepwise), into(stepwise), until)
    world.advance(large, into(atonce), into(atonce), until)
    assert rows_of(small) == rows_of(large)
    assert stepwise == atonce


@pytest.mark.parametrize("zoned", [False, True])
def test_the_database_says_what_the_lives_say(postgres_url: str, *, zoned: bool) -> None:
    world = World(START, 30, per_day=4)
    world.create(postgres_url, zoned=zoned)
    world.advance(postgres_url, into({}), into({}), LATER)
    engine = sa.create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as db:
        db.execute(sa.text("SET TIME ZONE 'UTC'"))
        found = {
            str(row.id): row for row in db.execute(sa.text("SELECT * FROM user_styles")).fetchall()
        }
    engine.dispose()
    there = {life.id: row for life in world.lives if (row := life.row_at(LATER))}
    assert found.keys() == there.keys()
    for life in (life for life in world.lives if life.id in there):
        said, row = found[life.id], there[life.id]
        assert (said.style_id or None, said.is_verified) == (row.style, row.is_verified)
        assert said.updated_at.replace(tzinfo=None) == row.updated
        assert said.created_at.replace(tzinfo=None) == life.created
        assert said.photo_urls == (None if life.photo_urls is None else json.loads(life.photo_urls))


def test_sqlite_holds_times_in_many_ways(tmp_path: Path) -> None:
    world = World(START, 10, per_day=12)
    world.create(str(tmp_path / "a.db"))
    world.advance(str(tmp_path / "a.db"), into({}), into({}), LATER)
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        times = dict(db.execute("SELECT id, created_at FROM user_styles").fetchall())
    shapes = {"Z" in text[-1] or text[19:20] or text[10] for text in times.values()}
    assert len(shapes) >= 4
    created = {life.id: life.created for life in world.lives}
    for name, text in times.items():
        said = dt.datetime.fromisoformat(text)
        utc = said.astimezone(dt.UTC).replace(tzinfo=None) if said.tzinfo else said
        assert utc == created[name]


@pytest.mark.slow
def test_each_photo_of_a_day_is_in_one_place(world: World) -> None:
    as_of = moment(2025, 2, 20)
    total = 0
    for day in days(world):
        truth = world.day_truth(day, as_of)
        lives = lives_with(world, lambda life, day=day: life.day == day)  # type: ignore[misc]
        never = [life for life in lives if life.gone and life.gone < life.visible + DAY]
        photos = sum(len(life.taken) for life in lives)
        least = photos - sum(len(life.taken) for life in never)
        assert least <= len(truth.objects) + len(truth.excluded) <= photos
        assert sum(truth.class_distribution.values()) == len(truth.objects)
        total += len(truth.objects)
    assert total > 1000


def test_each_photo_of_a_month_is_in_one_place(november: World, month: MonthTruth) -> None:
    known = [november.day_truth(day, DECEMBER) for day in days(november)]
    photos = sum(len(day.objects) + len(day.excluded) for day in known)
    gold = sum(1 for event in november._gold if event.at < DECEMBER)
    for truth in (month.verified, month.full):
        assert len(truth.members) + len(truth.left_out) == photos + gold
        assert sum(truth.class_distribution.values()) == len(truth.members)
        assert truth.gold_images + truth.new_images == len(truth.members)
        assert len({member.sha256 for member in truth.members.values()}) == len(truth.members)
    assert 0 < month.verified.new_images < month.full.new_images
    assert {member.origin for member in month.verified.members.values()} == {"gold", "human"}
    assert {member.origin for member in month.full.members.values()} == {"gold", "human", "model"}


def test_a_month_leaves_out_for_every_reason(month: MonthTruth) -> None:
    reasons = {(out.status, out.reason) for out in month.full.left_out.values()}
    assert reasons == {
        ("left-out", "unknown-class"), ("left-out", "withdrawn"), ("rejected", "corrupt"),
        ("rejected", "photo-elsewhere"), ("failed", "missing"), ("duplicate", "bytes"),
        ("duplicate", "pixels"), ("duplicate", "near"),
    }  # fmt: skip
    assert any(out.conflict for out in month.full.left_out.values())
    assert all(
        out.of in month.full.members
        for out in month.full.left_out.values()
        if out.status == "duplicate"
    )


def candidate(truth: SetTruth, life: Life) -> list[tuple[str, Out | str]]:
    """What became of a prediction: (place in the dataset, or why in none) by photo."""
    paths = [(p, m.label) for p, m in truth.members.items() if f"_pred_{life.id}_" in p]
    outs: list[tuple[str, Out | str]] = [
        (str(key), out) for key, out in truth.left_out.items() if key[0] == life.id
    ]
    return [*paths, *outs]


def test_a_human_is_preferred_to_a_model(month: MonthTruth) -> None:
    beaten = [
        out
        for out in month.full.left_out.values()
        if out.status == "duplicate" and out.of and month.full.members[out.of].origin == "human"
    ]
    assert beaten
    for out in month.verified.left_out.values():
        assert out.of is None or month.verified.members[out.of].origin != "model"


def test_a_relabelled_one_stays_in_its_day_and_moves_in_its_month(november: World) -> None:
    month = november.month_truth(2024, 11, LATER)
    moved = lives_with(
        november,
        lambda life: (
            life.gone is None
            and len(life.changes) == 1
            and life.changes[0][1].get("style", life.style) != life.style
            and DECEMBER > life.changes[0][0] > life.visible + DAY
        ),
    )
    seen = 0
    for life in moved:
        objects = november.day_truth(life.day, LATER).objects
        then = {path.partition("/")[0] for path in objects if life.id in path}
        now = {str(label) for path, label in candidate(month.full, life) if "/" in path}
        assert then <= {life.style or life.initial}
        assert now <= {life.changes[0][1]["style"]}
        seen += bool(then and now)
    assert seen > 5


def test_a_row_that_moved_past_midnight_is_seen_a_day_later(november: World) -> None:
    life = next(
        life
        for life in november.lives
        if life.created.day == life.visible.day
        and life.taken
        and life.changes
        and dt.timedelta(0) < life.changes[0][0] - dt.datetime.combine(life.day + DAY, dt.time())
        and life.changes[0][0].time() < dt.time(0, 5)
        and life.changes[0][0].date() == life.day + DAY
    )
    first = dt.datetime.combine(life.day + DAY, dt.time(0, 5))
    assert not any(life.id in path for path in november.day_truth(life.day, first).objects)
    second = november.day_truth(life.day, first + DAY)
    places = {*second.objects, *(key[0] for key in second.excluded)}
    assert any(life.id in place for place in places)


def test_a_missing_photo_is_looked_for_three_days_and_by_its_month() -> None:
    world = World(START, 6, per_day=1, trouble=0)
    life = world.lives[0]
    name = f"{life.style}/{object_name(life, 0, 'jpg')}"

    def held(day: int, *moments: dt.datetime) -> list[bool]:
        life.shots[0] = life.shots[0]._replace(at=moment(2024, 11, day, 12))
        return [name in world.day_truth(START, as_of).objects for as_of in moments]

    shortly = [moment(2024, 11, day, 1) for day in (2, 3, 4, 5)]
    assert held(3, *shortly) == [False, False, True, True]
    assert held(4, *shortly, moment(2024, 11, 30), DECEMBER) == [False] * 5 + [True]


def test_missed_and_repeated_runs_come_to_the_same(november: World) -> None:
    as_of = moment(2024, 12, 5)
    usual = november.usual_looks(as_of)
    twice = sorted([*usual, *(look._replace(at=look.at + DAY / 24) for look in usual if look.date)])
    missed = [look for look in usual if look.month or (look.date and look.date.day % 7)]
    calm = lives_with(november, lambda life: not life.changes and life.gone is None)
    soon = {life.id for life in calm if all(shot.at < life.visible for shot in life.shots)}

    def settled(looks: list[Look]) -> set[str]:
        truths = [november.day_truth(day, as_of, looks) for day in days(november)]
        return {path for truth in truths for path in truth.objects if path.split("_")[3] in soon}

    assert settled(twice) == settled(usual)
    assert settled(missed) == settled(usual)
    assert len(settled(usual)) > 100


def test_an_earlier_day_is_read_up_to_where_the_others_came() -> None:
    world = World(START, 6, per_day=3, trouble=0)
    life = world.lives[0]
    life.change(moment(2024, 11, 3, 12))
    looks = [
        Look(moment(2024, 11, 5), dt.date(2024, 11, 4)),
        Look(moment(2024, 11, 6), dt.date(2024, 11, 1)),
    ]
    assert world.day_truth(START, moment(2024, 11, 5), looks).predictions == 0
    first = world.day_truth(START, moment(2024, 11, 6), looks)
    assert first.predictions == len(lives_with(world, lambda one: one.day == START))


def test_older_rows_are_nobodys(november: World, month: MonthTruth) -> None:
    old = lives_with(november, lambda life: life.day < START)
    assert old
    assert all(not candidate(month.full, life) for life in old)


def test_gold_keeps_its_name_and_the_candidate_gets_another(month: MonthTruth) -> None:
    taken = [
        path for path, m in month.full.members.items() if m.origin == "gold" and "_pred" in path
    ]
    assert len(taken) == 1
    longer = [path for path in month.full.members if path.startswith(taken[0][:-4] + "-")]
    assert [len(path) for path in longer] == [len(taken[0]) + 9]
    assert longer[0][-12:-4] == month.full.members[longer[0]].sha256[:8]


def test_a_later_build_has_the_gold_of_then(november: World, month: MonthTruth) -> None:
    later = november.month_truth(2024, 11, LATER)

    def gold(truth: MonthTruth) -> set[str]:
        return {path for path, m in truth.full.members.items() if m.origin == "gold"}

    added = gold(later) - gold(month)
    assert sum("added_202412" in path for path in added) == 3
    assert sum("_pred_" in path for path in added) == 2
    assert len(gold(month) - gold(later)) >= 1
    assert {out.status for out in later.full.left_out.values() if out.of in added} == {"duplicate"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"per_day": 0}, "per_day is 0: choose 1 or more"),
        ({"trouble": 1.5}, "trouble is 1.5: choose 0 to 1"),
        ({"gold": -1}, "gold is -1: choose 0 or more"),
        ({"classes": ("One",)}, "classes are 1: two are needed at least"),
    ],
)
def test_what_makes_no_world_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said}$"):
        World(START, 3, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_any_size_makes_a_world(count: int, seed: int) -> None:
    world = World(START, count, per_day=count, seed=seed, gold=count - 1)
    assert world.month_truth(2024, 11, DECEMBER).full.members is not None


def test_the_reasons_of_a_recipe_come_to_those_of_the_truth() -> None:
    said = [("failed", "missing-file"), ("rejected", "empty"), ("rejected", "photo-elsewhere")]
    assert [group_of(*one) for one in said] == ["missing", "corrupt", "photo-elsewhere"]
    assert group_of("left-out", "withdrawn") == "withdrawn"


@pytest.mark.slow
def test_no_two_pictures_are_alike_and_every_copy_is(world: World) -> None:
    shots = [s.file for life in world.lives for s in life.shots if s.file]
    gold = [event.file for event in world._gold if event.file]
    files = sorted({file for file in [*shots, *gold] if not file.is_broken})
    features = {file: features_of(world.pictures.data(file)) for file in files}
    plain = [file for file in files if file.form == "plain"]
    codes = np.array([features[file].phash for file in plain], np.uint64)
    apart = np.bitwise_count(codes[:, None] ^ codes) + 64 * np.eye(len(codes), dtype=np.uint8)
    assert apart.min() > RADIUS
    family: dict[int, list[File]] = defaultdict(list)
    for file in files:
        family[file.picture].append(file)
    pairs = [(a, b) for alike in family.values() for a in alike for b in alike if a < b]
    assert len(pairs) > 50
    left, right = (stack_thumbs([features[p[side]].thumb for p in pairs]) for side in (0, 1))
    assert same_picture(left, right)[0].all()
    bits = [(features[a].phash ^ features[b].phash).bit_count() for a, b in pairs]
    assert max(bits) <= 4
    for a, b in pairs:
        alike = same_pixels(world.pictures.data(a), world.pictures.data(b))
        assert alike == (a.likeness(b) == "pixels")


def features_of(data: bytes) -> Features:
    picture = decode(data)
    assert isinstance(picture, Picture)
    return measure(picture)


def test_broken_photos_are_refused_and_others_have_their_format(november: World) -> None:
    files = {s.file for life in november.lives for s in life.shots if s.file}
    reasons: Counter[str] = Counter()
    for file in sorted(files)[:300] + sorted(f for f in files if f.is_broken):
        found = decode(november.pictures.data(file))
        assert isinstance(found, Refusal) == file.is_broken
        if isinstance(found, Refusal):
            reasons[found.reason] += 1
        else:
            assert found.format == {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[file.extension]
    assert {"truncated", "unsupported-format", "empty"} == reasons.keys()


def test_urls_fit_their_column(world: World) -> None:
    assert max(len(shot.url) for life in world.lives for shot in life.shots) <= 128
    keys = {shot.key for life in world.lives for shot in life.shots if shot.key}
    assert all(key.startswith("users/") for key in keys)


@pytest.mark.slow
def test_the_example_is_written_once_and_the_same(
    tmp_path: Path, tree: Callable[..., dict[str, str]]
) -> None:
    recipe = write_demo(tmp_path / "a", days=8, per_day=4)
    before = tree(tmp_path / "a")
    assert write_demo(tmp_path / "a", days=8, per_day=4) == recipe
    assert tree(tmp_path / "a") == before
    write_demo(tmp_path / "b", days=8, per_day=4)
    assert tree(tmp_path / "b") == before
    names = {name.split("/")[0] for name in before}
    assert names == {"candidates.yaml", "predictions.db", "photos", "datasets"}
    given = read_candidates(recipe)
    assert (given.recipe.database, given.recipe.photos) == ("predictions.db", "photos")
    with pytest.raises(UsageError, match=r"candidates\.yaml is there and not this example's"):
        write_demo(tmp_path / "a", days=9, per_day=4)


@pytest.mark.parametrize("name", ["candidates.yaml", "predictions.db"])
def test_ones_own_files_are_not_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=rf"{name} is there and not this example's"):
        write_demo(tmp_path, days=2)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_objects_go_into_a_folder_and_out_of_it(tmp_path: Path) -> None:
    put = put_into(tmp_path)
    put("users/1/a.jpg", b"x")
    put("users/1/b.jpg", b"y")
    put("users/1/a.jpg", None)
    assert [path.name for path in tmp_path.rglob("*.jpg")] == ["b.jpg"]


def test_keys_of_what_is_left_out_are_photos_or_gold(month: MonthTruth) -> None:
    keys: list[Key] = [*month.full.left_out]
    assert {type(key) for key in keys} == {tuple, str}
    assert {key for key in keys if isinstance(key, str)} == {
        "Aristocratic/zz_copy.jpg", "Aristocratic/zz_cut.jpg", "Gothic/gold_1.jpg",
        "Warm/zz_near.jpg",
    }  # fmt: skip
