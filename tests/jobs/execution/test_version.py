"""The digest by which driver and workers know that they run the same code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import jobs.execution.version
from jobs.execution.version import code_version, software_version

TOP = Path(jobs.execution.version.__file__).resolve().parents[2]


def version_of(folder: Path, **environment: str) -> str:
    code = "from jobs.execution.version import code_version; print(code_version())"
    # -P and the folder first: the installed package is a link to the checkout
    line = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {code}"]
    env = {**os.environ, **environment}
    return subprocess.run(line, env=env, capture_output=True, text=True, check=True).stdout.strip()


def test_the_software_version_is_the_installed_one() -> None:
    assert software_version() == metadata.version("featurelib")
    assert code_version().startswith(f"{software_version()}+")


def test_the_same_code_elsewhere_has_the_same_version_and_any_change_another(
    tmp_path: Path,
) -> None:
    for package in ("featurelib", "jobs"):
        shutil.copytree(TOP / package, tmp_path / package, ignore=_caches)
    code_version.cache_clear()
    compiled = {"FEATURELIB_KERNELS": "compiled"}  # without a trial, which takes a while
    assert version_of(tmp_path, **compiled) == code_version()
    for file in ("featurelib/kernels/vector.py", "jobs/storage/local.py"):
        before = version_of(tmp_path, **compiled)
        with (tmp_path / file).open("a") as source:
            source.write("\n# changed\n")
        assert version_of(tmp_path, **compiled) != before


def test_workers_whose_kernels_are_not_compiled_have_another_version() -> None:
    assert version_of(TOP, FEATURELIB_KERNELS="compiled") == code_version()
    assert version_of(TOP, FEATURELIB_KERNELS="reference") == f"{code_version()}.reference"


def _caches(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name == "__pycache__"}


def test_the_decoders_versions_are_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    code_version.cache_clear()
    before = code_version()
    for target, value in (
        ("soundfile.__libsndfile_version__", "1.2.99"),
        ("jobs.execution.version._ffmpeg_libraries", lambda: ["libavcodec 99"]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, value)
            code_version.cache_clear()
            assert code_version() != before
    code_version.cache_clear()


def test_a_missing_numba_has_a_version_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "numba":
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    code_version.cache_clear()
    before, installed = code_version(), metadata.version
    monkeypatch.setattr(metadata, "version", version)
    code_version.cache_clear()
    assert code_version() != before
    code_version.cache_clear()


def test_ffmpeg_is_known_by_its_libraries() -> None:
    names = jobs.execution.version._ffmpeg_libraries()
    assert any("libavcodec" in name for name in names)
    assert any("libavformat" in name for name in names)
