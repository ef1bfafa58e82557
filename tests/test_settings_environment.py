"""One Settings: who is heard, where each value comes from, and that no secret shows."""

import dataclasses
import json
import pickle
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from autods.errors import UsageError
from autods.settings import (
    KEYS,
    VARIABLES,
    S3Access,
    Secret,
    Settings,
    shown_url,
    without_password,
)

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = Path("/nowhere")


def read(folder: Path = NOWHERE, recipe: dict[str, Any] | None = None, /, **said: str) -> Settings:
    """Read settings of an environment that says this and nothing else."""
    return Settings.read(folder, recipe or {}, environment=said)


def refusal(folder: Path = NOWHERE, recipe: dict[str, Any] | None = None, /, **said: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(folder, recipe, **said)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, Secret) else value


# Every variable: its setting, what it may say, what that means, and the default.

TABLE: dict[str, tuple[str, str, object, object]] = {
    "AUTODS_CATALOG": ("catalog", "/data/catalog.db", "/data/catalog.db", None),
    "AUTODS_STORE": ("store", "s3://cats/one", "s3://cats/one", None),
    "AUTODS_COLD_STORE": ("cold_store", "/mnt/cold", "/mnt/cold", None),
    "AUTODS_HOT_STORAGE_THRESHOLD": ("hot_storage_threshold", "0", 0, 1000),
    "AUTODS_NEAR_COPY": ("near_copy", "off", False, True),
    "AUTODS_PATIENCE": ("patience", "2.5", 2.5, 120.0),
    "HOT_STORAGE_THRESHOLD": ("hot_storage_threshold", "500", 500, 1000),
    "POSTGRES_HOST": ("postgres_host", "db.example.org", "db.example.org", "postgres"),
    "POSTGRES_PORT": ("postgres_port", "5433", 5433, 5432),
    "POSTGRES_USER": ("postgres_user", "rakuten_user", "rakuten_user", None),
    "POSTGRES_PASSWORD": ("postgres_password", " hush ", " hush ", None),
    "POSTGRES_DB": ("postgres_db", "rakuten_db", "rakuten_db", None),
    "DB_HOST": ("db_host", "localhost", "localhost", "postgres"),
    "DB_PORT": ("db_port", "5433", 5433, 5432),
    "DB_USER": ("db_user", "reader", "reader", None),
    "DB_PASSWORD": ("db_password", "hush", "hush", None),
    "DB_NAME": ("db_name", "styles", "styles", None),
    "MINIO_ENDPOINT": ("minio_endpoint", "localhost:9000", "http://localhost:9000", None),
    "MINIO_ROOT_USER": ("minio_root_user", "root", "root", None),
    "MINIO_ROOT_PASSWORD": ("minio_root_password", "hush", "hush", None),
    "AWS_ENDPOINT_URL_S3": ("aws_endpoint_url", "https://a.test/s3/", "https://a.test/s3", None),
    "AWS_ENDPOINT_URL": ("aws_endpoint_url", "https://a.example", "https://a.example", None),
    "AWS_ACCESS_KEY_ID": ("aws_access_key_id", "AKIA", "AKIA", None),
    "AWS_SECRET_ACCESS_KEY": ("aws_secret_access_key", "hush", "hush", None),
    "AWS_SESSION_TOKEN": ("aws_session_token", "hush", "hush", None),
    "AWS_REGION": ("aws_region", "eu-west-1", "eu-west-1", None),
    "AWS_DEFAULT_REGION": ("aws_region", "eu-west-2", "eu-west-2", None),
    "STYLE_PHOTO_BUCKET": ("style_photo_bucket", "style-photos", "style-photos", None),
    "ML_ARTIFACTS_BUCKET": ("ml_artifacts_bucket", "ml-artifacts", "ml-artifacts", None),
    "PREFECT_API_URL": ("prefect_api_url", "http://p:4200/api", "http://p:4200/api", None),
    "PREFECT_WORK_POOL": ("prefect_work_pool", "gpu", "gpu", "default-pool"),
    "MLFLOW_TRACKING_URI": ("mlflow_tracking_uri", "http://m:5000", "http://m:5000", None),
    "MLFLOW_BACKEND_STORE_URI": ("mlflow_backend_store_uri", "postgresql://u:p@h/d",
                                 "postgresql://u:p@h/d", None),
    "MLFLOW_ARTIFACT_ROOT": ("mlflow_artifact_root", "/mlflow/a", "/mlflow/a", None),
    "AIRFLOW_SCHEDULE": ("airflow_schedule", "@weekly", "@weekly", "0 0 * * 1"),
    "DATA_PATH": ("data_path", "/data/raw", Path("/data/raw"), Path("/opt/airflow/data/raw")),
    "INITIAL_PERCENTAGE": ("initial_percentage", "12.5", 12.5, 40.0),
    "INCREMENT_PERCENTAGE": ("increment_percentage", "5", 5.0, 3.0),
    "MAX_PERCENTAGE": ("max_percentage", "80", 80.0, 100.0),
    "BALANCING_STRATEGY": ("balancing_strategy", "weights", "weights", "random_oversampling"),
    "RANDOM_SEED": ("random_seed", "7", 7, 42),
}  # fmt: skip


def test_the_table_names_every_variable() -> None:
    assert {name: row[0] for name, row in TABLE.items()} == dict(VARIABLES)
    assert set(VARIABLES.values()) == set(KEYS)


@pytest.mark.parametrize("name", TABLE)
def test_a_variable_sets_its_setting(name: str, tmp_path: Path) -> None:
    key, text, value, default = TABLE[name]
    assert plain(getattr(read(), key)) == default
    assert read().origin(key) == "default"
    told = read(**{name: text})
    assert plain(getattr(told, key)) == value
    assert told.origin(key) == f"environment {name}"
    (tmp_path / ".env").write_text(f"# ours\n\n{name}='{text}'\n")
    told = read(tmp_path)
    assert plain(getattr(told, key)) == value
    assert told.origin(key) == f".env:3 {name}"


@pytest.mark.parametrize("name", TABLE)
def test_an_empty_variable_is_an_unset_one(name: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{name}=\n")
    assert read(tmp_path, **{name: ""}) == Settings()


@pytest.mark.parametrize("name", [n for n, row in TABLE.items() if "hush" not in row[1]])
def test_a_recipe_sets_what_is_no_secret(name: str) -> None:
    key, text, value, _ = TABLE[name]
    if key in {"minio_root_user", "aws_access_key_id", "mlflow_backend_store_uri"}:
        assert "a recipe is kept with every version" in refusal(NOWHERE, {key: text})
        return
    told = read(NOWHERE, {key: text})
    assert (getattr(told, key), told.origin(key)) == (value, "recipe")


def test_numbers_of_a_recipe_need_no_quotes() -> None:
    told = read(NOWHERE, {"hot_storage_threshold": 5, "max_percentage": 50.5, "store": None})
    assert (told.hot_storage_threshold, told.max_percentage, told.store) == (5, 50.5, None)


def test_the_environment_comes_before_the_file_and_the_file_before_the_recipe(
    tmp_path: Path,
) -> None:
    recipe = {"hot_storage_threshold": 1, "random_seed": 1, "balancing_strategy": "one"}
    (tmp_path / ".env").write_text("AUTODS_HOT_STORAGE_THRESHOLD=2\nRANDOM_SEED=2\n")
    told = read(tmp_path, recipe, HOT_STORAGE_THRESHOLD="3")
    assert (told.hot_storage_threshold, told.random_seed, told.balancing_strategy) == (3, 2, "one")
    assert [told.origin(key) for key in (*recipe, "data_path")] == [
        "environment HOT_STORAGE_THRESHOLD", ".env:2 RANDOM_SEED", "recipe", "default",
    ]  # fmt: skip


def test_of_two_variables_our_own_and_the_nearer_one_counts() -> None:
    told = read(
        HOT_STORAGE_THRESHOLD="1", AUTODS_HOT_STORAGE_THRESHOLD="2",
        AWS_DEFAULT_REGION="a", AWS_REGION="b",
        AWS_ENDPOINT_URL="http://a", AWS_ENDPOINT_URL_S3="http://b",
    )  # fmt: skip
    assert told.hot_storage_threshold == 2
    assert (told.aws_region, told.aws_endpoint_url) == ("b", "http://b")


def test_the_process_s_own_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANDOM_SEED", "99")
    assert Settings.read(NOWHERE).random_seed == 99


# What is wrong is said with the variable, its place and what would do.

WRONG = {
    ("POSTGRES_PORT", "abc"): "'abc' will not do: a port is wanted, 1 to 65535",
    ("POSTGRES_PORT", "0"): "'0' will not do: a port is wanted, 1 to 65535",
    ("DB_PORT", "65536"): "'65536' will not do: a port is wanted, 1 to 65535",
    ("DB_PORT", "٣"): "'٣' will not do: a port is wanted, 1 to 65535",
    ("DB_PORT", "9" * 5000): f"'{'9' * 79} will not do: a port is wanted, 1 to 65535",
    ("HOT_STORAGE_THRESHOLD", "-1"): "'-1' will not do: a whole number is wanted, 0 to 1",
    ("RANDOM_SEED", "1.5"): "'1.5' will not do: a whole number is wanted, 0 to 4294967295",
    ("INITIAL_PERCENTAGE", "0"): "'0' will not do: a percentage is wanted, above 0 and up to 100",
    ("MAX_PERCENTAGE", "101"): "'101' will not do: a percentage is wanted",
    ("MAX_PERCENTAGE", "nan"): "'nan' will not do: a percentage is wanted",
    ("POSTGRES_HOST", "http://h"): "'http://h' will not do: a host's name or address is wanted",
    ("DB_HOST", "u:hush@h"): "'***@h' will not do: a host's name",
    ("STYLE_PHOTO_BUCKET", "Photos"): "'Photos' will not do: a bucket's name is wanted",
    ("AIRFLOW_SCHEDULE", "0 0 * *"): "'0 0 * *' will not do: five cron fields are wanted",
    ("PREFECT_API_URL", "localhost:4200"): "'localhost:4200' will not do: a URL is wanted",
    ("MINIO_ENDPOINT", "minio:90 00"): "'minio:90 00' will not do: a URL is wanted",
    ("MINIO_ENDPOINT", "minio:port"): "'minio:port' will not do: a URL is wanted",
    ("MINIO_ENDPOINT", "http://u:hush@m"): "'http://***@m' will not do: an endpoint is wanted",
    ("AWS_ENDPOINT_URL", "a.example"): "'a.example' will not do: a URL is wanted",
    ("AUTODS_STORE", "gs://cats"): "'gs://cats' will not do: a folder is wanted, file://PATH, s3",
    ("AUTODS_STORE", "s3:/cats"): "'s3:/cats' will not do: a folder is wanted",
    ("AUTODS_STORE", "file://"): "'file://' will not do: a folder is wanted",
    ("AUTODS_STORE", "s3:///cats"): "'s3:///cats' will not do: a folder is wanted",
    ("AUTODS_STORE", "s3://id:hu/sh@cats"): "'s3://***@cats' will not do: a folder is wanted",
    ("AUTODS_COLD_STORE", "s3://Cats"): "'s3://Cats' will not do: a folder is wanted",
    ("AUTODS_CATALOG", "mysql://u:hush@h/d"): "'mysql://***@h/d' will not do: a file is wanted",
    ("AUTODS_CATALOG", "sqlite://"): "'sqlite://' will not do: a file is wanted, sqlite:///FILE",
    ("AUTODS_CATALOG", "sqlite:///:memory:"): "'sqlite:///:memory:' will not do: a file is wanted",
    ("AUTODS_CATALOG", "postgresql:h/d"): "'postgresql:h/d' will not do: a file is wanted",
    ("AUTODS_CATALOG", "postgresql+asyncpg://h/d"): "'postgresql+asyncpg://h/d' will not do: its d",
    ("AUTODS_CATALOG", "postgresql://h:x/d"): "'postgresql://h:***' will not do: postgresql://USER",
    ("AUTODS_CATALOG", "postgresql://u:hush@h:0/d"): "'postgresql://***@h:0/d' will not do: postg",
}


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_wrong_value_names_its_variable_and_what_would_do(
    name: str, text: str, tmp_path: Path
) -> None:
    assert refusal(**{name: text}).startswith(f"{name} in the environment: {WRONG[name, text]}")
    (tmp_path / ".env").write_text(f"\n{name}={text}\n", encoding="utf-8")
    assert refusal(tmp_path).startswith(f"{tmp_path}/.env:2: {name}: {WRONG[name, text]}")


def test_a_value_that_another_place_overrides_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTGRES_PORT=abc\nDB_USER=${NOPE}\n")
    assert read(tmp_path, POSTGRES_PORT="1", DB_USER="me").postgres_port == 1


def test_a_typo_in_a_variable_of_ours_is_never_ignored(tmp_path: Path) -> None:
    wanted = "unknown variable; did you mean 'AUTODS_CATALOG'? (valid: AUTODS_CATALOG, AUTODS_STORE"
    assert refusal(AUTODS_CATALOGUE="x") == (
        f"AUTODS_CATALOGUE in the environment: {wanted}, AUTODS_COLD_STORE, "
        "AUTODS_HOT_STORAGE_THRESHOLD, AUTODS_NEAR_COPY, AUTODS_PATIENCE)"
    )
    (tmp_path / ".env").write_text("A=1\nAUTODS_CATALOGUE=x\n")
    assert refusal(tmp_path).startswith(f"{tmp_path}/.env:2: AUTODS_CATALOGUE: {wanted}")


def test_variables_of_other_programs_are_left_alone() -> None:
    assert read(
        MLFLOW_EXPERIMENT_NAME="x", PREFECT_LOGGING_LEVEL="DEBUG", POSTGRES_INITDB_ARGS="--x",
        AIRFLOW__CORE__EXECUTOR="LocalExecutor", MINIO_BROWSER="off", autods_catalog="x",
    ) == Settings()  # fmt: skip


def test_what_kubernetes_tells_of_its_services_is_no_setting() -> None:
    assert read(
        POSTGRES_PORT="tcp://10.0.0.7:5432", DB_PORT="tcp://[fd00::1]:5432",
        POSTGRES_PORT_5432_TCP_ADDR="10.0.0.7", POSTGRES_SERVICE_HOST="10.0.0.7",
        AUTODS_SERVICE_HOST="10.0.0.8", AUTODS_SERVICE_PORT_HTTP="80", AUTODS_SERVICE_PORT="80",
        AUTODS_PORT="tcp://10.0.0.8:80", AUTODS_PORT_80_TCP="tcp://10.0.0.8:80",
        AUTODS_API_PORT_80_TCP_PROTO="tcp", AUTODS_API_SERVICE_HOST="10.0.0.9",
    ) == Settings()  # fmt: skip


def test_a_recipe_s_keys_are_checked() -> None:
    assert refusal(NOWHERE, {"catlog": "x"}).startswith(
        "catlog in the recipe: unknown key; did you mean 'catalog'? (valid: catalog, store, "
    )
    said = {"store": ["x"], "cold_store": " ", "random_seed": True, "db_port": "x"}
    for key, value in said.items():
        assert refusal(NOWHERE, {key: value}).startswith(f"{key} in the recipe: {value!r} will not")


@pytest.mark.parametrize("url", ["postgresql://u:hush@h/d", "postgres://h/d?password=hush"])
def test_a_recipe_holds_no_password(url: str) -> None:
    said = refusal(NOWHERE, {"catalog": url})
    assert "hush" not in said
    assert "set POSTGRES_PASSWORD in the environment" in said
    assert read(AUTODS_CATALOG=url).catalog == url
    assert "hush" not in refusal(NOWHERE, {"db_password": "hush"})


# The file.


def test_the_seeds_own_file_is_understood(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# PostgreSQL\nPOSTGRES_HOST=db\nexport POSTGRES_DB=shop\nPOSTGRES_PASSWORD='a#b ${c}'\n\n"
        'DB_PASSWORD="two\\nlines"\nAIRFLOW_SCHEDULE=0 0 * * 1  # Every Monday at midnight\n'
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql://u:p@db/airflow\nDB_NAME = spaced \r\n"
        "MLFLOW_ARTIFACT_ROOT=/data/${POSTGRES_DB}/${USER_OF_ALL:-nobody}/$HOME\n"
    )
    told = read(tmp_path)
    assert (told.postgres_host, told.postgres_db, told.db_name) == ("db", "shop", "spaced")
    assert plain(told.postgres_password) == "a#b ${c}"
    assert plain(told.db_password) == "two\nlines"
    assert told.airflow_schedule == "0 0 * * 1"
    assert told.mlflow_artifact_root == "/data/shop/nobody/$HOME"
    assert told.origin("mlflow_artifact_root") == ".env:10 MLFLOW_ARTIFACT_ROOT"
    assert read(tmp_path, POSTGRES_DB="x").mlflow_artifact_root == "/data/x/nobody/$HOME"


WRONG_FILES: dict[bytes, str] = {
    b"A=1\nthis is hush\n": ":2: NAME=value is wanted",
    b"A=1\n\n\nhush\n": ":4: NAME=value is wanted",
    b"DB_USER='hush\n": ":1: NAME=value is wanted",
    b"A=1\nDB_USER=caf\xe9 hush\n": ":2: not UTF-8; save it as UTF-8",
    b"DB_PASSWORD=hush${NOPE}\n": ":1: DB_PASSWORD: what is there will not do: ${NOPE} is set now",
    b"A=${NOPE}\nDB_USER=a${A}\n": ":2: DB_USER: 'a' will not do: ${NOPE} is set nowhere",
    b"DB_USER=a${NOPE}\n": ":1: DB_USER: 'a' will not do: ${NOPE} is set nowhere",
}


@pytest.mark.parametrize("data", WRONG_FILES)
def test_a_bad_line_is_named_and_not_shown(data: bytes, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(data)
    said = refusal(tmp_path)
    assert said.startswith(f"{tmp_path}/.env{WRONG_FILES[data]}")
    assert "hush" not in said


def test_a_file_that_cannot_be_read_is_an_error_and_none_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "nowhere") == Settings()
    (tmp_path / "venv" / ".env").mkdir(parents=True)  # A virtual environment of that name.
    assert read(tmp_path / "venv") == Settings()
    (tmp_path / ".env").symlink_to(".env")
    assert refusal(tmp_path).startswith(f"cannot read {tmp_path}/.env: Too many levels of symbolic")


def test_relative_paths_begin_where_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / ".env").write_text(
        "AUTODS_STORE=blobs\nAUTODS_CATALOG=sqlite:///a.db\nDATA_PATH=../raw\nAUTODS_COLD_STORE=~/c\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    told = read(Path("workspace"))
    assert told.store_url("x") == str(folder / "blobs")
    assert told.catalog_url("x") == f"sqlite:///{folder}/a.db"
    assert told.cold_store_url() == "/home/ann/c"
    assert told.data_path == folder / "../raw"
    told = read(folder, AUTODS_STORE="file://blobs", AUTODS_CATALOG="a.db")
    assert told.store_url("x") == f"file://{tmp_path}/blobs"
    assert told.catalog_url("x") == str(tmp_path / "a.db")
    assert read(NOWHERE, {"store": "blobs"}).store_url("x") == "blobs"


# The URL chooses, the variables fill in.

SERVER = {
    "POSTGRES_HOST": "db", "POSTGRES_PORT": "5433", "POSTGRES_USER": "ann",
    "POSTGRES_PASSWORD": "hush", "POSTGRES_DB": "cats",
}  # fmt: skip
FULL = "postgresql+psycopg://ann:hush@db:5433/cats"


def test_a_server_in_the_environment_moves_nobody_s_catalog() -> None:
    assert read(**SERVER).catalog_url("/w/catalog.db") == "/w/catalog.db"
    assert read(**SERVER, AUTODS_CATALOG="/x.db").catalog_url("/w/catalog.db") == "/x.db"


COMPLETED = {
    "postgresql://": FULL,
    "postgres://": FULL,
    "POSTGRESQL+psycopg://": FULL,
    "postgresql:///": FULL,
    "postgresql:///dogs": "postgresql+psycopg://ann:hush@db:5433/dogs",
    "postgresql://other": "postgresql+psycopg://ann:hush@other:5433/cats",
    "postgresql://other:1/dogs": "postgresql+psycopg://ann:hush@other:1/dogs",
    "postgresql://bob@/": "postgresql+psycopg://bob:hush@db:5433/cats",
    "postgresql://bob:pw@other:1/dogs": "postgresql+psycopg://bob:pw@other:1/dogs",
    "postgresql://bob:p%40w@other": "postgresql+psycopg://bob:p%40w@other:5433/cats",
    "postgresql://bob:p@/?#:w@other:1/d": "postgresql+psycopg://bob:p%40%2F%3F%23%3Aw@other:1/d",
    "postgresql://[::1]/dogs": "postgresql+psycopg://ann:hush@[::1]:5433/dogs",
    "postgresql://?sslmode=require": f"{FULL}?sslmode=require",
    "postgresql://h/d?application_name=a@b&x=%20": (
        "postgresql+psycopg://ann:hush@h:5433/d?application_name=a@b&x=%20"
    ),
    "postgresql:///d?host=/run/pg": "postgresql+psycopg://ann:hush@/d?host=/run/pg",
    "postgresql://h?user=bob&password=pw&dbname=d": (
        "postgresql+psycopg://h:5433/?user=bob&password=pw&dbname=d"
    ),
}


@pytest.mark.parametrize("url", COMPLETED)
def test_the_url_chooses_and_the_variables_fill_in(url: str) -> None:
    assert read(**SERVER, AUTODS_CATALOG=url).catalog_url("x") == COMPLETED[url]
    assert read(**SERVER).catalog_url(url) == COMPLETED[url]


def arguments(url: str) -> dict[str, Any]:
    """What the driver is given in the end."""
    return dict(make_url(url).get_dialect()().create_connect_args(make_url(url))[1])


@pytest.mark.parametrize(
    "word", ["@", ":", "/", "?", "#", "%", "&", " ", "+", "é", "%41", "a@b:c/"]
)
def test_what_has_a_meaning_in_a_url_is_encoded(word: str) -> None:
    said = {"POSTGRES_USER": f"u{word}v", "POSTGRES_PASSWORD": word, "POSTGRES_DB": f"d{word}e"}
    url = read(POSTGRES_HOST="h", **said).catalog_url("postgresql://?sslmode=require")
    assert arguments(url) == {
        "host": "h", "port": 5432, "user": f"u{word}v", "password": word, "dbname": f"d{word}e",
        "sslmode": "require",
    }  # fmt: skip


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_password_arrives_and_none_is_shown(word: str) -> None:
    settings = Settings(postgres_db="d", postgres_user="u", postgres_password=Secret(word))
    url = settings.catalog_url("postgresql://h")
    assert arguments(url)["password"] == word
    assert shown_url(url) == "postgresql+psycopg://u:***@h:5432/d"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=3))
def test_a_password_that_nobody_encoded_is_not_shown_either(word: str) -> None:
    hidden = f"<{word}>"
    for tail in ("h/d", "h:1/d?sslmode=require", ""):
        assert hidden not in shown_url(f"postgresql://u:{hidden}@{tail}")


NOTED = {
    "postgresql://u:hush@h/d": "postgresql+psycopg://u@h/d",
    "postgresql://u:hu/s@h?h@h:1/d?sslmode=require": "postgresql+psycopg://u@h:1/d?sslmode=require",
    "postgres:///d?password=hush&user=u&sslpassword=hush": "postgresql+psycopg:///d?user=u",
    "postgresql://": "postgresql+psycopg:///",
    "sqlite:////w/u:p@h.db": "sqlite:////w/u:p@h.db",
}


@pytest.mark.parametrize("url", NOTED)
def test_a_url_is_noted_without_its_password_and_means_the_same(url: str) -> None:
    assert without_password(url) == NOTED[url]
    assert without_password(NOTED[url]) == NOTED[url]
    assert read(NOWHERE, {"catalog": NOTED[url]}).catalog == NOTED[url]


def test_sockets_and_addresses_of_ipv6_are_hosts_too() -> None:
    url = read(POSTGRES_HOST="/run/pg", POSTGRES_DB="d").catalog_url("postgresql://?a=b")
    assert url == "postgresql+psycopg://:5432/d?a=b&host=%2Frun%2Fpg"
    assert arguments(url) == {"host": "/run/pg", "port": 5432, "dbname": "d", "a": "b"}
    url = read(POSTGRES_HOST="fd00::1", POSTGRES_DB="d").catalog_url("postgresql://")
    assert arguments(url)["host"] == "fd00::1"


def test_a_database_has_to_be_named() -> None:
    with pytest.raises(UsageError, match=r"^postgresql://u:\*\*\*@h names no database: add /DATA"):
        read(AUTODS_CATALOG="postgresql://u:hush@h").catalog_url("x")
    with pytest.raises(UsageError, match="names no database: add /DATABASE, or set DB_NAME"):
        read(**SERVER).source_database_url()


def test_the_source_of_predictions_is_another_database() -> None:
    said = {"DB_USER": "reader", "DB_PASSWORD": "p@ss", "DB_NAME": "styles"}
    assert read(**SERVER, **said).source_database_url() == (
        "postgresql+psycopg://reader:p%40ss@postgres:5432/styles"
    )
    assert read(**said).catalog_url("/w/catalog.db") == "/w/catalog.db"


def test_the_store_is_chosen_by_its_url_alone() -> None:
    told = read(MINIO_ENDPOINT="minio:9000", ML_ARTIFACTS_BUCKET="ml-artifacts")
    assert (told.store_url("/w/store"), told.cold_store_url()) == ("/w/store", None)
    told = read(AUTODS_STORE="s3://", AUTODS_COLD_STORE="s3://cold/a/")
    assert (told.store_url("/w/store"), told.cold_store_url()) == ("s3://", "s3://cold/a")


# The S3 server and who enters it.

MINIO = {"MINIO_ROOT_USER": "root", "MINIO_ROOT_PASSWORD": "hush"}
AWS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "hush2", "AWS_SESSION_TOKEN": "hush3"}
AT_MINIO, AT_OTHER = {"MINIO_ENDPOINT": "minio:9000"}, {"AWS_ENDPOINT_URL": "https://s3.example"}
ACCESS: list[tuple[dict[str, str], S3Access]] = [
    ({}, S3Access()),
    ({"AWS_REGION": "eu-west-1"}, S3Access(region="eu-west-1")),
    (AWS, S3Access(None, "AKIA", "hush2", "hush3")),
    (AT_MINIO | MINIO, S3Access("http://minio:9000", "root", "hush")),
    (AT_MINIO | AWS, S3Access("http://minio:9000", "AKIA", "hush2", "hush3")),
    (AT_MINIO | MINIO | AWS, S3Access("http://minio:9000", "root", "hush")),
    (AT_OTHER | MINIO, S3Access("https://s3.example", "root", "hush")),
    (AT_OTHER | MINIO | AWS, S3Access("https://s3.example", "AKIA", "hush2", "hush3")),
    (AT_OTHER | AT_MINIO, S3Access("http://minio:9000")),
    (MINIO | AWS, S3Access(None, "AKIA", "hush2", "hush3")),
    ({"MINIO_ENDPOINT": "https://m:9000/"}, S3Access("https://m:9000")),
]  # fmt: skip


@pytest.mark.parametrize(("said", "access"), ACCESS)
def test_a_pair_belongs_to_its_server(said: dict[str, str], access: S3Access) -> None:
    assert read(**said).s3_access() == access


def test_a_seed_s_own_server_is_for_its_recipe_alone() -> None:
    assert read().s3_access().endpoint is None
    assert read().s3_access("minio:9000").endpoint == "http://minio:9000"
    assert read(**MINIO, **AWS).s3_access("minio:9000").access_key == "root"
    assert read(**AT_OTHER).s3_access("minio:9000").endpoint == "https://s3.example"


def test_half_a_pair_is_an_error_where_it_is_needed() -> None:
    half = {"MINIO_ROOT_USER": "root"}
    with pytest.raises(
        UsageError, match=r"^environment MINIO_ROOT_USER is set, MINIO_ROOT_PASSWOR"
    ):
        read(**half).s3_access()
    assert read(**half, **AWS).s3_access().access_key == "AKIA"
    with pytest.raises(UsageError, match="AWS_SECRET_ACCESS_KEY is set, AWS_ACCESS_KEY_ID is not"):
        read(AWS_SECRET_ACCESS_KEY="hush").s3_access()


# Nothing secret is shown, wherever it is looked at.

HUSHED = {
    name: "hush/hush" for name in VARIABLES
    if re.search("PASSWORD|SECRET|TOKEN|ROOT_USER|KEY_ID", name)
} | {
    "AUTODS_CATALOG": "postgresql://ann:hush@db/cats?sslpassword=hush",
    "MLFLOW_BACKEND_STORE_URI": "postgresql://u:hush@h/d",
    "MLFLOW_TRACKING_URI": "https://u:hush@mlflow",
}  # fmt: skip


def test_no_secret_is_shown() -> None:
    told = read(**HUSHED)
    assert len(HUSHED) == 10
    looks = [
        repr(told), str(told), f"{told}", json.dumps(told.as_json()),
        repr(dataclasses.asdict(told)),
        repr(told.s3_access()), str(told.s3_access()), repr(told.postgres_password),
        f"{told.aws_session_token:}", shown_url(told.catalog_url("")),
    ]  # fmt: skip
    assert [look for look in looks[:4] + looks[5:] if "hush" in look] == []
    assert "hush/hush" not in looks[4]  # What is taken apart shows its URLs, never its secrets.
    assert told.as_json()["db_password"] == {"value": "***", "origin": "environment DB_PASSWORD"}
    assert told.as_json()["aws_region"] == {"value": None, "origin": "default"}
    assert "catalog='postgresql://ann:***@db/cats?sslpassword=***'" in repr(told)


@pytest.mark.parametrize(
    "said",
    [
        "AUTODS_CATALOG=oracle://u:hush@h/d", "AUTODS_CATALOG=postgresql://u:hush",
        "AUTODS_CATALOG=postgresql://u:hush@h:x/d", "AUTODS_STORE=s3://u:hush@cats",
        "MINIO_ENDPOINT=u:hush@minio", "AWS_ENDPOINT_URL=https://h/?token=hush",
        "PREFECT_API_URL=ftp://u:hush@h", "POSTGRES_HOST=postgresql://u:hush@h",
    ],
)  # fmt: skip
def test_no_secret_is_in_an_error_and_its_traceback(said: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(said)
    with pytest.raises(UsageError) as caught:
        read(tmp_path)
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_settings_travel_and_never_change() -> None:
    told = read(**HUSHED)
    again = pickle.loads(pickle.dumps(told))
    assert (again, again.origins) == (told, told.origins)
    assert plain(again.postgres_password) == "hush/hush"
    assert pickle.loads(pickle.dumps(told.s3_access())) == told.s3_access()
    with pytest.raises(dataclasses.FrozenInstanceError):
        told.catalog = "x"  # type: ignore[misc]
    with pytest.raises(UsageError, match="no setting 'catlog': did you mean 'catalog'"):
        told.origin("catlog")
    assert Secret("a") == Secret("a") != Secret("b")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != "a"


def test_reading_loads_no_heavy_library(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTGRES_PORT=1\n")
    code = (
        "import sys; from pathlib import Path; from autods.settings import Settings\n"
        "Settings.read(Path(sys.argv[1])).catalog_url('postgresql://h/d')\n"
        "print([n for n in ('pydantic', 'sqlalchemy', 'yaml', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


# The documentation.


def written(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def test_the_table_of_the_documentation_is_the_code_s() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[A-Z].*?) \|.*?\| ?(.*?) ?\| ?\d? ?\|$", text, re.MULTILINE)
    said = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    assert said == {name: written(getattr(Settings(), key)) for name, key in VARIABLES.items()}
    assert list(said) == list(VARIABLES)
    named = re.findall(r"`((?:AUTODS|POSTGRES|DB|MINIO|AWS|MLFLOW)_[A-Z_0-9]*[A-Z0-9])`", text)
    assert set(named) <= set(VARIABLES)
