"""The facts of a version refuse what contradicts itself; the other report tests use those here."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.errors import AutodsError
from autods.report.facts import (
    About,
    Changes,
    Contents,
    Counts,
    Examples,
    Facts,
    FunctionRow,
    Held,
    Labels,
    Pair,
    Picture,
    Refused,
    Timing,
)
from autods.report.histogram import histogram

GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)> ' onmouseover='x",
    "</style></title></pre><b>{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1) https://evil.example/x.js",
    "a|b `c` **d** [e](http://f)\n# g\n---\n```\nh",
    "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe \x00 \udc80",
    "\u0642\u0637\u0637 \u732b \U0001f408\u200d\u2b1b caf\u00e9",
)


def picture(text: str = "cat-1.jpg", label: str | None = "cat") -> Picture:
    return Picture(data=GIF, title=text, label=label, split="train", sha256="ab" * 32)


def cats(text: str = "cat", **changes: Any) -> Facts:
    """Facts of which every foreign string is, or holds, `text`."""
    about = About(
        dataset="cats",
        number=3,
        digest="2d71" * 16,
        dataset_type="verified",
        created_at=dt.datetime(2024, 12, 1, 1, 0),  # noqa: DTZ001 - as the catalog keeps it
        recipe={"dataset": "cats", "sources": [{"folder": text, "note": text}]},
        command=f"autods build {text}",
        parent="cats@v2",
        collection_dates=("2024-11-01", "2024-11-02"),
    )
    counts = Counts(
        inputs=130,
        accepted=100,
        exact_duplicates=6,
        pixel_duplicates=3,
        near_duplicates=2,
        withheld=1,
        rejected_by={text: 10, "too-small": 5},
        failed_by={text: 2, "timeout": 1},
    )
    labels = Labels(
        by_class_and_split={text: {"train": 50, "test": 10}, "dog": {"train": 30}, "": {"val": 10}},
        kinds={"source": 60, "human": 30},
        conflicts=4,
        functions=[
            FunctionRow(name=text, polarity=[text], coverage=0.5, overlaps=0.2, conflicts=0.1),
            FunctionRow(
                name="f", polarity=[], coverage=0, overlaps=0, conflicts=0, accuracy=1.0, faults=2
            ),
        ],
    )
    contents = Contents(
        formats={"JPEG": 90, text: 10},
        licenses={"CC0-1.0": 50, text: 40, "": 10},
        sources={text: 100},
        distributions={"width": histogram([32, 64, 64, 4000]), text: histogram([1.0, 2.0])},
        storage={"hot": Held(members=60, size=1_500_000), "cold": Held(members=40, size=900)},
    )
    examples = Examples(
        gallery=[picture(text, text), picture(text, None)],
        pairs=[Pair(kept=picture(text, text), dropped=picture(text), kind="near", distance=3)],
        refused=[Refused(uri=text, reason=text, detail=text)],
    )
    facts = Facts(
        about=about,
        counts=counts,
        labels=labels,
        contents=contents,
        examples=examples,
        timing=Timing(seconds={text: 1.5, "export": 0.5}, items_per_second=65.0),
        places={"shards": f"out/{text}", "report": f"out/{text}.html", "parquet": "data.parquet"},
        changes=Changes(added=25, removed=2, relabelled=5, moved=3, unchanged=68),
    )
    return replace(facts, **changes)


def empty(**about: Any) -> Facts:
    """A version of which nothing was accepted."""
    return Facts(
        about=replace(cats().about, parent=None, recipe={}, **about),
        counts=Counts(inputs=2, accepted=0, rejected_by={"blank": 2}),
        labels=Labels(by_class_and_split={}),
    )


def one_class(name: str | None, members: int = 5) -> Facts:
    """A version of one class, or of nothing labelled (None)."""
    by_class = {name: {"train": members}}
    return Facts(
        about=replace(cats().about, parent=None),
        counts=Counts(inputs=members, accepted=members),
        labels=Labels(by_class_and_split=by_class),
    )


def many_classes(number: int) -> Facts:
    """A version of so many classes with 10 members each."""
    by_class = {f"class-{n:04d}": {"train": 8, "test": 2} for n in range(number)}
    return Facts(
        about=cats().about,
        counts=Counts(inputs=10 * number, accepted=10 * number),
        labels=Labels(by_class_and_split=by_class),
        places={"shards": "datasets/cats/v3/shards", "report": "datasets/cats/v3/report.html"},
    )


few = settings(max_examples=30, deadline=None)
_text = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))
_tally = st.dictionaries(_text | st.just("robots"), st.integers(0, 10**7), max_size=5)


@st.composite
def any_facts(draw: st.DrawFn) -> Facts:
    """Facts that agree with themselves, with any text wherever text is foreign."""
    splits = st.dictionaries(
        st.sampled_from(["train", "val", "test", "extra", "more", "most"]), st.integers(0, 10**6)
    )
    by_class = draw(st.dictionaries(_text, splits, max_size=20))
    labels = Labels(by_class_and_split=by_class, conflicts=draw(st.integers(0, 9)))
    rejected, failed = draw(_tally), draw(_tally)
    near, exact = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**6))
    counts = Counts(
        inputs=labels.members + near + exact + sum(rejected.values()) + sum(failed.values()),
        accepted=labels.members,
        exact_duplicates=exact,
        near_duplicates=near,
        rejected_by=rejected,
        failed_by=failed,
        flagged=draw(st.integers(0, labels.members)),
        repeated=draw(st.integers(0, exact)),
    )
    text = draw(_text) or "nameless"
    return Facts(
        about=replace(cats(text).about, parent=draw(st.none() | st.just("cats@v2"))),
        counts=counts,
        labels=labels,
        contents=Contents(formats=draw(_tally), licenses=draw(_tally), sources=draw(_tally)),
        examples=cats(text).examples,
        timing=Timing(seconds=draw(st.dictionaries(_text, st.floats(0, 1e6), max_size=3))),
        places=draw(st.dictionaries(_text, _text, max_size=3)),
    )


def test_counts_that_do_not_add_up_are_refused_naming_the_numbers() -> None:
    with pytest.raises(AutodsError) as refused:
        Counts(inputs=1200, accepted=1000, near_duplicates=50, rejected_by={"blank": 100})
    assert str(refused.value) == (
        "the counts do not add up: 1,200 inputs, "
        "but 1,000 accepted + 50 duplicates + 100 rejected + 0 failed = 1,150"
    )


def test_a_count_below_zero_is_refused_even_if_the_sum_is_right() -> None:
    with pytest.raises(AutodsError, match=r"below 0: \{\"rejected_by\['blank'\]\": -1\}"):
        Counts(inputs=0, accepted=1, rejected_by={"blank": -1})


@few
@given(any_facts())
def test_inputs_are_what_became_of_them(facts: Facts) -> None:
    counts = facts.counts
    ends = (counts.accepted, counts.duplicates, counts.withheld, counts.rejected, counts.failed)
    assert counts.inputs == sum(ends) == sum(counts.outcomes.values())
    assert 0 <= counts.quality_score <= 100


def test_withheld_inputs_are_a_term_of_the_sum() -> None:
    assert cats().counts.equation == (
        "130 inputs = 100 accepted + 11 duplicates + 1 withheld + 15 rejected + 3 failed"
    )


def test_the_quality_score_leaves_failures_out() -> None:
    assert cats().counts.quality_score == pytest.approx(100 * 100 / 127)
    assert Counts(inputs=3, accepted=0, failed_by={"timeout": 3}).quality_score == 0


def test_the_quality_score_leaves_out_what_was_never_read_or_repeated() -> None:
    rejected = {"robots": 2, "too-small": 13}
    counts = replace(cats().counts, rejected_by=rejected, repeated=5)
    assert counts.quality_score == pytest.approx(100 * 100 / (130 - 5 - 2 - 3))
    assert counts.score_equation == (
        "100 × 100 accepted ÷ (130 inputs − 5 repeated − 2 never read − 3 failed)"
    )


def test_flagged_members_do_not_count_as_sound() -> None:
    counts = replace(cats().counts, flagged=40)
    assert counts.quality_score == pytest.approx(100 * 60 / 127)


@pytest.mark.parametrize(("part", "number"), [("flagged", 101), ("repeated", 7)])
def test_a_part_cannot_be_more_than_its_whole(part: str, number: int) -> None:
    with pytest.raises(AutodsError, match=f"{part} {number} cannot be more than"):
        Counts(
            inputs=106, accepted=100, exact_duplicates=6,
            flagged=number if part == "flagged" else 0,
            repeated=number if part == "repeated" else 0,
        )  # fmt: skip


def test_members_by_class_must_be_the_accepted() -> None:
    with pytest.raises(AutodsError, match="cats@v3: classes and splits hold 1 members, but 100 "):
        cats(labels=Labels(by_class_and_split={"cat": {"train": 1}}))


def test_label_kinds_must_be_those_of_the_labelled() -> None:
    with pytest.raises(AutodsError, match="make 3, but 2 are labelled"):
        Labels(by_class_and_split={"cat": {"train": 2}, None: {"train": 7}}, kinds={"human": 3})


@pytest.mark.parametrize(
    ("unchanged", "possible"), [(66, False), (67, True), (70, True), (71, False)]
)
def test_changes_must_have_led_to_the_members(unchanged: int, possible: bool) -> None:
    changes = Changes(added=25, removed=0, relabelled=5, moved=3, unchanged=unchanged)
    if possible:
        assert cats(changes=changes).carried == 75
    else:
        with pytest.raises(AutodsError, match="leave 75 carried over"):
            cats(changes=changes)


def test_none_and_the_empty_class_are_both_unlabelled() -> None:
    by_class = {None: {"train": 2}, "": {"test": 3}, "cat": {"train": 4}}
    labels = Labels(by_class_and_split=by_class)
    assert (labels.members, labels.unlabelled, labels.labelled) == (9, 5, 4)


def test_time_without_a_zone_is_utc_and_any_other_is_brought_to_it() -> None:
    berlin = dt.datetime(2024, 12, 1, 2, 0, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert cats().about.created == replace(cats().about, created_at=berlin).created
    assert cats().about.created.tzinfo is dt.UTC
