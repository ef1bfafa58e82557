"""What a labeling function is given: a row that answers to names by attribute and by key."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.errors import UsageError

Column = NDArray[Any]
"""(n,) values of one name: numbers, text (fixed width or numpy's StringDType), or objects."""

_MAX_SLACK = 4


class Row(Mapping[str, Any]):
    """One row by attribute and by key; a copy, so that a function cannot change the data.

    >>> row = Row({"caption": "a dog"})
    >>> row.caption, row["caption"], row.get("license")
    ('a dog', 'a dog', None)
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)

    def __getitem__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise KeyError(self._unknown(name)) from None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(self._unknown(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __repr__(self) -> str:
        return f"Row({self.__dict__!r})"

    def _unknown(self, name: str) -> str:
        return f"the row has no {name!r}; it has {', '.join(map(repr, self.__dict__))}"


class ObjectRow:
    """An object seen as a row: its attributes answer to keys as well."""

    __slots__ = ("_item",)

    def __init__(self, item: object) -> None:
        self._item = item

    def __getattr__(self, name: str) -> Any:
        return getattr(self._item, name)

    def __getitem__(self, name: str) -> Any:
        return getattr(self._item, name)


def as_row(item: Any) -> Row | ObjectRow:
    """See a mapping, or an object with attributes, as a row; UsageError for a bare value.

    >>> from types import SimpleNamespace
    >>> as_row(SimpleNamespace(caption="a dog"))["caption"]
    'a dog'
    """
    if isinstance(item, Row | ObjectRow):
        return item
    if hasattr(item, "keys"):
        return Row(dict(item))
    if item is None or isinstance(item, str | bytes | int | float | list | np.ndarray):
        raise UsageError(
            f"a row is {item!r:.80}; it must be a mapping or an object with attributes"
        )
    return ObjectRow(item)


def as_columns(data: Any) -> dict[str, Column]:
    """Take a mapping of names to equally long sequences (a data frame is one) as columns.

    >>> as_columns({"size": [1, 2]})["size"].tolist()
    [1, 2]
    """
    columns = {str(name): as_column(data[name]) for name in data.keys()}  # noqa: SIM118
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"the columns differ in length: {lengths}")
    return columns


def columns_of(rows: Sequence[Any]) -> dict[str, Column]:
    """Turn rows into columns, by the names of the first row; UsageError where they do not fit."""
    if not rows:
        return {}
    if not hasattr(rows[0], "keys"):
        raise UsageError("a vectorized function needs rows that are mappings, or columns")
    try:
        return {name: as_column([row[name] for row in rows]) for name in rows[0].keys()}  # noqa: SIM118
    except KeyError as missing:
        raise UsageError(f"the rows do not all have what the first has: {missing}") from None


def rows_of(columns: Mapping[str, Column]) -> Iterator[Row]:
    """Turn columns into rows of plain Python values."""
    lists = [column.tolist() for column in columns.values()]
    return (Row(dict(zip(columns, values, strict=True))) for values in zip(*lists, strict=True))


def as_column(values: Any) -> Column:
    """Make a column of numbers, of text (for `np.strings`), or of whatever objects there are.

    >>> as_column(["a", None]).dtype, as_column([1, 2.5]).dtype, as_column(["a", "bc"]).dtype
    (dtype('O'), dtype('float64'), dtype('<U2'))
    """
    if hasattr(values, "__array__") and np.asarray(values).dtype != object:
        return np.asarray(values)
    items = list(values)
    types = set(map(type, items))
    if types == {str}:
        return _text(items)
    if types and types <= {bool, int, float}:
        return np.array(items)
    column = np.empty(len(items), dtype=object)
    column[:] = items
    return column


def _text(items: list[str]) -> Column:
    # Fixed width is searched six times as fast (measured), but costs every row the longest one.
    lengths = list(map(len, items))
    fixed = max(lengths) * len(items) <= _MAX_SLACK * sum(lengths)
    return np.array(items, dtype=np.str_ if fixed else np.dtypes.StringDType())
