"""Reading text, CSV and parquet as rows that know their line; what is no row says why."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from autods.errors import SourceError
from autods.settings import did_you_mean
from autods.sources.storable import printable

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]

LINE, FAULT = "\0line", "\0fault"  # Keys that no column can have.

MAX_CELL = 16 * 2**20
"""The longest cell of a CSV; Python's own limit is 128 KB, less than an image in base64."""

MAX_LINES = 1000
"""A CSV row over more lines than this is a quote that was never closed."""


def read_rows(path: Path, wanted: str, asked: Sequence[str] = ()) -> Iterator[Row]:
    """Read any of the list formats, cells by column; LINE is where a row stands.

    A row that cannot be read comes with FAULT, the reason. Raises SourceError if the file is
    missing, empty, of another format, or lacks the column `wanted` or one of those `asked` for.
    """
    readers = {".txt": _text, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SourceError(f"{path}: not a list of ours (valid: {', '.join(readers)})")
    empty = True
    try:
        for row in reader(path, [wanted, *asked]):
            empty = False
            yield row
    except FileNotFoundError as error:
        raise SourceError(f"no file {path.absolute()}") from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    if empty:
        raise SourceError(f"{path} is empty: no inputs")


def _text(path: Path, wanted: list[str]) -> Iterator[Row]:
    if wanted[1:]:
        raise SourceError(f"{path} has no columns, so none named {wanted[1]!r}")
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                yield {wanted[0]: line, LINE: number}


def _open(path: Path) -> TextIO:
    """Open a text as UTF-8, or as UTF-16 where its first bytes say so; other bytes are escaped."""
    with path.open("rb") as file:
        wide = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    encoding = "utf-16" if wide else "utf-8-sig"
    return path.open(encoding=encoding, errors="backslashreplace", newline="")


def _csv(path: Path, wanted: list[str]) -> Iterator[Row]:
    csv.field_size_limit(MAX_CELL)
    with _open(path) as file:
        records = _records(file, "\t" if path.suffix.lower() == ".tsv" else ",")
        line, first = next(records, (1, []))
        if isinstance(first, str):
            raise SourceError(f"{path}:{line}: not CSV: {first}")
        header = [name.strip() for name in first]
        if header:
            _want(path, wanted, header)
        for line, cells in records:
            yield _row(header, cells, line)


def _row(header: list[str], cells: list[str] | str, line: int) -> Row:
    if isinstance(cells, str):
        return {LINE: line, FAULT: f"line {line} is no CSV: {cells}"}
    row: dict[str, Any] = dict(zip(header, cells, strict=False)) | {LINE: line}
    if any(cell.strip() for cell in cells[len(header) :]):
        row[FAULT] = f"line {line} has {len(cells)} cells for {len(header)} columns"
    return row


class _Lines:
    """The lines of a file, of which those of a row that was none are read again."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._again = file, list[str]()
        self.row: list[str] = []
        self.number = 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.row) == MAX_LINES:
            raise StopIteration
        line = self._again.pop() if self._again else next(self._file)
        self.row.append(line)
        return line

    def settle(self, count: int) -> None:
        """Go on after the first `count` lines of the row."""
        self._again.extend(reversed(self.row[count:]))
        self.number += count
        self.row = []


def _records(file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield (line, cells), or (line, what is wrong with it); the line after is read afresh.

    Strict, and with our own way on: by itself Python's reader takes a quote that is never closed
    as one cell to the file's end, and every row in it would be lost without a word.
    """
    lines = _Lines(file)
    while True:
        reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
        try:
            for cells in reader:
                number = lines.number
                lines.settle(len(lines.row))
                if cells:
                    yield number, cells
            return
        except csv.Error as error:
            number = lines.number
            lines.settle(1)
            yield number, str(error)


def _parquet(path: Path, wanted: list[str]) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            _want(path, wanted, file.schema_arrow.names)
            for batch in file.iter_batches(1024):
                for row in _without_times(batch).to_pylist():
                    number += 1
                    yield {**row, LINE: number}
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise SourceError(f"{path}: not parquet after row {number:,}: {error}") from error


def _without_times(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    """Turn times into text: Python has none as fine as a nanosecond or beyond the year 9999."""
    import pyarrow as pa

    for index, column in enumerate(batch.columns):
        kind = column.type
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp(kind.unit))  # In UTC: zone names need a database.
        if pa.types.is_duration(kind):
            column = column.cast(pa.int64())
        if pa.types.is_temporal(kind):
            batch = batch.set_column(index, batch.schema.names[index], column.cast(pa.string()))
    return batch


def _want(path: Path, wanted: list[str], columns: list[str]) -> None:
    for name in wanted:
        if name not in columns:
            there = did_you_mean(name, [printable(column[:60]) for column in columns[:60]])
            raise SourceError(f"{path} has no column {name!r}; {there}")
        if columns.count(name) > 1:
            raise SourceError(f"{path} has {columns.count(name)} columns {name!r}: rename all but one")
