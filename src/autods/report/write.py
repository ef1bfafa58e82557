"""Putting a version's report, card, manifest and version.txt in a folder."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from autods.errors import PlaceError
from autods.report.facts import Facts


def write_all(facts: Facts, folder: Path, *, html: bool = True) -> dict[str, Path]:
    """Write report.html, dataset_info.md, manifest.json and version.txt; give name -> path.

    Without `html` the report is left out. All are made before the first is written, and each takes
    its name when it is complete. `version.txt` comes last: where it names this version, the others
    are those of this version.
    The folder is made if missing. Raises PlaceError if it cannot be written.
    """
    from autods.report.card import dataset_info
    from autods.report.html import render_report
    from autods.report.manifest import manifest_json, version_txt

    texts = {"report.html": render_report(facts)} if html else {}
    texts |= {
        "dataset_info.md": dataset_info(facts),
        "manifest.json": manifest_json(facts),
        "version.txt": version_txt(facts),
    }
    return write_texts(texts, Path(folder))


def write_texts(texts: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Write each text to its name in `folder`, atomically one by one, in UTF-8."""
    return {name: _write(folder / name, text) for name, text in texts.items()}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write to; it takes the place of `path` when the block succeeds.

    The folder is made if missing. Raises PlaceError if it cannot be written.
    """
    # Two processes may write one report: each under a name of its own, and the last one stands.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise PlaceError(f"cannot write to {path.parent}: {error.strerror or error}") from error


def _write(path: Path, text: str) -> Path:
    # A path that is not UTF-8 reaches us with lone surrogates; they are written as escapes.
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
    return path
