"""Seed 1's recipe on a small team's folder: days, months, and what the description glosses over."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from autods.catalog import Catalog
from autods.errors import PlaceError, SourceError, UsageError
from autods.recipes import looking
from autods.versions import find_version
from autods.workspace import Workspace
from predicted import Team, picture

pytestmark = pytest.mark.slow


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path / "team")


def test_a_day_lies_where_the_seed_says(team: Team) -> None:
    one = team.predict("one", "2024-11-06 08:00:00", picture(1), picture(2))
    two = team.predict("two", "2024-11-06 09:00:00", picture(3, kind="PNG"), style_id="Business")
    team.predict("tomorrow", "2024-11-07 00:00:00", picture(4))
    done = team.daily("2024-11-06")
    laid = team.folder("candidates/2024-11-06")
    laid.assert_sound()
    users = {row["prediction_id"]: row["user_id"] for row in laid.samples}
    assert laid.objects == sorted([
        f"Soft/user_{users[one]}_pred_{one}_img_0.jpg",
        f"Soft/user_{users[one]}_pred_{one}_img_1.jpg",
        f"Business/user_{users[two]}_pred_{two}_img_0.png",
    ])  # fmt: skip
    assert list(laid.manifest) == [
        "dataset_type", "version", "created_at", "year", "month", "total_images", "gold_images",
        "new_images", "collection_dates", "class_distribution",
    ]  # fmt: skip
    assert laid.manifest["class_distribution"] == {"Business": 1, "Soft": 2}
    assert done["predictions"] == {
        "seen": 2, "new": 2, "unreadable": 0, "predictions": 2, "without_photos": 0, "photos": 3,
        "beyond": 0,
    }  # fmt: skip


def test_photos_that_cannot_be_had_are_recorded(team: Team) -> None:
    five = [picture(n) for n in range(5)]
    team.predict("many", "2024-11-06 08:00:00", *five)
    team.predict("bad", "2024-11-06 09:00:00", "users/missing.jpg", picture(9)[:200],
                 "http://elsewhere.example/a.jpg", "../../../etc/passwd")  # fmt: skip
    team.predict("none", "2024-11-06 10:00:00", photo_urls=None)
    team.predict("odd", "2024-11-06 11:00:00", picture(11), style_id="Unheard-of")
    team.predict("../x", "2024-11-06 12:00:00", picture(12), user_id="../../evil")
    done = team.daily("2024-11-06")
    laid = team.folder("candidates/2024-11-06")
    laid.assert_sound()
    assert laid.manifest["total_images"] == 4
    assert laid.reasons == {
        "users/missing.jpg": "missing-file",
        "users/bad-1.jpg": "truncated",
        "http://elsewhere.example/a.jpg": "photo-elsewhere",
        "../../../etc/passwd": "unsupported-key",
        "users/odd-0.jpg": "unknown-class",
        "users/../x-0.jpg": "bad-id",
    }
    assert done["predictions"]["without_photos"] == 1
    assert done["predictions"]["beyond"] == 1
    assert done["photos"] == {"inputs": 10, "images": 4, "excluded": 6}


def test_a_photo_that_comes_late_joins_its_day(team: Team) -> None:
    team.predict("late", "2024-11-06 08:00:00", "users/late.jpg")
    team.daily("2024-11-06")
    assert team.folder("candidates/2024-11-06").reasons == {"users/late.jpg": "missing-file"}
    team.put("users/late.jpg", picture(1))
    published = team.daily("2024-11-07")["published"]
    assert [day["day"] for day in published] == ["2024-11-06", "2024-11-07"]
    laid = team.folder("candidates/2024-11-06")
    laid.assert_sound()
    assert laid.manifest["total_images"] == 1


def test_a_day_run_twice_and_days_that_overlap_give_the_same_tree(team: Team, tree: object) -> None:
    def files() -> object:
        return tree(team.root / "datasets" / "candidates")  # type: ignore[operator]

    first = team.predict("a", "2024-11-06 08:00:00", picture(1))
    team.daily("2024-11-06")
    before = files()
    team.verify(first, "2024-11-06 20:00:00", "Warm")  # Verified after it was collected.
    again = team.daily("2024-11-06")
    assert files() == before
    assert not again["published"][0]["new"]
    team.daily("2024-11-07")
    team.daily("2024-11-06")
    assert {k: v for k, v in files().items() if "2024-11-06" in k} == before  # type: ignore[attr-defined]


def test_a_missed_day_and_a_row_committed_late_are_caught_up(team: Team) -> None:
    team.predict("a", "2024-11-04 08:00:00", picture(1))
    team.daily("2024-11-04")
    team.predict("late", "2024-11-04 07:40:00", picture(2))  # Before the watermark, by minutes.
    team.predict("missed", "2024-11-05 12:00:00", picture(3))
    published = team.daily("2024-11-06")["published"]
    assert {day["day"]: day["images"] for day in published} == {
        "2024-11-04": 2, "2024-11-05": 1, "2024-11-06": 0,
    }  # fmt: skip


def test_clocks_that_go_wrong_put_nothing_into_two_days(team: Team) -> None:
    team.daily("2024-11-04")
    team.predict("ahead", "2024-11-06 00:05:00", picture(1), updated_at="2024-11-05 23:58:00")
    assert team.daily("2024-11-05")["published"][-1]["images"] == 0
    assert team.daily("2024-11-06")["published"][-1]["images"] == 1
    assert team.folder("candidates/2024-11-05").objects == []


def test_what_was_predicted_before_the_first_day_is_no_candidate(team: Team) -> None:
    old = team.predict("old", "2023-01-01 08:00:00", picture(1))
    team.daily("2024-11-06")
    team.verify(old, "2024-11-07 10:00:00", "Warm")
    done = team.daily("2024-11-07")
    assert done["predictions"]["new"] == 0
    team.daily("2023-01-01")  # Asked for: read again from there, though it was updated since.
    assert team.folder("candidates/2023-01-01").manifest["total_images"] == 1


def test_a_month_asks_the_database_what_is_true_now(team: Team) -> None:
    team.gold("Soft/g1.jpg", picture(100))
    team.gold("Warm/g2.jpg", picture(101))
    kept = team.predict("kept", "2024-11-02 08:00:00", picture(1))
    verified = team.predict("verified", "2024-11-03 08:00:00", picture(2))
    gone = team.predict("gone", "2024-11-04 08:00:00", picture(3))
    for day in ("02", "03", "04"):
        team.daily(f"2024-11-{day}")
    team.verify(verified, "2024-11-20 10:00:00", "Warm")
    team.delete(gone)
    done = team.monthly("2024-11")
    right, whole = team.folder("verified/2024-11"), team.folder("full/2024-11")
    for laid in (right, whole):
        laid.assert_sound()
    assert {(r["path"].split("/")[0], r["origin"], r["prediction_id"]) for r in whole.samples} == {
        ("Soft", "gold", None), ("Warm", "gold", None), ("Warm", "human", verified),
        ("Soft", "model", kept),
    }  # fmt: skip
    assert {row["origin"] for row in right.samples} == {"gold", "human"}
    assert right.reasons == {"users/kept-0.jpg": "unverified", "users/gone-0.jpg": "withdrawn"}
    assert whole.reasons == {"users/gone-0.jpg": "withdrawn"}
    assert whole.manifest | {"created_at": ""} == {
        "dataset_type": "full", "version": "2024-11-v1", "created_at": "", "year": 2024,
        "month": 11, "total_images": 4, "gold_images": 2, "new_images": 2,
        "collection_dates": ["2024-11-02", "2024-11-03", "2024-11-04"],
        "class_distribution": {"Soft": 2, "Warm": 2},
    }  # fmt: skip
    assert (team.root / "datasets/full/2024-11/version.txt").read_text() == "2024-11-v1\n"
    assert (done["gold"], done["asked"]) == ("gold@v1", {"asked": 3, "withdrawn": 1})


def test_a_second_build_is_a_second_version_with_a_diff(team: Team, tree: object) -> None:
    team.gold("Soft/g1.jpg", picture(100))
    first = team.predict("first", "2024-11-02 08:00:00", picture(1))
    team.daily("2024-11-02")
    team.monthly("2024-11")
    before = tree(team.root / "datasets" / "full" / "2024-11")  # type: ignore[operator]
    assert not team.monthly("2024-11")["full"]["new"]  # Nothing has changed.
    team.verify(first, "2024-12-03 08:00:00", "Warm")
    done = team.monthly("2024-11")
    assert (done["full"]["version"], done["verified"]["version"]) == ("2024-11-v2", "2024-11-v2")
    assert tree(team.root / "datasets" / "full" / "2024-11") == before  # type: ignore[operator]
    laid = team.folder("full/2024-11-v2")
    laid.assert_sound()
    diff = (laid.path / "diff.json").read_text()
    assert '"old": "Soft"' in diff
    assert '"new": "Warm"' in diff
    with closing(Catalog(str(team.root / ".autods" / "catalog.db"))) as catalog:
        names = [find_version(catalog, f"full@2024-11-v{n}").name for n in (1, 2)]
    assert names == ["full@v1", "full@v2"]


def test_duplicates_of_gold_and_of_each_other_are_found_once(team: Team) -> None:
    team.gold("Soft/g1.jpg", picture(100))
    team.predict("copy", "2024-11-02 08:00:00", picture(100), style_id="Warm")
    team.predict("near", "2024-11-02 09:00:00", picture(100, quality=60))
    model = team.predict("model", "2024-11-02 10:00:00", picture(1))
    human = team.predict("human", "2024-11-03 10:00:00", picture(1, quality=70))
    team.predict("pixels", "2024-11-03 11:00:00", picture(5, kind="PNG"))
    team.predict("same", "2024-11-03 12:00:00", picture(5, kind="WEBP", quality=100))
    team.verify(human, "2024-11-04 08:00:00", "Soft")
    team.daily("2024-11-02")
    team.daily("2024-11-03")
    team.monthly("2024-11")
    whole = team.folder("full/2024-11")
    whole.assert_sound()
    assert model not in {row["prediction_id"] for row in whole.samples}  # A person is believed.
    found = {row["uri"]: (row["kind"], row["conflict"]) for row in whole.excluded}
    assert found["users/copy-0.jpg"] == ("bytes", True)
    assert found["users/near-0.jpg"] == ("near", False)
    assert found["users/model-0.jpg"] == ("near", False)
    assert {row["duplicate_of"] for row in whole.excluded} >= {"Soft/g1.jpg"}
    assert whole.manifest["total_images"] == 3


def test_a_manifest_alone_is_enough(tmp_path: Path) -> None:
    team = Team(tmp_path / "team", "materialize: manifest\n")
    team.gold("Soft/g1.jpg", picture(100))
    team.predict("one", "2024-11-02 08:00:00", picture(1))
    team.daily("2024-11-02")
    team.monthly("2024-11")
    laid = team.folder("full/2024-11")
    assert laid.objects == []
    assert laid.manifest["total_images"] == len(laid.samples) == 2
    with closing(Workspace(team.root)) as place:
        assert all(place.store.has(row["asset"]) for row in laid.samples)


def test_gold_that_changes_is_another_version_of_gold(team: Team) -> None:
    team.gold("Soft/g1.jpg", picture(100))
    team.gold("Soft/g2.jpg", picture(101))
    assert team.monthly("2024-11")["gold"] == "gold@v1"
    team.gold("Soft/g1.jpg", picture(102))
    (team.root / "datasets/gold/Soft/g2.jpg").unlink()
    done = team.monthly("2024-11")
    assert (done["gold"], done["full"]["version"], done["full"]["images"]) == (
        "gold@v2", "2024-11-v2", 1,
    )  # fmt: skip


def test_a_photo_that_became_gold_under_its_own_name_is_gold(team: Team) -> None:
    team.predict("one", "2024-11-02 08:00:00", picture(1))
    team.daily("2024-11-02")
    [name] = team.folder("candidates/2024-11-02").objects
    team.gold(name, picture(2))  # Another picture under the name of a candidate.
    team.monthly("2024-11")
    laid = team.folder("full/2024-11")
    laid.assert_sound()
    assert len(laid.objects) == 2


def test_places_that_nobody_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DB_NAME", raising=False)
    team = Team(tmp_path / "team")
    team.recipe.write_text("photos: photos\n")
    with pytest.raises(UsageError, match="set DB_NAME"):
        team.daily("2024-11-02")
    team.recipe.write_text("database: predictions.db\n")
    with pytest.raises(UsageError, match="STYLE_PHOTO_BUCKET"):
        team.daily("2024-11-02")


def test_a_table_that_is_none(team: Team) -> None:
    with closing(sqlite3.connect(team.root / "predictions.db")) as db:
        db.execute("ALTER TABLE user_styles DROP COLUMN confidence")
        db.commit()
    with pytest.raises(SourceError, match="confidence"):
        team.daily("2024-11-02")


def test_a_place_that_was_mistyped_is_no_loss(team: Team) -> None:
    team.predict("a", "2024-11-06 08:00:00", picture(1), "s3://photos/users/b.jpg")
    team.put("users/b.jpg", picture(2))
    (team.root / "photoz").mkdir()
    right = team.recipe.read_text()
    team.recipe.write_text(right.replace("photos: photos", "photos: photoz"))
    assert team.daily("2024-11-06")["photos"]["images"] == 0
    team.recipe.write_text(right)
    team.daily("2024-11-20")
    assert team.folder("candidates/2024-11-06").manifest["total_images"] == 2


def test_photos_that_join_a_row_later_are_taken_in(team: Team) -> None:
    late = team.predict("late", "2024-11-06 23:59:00", photo_urls=None)
    team.daily("2024-11-06")
    team.put("users/x.jpg", picture(1))
    team.change(late, "2024-11-07 00:01:00", photo_urls='["users/x.jpg"]')
    team.daily("2024-11-07")
    laid = team.folder("candidates/2024-11-06")
    laid.assert_sound()
    assert laid.manifest["total_images"] == 1


def test_no_other_workspace_writes_into_these_artifacts(team: Team) -> None:
    team.predict("a", "2024-11-06 08:00:00", picture(1))
    team.daily("2024-11-06")
    team.monthly("2024-11")
    (team.root / ".autods").rename(team.root / "lost")
    with pytest.raises(PlaceError, match="another workspace"):
        team.monthly("2024-11")


def test_a_month_of_which_nothing_is_left_is_an_empty_release(team: Team) -> None:
    only = team.predict("only", "2024-11-06 08:00:00", picture(1))
    team.daily("2024-11-06")
    assert team.monthly("2024-11")["full"]["images"] == 1
    team.delete(only)
    done = team.monthly("2024-11")["full"]
    assert (done["version"], done["new"], done["images"]) == ("2024-11-v2", True, 0)
    assert not team.monthly("2024-11")["full"]["new"]


def test_what_is_published_stays_as_it_was_made(team: Team, tree: object) -> None:
    team.predict("a", "2024-11-06 08:00:00", picture(1))
    team.daily("2024-11-06")
    team.monthly("2024-11")
    before = tree(team.root / "datasets" / "full")  # type: ignore[operator]
    with team.recipe.open("a") as recipe:
        recipe.write("materialize: manifest\nclasses: [Soft, Warm]\n")
    team.monthly("2024-11")
    assert tree(team.root / "datasets" / "full") == before  # type: ignore[operator]


def test_two_ids_that_make_one_name_are_two_objects(team: Team) -> None:
    team.predict("a", "2024-11-06 08:00:00", picture(1), id="z", user_id="x_pred_y")
    team.predict("b", "2024-11-06 09:00:00", picture(2), id="y_pred_z", user_id="x")
    team.daily("2024-11-06")
    laid = team.folder("candidates/2024-11-06")
    laid.assert_sound()
    assert len(laid.objects) == 2


def test_days_that_cannot_be(team: Team) -> None:
    for day in ("2999-01-01", "0001-01-01", "9999-12-31"):
        with pytest.raises(UsageError, match=r"not begun|too long ago"):
            team.daily(day)
    with pytest.raises(UsageError, match="not begun"):
        team.monthly("2999-01")


def test_a_release_can_be_looked_at(team: Team) -> None:
    team.predict("a", "2024-11-06 08:00:00", picture(1), "users/none.jpg")
    team.daily("2024-11-06")
    team.monthly("2024-11")
    with closing(Workspace(team.root)) as place:
        shown = looking.version(place, "full@2024-11-v1")
        refused = looking.refused(place, "full")
        logged = [row["version"]["name"] for row in looking.log(place, "full")]
    assert shown["folder"] == str(team.root / "datasets/full/2024-11")
    assert shown["aliases"] == ["2024-11-v1", "latest"]
    assert [(row["uri"], row["reason"]) for row in refused] == [("users/none.jpg", "missing-file")]
    assert logged == ["full@v1"]


def test_a_recipe_holds_no_password(team: Team) -> None:
    team.recipe.write_text("database: postgresql://me:hush@host/x\nphotos: photos\n")
    with pytest.raises(UsageError, match="DB_PASSWORD") as raised:
        team.daily("2024-11-06")
    assert "hush" not in str(raised.value)
