"""What deploy/ asks of autods is what autods does, and its images are built of what is locked."""

import importlib
import pkgutil
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement

import autods.cli
from autods.api.server import listen
from autods.errors import UsageError
from autods.recipes.candidates.config import read_candidates
from autods.recipes.file import read_recipe
from autods.settings.environment import VARIABLES, Settings
from deployment import (
    DEPLOY,
    EXAMPLE,
    KUBERNETES,
    OURS,
    PROBES,
    PROJECT,
    ROOT,
    SERVICES,
    containers,
    environment,
    instructions,
    manifests,
    of_kind,
    resolved,
    variables_of,
)

SECRETS = {"postgres_user", "postgres_password", "minio_root_user", "minio_root_password"}


@pytest.fixture(scope="module")
def commands() -> Mapping[str, click.Command]:
    """Every command of the real command line; its modules add them when they are imported."""
    for module in pkgutil.iter_modules(autods.cli.__path__):
        importlib.import_module(f"autods.cli.{module.name}")
    return autods.cli.autods.commands


def compose_commands() -> Iterator[tuple[str, list[str]]]:
    for name, service in SERVICES.items():
        if service["image"] == OURS and "entrypoint" not in service:
            yield f"compose {name}", service["command"]


def kubernetes_commands() -> Iterator[tuple[str, list[str]]]:
    for kind, container in containers(manifests()):
        if container["image"] == "autods":
            yield f"{kind} {container['name']}", container["args"]
            for probe in PROBES & set(container):
                command = container[probe]["exec"]["command"]
                yield f"{kind} {container['name']} {probe}", command[1:]


def dockerfile_commands() -> Iterator[tuple[str, list[str]]]:
    for word, rest in instructions(DEPLOY / "Dockerfile"):
        if word == "HEALTHCHECK":
            yield "Dockerfile", yaml.safe_load(rest.partition("CMD ")[2])[1:]


def documented_commands() -> Iterator[tuple[str, list[str]]]:
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    for line in re.findall(r"`autods ([^`]+)`", text):
        yield f"docs: autods {line}", shlex.split(line)


def test_every_command_is_one_of_the_command_line(commands: Mapping[str, click.Command]) -> None:
    said = [
        *compose_commands(),
        *kubernetes_commands(),
        *dockerfile_commands(),
        *documented_commands(),
    ]
    assert len(said) > 15
    wrong = {where: why for where, words in said if (why := misuse(commands, words))}
    assert wrong == {}


def misuse(commands: Mapping[str, click.Command], words: list[str]) -> str:
    """Tell what is wrong with a command, or nothing; it is parsed, not run."""
    name, *rest = words
    if name not in commands:
        return f"no command {name}"
    try:
        commands[name].make_context(name, rest)
    except click.UsageError as error:
        return error.format_message()
    return ""


def test_the_api_of_deploy_is_said_to_be_of_no_use_as_long_as_autods_refuses_to_listen() -> None:
    [host] = re.findall(r"--host (\S+)", " ".join(SERVICES["api"]["command"]))
    with pytest.raises(UsageError, match=f"cannot listen on {host}.*issue 7"):
        listen(host, 0)
    assert SERVICES["api"]["profiles"] == ["api"], "nobody starts it without asking for it"
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    [row] = re.findall(r"^\| `api` \| .*", page, re.MULTILINE)
    assert "**not yet**" in row


def test_a_worker_of_prefect_runs_our_image_with_the_prefect_of_its_server() -> None:
    assert SERVICES["prefect-worker"]["image"] == SERVICES["flows"]["image"] == OURS
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    [version] = re.findall(r"^prefect==(\S+)", locked, re.MULTILINE)
    assert SERVICES["prefect-server"]["image"] == f"prefecthq/prefect:{version}-python3.11"


def test_the_worker_finds_what_was_deployed_where_it_was_said_to_be() -> None:
    flows, worker = SERVICES["flows"], SERVICES["prefect-worker"]
    assert worker["volumes"] == flows["volumes"]
    assert worker["entrypoint"][:3] == ["prefect", "worker", "start"]
    settings = Settings.read(Path("/nowhere"), environment=resolved(environment(flows), named()))
    assert resolved(worker["command"], named()) == ["--pool", settings.prefect_work_pool]
    recipe, root = Path(flows["command"][2]), flows["command"][4]
    assert root in {mount.split(":")[-1] for mount in flows["volumes"]}
    workers = read_candidates(DEPLOY / "recipe" / recipe.name).recipe.workers
    assert workers
    assert workers <= float(worker["deploy"]["resources"]["limits"]["cpus"])


def named() -> dict[str, str]:
    """The variables of the example, with something for each secret."""
    return {name: value or "x" for name, value in variables_of(EXAMPLE).items()}


@pytest.mark.parametrize("folder", [DEPLOY / "recipe", KUBERNETES / "overlays" / "example"])
def test_an_example_recipe_is_one_and_asks_for_no_more_than_it_may_have(folder: Path) -> None:
    recipe = read_recipe(folder / "recipe.yaml").recipe
    assert recipe.workers
    given = [SERVICES["ingest"]["deploy"]["resources"]["limits"]["cpus"]]
    for _, container in containers(manifests()):
        if container["image"] == "autods":
            given.append(container["resources"]["limits"]["cpu"])
    assert len(given) == 5
    assert recipe.workers <= min(map(float, given))


NOT_OF_PLACES = re.compile(
    r"db_|prefect_|mlflow_|airflow_|data_path|\w+_percentage|balancing_|random_"
)
"""Settings of sources, of other programs and of the growth: not for every service."""


PLACES = {
    name: key
    for name, key in VARIABLES.items()
    if not NOT_OF_PLACES.match(key) and (name == "AWS_REGION" or not name.startswith("AWS_"))
}
"""AWS's other names are left out: the MINIO_ ones serve for its servers, too."""


each_place = pytest.mark.parametrize("key", dict.fromkeys(PLACES.values()))


@each_place
def test_every_setting_of_a_place_reaches_autods_in_compose(key: str) -> None:
    names = {name for name, its in PLACES.items() if its == key}
    example = variables_of(EXAMPLE)
    for service in (it for it in SERVICES.values() if it["image"] == OURS):
        [name] = names & set(environment(service))
        value = environment(service)[name]
        by_itself = {"AUTODS_CATALOG": "postgresql://", "POSTGRES_HOST": "postgres"}
        by_itself["POSTGRES_PORT"] = "5432"  # That of .env is the port on this machine.
        if name in by_itself:
            assert value == by_itself[name]
        else:
            assert value.startswith(f"${{{name}:"), "what .env says is not passed on"
            assert name in example


@each_place
def test_every_setting_of_a_place_reaches_autods_in_kubernetes(key: str) -> None:
    names = {name for name, its in PLACES.items() if its == key}
    found = manifests()
    said = of_kind(found, "ConfigMap")["autods-settings"]["data"]
    hidden = of_kind(found, "Secret")["autods-secrets"]["data"]
    [name] = names & (set(said) | set(hidden))
    assert (name in hidden) == (VARIABLES[name] in SECRETS)


@pytest.mark.parametrize("key", ["hot_storage_threshold", "patience"])
def test_a_default_of_deploy_is_that_of_the_settings(key: str) -> None:
    said = of_kind(manifests(), "ConfigMap")["autods-settings"]["data"]
    for place in (variables_of(EXAMPLE), said):
        [default] = [place[name] for name, its in PLACES.items() if its == key and name in place]
        assert float(default) == getattr(Settings, key)


def test_every_variable_of_the_databases_is_documented() -> None:
    script = (DEPLOY / "databases.sh").read_text()
    asked = set(re.findall(r"\$\{(\w+):-\}", script)) | {"PGHOST", "PGPASSWORD"}
    assert len(asked) == 9
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert [name for name in asked if f"`{name}`" not in page] == []


IMAGES = [DEPLOY / "Dockerfile", DEPLOY / "mlflow" / "Dockerfile"]


each_image = pytest.mark.parametrize("file", IMAGES, ids=lambda path: path.parent.name)


@each_image
def test_an_image_is_built_in_stages_from_a_pinned_base(file: Path) -> None:
    bases = [rest.split() for word, rest in instructions(file) if word == "FROM"]
    stages = {words[2] for words in bases if len(words) > 1}
    assert len(bases) > 2
    [outside] = {words[0] for words in bases} - stages
    version = re.fullmatch(r"python:(3\.\d+)\.\d+-slim-\w+", outside)
    assert version, "a base without its last number is another one tomorrow"
    assert version[1] >= PROJECT["requires-python"].removeprefix(">="), version[1]


@each_image
def test_an_image_runs_as_a_user_without_rights_and_is_asked_how_it_is(file: Path) -> None:
    steps = dict(instructions(file))
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", steps["USER"])
    assert [word for word, _ in instructions(file)].index("USER") > 3
    assert steps["HEALTHCHECK"]
    assert steps["ENTRYPOINT"].startswith('["'), "a shell in between would keep signals back"


@each_image
def test_every_package_of_an_image_is_installed_by_its_hash(file: Path) -> None:
    runs = " && ".join(rest for word, rest in instructions(file) if word == "RUN")
    installs = [step for step in runs.split(" && ") if re.search(r"pip (install|wheel)", step)]
    assert installs
    for step in installs:
        by_hash = "--require-hashes --only-binary :all: -r" in step
        nothing_fetched = "--no-deps" in step and re.search("--no-(index|build-isolation)", step)
        assert by_hash or nothing_fetched, step
    assert "curl" not in runs
    assert "apt" not in runs


@each_image
def test_what_an_image_copies_is_there_and_not_ignored(file: Path) -> None:
    context = ROOT if file.parent == DEPLOY else file.parent
    copied = [
        source
        for word, rest in instructions(file)
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (context / source).exists(), source
        assert let_through(context, source), f"{source} is kept from the engine"
    for secret in (".env", "deploy/.env", ".git/config", "demo/x.jpg", ".venv/bin/python"):
        assert not let_through(context, secret)


def let_through(context: Path, path: str) -> bool:
    """Judge as `.dockerignore` does: the last line that matches decides."""
    through = True
    for line in (context / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and line[0] != "#" and (fnmatch(path, pattern) or path.startswith(f"{pattern}/")):
            through = line.startswith("!")
    return through


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        (DEPLOY / "build.lock", ["hatchling>=1.27"]),
        (
            DEPLOY / "mlflow" / "requirements.lock",
            (DEPLOY / "mlflow" / "requirements.in").read_text().splitlines(),
        ),
    ],
    ids=["build", "mlflow"],
)
def test_a_lock_holds_what_is_wanted_with_hashes_and_without_an_address(
    lock: Path, wanted: list[str]
) -> None:
    text = lock.read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
    for requirement in map(Requirement, wanted):
        assert pinned[requirement.name] in requirement.specifier
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) == len(re.findall("==", re.sub("#.*|;.*", "", text)))
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text


def test_the_locked_build_tool_is_the_projects() -> None:
    system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    assert system["requires"] == ["hatchling>=1.27"]


def test_no_file_names_a_host_but_its_own_and_examples() -> None:
    own = {"127.0.0.1", "localhost", "HOST", "s3", "s3.amazonaws.com", *SERVICES}
    files = [path for path in DEPLOY.rglob("*") if path.suffix != ".pyc" and path.is_file()]
    for path in [*files, ROOT / ".dockerignore", ROOT / "docs" / "deploy.md"]:
        text = path.read_text(encoding="utf-8")
        hosts = {host for host in re.findall(r"https?://([\w.-]+)", text) if host not in own}
        assert [host for host in hosts if not host.endswith("example.org")] == [], path
        assert not re.search("--(extra-)?index-url|--find-links", text), path
