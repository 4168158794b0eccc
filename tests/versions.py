"""The kernels' tests on other Pythons and numbas than those of the development environment.

    make test-versions                  # all of them
    make test-versions ARGS="3.12"      # those with this in their name

Each runs in a virtual environment of its own, in .venv-versions, with what the kernels need
and no more. A Python that is not on the machine is skipped, and the end says so; without any
of them this fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
FOLDER = TOP / ".venv-versions"

#: Name → version of Python, and the file that says which libraries.
ENVIRONMENTS = {
    "3.11-lowest": ("3.11", "tests/constraints-lowest.txt"),
    "3.12-lowest": ("3.12", "tests/constraints-lowest.txt"),
    "3.13-lowest": ("3.13", "tests/constraints-lowest.txt"),
    "3.13-highest": ("3.13", "constraints.txt"),
}

NEEDED = ("hypothesis", "numba", "numpy", "pytest", "pytest-timeout", "scipy")


def candidates(version: str) -> Iterator[str]:
    """Where a Python of this version may be."""
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True))
    if uv := shutil.which("uv"):
        found = subprocess.run(
            [uv, "python", "find", "--no-python-downloads", version],
            capture_output=True,
            text=True,
            check=False,
        )
        if found.returncode == 0:
            yield found.stdout.strip()


def python_of(version: str) -> str | None:
    """The Python of a version on this machine; shims of others do not count."""
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for path in candidates(version):
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return path
    return None


def environment(name: str, python: str, constraints: Path) -> Path:
    """The Python of a virtual environment that is made where it is not there yet."""
    place = FOLDER / name
    stamp = place / "installed"
    if not stamp.exists() or stamp.read_text() != constraints.read_text():
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([python, "-m", "venv", place], check=True)
        pip = [
            place / "bin" / "python",
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, "-c", constraints, *NEEDED], check=True)
        stamp.write_text(constraints.read_text())
    return place / "bin" / "python"


def test(name: str, python: Path) -> bool:
    """Whether the kernels' tests pass."""
    code = "import numba, llvmlite, numpy, scipy, sys; print('Python', sys.version.split()[0], *("
    code += "f'{m.__name__} {m.__version__}' for m in (numba, llvmlite, numpy, scipy)), sep=', ')"
    print(f"\n== {name}", flush=True)
    subprocess.run([python, "-c", code], check=True)
    # Kernels of its own: a folder keeps those of one numba for each Python. With CI, Hypothesis
    # sets no deadline: the first call of a kernel compiles it.
    env = {**os.environ, "NUMBA_CACHE_DIR": str(FOLDER / name / "numba"), "CI": "true"}
    env.pop("PYTHONPATH", None)
    # The other tests' fixtures need all that the project needs.
    line = [python, "-m", "pytest", "--noconftest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run([*line, "tests/featurelib/kernels"], cwd=TOP, env=env).returncode == 0


def main(wanted: list[str]) -> int:
    """Test all environments, or those whose names contain one of some words."""
    results = {}
    for name, (version, constraints) in ENVIRONMENTS.items():
        if wanted and not any(word in name for word in wanted):
            continue
        python = python_of(version)
        if python is None:
            results[name] = f"SKIPPED: no Python {version} on this machine"
            continue
        passed = test(name, environment(name, python, TOP / constraints))
        results[name] = "passed" if passed else "FAILED"
    print("\nThe kernels' tests by versions:")
    for name, result in results.items():
        print(f"  {name:<14} {result}")
    if "passed" not in results.values():
        print("None passed.", file=sys.stderr)
        return 1
    return int("FAILED" in results.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
