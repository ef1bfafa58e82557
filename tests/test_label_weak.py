"""Functions vote on members; what they leave open stays open."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from autods.errors import UsageError
from autods.label import LabelingFunction, labeling_function
from autods.label.weak import WeakLabels, weak_labels

CLASSES = ("cat", "dog")
CAT, DOG, ABSTAIN = 0, 1, -1

SCHEMA = pa.schema(
    [("asset_id", pa.int64()), ("width", pa.int64()), ("probability", pa.float64()),
     ("weight", pa.float64())]
    + [(name, pa.string())
       for name in ("sha256", "label", "label_kind", "split", "caption", "meta")]
)  # fmt: skip


def members(*rows: dict[str, Any]) -> pa.Table:
    full = [{"asset_id": 10 + n, "sha256": f"{n:064x}", **row} for n, row in enumerate(rows)]
    return pa.Table.from_pylist(full, SCHEMA)


def said_of(*captions: str | None) -> pa.Table:
    return members(*({"caption": caption} for caption in captions))


def words(name: str, **votes: int) -> LabelingFunction:
    """A function that votes by the first word it knows in a caption."""

    def vote(row: Any) -> int:
        return next((v for w, v in votes.items() if w in (row.caption or "").split()), ABSTAIN)

    return labeling_function(name=name)(vote)


BY_WORD = [words("a", meow=CAT, woof=DOG), words("b", purr=CAT, woof=DOG), words("c", meow=CAT)]


def ask(
    table: pa.Table, functions: Sequence[LabelingFunction] = BY_WORD, **options: Any
) -> WeakLabels:
    defaults: dict[str, Any] = {"classes": CLASSES, "model": "em", "tie_policy": "abstain"}
    return weak_labels(table, functions, **{**defaults, "min_probability": 0.0, **options})


def labels(weak: WeakLabels) -> dict[int, str]:
    return {row["asset_id"]: row["label"] for row in weak.said}


@pytest.mark.parametrize("model", ["em", "majority"])
def test_what_functions_agree_on_is_the_label(model: str) -> None:
    weak = ask(said_of("meow", "woof", "purr meow", None), model=model)
    assert labels(weak) == {10: "cat", 11: "dog", 12: "cat"}
    assert all(0.5 < row["probability"] <= 1 for row in weak.said)


@pytest.mark.parametrize("policy", ["abstain", "random", "first"])
@pytest.mark.parametrize("model", ["em", "majority"])
def test_what_nobody_looked_at_stays_unlabelled_whatever_the_policy(
    model: str, policy: str
) -> None:
    weak = ask(said_of("meow", "", None, "other words"), model=model, tie_policy=policy)
    assert labels(weak) == {10: "cat"}
    assert (weak.uncovered, weak.tied) == (3, 0)


def test_ties_are_counted_or_broken_as_was_asked() -> None:
    functions = [words("a", x=CAT), words("b", x=DOG)]
    table = said_of(*["x"] * 40, "nothing")
    options: dict[str, Any] = {"functions": functions, "model": "majority"}
    open_ones = ask(table, **options, tie_policy="abstain")
    assert (labels(open_ones), open_ones.tied, open_ones.uncovered) == ({}, 40, 1)
    first = ask(table, **options, tie_policy="first")
    assert set(labels(first).values()) == {"cat"}
    assert (len(first.said), first.tied) == (40, 0)
    drawn = ask(table, **options, tie_policy="random")
    assert set(labels(drawn).values()) == {"cat", "dog"}
    assert labels(ask(table, **options, tie_policy="random")) == labels(drawn)


def test_a_tie_is_broken_by_the_member_s_name_not_its_place() -> None:
    functions = [words("a", x=CAT), words("b", x=DOG)]
    table = said_of(*["x"] * 40)
    options: dict[str, Any] = {"model": "majority", "tie_policy": "random"}
    whole = labels(ask(table, functions, **options))
    part = labels(ask(table.slice(7, 20), functions, **options))
    assert part.items() <= whole.items()


def test_a_label_that_is_not_sure_enough_is_not_told() -> None:
    functions = [words("a", x=CAT, y=CAT), words("b", x=CAT, y=DOG), words("c", x=CAT, y=DOG)]
    table = said_of("x", "y")
    options: dict[str, Any] = {"functions": functions, "model": "majority"}
    all_told = ask(table, **options)
    assert {row["asset_id"]: row["probability"] for row in all_told.said} == {10: 1.0, 11: 1.0}
    tied = [words("a", x=CAT, y=CAT), words("b", x=CAT, y=DOG)]
    options = {"functions": tied, "model": "majority", "tie_policy": "first"}
    assert labels(ask(table, **options, min_probability=0.5)) == {10: "cat", 11: "cat"}
    unsure = ask(table, **options, min_probability=0.51)
    assert labels(unsure) == {10: "cat"}
    assert (unsure.tied, unsure.uncovered) == (0, 0)


def test_gold_is_what_people_and_sources_said_and_nothing_else() -> None:
    table = members(
        {"caption": "meow", "label": "cat", "label_kind": "human"},
        {"caption": "meow", "label": "dog", "label_kind": "source"},
        {"caption": "meow", "label": "dog", "label_kind": "weak"},
        {"caption": "meow", "label": "dog", "label_kind": "model"},
        {"caption": "meow", "label": "cow", "label_kind": "human"},
        {"caption": "meow"},
    )
    assert ask(table).functions[0].accuracy == 0.5
    assert ask(table.slice(1, 4)).functions[0].accuracy == 0.0


def test_without_gold_no_accuracy_is_made_up() -> None:
    weak = ask(said_of("meow", "woof"))
    assert [f.accuracy for f in weak.functions] == [None, None, None]
    assert [f.name for f in weak.functions] == ["a", "b", "c"]
    assert weak.functions[0].coverage == 1.0


def test_gold_does_not_move_the_model() -> None:
    captions = ["meow", "woof", "purr", "meow purr"]
    bare = members(*({"caption": caption} for caption in captions))
    gold = members(
        *({"caption": c, "label": "dog", "label_kind": "human", "split": "test"} for c in captions)
    )
    assert ask(bare).said == ask(gold).said


def test_functions_do_not_see_what_was_answered_before() -> None:
    seen: list[set[str]] = []

    def look(row: Any) -> int:
        seen.append(set(row))
        return ABSTAIN

    table = members({"caption": "x", "label": "cat", "label_kind": "weak", "probability": 0.9})
    ask(table, [labeling_function(name="look")(look)])
    assert seen == [{"sha256", "caption", "meta", "width"}]


def test_functions_see_the_members_as_they_are() -> None:
    table = members({"caption": None, "width": 64, "meta": json.dumps({"a": 1})})
    found: list[Any] = []

    def look(row: Any) -> str:
        found.append((row.caption, row.width, json.loads(row.meta)))
        return "dog"

    assert labels(ask(table, [labeling_function(name="look")(look)])) == {10: "dog"}
    assert found == [(None, 64, {"a": 1})]


def test_a_function_that_fails_abstains_and_is_counted() -> None:
    def fragile(row: Any) -> int:
        return CAT if "meow" in row.caption else DOG

    weak = ask(said_of("meow", None, None), [labeling_function(name="fragile")(fragile)])
    assert (labels(weak), weak.uncovered) == ({10: "cat"}, 2)
    (fault,) = weak.faults
    assert (fault.function, fault.count, fault.row) == ("fragile", 2, 1)


def test_no_members_get_no_labels() -> None:
    for model in ("em", "majority"):
        weak = ask(members(), model=model)
        assert (weak.said, weak.uncovered, weak.tied, weak.faults) == ([], 0, 0, ())
        assert len(weak.functions) == 3


def test_a_vote_outside_the_classes_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"'a' voted 7; a vote is 0\.\.1"):
        ask(said_of("x"), [words("a", x=7)])


def test_what_is_told_is_rounded_and_plain() -> None:
    captions = ["meow", "woof", "purr", "meow purr", "woof meow"] * 20
    for row in ask(said_of(*captions)).said:
        assert row == json.loads(json.dumps(row))
        assert row["probability"] == round(row["probability"], 4)
        assert set(row) == {"asset_id", "label", "probability"}


def test_the_order_and_number_of_batches_change_nothing() -> None:
    table = said_of(*["meow", "woof", "purr", "meow purr", None] * 50)
    parts = pa.concat_tables(table.slice(start, 33) for start in range(0, 250, 33))
    assert ask(parts).said == ask(table).said
    turned = table.take(list(reversed(range(250))))
    assert sorted(ask(turned).said, key=lambda row: row["asset_id"]) == ask(table).said
