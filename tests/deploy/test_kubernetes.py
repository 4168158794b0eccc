"""The manifests fit the schemas of Kubernetes, each other, and the programs that they start."""

from __future__ import annotations

import tomllib
from typing import Any

import kubernetes_validate
import pytest
from dask.utils import parse_bytes

from jobs.cli.running import EXIT_CODES
from tests.deploy import kustomize
from tests.deploy.commands import options_of
from tests.deploy.kustomize import Manifest
from tests.support.driver import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"


def all_of(kind: str) -> list[Manifest]:
    return [m for m in kustomize.manifests(FOLDER) if m["kind"] == kind]


def one(kind: str) -> Manifest:
    [found] = all_of(kind)
    return found


def container_of(kind: str) -> dict[str, Any]:
    [container] = kustomize.pod(one(kind))["spec"]["containers"]
    return container


@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_manifests_fit_the_schemas(version: str) -> None:
    for manifest in kustomize.manifests(FOLDER):
        assert kubernetes_validate.validate(manifest, version, strict=True) == version


def test_a_misspelled_field_is_found() -> None:
    manifest = one("CronJob")
    manifest["spec"]["jobTemplate"]["spec"]["backofLimit"] = 3
    with pytest.raises(kubernetes_validate.ValidationError, match="backofLimit"):
        kubernetes_validate.validate(manifest, "1.31", strict=True)


def _selects(selector: dict[str, str], kind: str) -> bool:
    return selector.items() <= kustomize.pod(one(kind))["metadata"]["labels"].items()


def test_labels_and_selectors_agree() -> None:
    service = one("Service")
    assert _selects(service["spec"]["selector"], "CronJob")
    assert not _selects(service["spec"]["selector"], "Deployment")
    assert _selects(one("Deployment")["spec"]["selector"]["matchLabels"], "Deployment")
    assert not _selects(one("Deployment")["spec"]["selector"]["matchLabels"], "CronJob")


def test_the_network_policies_let_driver_and_workers_speak_and_nobody_else() -> None:
    policies = {}
    for policy in all_of("NetworkPolicy"):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        selector = policy["spec"]["podSelector"]["matchLabels"]
        [kind] = [kind for kind in ("CronJob", "Deployment") if _selects(selector, kind)]
        policies[kind] = policy["spec"]
    assert set(policies) == {"CronJob", "Deployment"}
    [port] = container_of("CronJob")["ports"]
    for kind, other in (("CronJob", "Deployment"), ("Deployment", "CronJob")):
        [coming] = policies[kind]["ingress"]
        to_other, outside = policies[kind]["egress"]
        to_driver = coming if kind == "CronJob" else to_other
        assert to_driver["ports"] == [{"port": port["containerPort"]}]
        for [peer] in (coming["from"], to_other["to"]):
            assert _selects(peer["podSelector"]["matchLabels"], other)
            assert not _selects(peer["podSelector"]["matchLabels"], kind)
        assert {port["port"] for port in outside["ports"]} == {53, 443}


def test_what_pods_mount_is_there() -> None:
    made = {
        ("configMap", m["metadata"]["name"]) for m in kustomize.manifests(FOLDER) if "data" in m
    }
    secrets = set()
    for kind in ("CronJob", "Deployment"):
        spec = kustomize.pod(one(kind))["spec"]
        names = {volume["name"] for volume in spec["volumes"]}
        mounted = {
            mount["name"]
            for container in kustomize.containers(one(kind))
            for mount in container["volumeMounts"]
        }
        assert mounted == names
        assert spec["serviceAccountName"] == one("ServiceAccount")["metadata"]["name"]
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert ("configMap", volume["configMap"]["name"]) in made
            if "secret" in volume:
                secrets.add(volume["secret"]["secretName"])
                assert volume["secret"]["defaultMode"] == 0o440  # readable by all is refused
    readme = (ROOT / "deploy" / "README.md").read_text()
    for name in (*secrets, "featurelib-s3"):
        assert f"create secret generic {name}" in readme


@pytest.mark.parametrize("kind", ["CronJob", "Deployment"])
def test_pods_have_no_privileges(kind: str) -> None:
    spec = kustomize.pod(one(kind))["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in kustomize.containers(one(kind)):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"memory"} <= set(container["resources"]["limits"])
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert all("sizeLimit" in v["emptyDir"] for v in spec["volumes"] if "emptyDir" in v)


def test_exit_codes_that_another_attempt_does_not_change_end_the_job() -> None:
    spec = one("CronJob")["spec"]["jobTemplate"]["spec"]
    ignored, failed = spec["podFailurePolicy"]["rules"]
    assert ignored["action"] == "Ignore"
    assert failed["onExitCodes"]["containerName"] == container_of("CronJob")["name"]
    assert failed["onExitCodes"]["values"] == [2, 3, 75]
    for code in failed["onExitCodes"]["values"]:
        assert f"\n  {code} " in EXIT_CODES


def driver_arguments() -> list[str]:
    """Return the arguments of the driver, with the config map's values."""
    [values] = [m["data"] for m in all_of("ConfigMap") if "TABLE" in m["data"]]
    arguments = container_of("CronJob")["args"]
    for name, value in values.items():
        arguments = [argument.replace(f"$({name})", value) for argument in arguments]
    return arguments


def worker_arguments() -> list[str]:
    """Return the arguments of a worker."""
    return list(container_of("Deployment")["args"])


def test_the_program_knows_its_options() -> None:
    found = options_of(driver_arguments())
    assert found["corpus"].startswith("s3://")
    assert found["table"].startswith("s3://")
    found = options_of(worker_arguments())
    service = one("Service")
    port = service["spec"]["ports"][0]["port"]
    assert found["address"] == f"tls://{service['metadata']['name']}:{port}"
    mounts = {m["name"]: m["mountPath"] for m in container_of("Deployment")["volumeMounts"]}
    assert found["tls"] == mounts["tls"]


def test_a_worker_has_less_memory_than_its_container() -> None:
    """The nanny, which ends a worker that takes too much, needs some of it."""
    limit = parse_bytes(container_of("Deployment")["resources"]["limits"]["memory"] + "B")
    assert parse_bytes(options_of(worker_arguments())["worker_memory"]) + 2**28 <= limit


def test_the_driver_listens_where_the_service_leads() -> None:
    settings = tomllib.loads((FOLDER / "featurelib.toml").read_text())
    [port] = container_of("CronJob")["ports"]
    assert settings["cluster"]["port"] == port["containerPort"]
    assert one("Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    mounts = {m["name"]: m["mountPath"] for m in container_of("CronJob")["volumeMounts"]}
    assert settings["run"]["tls"] == mounts["tls"]
    assert mounts["settings"] in driver_arguments()
