"""The house stands: a module imports only from lower floors, and what a file may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "autods"

FLOORS = (
    {"errors", "records", "settings", "storable"},
    {"store", "catalog", "engine", "web"},
    {"run", "workspace"},
    {"sources", "crawl", "ingest", "validate", "features", "dedup", "label", "assemble"},
    {"versions", "export", "report"},
    {"train", "registry", "tracking"},
    {"recipes"},
    {"cli", "__main__", "sdk", "api", "flows", "dags"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# One room of a floor may use another where there is no other way to put it; each with its reason.
DOORS = {
    ("records", "errors"),
    ("settings", "errors"),  # A wrong recipe is one of our errors.
    ("__main__", "cli"),
    ("cli", "api"),  # `autods serve` is how one face starts the other.
    ("cli", "flows"),  # So is `autods flows deploy`.
}
MODULES = sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every room a file imports from, lazily or for types alone included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the floor"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "autods" and len(parts) > 1 and parts[1] != "__version__":
                yield node.lineno, parts[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_module_imports_only_from_lower_floors(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return  # The front door shows what lies on every floor.
    assert room in FLOOR_OF, f"{path.name} stands on no floor: give it one in {__name__}"
    for line, other in imports(path):
        allowed = other == room or FLOOR_OF[other] < FLOOR_OF[room] or (room, other) in DOORS
        assert allowed, f"{path}:{line}: {room} may not import {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_module_says_what_it_is_for_and_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "a module opens with one sentence that says what it is for"
    assert docstring.splitlines()[0].endswith((".", ":"))


def test_there_is_no_room_for_everything() -> None:
    forbidden = ("utils", "helpers", "misc", "common", "manager", "factory")
    assert [path for path in MODULES if path.stem in forbidden] == []
