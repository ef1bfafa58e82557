"""Reading text, CSV and parquet as rows that know their line; what is no row says why."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from autods.errors import SourceError
from autods.settings import did_you_mean
from autods.storable import printable

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]

LINE, FAULT = "\0line", "\0fault"  # Keys that no column can have.

MAX_CELL = 16 * 2**20
"""The longest cell of a CSV; Python's own limit is 128 KB, less than an image in base64."""

MAX_LINES = 1000
"""A CSV row over more lines than this is a quote that was never closed."""


def read_rows(path: Path, names: Sequence[str], must: Sequence[str]) -> Iterator[Row]:
    """Read any of the list formats, cells by column; LINE is where a row stands.

    Of `names`, the columns that are looked for in any case of letters, those in `must` have to be
    there; the first of them is what a text file holds. A row that cannot be read comes with FAULT,
    the reason. Raises SourceError if the file is missing, empty, of another format, or lacks one.
    """
    readers = {".txt": _text, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SourceError(f"{path}: not a list of ours (valid: {', '.join(readers)})")
    empty = True
    try:
        for row in reader(path, names, must):
            empty = False
            yield row
    except FileNotFoundError as error:
        raise SourceError(f"no file {path.absolute()}") from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    if empty:
        raise SourceError(f"{path} is empty: no inputs")


def _text(path: Path, names: Sequence[str], must: Sequence[str]) -> Iterator[Row]:
    if must[1:]:
        raise SourceError(f"{path} has no columns, so none named {must[1]!r}")
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                yield {names[0]: line, LINE: number}


def _open(path: Path) -> TextIO:
    """Open a text as UTF-8, or as UTF-16 where its first bytes say so; other bytes are escaped."""
    with path.open("rb") as file:
        wide = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    encoding = "utf-16" if wide else "utf-8-sig"
    return path.open(encoding=encoding, errors="backslashreplace", newline="")


def _csv(path: Path, names: Sequence[str], must: Sequence[str]) -> Iterator[Row]:
    csv.field_size_limit(MAX_CELL)
    with _open(path) as file:
        lines = _Lines(file)
        records = _records(lines, "\t" if path.suffix.lower() == ".tsv" else ",")
        line, first = next(records, (1, []))
        if isinstance(first, str):
            raise SourceError(f"{path}:{line}: not CSV: {first}")
        header = _named([name.strip() for name in first], names)
        if header:
            _want(path, must, header)
        for line, cells in records:
            row = _row(header, cells, line)
            torn = len(row.get(names[0], "").strip().splitlines()) > 1
            if len(lines.row) > 1 and (torn or FAULT in row):
                row = {LINE: line, FAULT: f"line {line} opens a quote that line {line} must close"}
                lines.again(1)
            yield row


def _row(header: list[str], cells: list[str] | str, line: int) -> dict[str, Any]:
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
        self._number = 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.row) == MAX_LINES:
            raise StopIteration
        line = self._again.pop() if self._again else next(self._file)
        self.row.append(line)
        return line

    def begin(self) -> int:
        """Begin a row, and give the number of its first line."""
        self._number += len(self.row)
        self.row = []
        return self._number

    def again(self, first: int) -> None:
        """Have the lines of this row read again, from the one with this index on."""
        self._again.extend(reversed(self.row[first:]))
        del self.row[first:]


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield (line, cells), or (line, what is wrong with it); the line after is read afresh.

    Strict, and with our own way on: by itself Python's reader takes a quote that is never closed
    as one cell to the file's end, and every row in it would be lost without a word.
    """
    while True:
        reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
        number = lines.begin()
        try:
            for cells in reader:
                if cells:
                    yield number, cells
                number = lines.begin()
        except csv.Error as error:
            lines.again(1)
            yield number, str(error)
        else:
            return


def _parquet(path: Path, names: Sequence[str], must: Sequence[str]) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            columns = _named(file.schema_arrow.names, names)
            _want(path, must, columns)
            for batch in file.iter_batches(1024):
                for row in _without_times(batch).rename_columns(columns).to_pylist():
                    number += 1
                    yield {**row, LINE: number}
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise SourceError(f"{path}: not parquet after row {number:,}: {error}") from error


def _without_times(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    """Turn times into text: Python has none as fine as a nanosecond or beyond the year 9999."""
    import pyarrow as pa

    for index, column in enumerate(batch.columns):
        if pa.types.is_temporal(column.type):
            batch = batch.set_column(index, batch.schema.names[index], _time_text(column))
    return batch


def _time_text(column: "pa.Array") -> "pa.Array":
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):  # In UTC: names of time zones need a database.
        return column.cast(pa.timestamp(column.type.unit)).cast(pa.string())
    if pa.types.is_duration(column.type):
        return column.cast(pa.int64()).cast(pa.string())
    return column.cast(pa.string())


def _named(columns: list[str], names: Sequence[str]) -> list[str]:
    """Call columns by the names they are looked for under: `URL` is as good as `url`."""
    absent = {name.lower(): name for name in names if name not in columns}
    plain = map(printable, columns)
    return [column if column in names else absent.get(column.lower(), column) for column in plain]


def _want(path: Path, wanted: Sequence[str], columns: list[str]) -> None:
    for name in wanted:
        if name not in columns:
            there = did_you_mean(name, [column[:60] for column in columns[:60]])
            raise SourceError(f"{path} has no column {name!r}; {there}")
        if columns.count(name) > 1:
            raise SourceError(
                f"{path} has {columns.count(name)} columns {name!r}: rename all but one"
            )
