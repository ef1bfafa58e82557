"""The Compose files are valid, safe, and lead to the places that they start."""

import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from autods.settings.environment import VARIABLES, Settings
from deployment import (
    COMPOSE,
    DEPLOY,
    EXAMPLE,
    OURS,
    REFERENCE,
    ROOT,
    S3,
    SERVICES,
    UPSTREAM,
    check_image,
    environment,
    instructions,
    loaded,
    resolved,
    variables_of,
)

each_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture
def secrets(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables that `secrets.sh` writes, run for real in a copy."""
    for name in ("secrets.sh", "env.example"):
        shutil.copy(DEPLOY / name, tmp_path)
    subprocess.run(["sh", "secrets.sh"], cwd=tmp_path, check=True, capture_output=True)
    yield variables_of((tmp_path / ".env").read_text())
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    again = subprocess.run(["sh", "secrets.sh"], cwd=tmp_path, check=False, capture_output=True)
    assert again.returncode == 1, "a second run must not change passwords that are in use"


def test_every_variable_is_in_the_example_and_every_one_of_the_example_is_used() -> None:
    text = "".join((DEPLOY / n).read_text() for n in ("compose.yaml", "compose.s3.yaml"))
    used = {name for name, *_ in REFERENCE.findall(text)}
    assert used | {"COMPOSE_PROFILES", "COMPOSE_FILE"} == set(variables_of(EXAMPLE))


def test_the_prefect_of_compose_is_the_one_that_was_tried() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    [tried] = re.findall(r"Prefect (\d+\.\d+\.\d+) \(server and worker\)", page)
    assert SERVICES["prefect-server"]["image"] == f"prefecthq/prefect:{tried}-python3.11"


def test_a_default_is_the_same_in_both_places() -> None:
    example = variables_of(EXAMPLE)
    text = (DEPLOY / "compose.yaml").read_text() + (DEPLOY / "compose.s3.yaml").read_text()
    said = {(name, other) for name, kind, other in REFERENCE.findall(text) if kind == "-" and other}
    assert said
    assert [(n, d) for n, d in sorted(said) if example[n] != d] == []


def test_secrets_are_nowhere_but_in_the_environment(secrets: dict[str, str]) -> None:
    empty = {name for name, value in variables_of(EXAMPLE).items() if name.endswith("PASSWORD")}
    assert all(not variables_of(EXAMPLE)[name] for name in empty)
    assert len({secrets[name] for name in empty}) == len(empty), "one secret for two programs"
    for service in SERVICES.values():
        for name, value in environment(service).items():
            if re.search("PASSWORD|SECRET|KEY|TOKEN$", name.partition(":")[0]):
                assert re.match(r"\$\{\w+:[?-]", value), f"{name} is written out"
    for name in empty:
        references = re.findall(rf"\$\{{{name}\b(.)(.)", str(SERVICES))
        assert references, name
        assert set(references) == {(":", "?")}, f"{name} must be asked for"


def test_every_variable_given_to_autods_is_understood_by_its_settings() -> None:
    ours = [service for service in SERVICES.values() if service["image"] == OURS]
    assert len(ours) == 7
    said = {name for service in ours for name in environment(service)} - set(VARIABLES)
    assert said == {"PREFECT_HOME", "DO_NOT_TRACK"}, "these two are Prefect's"


@pytest.mark.parametrize(
    "name", [n for n in SERVICES if n != "s3" and SERVICES[n]["image"] != OURS]
)
def test_every_variable_given_to_another_program_is_one_of_its_own(name: str) -> None:
    service = SERVICES[name]
    known = UPSTREAM[service["image"].partition(":")[0]]
    if name == "databases":  # It runs a script of ours, and psql.
        known = "PG(HOST|USER|PASSWORD)|" + "|".join(
            re.findall(r"\$\{?([A-Z_]{8,})", (DEPLOY / "databases.sh").read_text())
        )
    assert [n for n in environment(service) if not re.fullmatch(known, n)] == []


def test_the_settings_of_compose_lead_to_its_places(secrets: dict[str, str]) -> None:
    said = environment(resolved(SERVICES["ingest"], secrets))
    settings = Settings.read(Path("/nowhere"), environment=said)
    password = secrets["POSTGRES_PASSWORD"]
    url = f"postgresql+psycopg://autods_user:{password}@postgres:5432/autods_db"
    assert settings.catalog_url("") == url
    assert settings.store_url("") == "s3://"
    access = settings.s3_access()
    assert (access.endpoint, access.access_key) == ("http://s3:9000", "autods")
    assert access.secret_key == secrets["MINIO_ROOT_PASSWORD"]


@pytest.mark.slow
@pytest.mark.parametrize("file", ["compose.yaml", "compose.s3.yaml"])
@pytest.mark.parametrize("form", ["as it is", "with its variables"])
def test_a_compose_file_is_one(
    file: str, form: str, secrets: dict[str, str], tmp_path: Path
) -> None:
    path = DEPLOY / file
    if form == "with its variables":
        named = secrets | {"S3_IMAGE": "some/server:1.2", "S3_COMMAND": "serve /data"}
        path = tmp_path / file
        path.write_text(yaml.safe_dump(resolved(loaded(DEPLOY / file), named)))
        assert "${" not in path.read_text()
    command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    tool = Path(sys.executable).with_name(command[0])
    done = subprocess.run([tool, *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@each_service
def test_an_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    if name == "s3":
        assert image.startswith("${S3_IMAGE:?"), "which server is the user's choice"
        return
    check_image(image)


@each_service
def test_a_service_has_limits_and_few_rights(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+[MG]", limits["memory"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name == "s3":
        return  # Which rights an unknown image needs is unknown.
    assert service["cap_drop"] == ["ALL"]
    assert "user" in service or "build" in service, "it would run as root"
    writes = {"prefect-server", "label-studio"}
    assert service.get("read_only", False) == (name not in writes)


@each_service
def test_a_service_is_asked_how_it_is(name: str) -> None:
    service = SERVICES[name]
    check = service.get("healthcheck", {})
    if name == "s3":
        assert not check, "the service `buckets` asks it, whatever its image can do"
    elif service["restart"] == "no":
        assert check.get("disable") or not check or "build" in service
    elif "build" in service:
        folder = DEPLOY / service["build"]["context"]
        file = folder / service["build"].get("dockerfile", "Dockerfile")
        assert "HEALTHCHECK" in [word for word, _ in instructions(file)]
    else:
        assert check["test"][0] in ("CMD", "CMD-SHELL")
        assert {"interval", "timeout", "retries"} <= set(check)


@each_service
def test_a_service_waits_for_what_it_needs(name: str) -> None:
    overlay = S3["services"].get(name, {}).get("depends_on", {})
    for other, how in (SERVICES[name].get("depends_on", {}) | overlay).items():
        needed = SERVICES[other]
        condition = how["condition"]
        assert (condition == "service_completed_successfully") == (needed["restart"] == "no")
        assert condition != "service_started" or other == "s3"
        if condition == "service_healthy":
            assert "healthcheck" in needed
        assert set(needed.get("profiles", [])) <= set(SERVICES[name].get("profiles", []))


@each_service
def test_a_port_is_open_on_this_machine_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-\d+\}:(\d+|\$\{S3_PORT:-9000\})", port)


@each_service
def test_what_a_service_mounts_and_joins_is_there(name: str, secrets: dict[str, str]) -> None:
    named = secrets | {"S3_IMAGE": "x", "S3_COMMAND": "x"}
    volumes = COMPOSE["volumes"] | S3["volumes"]
    assert set(SERVICES[name]["networks"]) <= set(COMPOSE["networks"])
    for mount in resolved(SERVICES[name].get("volumes", []), named):
        source, *target = mount.split(":")
        there = (DEPLOY / source).exists() if source.startswith(".") else source in volumes
        assert there or (source.startswith("/") and not target)


def test_profiles_are_those_that_the_documentation_names() -> None:
    profiles = {p for service in SERVICES.values() for p in service.get("profiles", [])}
    [said] = re.findall("# Any of: (.*)", EXAMPLE)
    assert set(said.split(", ")) == profiles
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert [p for p in profiles if f"`{p}`" not in page] == []
