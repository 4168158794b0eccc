"""The manifests of a kustomization, put together as ``kubectl kustomize`` does it.

Only what deploy/kubernetes uses: resources, images, labels, a namespace, generated config maps
(without the digest that is added to their names).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

_KNOWN = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "images",
    "configMapGenerator",
    "labels",
}


def manifests(folder: Path) -> list[Manifest]:
    """Return all manifests of a folder with a ``kustomization.yaml``."""
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(wanted) <= _KNOWN
    found = [m for name in wanted["resources"] for m in _loaded(folder / name)]
    found += [_config_map(folder, asked) for asked in wanted["configMapGenerator"]]
    images = {i["name"]: f"{i['newName']}:{i['newTag']}" for i in wanted["images"]}
    for manifest in found:
        if manifest["kind"] != "Namespace":
            manifest["metadata"]["namespace"] = wanted["namespace"]
        for labels in wanted["labels"]:
            assert set(labels) == {"pairs", "includeTemplates"}
            for metadata in (manifest["metadata"], *_metadata_of_templates(manifest)):
                metadata.setdefault("labels", {}).update(labels["pairs"])
        for container in containers(manifest):
            container["image"] = images[container["image"]]
    return found


def _loaded(path: Path) -> list[Manifest]:
    return list(yaml.load_all(path.read_text(), yaml.CSafeLoader))


def _config_map(folder: Path, asked: dict[str, Any]) -> Manifest:
    data = {name: (folder / name).read_text() for name in asked.get("files", ())}
    data |= dict(text.split("=", 1) for text in asked.get("literals", ()))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": asked["name"]},
        "data": data,
    }


def _templates(manifest: Manifest) -> Iterator[Manifest]:
    spec = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        yield spec["jobTemplate"]
        spec = spec["jobTemplate"]["spec"]
    if "template" in spec:
        yield spec["template"]


def _metadata_of_templates(manifest: Manifest) -> Iterator[Manifest]:
    for template in _templates(manifest):
        yield template.setdefault("metadata", {})


def pod(manifest: Manifest) -> Manifest:
    """Return the template of the pods of a manifest."""
    return list(_templates(manifest))[-1]


def containers(manifest: Manifest) -> Iterator[Manifest]:
    """Yield all containers of the pods of a manifest."""
    for template in _templates(manifest):
        for name in ("initContainers", "containers"):
            yield from template["spec"].get(name, ())
