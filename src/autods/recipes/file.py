"""The recipe file of a build: its keys, their defaults, and reading one from YAML."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from autods.assemble.checks import Checks
from autods.assemble.splits import Splits
from autods.errors import UsageError
from autods.ingest.policy import HttpPolicy
from autods.records import Ref
from autods.settings import Document, Keys, checked, checked_call, did_you_mean
from autods.sources import SOURCES, load_source
from autods.workspace import checked_name

ExportKind = Literal["webdataset", "parquet", "folder"]


@dataclass(frozen=True, kw_only=True)
class Dedup:
    """How duplicates are found: by bytes always, by pixels, and near ones within `radius` bits.

    `near: drop` keeps the first that arrived, `keep` marks the others and puts them in its
    split, `off` does not look. Samples within `lookalike_radius` that are no confirmed
    duplicates are both kept, in one split.
    """

    near: Literal["drop", "keep", "off"] = "drop"
    radius: Annotated[int, Ge(0), Le(16)] = 8
    lookalike_radius: Annotated[int, Ge(0), Le(16)] = 4

    def __post_init__(self) -> None:
        if self.lookalike_radius > self.radius:
            message = f"lookalike_radius {self.lookalike_radius} exceeds radius {self.radius}"
            raise UsageError(message)


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """Where labels come from besides the sources: labeling functions and a label model.

    `functions` is a Python file of labeling functions; `classes` names what their numbers mean.
    A weak label below `min_probability` is kept in the ledger's votes but not entered.
    """

    functions: Path | None = None
    classes: tuple[str, ...] = ()
    model: Literal["em", "majority"] = "em"
    tie_policy: Literal["abstain", "random", "first"] = "abstain"
    min_probability: Annotated[float, Ge(0), Le(1)] = 0.0

    def __post_init__(self) -> None:
        if self.functions and len(self.classes) < 2:
            raise UsageError("labeling functions need `classes`: the names of at least two labels")
        if len(set(self.classes)) < len(self.classes):
            raise UsageError(f"a class stands in `classes` twice: {', '.join(self.classes)}")


@dataclass(frozen=True, kw_only=True)
class Shards:
    """At most `max_count` samples a shard."""

    max_count: Annotated[int, Gt(0)] = 1000


@dataclass(frozen=True, kw_only=True)
class BuildRecipe:
    """A build, whole: what goes in, what is asked of it, what comes out."""

    name: str
    sources: list[dict[str, Any]]
    validate: Checks = field(default_factory=Checks)
    http: HttpPolicy = field(default_factory=HttpPolicy)
    dedup: Dedup = field(default_factory=Dedup)
    label: Labelling = field(default_factory=Labelling)
    split: Splits = field(default_factory=Splits)
    shards: Shards = field(default_factory=Shards)
    export: tuple[ExportKind, ...] = ("webdataset", "parquet", "folder")
    workers: Annotated[int, Gt(0)] | None = None
    item_timeout: Annotated[float, Gt(0)] = 60.0

    def __post_init__(self) -> None:
        checked_name(self.name)
        if not self.sources:
            raise UsageError("sources: at least one is needed")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recipe with its sources resolved: each is a call that yields its Refs anew.

    `written` is the recipe as the user wrote it, `command` what runs it again.
    """

    recipe: BuildRecipe
    sources: list[partial[Iterator[Ref]]]
    written: Mapping[str, Any]
    command: str


def read_recipe(path: Path) -> Plan:
    """Read a recipe file; paths in it are relative to its folder.

    Raises RecipeError that names the file, line, key, value and valid choices.
    """
    document = Document(path)
    base = path.absolute().parent
    recipe = _anchored(checked(BuildRecipe, document.data, document), base)
    sources = [
        _source(entry, document, ("sources", index), base)
        for index, entry in enumerate(recipe.sources)
    ]
    command = f"autods build {path}"
    return Plan(recipe=recipe, sources=sources, written=document.data, command=command)


def folder_plan(folder: Path, name: str | None = None) -> Plan:
    """Make the plan of `autods build FOLDER`: every default, the folder's name as the dataset's."""
    cleaned = "".join(c if c.isalnum() and c.isascii() else "-" for c in folder.absolute().name)
    recipe = BuildRecipe(
        name=name or cleaned.strip("-").lower() or "dataset",
        sources=[{"folder": str(folder)}],
    )
    written = {"name": recipe.name, "sources": recipe.sources}
    source = partial(SOURCES["folder"], folder=folder)
    command = f"autods build {folder}"
    return Plan(recipe=recipe, sources=[source], written=written, command=command)


def _source(
    entry: dict[str, Any], document: Document, at: Keys, base: Path
) -> partial[Iterator[Ref]]:
    """Find the function an entry names, and check the entry against its signature."""
    kinds = [*SOURCES, "function"]
    kind = next((key for key in entry if key in kinds), None)
    if kind is None:
        word = str(next(iter(entry), ""))
        raise document.error(at, f"no kind of source; {did_you_mean(word, kinds)}")
    arguments = dict(entry)
    if kind == "function":
        path = base / str(arguments.pop("function"))
        source = load_source(str(path))
    else:
        source = SOURCES[kind]
    values = checked_call(source, arguments, document, at)
    anchored = {k: base / v if isinstance(v, Path) else v for k, v in values.items()}
    return partial(source, **anchored)


def _anchored(recipe: BuildRecipe, base: Path) -> BuildRecipe:
    from dataclasses import replace

    label, validate = recipe.label, recipe.validate
    if label.functions:
        label = replace(label, functions=base / label.functions)
    if validate.checks:
        validate = replace(validate, checks=base / validate.checks)
    return replace(recipe, label=label, validate=validate)
