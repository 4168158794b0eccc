"""The image: the Dockerfile's steps, done in a root folder of Debian, and what runs in it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from jobs import extract_corpus
from tests.deploy import dockerfile, kustomize
from tests.deploy import test_kubernetes as manifests
from tests.deploy.dockerfile import Image
from tests.deploy.programs import needed
from tests.support.audio_files import make_corpus
from tests.support.driver import ROOT
from tests.support.tables import assert_same_table

TEXT = (ROOT / "deploy" / "Dockerfile").read_text()

#: Debian's name of the release in the tag of the base image.
RELEASE = "bookworm"

CACHE = "/var/cache/featurelib"


def test_what_is_copied_is_in_the_build_context() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    for name in dockerfile.copies(TEXT):
        assert (ROOT / name).exists()
        assert name in allowed or allowed & {str(parent) for parent in Path(name).parents}
    assert allowed <= set(dockerfile.copies(TEXT))


def test_the_base_image_is_named_with_release_and_version() -> None:
    assert {stage.base for stage in dockerfile.stages(TEXT)} == {f"python:3.11-slim-{RELEASE}"}


def _check_that_roots_can_be_changed() -> None:
    done = subprocess.run(
        ["unshare", "--mount", "chroot", "/", "true"], capture_output=True, text=True
    )
    if done.returncode:
        pytest.fail(f"to try an image, run as root where unshare and chroot work: {done.stderr}")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Make a root folder that stands for the base image: Debian with a Python in /usr/local."""
    needed("debootstrap")
    _check_that_roots_can_be_changed()
    root = tmp_path / "base"
    sources = "\n".join(
        path.read_text()
        for path in [Path("/etc/apt/sources.list"), *Path("/etc/apt").glob("sources.list.d/*")]
        if path.is_file()
    )
    mirror = re.search(r"(?:URIs: |deb (?:\[.*\] )?)(https?://\S+/debian/?)\s", sources)
    # debootstrap does not know what provides the virtual python3.11-distutils
    packages = "--include=ca-certificates,python3.11-venv,python3-distutils"
    line = ["debootstrap", "--variant=minbase", packages, RELEASE]
    line += [str(root), *([mirror[1]] if mirror else [])]  # else debootstrap's own choice
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for name in ("python", "python3"):
        (root / "usr" / "local" / "bin" / name).symlink_to("/usr/bin/python3.11")
    return root


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Download what the image installs, as pip is configured on this machine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    wanted += [*extras["cluster"], *extras["metrics"]]
    line = [sys.executable, "-m", "pip", "download", "-q", "--dest", str(tmp_path / "wheels")]
    line += ["--only-binary", ":all:", "--python-version", "3.11"]
    line += ["-c", str(ROOT / "constraints.txt"), *wanted]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return tmp_path / "wheels"


def _size_mb(folder: Path) -> int:
    return int(subprocess.check_output(["du", "-smx", folder], text=True).split()[0])


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.programs
@pytest.mark.timeout(1800)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="Debian's packages are named for amd64")
def test_the_image_is_built_and_runs(base: Path, wheels: Path, tmp_path: Path) -> None:
    image = dockerfile.build(
        TEXT,
        ROOT,
        base,
        tmp_path,
        mounts={"/mnt/wheels": wheels},
        env={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/mnt/wheels"},
    )
    n_added = _size_mb(image.root) - _size_mb(base)
    print(f"\nimage: {n_added} MB more than its base")
    assert n_added < 950
    user, group = map(int, image.user.split(":"))
    assert user != 0

    kernels, tables, music = (tmp_path / name for name in ("kernels", "tables", "music"))
    for path in (kernels, tables):
        path.mkdir()
        os.chown(path, user, group)
    make_corpus(music, {"rock": 3, "jazz": 2})

    # a read-only root with volumes, as the manifests have it
    [copying] = kustomize.pod(manifests.one("CronJob"))["spec"]["initContainers"]
    image.expect(*copying["command"], read_only=True, mounts={"/kernels": kernels})
    mounts = {CACHE: kernels, "/tables": tables, "/music": music}

    def featurelib(*arguments: str, **how: object) -> str:
        return image.expect(*image.entrypoint, *arguments, **how)

    assert "featurelib" in featurelib("--version", read_only=True)
    before = _times(kernels)
    said = featurelib("compile", read_only=True, mounts=mounts)
    assert said == "Kernels: all on disk already\n"
    arguments = ("extract", "/music", "--output", "/tables/music", "--labels", "parent")
    said = featurelib(*arguments, "--workers", "1", read_only=True, mounts=mounts)
    assert "5 files with features, 0 failed" in said
    assert _times(kernels) == before  # none was compiled again
    extract_corpus(music, tmp_path / "here", labels="parent", cluster="inline")
    assert_same_table(tables / "music", tmp_path / "here")

    _check_other_commands(image)


def _check_other_commands(image: Image) -> None:
    for command in ("worker", "scheduler"):
        assert "--tls-ca-file" in image.expect("dask", command, "--help", read_only=True)
    asked = "import distributed, dask; print(dask.config.get('distributed.scheduler.{}'))"
    said = image.expect("python", "-c", asked.format("allowed-failures"), read_only=True)
    assert said == "0\n"  # Dask's own is 3

    # docker run --user: a user without an account
    said = image.expect(*image.entrypoint, "compile", user="12345:0")
    assert said == "Kernels: all on disk already\n"

    said = image.expect(*image.entrypoint, "cluster", "certificates", "/tmp/tls", read_only=True)
    assert said.startswith("Certificates, valid until ")
