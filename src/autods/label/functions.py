"""Labeling functions, in Snorkel's manner: a decorated function of one row that votes or abstains.

    @labeling_function()
    def lf_caption_has_animal(row):
        return "animal" if "dog" in row.caption else ABSTAIN

The row answers to `row.caption` and to `row["caption"]`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from autods.errors import UsageError
from autods.label.fingerprint import fingerprint
from autods.label.rows import as_columns, as_row
from autods.records import ABSTAIN

Step = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelingFunction:
    """A function of one row that answers a class (its index or name), or ABSTAIN or None.

    `resources` are passed to it by name; each of the `pre` functions is run on the row first and
    gives the row that the next one sees. A `vectorized` function gets all rows at once, as a
    mapping of names to numpy arrays, and answers an array of votes.
    """

    name: str
    function: Callable[..., Any]
    resources: Mapping[str, Any] = field(default_factory=dict)
    pre: tuple[Step, ...] = ()
    vectorized: bool = False

    def __call__(self, row: Any) -> Any:
        """Vote on one row (on columns, if vectorized); None is given back as ABSTAIN."""
        vote = self.bound(as_columns(row) if self.vectorized else as_row(row))
        return ABSTAIN if vote is None else vote

    @cached_property
    def bound(self) -> Callable[[Any], Any]:
        """The bare function with its resources and `pre` steps, for a row that is one already."""
        call = partial(self.function, **self.resources) if self.resources else self.function
        return partial(_through, self.pre, call) if self.pre else call

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over source, resources and `pre`: an edited function has a new one."""
        return fingerprint(self.function, dict(self.resources), self.pre, self.vectorized)

    def __repr__(self) -> str:
        return f"LabelingFunction {self.name}"


def _through(pre: tuple[Step, ...], call: Callable[[Any], Any], row: Any) -> Any:
    for step in pre:
        row = step(row)
        if row is None:
            raise ValueError(f"the pre step {getattr(step, '__name__', step)!r} returned None")
    return call(row)


def labeling_function(
    name: str | None = None,
    resources: Mapping[str, Any] | None = None,
    pre: Sequence[Step] = (),
    *,
    vectorized: bool = False,
) -> Callable[[Callable[..., Any]], LabelingFunction]:
    """Decorate a function as a labeling function, named as itself unless `name` is given.

    Raises UsageError when the parentheses are missing.

    >>> @labeling_function(resources={"limit": 50})
    ... def lf_caption_is_short(row, limit):
    ...     return 1 if len(row.caption) < limit else ABSTAIN
    >>> lf_caption_is_short({"caption": "a dog"})
    1
    """
    given: object = name
    if callable(given):
        title = getattr(given, "__name__", "it")
        raise UsageError(
            "Looks like this decorator is missing parentheses!"
            f" Write @labeling_function() above {title!r}"
        )

    def decorate(function: Callable[..., Any]) -> LabelingFunction:
        return LabelingFunction(
            name=name or function.__name__,
            function=function,
            resources=dict(resources or {}),
            pre=tuple(pre),
            vectorized=vectorized,
        )

    return decorate
