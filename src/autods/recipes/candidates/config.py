"""What a team may set of seed 1's recipe, its defaults, and where its places are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen, Predicate

from autods.assemble.checks import Checks
from autods.assemble.splits import Splits
from autods.errors import UsageError
from autods.recipes.file import Dedup
from autods.settings import Document, Settings, checked, shown_url
from autods.settings.databases import Login, completed, is_postgres, parts_of
from autods.store import LocalStore, Store, open_store
from autods.workspace import Workspace, checked_name

CLASSES = (
    "Aristocratic", "Business", "Fire", "Fragile", "Heroin", "Inferno", "Melting", "Queen",
    "Renaissance", "Serious", "Soft", "Strong", "Sunny", "Vintage", "Warm",
)  # fmt: skip
"""Seed 1's."""

_CLASS = re.compile(r"\w[\w .&+-]{0,99}")
_TABLE = re.compile(r"[A-Za-z_]\w{0,62}(\.[A-Za-z_]\w{0,62})?", re.ASCII)


def checked_class(name: str) -> str:
    """Take a class's name, which is a folder's as well; raises UsageError for another."""
    if not _CLASS.fullmatch(name) or name.endswith((".", " ")):
        raise UsageError(
            f"no class can be called {name!r}: letters, digits, blanks and _ . & + - are wanted, "
            "100 at most, a letter, a digit or _ first"
        )
    return name


def checked_table(name: str) -> str:
    """Take a table's name, with its schema's before it or not; raises UsageError for another."""
    if not _TABLE.fullmatch(name):
        raise UsageError(f"not a table's name: {name!r} (TABLE or SCHEMA.TABLE is wanted)")
    return name


@dataclass(frozen=True, kw_only=True)
class CandidatesRecipe:
    """Seed 1's recipe; every key may be left out, for the environment says where things are.

    `database`, `photos` and `artifacts` are for those who have no DB_NAME, STYLE_PHOTO_BUCKET and
    ML_ARTIFACTS_BUCKET: a URL, a folder or s3://BUCKET/PREFIX. `overlap` is for how many seconds
    before its watermark the database is read again, `statement_timeout` after how many it gives a
    query up. With `materialize: manifest` a month's images are listed and not copied.
    """

    name: Annotated[str, Predicate(checked_name)] = "candidates"
    classes: Annotated[tuple[Annotated[str, Predicate(checked_class)], ...], MinLen(1)] = CLASSES
    database: str | None = None
    table: Annotated[str, Predicate(checked_table)] = "user_styles"
    photos: str | None = None
    artifacts: str | None = None
    max_photos: Annotated[int, Ge(1), Le(100)] = 4
    overlap: Annotated[float, Ge(0), Le(30 * 86_400)] = 3600.0
    statement_timeout: Annotated[float, Gt(0), Le(86_400)] = 30.0
    materialize: Literal["copy", "manifest"] = "copy"
    validate: Checks = field(default_factory=Checks)
    dedup: Dedup = field(default_factory=Dedup)
    split: Splits = field(default_factory=Splits)
    workers: Annotated[int, Gt(0)] | None = None
    item_timeout: Annotated[float, Gt(0)] = 60.0
    catalog: str | None = None
    store: str | None = None
    cold_store: str | None = None

    def __post_init__(self) -> None:
        checked_name(self.name)
        checked_table(self.table)
        for name in self.classes:
            checked_class(name)
        if len({name.casefold() for name in self.classes}) < len(self.classes):
            raise UsageError(f"a class stands in `classes` twice: {', '.join(self.classes)}")
        if self.name in {"gold", "verified", "full"}:
            raise UsageError(f"name: {self.name} is what a month's dataset is called")


@dataclass(frozen=True, kw_only=True)
class Given:
    """A recipe as it was found: with the keys the user wrote, and what runs it again."""

    recipe: CandidatesRecipe
    written: Mapping[str, Any]
    base: Path

    @property
    def places(self) -> dict[str, Any]:
        """What the recipe says of where things lie, by the names that `Settings` knows."""
        names = ("catalog", "store", "cold_store")
        return {name: value for name in names if (value := getattr(self.recipe, name)) is not None}


def read_candidates(path: Path | None) -> Given:
    """Read a recipe file, or take every default; paths in it are relative to its folder.

    Raises RecipeError that names the file, line, key, value and valid choices.
    """
    if path is None:
        return Given(recipe=CandidatesRecipe(), written={}, base=Path.cwd())
    document = Document(path)
    base = path.absolute().parent
    recipe = checked(CandidatesRecipe, document.data, document)
    _refuse_password(recipe.database, document)
    if recipe.validate.checks:
        checks = replace(recipe.validate, checks=base / recipe.validate.checks)
        recipe = replace(recipe, validate=checks)
    shown = {
        key: shown_url(str(value))
        if key in {"database", "catalog", "store", "cold_store"}
        else value
        for key, value in document.data.items()
    }
    return Given(recipe=recipe, written=shown, base=base)


def _refuse_password(url: str | None, document: Document) -> None:
    """Refuse what would be kept with every version; raises RecipeError."""
    try:
        found = url is not None and is_postgres(url) and parts_of(url).says("password")
    except ValueError as error:
        raise document.error(("database",), str(error)) from error
    if found:
        message = "a recipe holds no password: leave it out and set DB_PASSWORD"
        raise document.error(("database",), message)


def database_url(given: Given, settings: Settings) -> str:
    """Give the URL of the database of predictions: DB_NAME's, else the recipe's.

    What a PostgreSQL URL does not say is filled in from DB_*. Raises UsageError if neither names
    one.
    """
    said = given.recipe.database
    if settings.db_name:
        return settings.source_database_url()
    if said is None:
        raise UsageError(
            "no database of predictions: set DB_NAME (and DB_HOST, DB_USER, DB_PASSWORD), or name "
            "it in the recipe, `database: postgresql://USER@HOST/NAME` or `database: FILE.db`"
        )
    if is_postgres(said):
        user, password = settings.db_user, settings.db_password
        login = Login(settings.db_host, settings.db_port, user, password, None, "DB_NAME")
        try:
            return completed(said, login)
        except ValueError as error:
            raise UsageError(f"database: {shown_url(said)}: {error}") from error
    path = said.removeprefix("sqlite:///")
    if "://" in path:
        raise UsageError(f"database: {shown_url(said)} is neither PostgreSQL nor a SQLite file")
    return f"sqlite:///{given.base / path}"


def photos_store(given: Given, settings: Settings) -> Store:
    """Open the place of the photos: STYLE_PHOTO_BUCKET, else the recipe's `photos`.

    Raises UsageError if neither names one.
    """
    if settings.style_photo_bucket:
        return open_store(f"s3://{settings.style_photo_bucket}", settings.s3_access())
    if given.recipe.photos is None:
        raise UsageError(
            "no place of photos: set STYLE_PHOTO_BUCKET, or name it in the recipe, "
            "`photos: FOLDER` or `photos: s3://BUCKET`"
        )
    return _opened(given, settings, given.recipe.photos)


def artifacts_store(given: Given, settings: Settings, root: Path) -> Store:
    """Open what holds `datasets/`: ML_ARTIFACTS_BUCKET, else the recipe's place, else `root`."""
    if settings.ml_artifacts_bucket:
        return open_store(f"s3://{settings.ml_artifacts_bucket}", settings.s3_access())
    if given.recipe.artifacts is None:
        return LocalStore(root)
    return _opened(given, settings, given.recipe.artifacts)


def _opened(given: Given, settings: Settings, place: str) -> Store:
    if place.startswith("s3://"):
        return open_store(place, settings.s3_access())
    folder = place.removeprefix("file://")
    if "://" not in folder and not (given.base / folder).is_dir():
        raise UsageError(f"no folder {given.base / folder}: a recipe's place has to be there")
    return open_store(str(given.base / folder) if "://" not in folder else place)


def open_places(given: Given, root: Path) -> Workspace:
    """Open or make the workspace; without a store of its own its bytes lie with the artifacts.

    Then a month's images are copied within one server, and never come here.
    """
    from autods.workspace import init

    settings = Settings.read(root, given.places)
    bucket = settings.ml_artifacts_bucket
    asked = given.recipe.artifacts or ""
    there = f"s3://{bucket}" if bucket else asked if asked.startswith("s3://") else None
    if settings.store or there is None or _remembers(root):
        return init(root, given.places)
    return init(root, given.places | {"store": f"{there.rstrip('/')}/autods"})


def _remembers(root: Path) -> bool:
    from autods.workspace import FOLDER, remembered

    return "store" in remembered(root / FOLDER)
