"""Every error autods raises on purpose, as one small tree.

    AutodsError
    ├── UsageError        the caller asked for something that cannot be (bad value, unknown name)
    │   └── RecipeError   a recipe file is wrong: names the file, line, key, value and valid choices
    ├── SourceError       a source as a whole cannot be read (missing, empty, not permitted)
    ├── PlaceError        a store or catalog cannot be reached, written or trusted
    └── BudgetError       more inputs were refused than the run's error budget allows

A single bad input is never an exception: it is a `Refusal` (see `records`), kept with its reason.
"""


class AutodsError(Exception):
    """Base of all errors raised on purpose; its text is one clear sentence for the user."""

    exit_code = 1


class UsageError(AutodsError, ValueError):
    """The caller asked for something that cannot be."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe file is wrong."""


class SourceError(AutodsError):
    """A source as a whole cannot be read."""

    exit_code = 3


class BarredSourceError(SourceError):
    """A source is not there, or not for us: asking again changes nothing."""


class EmptyError(AutodsError):
    """Nothing is left to make a version of."""


class PlaceError(AutodsError):
    """A store or catalog cannot be reached, written or trusted."""

    exit_code = 4


class UnreachableError(PlaceError):
    """A place does not answer just now: trying again may help."""


class BudgetError(AutodsError):
    """More inputs were refused than the error budget of the run allows."""

    exit_code = 5
