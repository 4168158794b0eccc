"""What numba keeps on disk of kernels, and when it compiles them again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import featurelib
from featurelib.kernels import cache

PACKAGE = Path(featurelib.__file__).parent

WARNING = (
    "compiled kernels cannot be kept on disk, so each process compiles them, which takes about 20"
    " s: set NUMBA_CACHE_DIR to a folder that can be written and has room"
)

#: Calls one kernel, and says whether it came from the disk.
CALL = """
import numpy as np
from featurelib.kernels import samples
samples.frame_rms(np.ones(64, np.float32), 32, 16, np.empty(2))
stats = samples.frame_rms.stats
print("kept" if stats.cache_hits else "compiled" if stats.cache_path else "compiled alone")
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, to be changed."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "code" / "featurelib", ignore=ignored))


def call(package: Path, **environment: str) -> str:
    """Whether a new process compiles a kernel of a package."""
    code = f"import sys; sys.path.insert(0, {str(package.parent)!r})\n{CALL}"
    line = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
    env = {**os.environ, **environment}
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def edit(path: Path) -> None:
    with path.open("a") as file:
        file.write("\n# edited\n")


@pytest.mark.slow
def test_what_is_kept_is_used_until_its_vectors_change(package, tmp_path):
    folder = str(tmp_path / "cache")
    assert call(package, NUMBA_CACHE_DIR=folder) == "compiled"
    for elsewhere in ("graph.py", "features/rms.py", "kernels/reference.py", "kernels/peaks.py"):
        edit(package / elsewhere)
    assert call(package, NUMBA_CACHE_DIR=folder) == "kept"
    edit(package / "kernels" / "vector.py")
    assert call(package, NUMBA_CACHE_DIR=folder) == "compiled"


@pytest.mark.slow
def test_it_is_kept_beside_the_package_where_that_can_be_written(package):
    assert call(package, NUMBA_CACHE_DIR="") == "compiled"
    assert list((package / "kernels" / "__pycache__").glob("*.nbc"))
    assert call(package, NUMBA_CACHE_DIR="") == "kept"


def test_all_that_goes_into_kernels_counts(package, monkeypatch):
    folder = package / "kernels"
    digests = [cache.digest(folder)]

    def changed() -> None:
        cache.digest.cache_clear()
        digests.append(cache.digest(folder))

    for name in ("vector.py", "memory.py", "lanes.py"):
        edit(folder / name)
        changed()
    for library in (cache.numba, cache.llvmlite):
        monkeypatch.setattr(library, "__version__", "99")
        changed()
    assert len(set(digests)) == len(digests)
    edit(folder / "samples.py")
    changed()
    assert digests[-1] == digests[-2]


@pytest.mark.slow
def test_without_any_folder_each_process_compiles_and_says_so(package):
    (package / "kernels" / "__pycache__").write_text("")  # in the way of numba's own folder
    code = f"import sys; sys.path.insert(0, {str(package.parent)!r})\n{CALL}"
    env = {**os.environ, "NUMBA_CACHE_DIR": "", "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "compiled alone"
    assert done.stderr.count("RuntimeWarning") == 1
    assert f"RuntimeWarning: {WARNING}\n" in done.stderr


@pytest.mark.slow
def test_processes_that_others_start_do_not_say_it_again(package):
    """As the workers of a driver; the kernel itself works."""
    (package / "kernels" / "__pycache__").write_text("")
    code = f"import sys; sys.path.insert(0, {str(package.parent)!r})\n"
    code += "import subprocess\nfrom featurelib.kernels import samples\n"
    code += f"for _ in range(2): subprocess.run([sys.executable, '-B', '-c', {code!r}], check=True)"
    env = {**os.environ, "NUMBA_CACHE_DIR": "", "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stderr.count("RuntimeWarning") == 1


@pytest.mark.slow
def test_a_full_disk_of_the_cache_fails_no_file(package, tmp_path):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    code = f"import sys; sys.path.insert(0, {str(package.parent)!r})\n{limit}{CALL}"
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "compiled"
    assert f"RuntimeWarning: {WARNING}\n" in done.stderr
    assert done.stderr.count("RuntimeWarning") == 1
