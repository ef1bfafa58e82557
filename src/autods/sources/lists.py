"""Lists as sources: URLs in a text file, CSV or parquet, and a table joined to an image folder."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autods.errors import SourceError
from autods.records import Ref
from autods.settings import did_you_mean
from autods.sources.files import file_location, printable

Row = Mapping[str, Any]


def urls(
    urls: Path,
    *,
    name: str | None = None,
    license: str | None = None,  # noqa: A002 - the word of the recipe and the seed
    url_column: str = "url",
    caption_column: str = "caption",
    license_column: str = "license",
    label_column: str = "label",
) -> Iterator[Ref]:
    """Yield one Ref a URL, in the list's order; a new line at its end is a new input.

    A `.txt` holds one URL a line (`#` begins a comment); `.csv`, `.tsv` and `.parquet` have
    columns, of which those not named above become metadata. A line that is no URL is an input
    too, refused later with its reason. Raises SourceError if the file is missing, empty, or has
    no such column.
    """
    columns = {"caption": caption_column, "license": license_column, "label": label_column}
    for row in _rows(urls, url_column):
        url = printable(str(row.get(url_column) or "").strip())
        yield Ref(
            uri=url or f"line {row[_LINE]}",
            source=name or urls.stem,
            location=url if ":" in url else f"refused:bad-url:no URL: {url[:200]!r}",
            **_described(row, columns, {url_column}, license),
        )


def table(
    table: Path,
    *,
    images: Path,
    name: str | None = None,
    license: str | None = None,  # noqa: A002 - the word of the recipe and the seed
    image_column: str = "image",
    caption_column: str = "caption",
    license_column: str = "license",
    label_column: str = "label",
) -> Iterator[Ref]:
    """Yield one Ref a row of a CSV or parquet file whose `image_column` names a file in `images`.

    A row whose file is missing, or lies outside `images`, is an input too, refused with its
    reason. Raises SourceError if the table is missing, empty, or has no such column.
    """
    root = images.absolute()
    if not root.is_dir():
        raise SourceError(f"no folder {root} for the images of {table}")
    columns = {"caption": caption_column, "license": license_column, "label": label_column}
    for row in _rows(table, image_column):
        file_name = str(row.get(image_column) or "").strip()
        location, stamp = _locate(root, file_name)
        yield Ref(
            uri=printable(file_name) or f"line {row[_LINE]}",
            source=name or table.stem,
            location=location,
            stamp=stamp,
            **_described(row, columns, {image_column}, license),
        )


def _locate(root: Path, file_name: str) -> tuple[str, str]:
    """Find a row's file, never outside its folder; gives location and stamp."""
    if not file_name or "\0" in file_name:
        return f"refused:bad-path:no file name: {file_name!r}", ""
    path = root / file_name
    if not path.resolve().is_relative_to(root.resolve()):
        return f"refused:bad-path:{file_name!r} lies outside the image folder", ""
    try:
        stat = path.stat()
    except OSError:
        return file_location(str(path)), "missing"
    return file_location(str(path)), f"{stat.st_size}:{stat.st_mtime_ns}"


_LINE = "\0line"  # A key that no column can have.


def _described(
    row: Row, columns: Mapping[str, str], used: set[str], license_: str | None
) -> dict[str, Any]:
    """Sort a row's cells into what a Ref says of itself; unnamed columns become metadata."""
    said = {field: _cell(row.get(column)) for field, column in columns.items()}
    said["license"] = said["license"] or license_
    named = used | set(columns.values()) | {_LINE}
    meta = {k: _plain(v) for k, v in row.items() if k not in named and v not in (None, "")}
    return {**said, "meta": meta}


def _cell(value: Any) -> str | None:
    return None if value is None or value == "" else printable(str(value))


def _plain(value: Any) -> Any:
    """Keep what JSON can hold; anything else is kept as text."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return str(value)
    return value


def _rows(path: Path, wanted: str) -> Iterator[Row]:
    """Read any of the list formats as mappings that know their line."""
    readers = {".txt": _text, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SourceError(f"{path}: not a list of ours (valid: {', '.join(readers)})")
    if not path.is_file():
        raise SourceError(f"no file {path.absolute()}")
    empty = True
    try:
        for row in reader(path, wanted):
            empty = False
            yield row
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    if empty:
        raise SourceError(f"{path} is empty: no inputs")


def _text(path: Path, wanted: str) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", errors="backslashreplace") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.startswith("#"):
                yield {wanted: line, _LINE: number}


def _csv(path: Path, wanted: str) -> Iterator[Row]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, restkey=_LINE)
        try:
            _want(path, wanted, list(reader.fieldnames or []))
            for row in reader:
                yield {**row, _LINE: reader.line_num}
        except csv.Error as error:
            raise SourceError(f"{path}:{reader.line_num}: not CSV: {error}") from error


def _parquet(path: Path, wanted: str) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise SourceError(f"{path}: not parquet: {error}") from error
    _want(path, wanted, file.schema_arrow.names)
    number = 0
    for batch in file.iter_batches(4096):
        for row in batch.to_pylist():
            number += 1
            yield {**row, _LINE: number}


def _want(path: Path, wanted: str, columns: list[str]) -> None:
    if wanted not in columns:
        raise SourceError(f"{path} has no column {wanted!r}; {did_you_mean(wanted, columns)}")
