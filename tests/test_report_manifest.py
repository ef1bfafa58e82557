"""The manifest has seed 1's keys in seed 1's order, and its numbers add up."""

import json
from dataclasses import replace

from hypothesis import given

from autods.report.facts import Facts
from autods.report.manifest import manifest, manifest_json, version_txt
from test_report_facts import any_facts, cats, empty, few, one_class

SEED_KEYS = (
    "dataset_type version created_at year month total_images gold_images new_images "
    "collection_dates class_distribution"
).split()


@few
@given(any_facts())
def test_the_keys_are_the_seeds_in_order_and_one_of_ours(facts: Facts) -> None:
    assert list(manifest(facts)) == [*SEED_KEYS, "autods"]


@few
@given(any_facts())
def test_the_numbers_add_up(facts: Facts) -> None:
    made = manifest(facts)
    ours = made["autods"]
    assert made["gold_images"] + made["new_images"] == made["total_images"]
    assert made["total_images"] == sum(ours["splits"].values()) == ours["counts"]["accepted"]
    labelled = sum(made["class_distribution"].values())
    assert labelled + ours["counts"]["unlabelled"] == made["total_images"]


@few
@given(any_facts())
def test_the_file_is_json_and_reads_back_as_the_manifest(facts: Facts) -> None:
    written = manifest_json(facts).encode("utf-8", "backslashreplace")
    assert json.loads(written) == manifest(facts)


def test_values_are_written_as_in_the_seed() -> None:
    made = manifest(cats())
    assert {key: made[key] for key in SEED_KEYS} == {
        "dataset_type": "verified",
        "version": "cats@v3",
        "created_at": "2024-12-01T01:00:00",
        "year": 2024,
        "month": 12,
        "total_images": 100,
        "gold_images": 75,
        "new_images": 25,
        "collection_dates": ["2024-11-01", "2024-11-02"],
        "class_distribution": {"cat": 60, "dog": 30},
    }


def test_a_recipe_may_name_the_version_and_the_month_it_stands_for() -> None:
    about = replace(cats().about, alias="2024-11-v1", period=(2024, 11))
    made = manifest(cats(about=about))
    assert (made["version"], made["year"], made["month"]) == ("2024-11-v1", 2024, 11)


def test_without_a_parent_every_member_is_new() -> None:
    made = manifest(one_class("cat", 5))
    assert (made["gold_images"], made["new_images"]) == (0, 5)
    assert manifest(empty())["class_distribution"] == {}


def test_version_txt_names_the_version_and_then_its_digest() -> None:
    assert version_txt(cats()) == "cats@v3\n" + "2d71" * 16 + "\n"
