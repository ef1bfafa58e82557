"""Lists as sources: URLs in a text file, CSV or parquet, and a table joined to an image folder."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autods.errors import SourceError
from autods.records import Ref
from autods.settings import shown_url
from autods.sources.files import file_location
from autods.sources.rows import FAULT, LINE, Row, read_rows
from autods.storable import printable, storable

# Nothing that stands for a control character or an undecodable byte is part of a URL.
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(?!.*\\x[0-9a-f]{2})[^\0-\x1f\x7f]+", re.IGNORECASE)


def urls(
    urls: Path,
    *,
    name: str | None = None,
    license: str | None = None,
    url_column: str = "url",
    caption_column: str = "caption",
    license_column: str = "license",
    label_column: str = "label",
) -> Iterator[Ref]:
    """Yield one Ref a URL, in the list's order; a new line at its end is a new input.

    A `.txt` holds one URL a line (`#` begins a comment); `.csv`, `.tsv` and `.parquet` have
    columns, of which those not named above become metadata. A line that is no URL, names a file of
    this machine or has more cells than the header is an input too, refused later with its reason.
    Raises SourceError if the file is missing or empty, or has no `url_column` or no column of
    another name that was asked for.
    """
    source = name or list_name(urls)
    columns = {"caption": caption_column, "license": license_column, "label": label_column}
    for row in read_rows(urls, [url_column, *columns.values()], _asked(url_column, columns)):
        url = _cell(row.get(url_column)) or ""
        yield Ref(
            uri=shown_url(url) or f"line {row[LINE]}",
            source=source,
            location=_refused("bad-row", row[FAULT]) if FAULT in row else place_of(url),
            **_described(row, columns, url_column, license),
        )


def table(
    table: Path,
    *,
    images: Path,
    name: str | None = None,
    license: str | None = None,
    image_column: str = "image",
    caption_column: str = "caption",
    license_column: str = "license",
    label_column: str = "label",
) -> Iterator[Ref]:
    """Yield one Ref a row of a CSV or parquet file whose `image_column` names a file in `images`.

    A row whose file is missing, or lies outside `images` (where a symlink may lead), is an input
    too, refused with its reason. Raises SourceError as `urls` does.
    """
    root = images.absolute()
    if not os.path.isdir(root):  # noqa: PTH112 - Path.is_dir raises where access is denied
        raise SourceError(f"no folder {printable(str(root))} for the images of {table}")
    source, real_root = name or list_name(table), os.path.realpath(root)
    columns = {"caption": caption_column, "license": license_column, "label": label_column}
    for row in read_rows(table, [image_column, *columns.values()], _asked(image_column, columns)):
        file_name = _cell(row.get(image_column)) or ""
        location, stamp = _locate(root, real_root, file_name)
        yield Ref(
            uri=file_name or f"line {row[LINE]}",
            source=source,
            location=_refused("bad-row", row[FAULT]) if FAULT in row else location,
            stamp=stamp,
            **_described(row, columns, image_column, license),
        )


def list_name(path: Path) -> str:
    """Give the name a list goes by where its user gave none.

    >>> list_name(Path("lists/crawl.csv"))
    'crawl'
    """
    return printable(path.stem)


def _asked(first: str, columns: Mapping[str, str]) -> list[str]:
    """The columns that must be there: a user named them, they are not just what we look for."""
    return [first, *(column for field, column in columns.items() if column != field)]


def place_of(url: str) -> str:
    """Say where a URL's bytes are; a list from elsewhere does not get to read files of ours."""
    found = _URL.fullmatch(url)
    if not found:
        return _refused("bad-url", f"no URL: {shown_url(url)[:200]!r}")
    scheme = found[1].lower()
    if scheme in {"file", "refused"}:
        detail = (
            f"a list may not name files of this machine (a `table` may): {shown_url(url)[:200]!r}"
        )
        return _refused("unsupported-scheme", detail)
    if "@" in url.partition("://")[2].partition("/")[0]:
        return _refused("bad-url", "a user name or password stands in the URL")
    return scheme + url[len(scheme) :]


def _locate(root: Path, real_root: str, file_name: str) -> tuple[str, str]:
    """Find a row's file, never outside its folder; gives location and stamp."""
    if not file_name:
        return _refused("bad-path", "no file name"), ""
    path = root / file_name
    if not Path(os.path.realpath(path)).is_relative_to(real_root):
        return _refused("bad-path", f"{file_name!r} lies outside the image folder"), ""
    try:
        found = path.stat()
    except OSError:
        return file_location(str(path)), "missing"
    if not stat.S_ISREG(found.st_mode):
        return _refused("bad-path", f"{file_name!r} is no file"), ""
    return file_location(str(path)), f"{found.st_size}:{found.st_mtime_ns}"


def _refused(reason: str, detail: str) -> str:
    return f"refused:{reason}:{printable(detail)}"


def _described(
    row: Row, columns: Mapping[str, str], used: str, license_: str | None
) -> dict[str, Any]:
    """Sort a row's cells into what a Ref says of itself; unnamed columns become metadata."""
    said = {field: _cell(row.get(column)) for field, column in columns.items()}
    said["license"] = said["license"] or license_
    named = {used, *columns.values(), LINE, FAULT}
    cells = {key: storable(value) for key, value in row.items() if key not in named}
    return {**said, "meta": {k: v for k, v in cells.items() if v is not None and v != ""}}


def _cell(value: Any) -> str | None:
    """Read a cell as text; empty, null and NaN say nothing."""
    plain = storable(value)
    return None if plain is None else str(plain).strip() or None
