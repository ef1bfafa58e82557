"""Labeling functions: Snorkel's decorator, and its kindness about forgotten parentheses."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from autods.errors import UsageError
from autods.label import ABSTAIN, LabelingFunction, labeling_function


def test_a_decorated_function_votes_on_any_kind_of_row() -> None:
    @labeling_function()
    def lf_caption_has_animal(row: Any) -> int:
        return 1 if "dog" in row.caption else ABSTAIN

    assert isinstance(lf_caption_has_animal, LabelingFunction)
    assert lf_caption_has_animal.name == "lf_caption_has_animal"
    assert repr(lf_caption_has_animal) == "LabelingFunction lf_caption_has_animal"
    assert lf_caption_has_animal({"caption": "a dog"}) == 1
    assert lf_caption_has_animal(SimpleNamespace(caption="a cat")) == ABSTAIN


def test_the_example_of_the_seed_makes_a_row_of_votes() -> None:
    functions = [
        labeling_function("animal")(lambda row: 1 if "dog" in row.caption else ABSTAIN),
        labeling_function("short")(lambda row: 0 if len(row.caption) < 50 else None),
    ]
    row = SimpleNamespace(caption="a dog")
    assert np.array([lf(row) for lf in functions]).tolist() == [1, 0]


def test_forgotten_parentheses_get_a_kind_word() -> None:
    decorate: Any = labeling_function
    with pytest.raises(UsageError, match="Looks like this decorator is missing parentheses!"):
        decorate(lambda row: 1)


def test_resources_and_steps_before_reach_the_function() -> None:
    def lowered(row: Any) -> Any:
        row.lowered = row.caption.lower()
        return row

    @labeling_function("animals", resources={"animals": {"dog", "cat"}}, pre=[lowered])
    def has_animal(row: Any, animals: set[str]) -> str | None:
        return "animal" if animals & set(row.lowered.split()) else None

    assert has_animal.name == "animals"
    assert has_animal({"caption": "A DOG"}) == "animal"
    assert has_animal({"caption": "A car"}) == ABSTAIN


def test_a_step_that_loses_the_row_is_an_error() -> None:
    @labeling_function(pre=[lambda row: None])
    def lf_any(row: Any) -> int:
        return 1

    with pytest.raises(ValueError, match="returned None"):
        lf_any({"caption": "a dog"})


def test_a_vectorized_function_gets_columns() -> None:
    @labeling_function(vectorized=True)
    def lf_short(columns: Any) -> Any:
        return np.where(np.strings.str_len(columns["caption"]) < 10, 1, ABSTAIN)

    assert lf_short({"caption": ["a dog", "a dog on a sofa"]}).tolist() == [1, -1]


def test_the_fingerprint_follows_text_resources_and_steps() -> None:
    def one(row: Any, word: str = "dog") -> int:
        return 1 if word in row.caption else -1

    def two(row: Any, word: str = "dog") -> int:
        return 0 if word in row.caption else -1

    prints = [
        labeling_function()(one).fingerprint,
        labeling_function()(two).fingerprint,
        labeling_function(resources={"word": "cat"})(one).fingerprint,
        labeling_function(pre=[lambda row: row])(one).fingerprint,
        labeling_function(vectorized=True)(one).fingerprint,
    ]
    assert len(set(prints)) == 5
    assert labeling_function(name="other")(one).fingerprint == prints[0]
