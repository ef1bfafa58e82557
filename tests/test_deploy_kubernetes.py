"""The manifests are valid, safe, and refer to nothing that is not there."""

import importlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from autods.errors import BudgetError, PlaceError, UsageError
from autods.settings.environment import VARIABLES, Settings
from deployment import (
    KUBERNETES,
    PROBES,
    PROJECT,
    SERVICES,
    UPSTREAM,
    built,
    check_image,
    containers,
    environment,
    loaded,
    manifests,
    of_kind,
    pod_of,
)

kubernetes_validate: Any = importlib.import_module("kubernetes_validate")

WAYS = ["files", *(["kubectl"] if shutil.which("kubectl") else [])]
"""Where kubectl is, its word counts as well; nothing is skipped where it is not."""


@pytest.fixture(params=WAYS)
def resources(request: pytest.FixtureRequest, tmp_path: Path) -> list[dict[str, Any]]:
    return manifests() if request.param == "files" else rendered(tmp_path)


def rendered(folder: Path) -> list[dict[str, Any]]:
    """The same by kubectl itself, in a copy where the secrets have been filled in."""
    return rendered_in(copied(folder))


def copied(folder: Path) -> Path:
    copy = folder / "kubernetes"
    shutil.copytree(KUBERNETES, copy, dirs_exist_ok=True)
    return copy


def rendered_in(copy: Path) -> list[dict[str, Any]]:
    for example in copy.rglob("*.env.example"):
        filled = example.read_text().replace("=\n", "=x@:/?\n")
        example.with_suffix("").write_text(filled)
    command = ["kubectl", "kustomize", str(copy / "overlays" / "example")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


FIRST_BUILD = "../../components/first-build"


def with_components(way: str, folder: Path, *names: str) -> list[dict[str, Any]]:
    """The example with these components, and a certificate for the one that wants it."""
    copy = copied(folder)
    overlay = copy / "overlays" / "example"
    plan = loaded(overlay / "kustomization.yaml")
    plan["components"] = list(names)
    (overlay / "ca.pem").write_text("a certificate")
    plan["configMapGenerator"].append({"name": "private-ca", "files": ["ca.pem"]})
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(plan))
    return built(overlay) if way == "files" else rendered_in(copy)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.34", kubernetes_validate.latest_version()])
def test_a_manifest_is_one(resources: list[dict[str, Any]], version: str) -> None:
    assert len(resources) > 20
    for resource in resources:
        kubernetes_validate.validate(resource, version, strict=True)


def test_all_that_seed_4_has_is_there(resources: list[dict[str, Any]]) -> None:
    kinds = {(it["kind"], it["metadata"]["name"]) for it in resources}
    assert {
        ("Namespace", "autods"),
        ("Deployment", "ingest"),
        ("StatefulSet", "preprocess"),
        ("HorizontalPodAutoscaler", "preprocess"),
        ("Deployment", "labeling"),
        ("Service", "labeling"),
        ("PersistentVolumeClaim", "labeling"),
        ("Job", "sharder-now"),
        ("CronJob", "sharder"),
        ("ServiceAccount", "sharder"),
        ("PodDisruptionBudget", "ingest"),
        ("PodDisruptionBudget", "preprocess"),
    } <= kinds
    assert of_kind(resources, "Deployment")["ingest"]["spec"]["replicas"] >= 2
    assert {it["metadata"].get("namespace") for it in resources} == {"autods", None}
    assert len([it for it in resources if "namespace" not in it["metadata"]]) == 1


def test_every_file_of_a_kustomization_is_in_it() -> None:
    for plan in KUBERNETES.rglob("kustomization.yaml"):
        text = plan.read_text()
        for path in plan.parent.iterdir():
            assert path.name.removesuffix(".example") in text or path == plan, path


def test_a_container_has_limits_probes_and_few_rights(resources: list[dict[str, Any]]) -> None:
    for kind, container in containers(resources):
        where = f"{kind} {container['name']}"
        needs, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert {"cpu", "memory"} <= set(needs) & set(limits), where
        rights = container["securityContext"]
        assert rights["capabilities"] == {"drop": ["ALL"]}, where
        assert rights["allowPrivilegeEscalation"] is False, where
        assert rights["readOnlyRootFilesystem"] is (container["name"] != "label-studio"), where
        probes = set(container) & PROBES
        if kind in ("Job", "CronJob"):
            assert not probes, f"{where} ends by itself"
        elif container.get("ports"):
            assert probes == PROBES, where
        else:
            assert probes == {"readinessProbe"}, f"{where}: a database that is away restarts it"


def test_a_pod_is_nobody_of_importance(resources: list[dict[str, Any]]) -> None:
    for pod in filter(None, map(pod_of, resources)):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["serviceAccountName"] in of_kind(resources, "ServiceAccount")
        rights = spec["securityContext"]
        assert rights["runAsNonRoot"] is True
        assert rights["runAsUser"] > 1000
        assert rights["seccompProfile"] == {"type": "RuntimeDefault"}


def test_an_image_of_kubernetes_is_pinned() -> None:
    plans = [loaded(path) for path in KUBERNETES.rglob("kustomization.yaml")]
    given = [image for plan in plans for image in plan.get("images", [])]
    assert {image["name"] for image in given} == {"autods"}
    assert {image["newTag"] for image in given} == {PROJECT["version"]}
    for _, container in containers(manifests()):
        if container["image"] != "autods":
            check_image(container["image"])
            assert container["image"] == SERVICES["label-studio"]["image"]


def test_what_a_pod_refers_to_is_there(resources: list[dict[str, Any]]) -> None:
    sources = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
    for resource in resources:
        spec = (pod_of(resource) or {}).get("spec")
        if not spec:
            continue
        own = [it["metadata"]["name"] for it in resource["spec"].get("volumeClaimTemplates", [])]
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in of_kind(resources, "ConfigMap")
            elif claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in of_kind(resources, "PersistentVolumeClaim")
            else:
                assert volume["emptyDir"]["sizeLimit"]
        for container in spec["containers"]:
            for source in container["envFrom"]:
                [(kind, named)] = source.items()
                assert named["name"] in of_kind(resources, sources[kind])
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted == {volume["name"] for volume in spec["volumes"]} | set(own)


def test_who_chooses_pods_finds_some(resources: list[dict[str, Any]]) -> None:
    pods = {
        (resource["kind"], resource["metadata"]["name"]): pod["metadata"]["labels"]
        for resource in resources
        if (pod := pod_of(resource))
    }
    for resource in resources:
        spec = resource.get("spec") or {}
        if target := spec.get("scaleTargetRef"):
            assert (target["kind"], target["name"]) in pods
            assert "replicas" not in of_kind(resources, target["kind"])[target["name"]]["spec"]
        chosen = spec.get("selector") or spec.get("podSelector") or {}
        wanted = chosen.get("matchLabels", chosen)
        assert not wanted or any(wanted.items() <= labels.items() for labels in pods.values())


def test_the_settings_of_kubernetes_lead_to_its_places() -> None:
    configs, secrets = (of_kind(manifests(), kind) for kind in ("ConfigMap", "Secret"))
    empty = secrets["autods-secrets"]["data"]
    assert not any(empty.values()), "the example holds a secret"
    said = configs["autods-settings"]["data"] | dict.fromkeys(empty, "x y@z")
    assert set(said) <= set(VARIABLES)
    settings = Settings.read(Path("/nowhere"), environment=said)
    url = "postgresql+psycopg://x%20y%40z:x%20y%40z@postgres.example.org:5432/autods_db"
    assert settings.catalog_url("") == url
    assert settings.store_url("") == "s3://"
    assert settings.s3_access().secret_key == "x y@z"


def test_label_studio_gets_the_same_in_both_places() -> None:
    configs, secrets = (of_kind(manifests(), kind) for kind in ("ConfigMap", "Secret"))
    said = configs["labeling-settings"]["data"] | secrets["labeling-secrets"]["data"]
    assert not any(secrets["labeling-secrets"]["data"].values())
    known = UPSTREAM["heartexlabs/label-studio"]
    assert [name for name in said if not re.fullmatch(known, name)] == []
    missing = set(environment(SERVICES["label-studio"])) - set(said)
    assert missing == {"LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN"}


def test_a_job_that_cannot_get_better_is_not_tried_again(resources: list[dict[str, Any]]) -> None:
    for resource in of_kind(resources, "Job", "CronJob").values():
        spec = resource["spec"].get("jobTemplate", resource)["spec"]
        [rule] = [it for it in spec["podFailurePolicy"]["rules"] if it["action"] == "FailJob"]
        codes = rule["onExitCodes"]["values"]
        assert codes == [UsageError.exit_code, BudgetError.exit_code]
        assert PlaceError.exit_code not in codes
        assert spec["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_without_its_component_nothing_is_left_of_label_studio(way: str, tmp_path: Path) -> None:
    with_it = with_components(way, tmp_path / "with", FIRST_BUILD, "labeling")
    without = with_components(way, tmp_path / "without", FIRST_BUILD)
    gone = names_of(with_it) - names_of(without)
    assert sorted(kind for kind, _ in gone) == [
        "ConfigMap",
        "Deployment",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "Secret",
        "Service",
        "ServiceAccount",
    ]
    assert not re.search("label-?studio|labeling", str(without), re.IGNORECASE)


def names_of(resources: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(it["kind"], it["metadata"]["name"]) for it in resources}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("component", "mount"), [("sources", "/sources"), ("private-ca", "/ca")])
def test_a_component_with_a_volume_gives_it_to_all_that_run_autods(
    component: str, mount: str, way: str, tmp_path: Path
) -> None:
    added = f"../../components/{component}"
    found = with_components(way, tmp_path, FIRST_BUILD, "labeling", added)
    for resource in found:
        kubernetes_validate.validate(resource, "1.34", strict=True)
    test_what_a_pod_refers_to_is_there(found)
    ours = [it for _, it in containers(found) if it["name"] != "label-studio"]
    given = [[m["mountPath"] for m in it["volumeMounts"] if m.get("readOnly")] for it in ours]
    assert given == [["/recipe", mount]] * 4
    named = {"name": "SSL_CERT_FILE", "value": "/ca/ca.pem"}
    assert {named in it.get("env", []) for it in ours} == {component == "private-ca"}


@pytest.mark.slow
def test_the_component_for_cards_changes_the_workers_and_nothing_else(tmp_path: Path) -> None:
    patch = loaded(KUBERNETES / "components" / "gpu" / "preprocess.yaml")
    [container] = patch["spec"]["template"]["spec"]["containers"]
    named = {c["name"] for kind, c in containers(manifests()) if kind == patch["kind"]}
    assert container["name"] in named
    if "kubectl" not in WAYS:
        return
    plain = rendered(tmp_path / "plain")
    overlay = tmp_path / "gpu" / "kubernetes" / "overlays" / "example" / "kustomization.yaml"
    shutil.copytree(KUBERNETES, tmp_path / "gpu" / "kubernetes")
    text = overlay.read_text().replace("/first-build\n", "/first-build\n  - ../../components/gpu\n")
    overlay.write_text(text)
    with_cards = rendered_in(tmp_path / "gpu" / "kubernetes")
    changed = [new for new, old in zip(with_cards, plain, strict=True) if new != old]
    assert [(it["kind"], it["metadata"]["name"]) for it in changed] == [
        ("StatefulSet", "preprocess")
    ]
    spec = changed[0]["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert spec["containers"][0]["resources"]["limits"]["cpu"] == "2"
