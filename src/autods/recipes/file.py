"""The recipe file of a build: its keys, their defaults, and reading one from YAML."""

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, MinLen, Predicate

from autods.assemble.checks import Checks, format_name
from autods.assemble.splits import Splits
from autods.errors import RecipeError, UsageError
from autods.recipes.pipeline.config import PipelineConfig
from autods.records import Ref
from autods.settings import (
    Document,
    Given,
    Keys,
    checked,
    checked_call,
    did_you_mean,
    shown_url,
)
from autods.sources import SOURCES, Source, load_source, name_of
from autods.sources.files import folder_name
from autods.sources.functions import load_function
from autods.storable import printable
from autods.validate import Limits
from autods.web.policy import HttpPolicy
from autods.workspace import checked_name, slug

if TYPE_CHECKING:
    from autods.crawl.scope import Scope

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

    name: Annotated[str, Predicate(checked_name)]
    sources: Annotated[list[dict[str, Any]], MinLen(1)]
    validate: Checks = field(default_factory=Checks)
    http: HttpPolicy = field(default_factory=HttpPolicy)
    dedup: Dedup = field(default_factory=Dedup)
    label: Labelling = field(default_factory=Labelling)
    split: Splits = field(default_factory=Splits)
    shards: Shards = field(default_factory=Shards)
    export: tuple[ExportKind, ...] = ("webdataset", "parquet", "folder")
    workers: Annotated[int, Gt(0)] | None = None
    item_timeout: Annotated[float, Gt(0)] = 60.0
    catalog: str | None = None
    store: str | None = None
    cold_store: str | None = None
    hot_storage_threshold: Annotated[int, Ge(0)] | None = None
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)

    def __post_init__(self) -> None:
        checked_name(self.name)

    @property
    def places(self) -> dict[str, Any]:
        """What the recipe says of where things lie, by the names that `Settings` knows."""
        names = ("catalog", "store", "cold_store", "hot_storage_threshold")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, kw_only=True)
class CrawlSource:
    """A web site as a source: its name, and how far the crawl may go."""

    name: str
    scope: "Scope"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recipe with its sources resolved: each is a call that yields its Refs anew.

    Crawls are sources that have a state of their own, in the catalog. `written` is the recipe as
    the user wrote it, `command` what runs it again.
    """

    recipe: BuildRecipe
    sources: list[partial[Iterator[Ref]]]
    crawls: list[CrawlSource] = field(default_factory=list)
    written: Mapping[str, Any]
    command: str


def read_recipe(path: Path) -> Plan:
    """Read a recipe file; paths in it are relative to its folder.

    Raises RecipeError that names the file, line, key, value and valid choices.
    """
    return _plan(Document(path), path.absolute().parent, f"autods build {shlex.quote(str(path))}")


def given_plan(said: Mapping[str, Any], base: Path, name: str, command: str) -> Plan:
    """Read a recipe that a program gives; errors call it `name`.

    Raises RecipeError that names the key, value and valid choices.
    """
    return _plan(Given(said, name), base, command)


def _plan(document: Document, base: Path, command: str) -> Plan:
    recipe = _anchored(checked(BuildRecipe, document.data, document), base)
    _check_files(recipe, document)
    if recipe.pipeline.label_function:
        where: Keys = ("pipeline", "label_function")
        _check_function(recipe.pipeline.label_function, "label function", document, where)
    _check_limits(recipe, document)
    sources, crawls = _sources(recipe, document, base)
    # What is kept and shown of a recipe holds no password.
    shown = {key: shown_url(str(v)) for key, v in document.data.items() if key in recipe.places}
    written = document.data | shown
    return Plan(recipe=recipe, sources=sources, crawls=crawls, written=written, command=command)


def folder_plan(folder: Path, name: str | None = None) -> Plan:
    """Make the plan of `autods build FOLDER`: every default, the folder's name as the dataset's.

    Raises UsageError for a name that is none.
    """
    shown = printable(str(folder))
    recipe = BuildRecipe(name=name or slug(folder_name(folder)), sources=[{"folder": shown}])
    written = {"name": recipe.name, "sources": recipe.sources}
    source = partial(SOURCES["folder"], folder=folder)
    command = f"autods build {shlex.quote(shown)}" + (f" --name {name}" if name else "")
    return Plan(recipe=recipe, sources=[source], written=written, command=command)


def _sources(
    recipe: BuildRecipe, document: Document, base: Path
) -> tuple[list[partial[Iterator[Ref]]], list[CrawlSource]]:
    """Resolve the sources; two of one name would take each other's inputs for their own."""
    found, crawls, names = [], [], dict[str, int]()
    for index, entry in enumerate(recipe.sources):
        at: Keys = ("sources", index)
        kind = _kind(entry, document, at)
        if kind == "crawl":
            crawls.append(crawl := _crawl(entry, document, at))
            name: str | None = crawl.name
        else:
            source, arguments = _source(kind, entry, document, at, base)
            found.append(partial(source, **arguments))
            name = name_of(kind, arguments)
        if name in names:
            message = f"two sources are named {name!r}: give one of them another `name:`"
            raise document.error(at, f"{message} (the first is sources.{names[name]})")
        if name is not None:
            names[name] = index
    return found, crawls


def _crawl(entry: Mapping[str, Any], document: Document, at: Keys) -> CrawlSource:
    """Read `{crawl: URL or URLs, name: ..., depth: ...}`."""
    from autods.crawl.scope import Scope

    said = dict(entry)
    valid = ["crawl", "name", *(field.name for field in fields(Scope) if field.name != "seeds")]
    for key in said:
        if key not in valid:
            message = f"unknown key; {did_you_mean(str(key), valid)}"
            raise document.error((*at, key), message)
    seeds, name = said.pop("crawl"), said.pop("name", None)
    seeds = [seeds] if isinstance(seeds, str) else seeds or []
    try:
        scope = checked(Scope, {"seeds": seeds, **said}, document, at)
    except RecipeError:
        raise
    except UsageError as error:
        raise document.error(at, str(error)) from error
    first = next(iter((*scope.seeds, *scope.sitemap_urls)), "")
    return CrawlSource(name=str(name or urlsplit(first).hostname or "crawl"), scope=scope)


def _kind(entry: Mapping[str, Any], document: Document, at: Keys) -> str:
    """Tell which kind of source an entry is; a user's function may have keys of any name."""
    known = [*SOURCES, "crawl"]
    kinds = ["function"] if "function" in entry else [key for key in entry if key in known]
    valid = [*known, "function"]
    if not kinds:
        word = str(next(iter(entry), ""))
        raise document.error(at, f"no kind of source; {did_you_mean(word, valid)}")
    if len(kinds) > 1:
        message = f"one source of two kinds, {' and '.join(kinds)}: make each an entry"
        raise document.error((*at, kinds[1]), f"{message} (valid: {', '.join(valid)})")
    return kinds[0]


def _source(
    kind: str, entry: Mapping[str, Any], document: Document, at: Keys, base: Path
) -> tuple[Source, dict[str, Any]]:
    """Find the function of an entry, and check the entry against its signature."""
    arguments = dict(entry)
    source = SOURCES.get(kind)
    if source is None:
        where = str(_from(base, str(arguments.pop("function"))))
        try:
            source = load_source(where)
        except UsageError as error:
            raise document.error((*at, "function"), str(error)) from error
    if kind == "search" and isinstance(arguments["search"], str):
        arguments["search"] = str(_from(base, arguments["search"]))
        _check_function(arguments["search"], "search", document, (*at, "search"))
    values = checked_call(source, arguments, document, at)
    return source, {k: _from(base, v) if isinstance(v, Path) else v for k, v in values.items()}


def _check_function(function: str, what: str, document: Document, at: Keys) -> None:
    """Miss a function now, not when its step has come."""
    try:
        load_function(function, what)
    except UsageError as error:
        raise document.error(at, str(error)) from error


def _from(base: Path, path: Path | str) -> Path:
    return base / os.path.expanduser(path)  # noqa: PTH111 - Path's own raises for ~nobody


def _anchored(recipe: BuildRecipe, base: Path) -> BuildRecipe:
    label, validate, pipeline = recipe.label, recipe.validate, recipe.pipeline
    if label.functions:
        label = replace(label, functions=_from(base, label.functions))
    if validate.checks:
        validate = replace(validate, checks=_from(base, validate.checks))
    if pipeline.label_function:
        path, _, function = pipeline.label_function.rpartition(":")
        pipeline = replace(pipeline, label_function=f"{_from(base, path)}:{function}")
    return replace(
        recipe,
        label=label,
        validate=validate,
        pipeline=pipeline,
        catalog=_place_from(base, recipe.catalog),
        store=_place_from(base, recipe.store),
        cold_store=_place_from(base, recipe.cold_store),
    )


def _place_from(base: Path, place: str | None) -> str | None:
    """Resolve a place that is a path; a URL says all by itself."""
    return place if place is None or "://" in place else str(_from(base, place))


def _check_files(recipe: BuildRecipe, document: Document) -> None:
    """Miss a file of functions now, not after an hour of fetching."""
    wanted: dict[Keys, Path | None] = {
        ("label", "functions"): recipe.label.functions,
        ("validate", "checks"): recipe.validate.checks,
    }
    for keys, path in wanted.items():
        if path and not os.path.isfile(path):  # noqa: PTH113 - Path's own raises where denied
            raise document.error(keys, f"no file {path}")


def _check_limits(recipe: BuildRecipe, document: Document) -> None:
    """Hold what is wanted of an image against what can be decoded at all."""
    limits = recipe.validate.max_bytes, recipe.validate.max_pixels
    try:
        valid = Limits(max_bytes=limits[0], max_pixels=limits[1]).allowed
    except UsageError as error:
        raise document.error(("validate",), str(error)) from error
    for index, name in enumerate(recipe.validate.formats):
        if format_name(name) not in valid:
            message = f"{name!r} is no format; {did_you_mean(name.upper(), valid)}"
            raise document.error(("validate", "formats", index), message)
