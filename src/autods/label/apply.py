"""Labeling functions over many rows: the matrix of their votes, and what went wrong in them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.errors import UsageError
from autods.label.functions import LabelingFunction
from autods.label.rows import Column, ObjectRow, Row, as_columns, as_row, columns_of, rows_of
from autods.label.votes import Votes, check_cardinality
from autods.records import ABSTAIN

_CHUNK = 8192  # rows held at a time when they come as a stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How often a function failed, and the first row (counted from 0) and message of it."""

    function: str
    count: int
    row: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoteResult:
    """The votes `L` (n, m), -1 to abstain, of the functions `names` in `cardinality` classes."""

    L: Votes
    names: tuple[str, ...]
    cardinality: int
    faults: tuple[Fault, ...] = ()


def apply_functions(
    functions: Sequence[LabelingFunction], rows: Any, *, classes: Sequence[str] | int
) -> VoteResult:
    """Ask each function about each row.

    `rows` are mappings or objects with attributes, in any iterable, or columns: a mapping of names
    to equally long sequences, such as a data frame. `classes` are the names in the order of their
    indices, or only how many there are. A function that raises abstains, and is counted in
    `faults`; a vectorized one then abstains, and is counted, on all rows. Raises UsageError for a
    vote outside the classes, for two functions of one name, for none at all.

    >>> from autods.label import labeling_function
    >>> @labeling_function()
    ... def lf_dog(row):
    ...     return "animal" if "dog" in row.caption else None
    >>> apply_functions([lf_dog], [{"caption": "a dog"}, {}], classes=["thing", "animal"])
    VoteResult(L=array([[ 1],
           [-1]], dtype=int8), names=('lf_dog',), cardinality=2, faults=(Fault(function='lf_dog', \
count=1, row=1, message="AttributeError: the row has no 'caption'; it has "),))
    """
    _check(functions)
    by_row = [function for function in functions if not function.vectorized]
    by_column = [function for function in functions if function.vectorized]
    ballot, faults = _Ballot(classes), _Faults()
    if hasattr(rows, "keys"):
        rows = as_columns(rows)
    elif by_column:
        rows = list(rows)
    votes = _ask_rows(by_row, _stream(rows), ballot, faults) if by_row else {}
    votes |= _ask_columns(by_column, rows, ballot, faults) if by_column else {}
    return VoteResult(
        L=np.stack([votes[function.name] for function in functions], axis=1),
        names=tuple(function.name for function in functions),
        cardinality=ballot.cardinality,
        faults=tuple(faults.of[f.name] for f in functions if f.name in faults.of),
    )


def _check(functions: Sequence[LabelingFunction]) -> None:
    if not functions:
        raise UsageError("there is no labeling function to apply")
    for function in functions:
        if not isinstance(function, LabelingFunction):
            raise UsageError(f"{function!r} is no labeling function; write @labeling_function()")
    names = [function.name for function in functions]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"several labeling functions are named {', '.join(map(repr, twice))}")


def _stream(rows: Any) -> Iterator[Row | ObjectRow]:
    return rows_of(rows) if isinstance(rows, dict) else map(as_row, rows)


def _ask_rows(
    functions: list[LabelingFunction],
    rows: Iterator[Row | ObjectRow],
    ballot: "_Ballot",
    faults: "_Faults",
) -> dict[str, Votes]:
    votes = {function.name: [ballot.read([], function.name)] for function in functions}
    start = 0
    while chunk := list(islice(rows, _CHUNK)):
        for function in functions:
            answers = _answers(function, chunk, start, faults)
            votes[function.name].append(ballot.read(answers, function.name))
        start += len(chunk)
    return {name: np.concatenate(parts) for name, parts in votes.items()}


def _answers(
    function: LabelingFunction, rows: list[Row | ObjectRow], start: int, faults: "_Faults"
) -> list[Any]:
    ask, answers = function.bound, []
    for i, row in enumerate(rows, start):
        try:
            answers.append(ask(row))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's function may fail in any way
            faults.note(function.name, i, error)
            answers.append(ABSTAIN)
    return answers


def _ask_columns(
    functions: list[LabelingFunction], rows: Any, ballot: "_Ballot", faults: "_Faults"
) -> dict[str, Votes]:
    columns = rows if isinstance(rows, dict) else columns_of(rows)
    n = len(next(iter(columns.values()), ())) if columns is rows else len(rows)
    return {f.name: _column_votes(f, columns, n, (ballot, faults)) for f in functions}


def _column_votes(
    function: LabelingFunction,
    columns: dict[str, Column],
    n: int,
    book: "tuple[_Ballot, _Faults]",
) -> Votes:
    ballot, faults = book
    try:
        answers = function.bound(columns) if n else []
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's function may fail in any way
        faults.note(function.name, 0, error, n)
        answers = np.full(n, ABSTAIN)
    votes = ballot.read(answers, function.name)
    if votes.shape != (n,):
        raise UsageError(
            f"{function.name!r} answered votes of shape {votes.shape}; they must be ({n},)"
        )
    return votes


@dataclass(slots=True)
class _Faults:
    of: dict[str, Fault] = field(default_factory=dict)

    def note(self, name: str, row: int, error: BaseException, count: int = 1) -> None:
        first = self.of.get(name)
        if first is None:
            message = f"{type(error).__name__}: {error}"
            self.of[name] = Fault(function=name, count=count, row=row, message=message)
        else:
            self.of[name] = replace(first, count=first.count + count)


class _Ballot:
    """Reads what functions answer as votes."""

    def __init__(self, classes: Sequence[str] | int) -> None:
        names = [] if isinstance(classes, int) else list(classes)
        if len(set(names)) < len(names):
            raise UsageError(f"classes holds a name twice: {names}")
        self.cardinality = check_cardinality(classes if isinstance(classes, int) else len(names))
        self._names = names
        self._dtype = np.dtype(np.int8 if self.cardinality <= 127 else np.int16)
        self._index: dict[Any, int] = {None: ABSTAIN, ABSTAIN: ABSTAIN}
        self._index |= {i: i for i in range(self.cardinality)}
        self._index |= {name: i for i, name in enumerate(names)}

    def read(self, answers: Any, function: str) -> Votes:
        if isinstance(answers, np.ndarray):
            answers = answers.tolist() if answers.dtype.kind not in "iu" else answers
        if isinstance(answers, np.ndarray):
            return self._read_numbers(answers, function)
        try:
            indices = map(self._index.__getitem__, answers)
            return np.fromiter(indices, self._dtype, len(answers))
        except (KeyError, TypeError):
            raise self._refusal(answers, function) from None

    def _read_numbers(self, answers: NDArray[np.integer], function: str) -> Votes:
        beyond = (answers < ABSTAIN) | (answers >= self.cardinality)
        if beyond.any():
            raise self._refusal(answers[beyond].tolist(), function)
        return answers.astype(self._dtype)

    def _refusal(self, answers: Any, function: str) -> UsageError:
        value = next((a for a in _listed(answers) if not self._knows(a)), answers)
        names = f", one of {self._names}" if self._names else ""
        return UsageError(
            f"{function!r} voted {value!r:.80}; a vote is 0..{self.cardinality - 1}{names},"
            " or ABSTAIN (-1) or None"
        )

    def _knows(self, answer: Any) -> bool:
        try:
            return answer in self._index
        except TypeError:
            return False


def _listed(answers: Any) -> Iterable[Any]:
    return answers if isinstance(answers, list) else (answers,)
