"""What the tests of deploy/ read: its files, and the variables, pods and containers in them."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


DEPLOY = ROOT / "deploy"


KUBERNETES = DEPLOY / "kubernetes"


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


OURS = f"autods:{PROJECT['version']}"


PROBES = {"startupProbe", "readinessProbe", "livenessProbe"}


UPSTREAM = {
    "pgvector/pgvector": r"POSTGRES_PASSWORD",
    "prefecthq/prefect": r"HOME|DO_NOT_TRACK|PREFECT_(HOME|API_URL|UI_API_URL)"
    r"|PREFECT_SERVER_(ANALYTICS_ENABLED|DATABASE_(DRIVER|HOST|PORT|USER|PASSWORD|NAME))",
    "autods-mlflow": r"MLFLOW_(BACKEND_STORE_URI|ARTIFACTS_DESTINATION)|PGPASSWORD|DO_NOT_TRACK"
    r"|MLFLOW_SERVER_(ALLOWED_HOSTS|ENABLE_JOB_EXECUTION)"
    r"|AWS_(ENDPOINT_URL|ACCESS_KEY_ID|SECRET_ACCESS_KEY|DEFAULT_REGION)",
    "heartexlabs/label-studio": r"DJANGO_DB|POSTGRE_(HOST|PORT|USER|PASSWORD|NAME)"
    r"|LABEL_STUDIO_(USERNAME|PASSWORD|HOST|DISABLE_SIGNUP_WITHOUT_LINK|ENABLE_LEGACY_API_TOKEN)",
    "valkey/valkey": r"REDIS_PASSWORD",
}
"""What the image of each program understands, by its documentation or its source."""


REFERENCE = re.compile(r"\$\{(\w+)(?::([-?])([^{}]*))?\}")


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


COMPOSE = loaded(DEPLOY / "compose.yaml")


S3 = loaded(DEPLOY / "compose.s3.yaml")


SERVICES: dict[str, Any] = COMPOSE["services"] | {"s3": S3["services"]["s3"]}


EXAMPLE = (DEPLOY / "env.example").read_text(encoding="utf-8")


def variables_of(text: str) -> dict[str, str]:
    lines = (line.partition("=") for line in text.splitlines() if line and line[0] != "#")
    return {name: value for name, _, value in lines}


def resolved(value: Any, variables: Mapping[str, str]) -> Any:
    """Put variables in as Compose does; a wanted one that is empty is an error."""

    def put(found: re.Match[str]) -> str:
        name, kind, other = found.groups()
        assert variables.get(name) or kind != "?", f"{name}: {other}"
        return variables.get(name) or (other if kind == "-" else "")

    if isinstance(value, dict):
        return {key: resolved(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, variables) for item in value]
    return REFERENCE.sub(put, value).replace("$$", "$") if isinstance(value, str) else value


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    said = service.get("environment", {})
    return said if isinstance(said, dict) else dict(line.split("=", 1) for line in said)


def check_image(image: str) -> None:
    repository, _, tag = image.partition(":")
    assert re.match(r"v?\d+\.\d+", tag), f"{image}: no version, and no digest either"
    assert "." not in repository.partition("/")[0] or repository.startswith("registry.example.org/")
    assert not repository.startswith("autods") or tag in (PROJECT["version"], mlflow_version())


def mlflow_version() -> str:
    text = (DEPLOY / "mlflow" / "requirements.in").read_text()
    return Requirement(text.splitlines()[0]).specifier.__str__().removeprefix("==")


def instructions(file: Path) -> list[tuple[str, str]]:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined)]


def built(folder: Path, onto: Iterable[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """Read a kustomization as kubectl does, but for merging patches and the hashes in names."""
    plan = loaded(folder / "kustomization.yaml")
    found = list(onto)
    for name in plan.get("resources", []):
        path = folder / name
        found += built(path) if path.is_dir() else yaml.safe_load_all(path.read_text())
    for kind in ("ConfigMap", "Secret"):
        for asked in plan.get(f"{kind[0].lower()}{kind[1:]}Generator", []):
            made = {"kind": kind, "name": asked["name"]}
            old = [it for it in found if (it["kind"], it["metadata"]["name"]) == (*made.values(),)]
            assert bool(old) == (asked.get("behavior") == "merge"), made
            data = {**(old[0]["data"] if old else {}), **generated(asked, folder)}
            found = [it for it in found if it not in old]
            meta = {"name": asked["name"]}
            found.append({"apiVersion": "v1", "kind": kind, "metadata": meta, "data": data})
    for name in plan.get("components", []):
        found = built(folder / name, found)
    for patch in plan.get("patches", []):
        if "target" in patch:
            patched(found, patch["target"], yaml.safe_load(patch["patch"]))
    for resource in found:
        if "namespace" in plan and resource["kind"] != "Namespace":
            resource["metadata"].setdefault("namespace", plan["namespace"])
    return found


def patched(
    resources: Iterable[dict[str, Any]], target: Mapping[str, str], steps: list[dict[str, Any]]
) -> None:
    """Add what a JSON patch adds, to whatever its target's patterns match."""
    for resource in resources:
        named = {"kind": resource["kind"], "name": resource["metadata"]["name"]}
        if not all(re.fullmatch(pattern, named[key]) for key, pattern in target.items()):
            continue
        for step in steps:
            assert step["op"] == "add"
            *way, last = step["path"].split("/")[1:]
            at: Any = resource
            for word in way:
                at = at[int(word)] if isinstance(at, list) else at[word]
            at.insert(len(at), step["value"]) if last == "-" else at.update({last: step["value"]})


def generated(asked: Mapping[str, Any], folder: Path) -> dict[str, str]:
    lines = "\n".join(asked.get("literals", []))
    for name in asked.get("envs", []):
        lines += "\n" + (folder / f"{name}.example").read_text()
    return variables_of(lines) | {n: (folder / n).read_text() for n in asked.get("files", [])}


def manifests() -> list[dict[str, Any]]:
    return built(KUBERNETES / "overlays" / "example")


def of_kind(resources: Iterable[dict[str, Any]], *kinds: str) -> dict[str, dict[str, Any]]:
    return {it["metadata"]["name"]: it for it in resources if it["kind"] in kinds}


def pod_of(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    spec = resource.get("spec") or {}
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    pod: dict[str, Any] | None = spec.get("template")
    return pod


def containers(resources: Iterable[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in resources:
        for container in (pod_of(resource) or {"spec": {"containers": []}})["spec"]["containers"]:
            yield resource["kind"], container
