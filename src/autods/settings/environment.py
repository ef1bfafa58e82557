"""One `Settings`: what the environment, `.env` and the recipe say, each value with its origin."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Self

from autods.errors import UsageError
from autods.settings import values
from autods.settings.access import S3Access
from autods.settings.databases import Login, completed, is_postgres, parts_of
from autods.settings.document import did_you_mean
from autods.settings.layers import (
    Found,
    from_env_file,
    from_environment,
    from_recipe,
    refuse_unknown,
)
from autods.settings.secrets import Secret, shown_url

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class From:
    """The variables a setting is read from, the first before the next, and what reads them."""

    def __init__(self, *names: str, read: Callable[[str], Any] = values.word) -> None:
        self.names = names
        self.read = read


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """What a user may set; frozen, picklable, and shown without its secrets.

    The defaults are the seeds', but for those that name a server beside the seed's own
    (`minio:9000`, `http://mlflow:5000`): they would draw everybody's data there.
    """

    # The places, ours.
    catalog: Annotated[str | None, From("AUTODS_CATALOG", read=values.catalog)] = None
    store: Annotated[str | None, From("AUTODS_STORE", read=values.store)] = None
    cold_store: Annotated[str | None, From("AUTODS_COLD_STORE", read=values.store)] = None
    hot_storage_threshold: Annotated[
        int, From("AUTODS_HOT_STORAGE_THRESHOLD", "HOT_STORAGE_THRESHOLD", read=values.count)
    ] = 1000
    near_copy: Annotated[bool, From("AUTODS_NEAR_COPY", read=values.switch)] = True
    patience: Annotated[float, From("AUTODS_PATIENCE", read=values.seconds)] = 120.0
    # The catalog's server, seed 5.
    postgres_host: Annotated[str, From("POSTGRES_HOST", read=values.host)] = "postgres"
    postgres_port: Annotated[int, From("POSTGRES_PORT", read=values.port)] = 5432
    postgres_user: Annotated[str | None, From("POSTGRES_USER")] = None
    postgres_password: Annotated[Secret | None, From("POSTGRES_PASSWORD", read=values.secret)] = (
        None
    )
    postgres_db: Annotated[str | None, From("POSTGRES_DB")] = None
    # The database of predictions, seed 1: a source.
    db_host: Annotated[str, From("DB_HOST", read=values.host)] = "postgres"
    db_port: Annotated[int, From("DB_PORT", read=values.port)] = 5432
    db_user: Annotated[str | None, From("DB_USER")] = None
    db_password: Annotated[Secret | None, From("DB_PASSWORD", read=values.secret)] = None
    db_name: Annotated[str | None, From("DB_NAME")] = None
    # The S3 server, seeds 1, 2 and 4.
    minio_endpoint: Annotated[str | None, From("MINIO_ENDPOINT", read=values.minio_endpoint)] = None
    minio_root_user: Annotated[Secret | None, From("MINIO_ROOT_USER", read=values.secret)] = None
    minio_root_password: Annotated[
        Secret | None, From("MINIO_ROOT_PASSWORD", read=values.secret)
    ] = None
    aws_endpoint_url: Annotated[
        str | None, From("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", read=values.endpoint)
    ] = None
    aws_access_key_id: Annotated[Secret | None, From("AWS_ACCESS_KEY_ID", read=values.secret)] = (
        None
    )
    aws_secret_access_key: Annotated[
        Secret | None, From("AWS_SECRET_ACCESS_KEY", read=values.secret)
    ] = None
    aws_session_token: Annotated[Secret | None, From("AWS_SESSION_TOKEN", read=values.secret)] = (
        None
    )
    aws_region: Annotated[str | None, From("AWS_REGION", "AWS_DEFAULT_REGION")] = None
    style_photo_bucket: Annotated[str | None, From("STYLE_PHOTO_BUCKET", read=values.bucket)] = None
    ml_artifacts_bucket: Annotated[str | None, From("ML_ARTIFACTS_BUCKET", read=values.bucket)] = (
        None
    )
    # Those who schedule and track, seeds 1 and 5.
    prefect_api_url: Annotated[str | None, From("PREFECT_API_URL", read=values.web_url)] = None
    prefect_work_pool: Annotated[str, From("PREFECT_WORK_POOL")] = "default-pool"
    mlflow_tracking_uri: Annotated[str | None, From("MLFLOW_TRACKING_URI")] = None
    mlflow_backend_store_uri: Annotated[
        Secret | None, From("MLFLOW_BACKEND_STORE_URI", read=values.secret)
    ] = None
    mlflow_artifact_root: Annotated[str | None, From("MLFLOW_ARTIFACT_ROOT")] = None
    airflow_schedule: Annotated[str, From("AIRFLOW_SCHEDULE", read=values.schedule)] = "0 0 * * 1"
    # The growth of seed 5.
    data_path: Annotated[Path, From("DATA_PATH", read=values.path)] = Path("/opt/airflow/data/raw")
    initial_percentage: Annotated[float, From("INITIAL_PERCENTAGE", read=values.percentage)] = 40.0
    increment_percentage: Annotated[float, From("INCREMENT_PERCENTAGE", read=values.percentage)] = (
        3.0
    )
    max_percentage: Annotated[float, From("MAX_PERCENTAGE", read=values.percentage)] = 100.0
    balancing_strategy: Annotated[str, From("BALANCING_STRATEGY")] = "random_oversampling"
    random_seed: Annotated[int, From("RANDOM_SEED", read=values.seed)] = 42

    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def read(
        cls,
        folder: Path,
        recipe: Mapping[str, Any] = _NOTHING,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Read the environment, then `folder/.env`, then the recipe; the first that says counts.

        A recipe speaks by keys (`catalog`, `hot_storage_threshold`), the others by variables.
        `environment` is the process's own unless given. Raises UsageError that names the variable,
        where it was found and what would do.
        """
        variables = os.environ if environment is None else environment
        layers = (from_environment(variables), from_env_file(folder / ".env", variables))
        for layer in layers:
            refuse_unknown(layer, VARIABLES)
        said = from_recipe(recipe, {key: _is_secret(key) for key in KEYS})
        found = {key: hit for key in KEYS if (hit := _first(key, layers) or said.get(key))}
        return cls(
            **{key: _value(key, hit) for key, hit in found.items()},
            origins={key: hit.origin for key, hit in found.items()},
        )

    def origin(self, key: str) -> str:
        """Tell where a value comes from; raises UsageError for a key there is not.

        In a word: "environment DB_HOST", ".env:3 DB_HOST", "recipe" or "default".
        """
        if key not in KEYS:
            raise UsageError(f"no setting {key!r}: {did_you_mean(key, KEYS)}")
        return self.origins.get(key, "default")

    def catalog_url(self, default: str) -> str:
        """Give the catalog's URL or path: what is set, else `default`.

        A URL of PostgreSQL becomes `postgresql+psycopg://`, its missing parts filled in from
        POSTGRES_*; these alone never choose the catalog. Raises UsageError if no database is named.
        """
        url = self.catalog or default
        return completed(url, self._catalog_login()) if is_postgres(url) else url

    def source_database_url(self) -> str:
        """Give the URL of the database of predictions, from DB_*: a source, never our catalog.

        Raises UsageError if DB_NAME is not set.
        """
        login = Login(
            self.db_host, self.db_port, self.db_user, self.db_password, self.db_name, "DB_NAME"
        )
        return completed("postgresql://", login)

    def store_url(self, default: str) -> str:
        """Give where bytes lie: a path, `file://`, `s3://BUCKET/PREFIX` or `s3://`."""
        return self.store or default

    def cold_store_url(self) -> str | None:
        """Give where bytes lie that are seldom read, or None: then there are no tiers."""
        return self.cold_store

    def s3_access(self, default: str | None = None) -> S3Access:
        """Give the S3 server and who enters it: MINIO_ENDPOINT, AWS_ENDPOINT_URL, else `default`.

        MinIO's user and password belong to its endpoint, AWS's pair to any other; where one pair
        is not set the other serves, and without both the client looks for its own (a role). Raises
        UsageError for half a pair. `default` is for a recipe whose seed names a MinIO of its own.
        """
        chosen = values.minio_endpoint(default) if default else None
        theirs = self.minio_endpoint or (chosen and not self.aws_endpoint_url)
        pairs = (_MINIO_PAIR, _AWS_PAIR) if theirs else (_AWS_PAIR, _MINIO_PAIR)
        pair = next((keys for keys in pairs if self._whole(*keys)), None)
        user, password = (getattr(self, key) for key in pair) if pair else (None, None)
        return S3Access(
            endpoint=self.minio_endpoint or self.aws_endpoint_url or chosen,
            access_key=_plain(user),
            secret_key=_plain(password),
            session_token=_plain(self.aws_session_token) if pair == _AWS_PAIR else None,
            region=self.aws_region or S3Access.region,
        )

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Give every setting as `{"value": ..., "origin": ...}`, fit to be shown."""
        return {
            key: {"value": _shown(getattr(self, key)), "origin": self.origin(key)} for key in KEYS
        }

    def __repr__(self) -> str:
        told = (f"{key}={_shown(getattr(self, key))!r}" for key in KEYS if key in self.origins)
        return f"{type(self).__name__}({', '.join(told)})"

    def _catalog_login(self) -> Login:
        return Login(
            self.postgres_host,
            self.postgres_port,
            self.postgres_user,
            self.postgres_password,
            self.postgres_db,
            "POSTGRES_DB",
        )

    def _whole(self, *pair: str) -> bool:
        """Tell whether a user and a password are set; one without the other lets nobody in."""
        there = [key for key in pair if getattr(self, key)]
        if len(there) == 1:
            [lacking] = set(pair) - set(there)
            raise UsageError(
                f"{self.origin(there[0])} is set, {lacking.upper()} is not: set both or none"
            )
        return bool(there)


_MINIO_PAIR = ("minio_root_user", "minio_root_password")
_AWS_PAIR = ("aws_access_key_id", "aws_secret_access_key")

_FROM: dict[str, From] = {
    key: hint.__metadata__[0]
    for key, hint in Settings.__annotations__.items()
    if hasattr(hint, "__metadata__")
}
KEYS = tuple(_FROM)
"""The settings by the names a recipe uses, in the order of the documentation."""

VARIABLES: Mapping[str, str] = MappingProxyType(
    {name: key for key, source in _FROM.items() for name in source.names}
)
"""Every variable that is understood, and the setting it sets."""


def _is_secret(key: str) -> bool:
    return _FROM[key].read is values.secret


def _first(key: str, layers: Iterable[Mapping[str, Found]]) -> Found | None:
    """Give what the first layer says, and in a layer the first of the variables."""
    names = _FROM[key].names
    hits = (layer[name] for layer in layers for name in names if name in layer)
    return next(hits, None)


def _value(key: str, found: Found) -> Any:
    read = _FROM[key].read
    if found.missing:
        raise found.refused(f"${{{found.missing}}} is set nowhere", secret=_is_secret(key))
    try:
        value = read(found.text if _is_secret(key) else values.filled(found.text))
        if key == "catalog" and found.base is None:
            _refuse_password(value)
        return (
            values.rooted(value, found.base)
            if read in _PLACES and found.base is not None
            else value
        )
    except (ValueError, RuntimeError) as error:  # The second: there is no home for a `~`.
        raise found.refused(str(error), secret=_is_secret(key)) from error


_PLACES = (values.catalog, values.store, values.path)


def _refuse_password(url: str) -> None:
    if is_postgres(url) and parts_of(url).says("password"):
        raise ValueError(
            "it is noted and shown: leave the password out and set "
            "POSTGRES_PASSWORD in the environment or in .env"
        )


def _plain(word: Secret | None) -> str | None:
    return word.get_secret_value() if word else None


def _shown(value: Any) -> Any:
    if isinstance(value, Secret):
        return str(value)
    return shown_url(str(value)) if isinstance(value, str | Path) else value
