"""Which kernels a process uses, and what it says of that."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from featurelib.kernels import choice
from tests.support.quick import slow_but

#: Says which kernels there are, and whether numba was imported.
SAY = """
from featurelib import kernels
print(kernels.NAME, kernels.spectral.__name__, bool(sys.modules.get("numba")))
"""

NO_NUMBA = "sys.modules['numba'] = None"
BROKEN_LLVM = "import llvmlite.ir; llvmlite.ir.IRBuilder.gep = None"

COMPILED = "compiled featurelib.kernels.spectral True"
REFERENCE = "reference featurelib.kernels.reference"


def say(first: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `SAY` in a process of its own."""
    env = {name: value for name, value in os.environ.items() if name != choice.VARIABLE}
    env |= {"PYTHONPATH": os.pathsep.join(sys.path), **environment}
    line = [sys.executable, "-c", f"import sys\n{first}\n{SAY}"]
    return subprocess.run(line, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("value", slow_but([""], ["", "compiled"]))
def test_kernels_are_compiled_where_they_can_be(value):
    done = say(FEATURELIB_KERNELS=value)
    assert (done.stdout.strip(), done.stderr) == (COMPILED, "")


def test_the_reference_is_used_where_it_is_wanted():
    done = say(FEATURELIB_KERNELS="reference")
    assert (done.stdout.strip(), done.stderr) == (f"{REFERENCE} False", "")


@pytest.mark.parametrize(
    ("first", "environment", "reason"),
    [
        (NO_NUMBA, {}, "ModuleNotFoundError"),
        (BROKEN_LLVM, {"NUMBA_CACHE_DIR": "{folder}"}, "'NoneType' object is not callable"),
        ("", {"NUMBA_DISABLE_JIT": "1"}, "NUMBA_DISABLE_JIT is set"),
    ],
    ids=["no numba", "broken LLVM", "switched off"],
)
def test_the_reference_is_used_where_nothing_can_be_compiled(first, environment, reason, tmp_path):
    done = say(first, **{k: v.format(folder=tmp_path) for k, v in environment.items()})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(REFERENCE)
    assert done.stderr.count("RuntimeWarning") == 1
    assert reason in done.stderr
    assert "FEATURELIB_KERNELS=reference" in done.stderr


def test_compiled_kernels_that_are_wanted_are_not_replaced():
    done = say(NO_NUMBA, FEATURELIB_KERNELS="compiled")
    assert done.returncode
    assert "import of numba" in done.stderr


def test_other_values_are_refused(monkeypatch):
    monkeypatch.setenv(choice.VARIABLE, "fast")
    with pytest.raises(choice.ParameterError, match=r"FEATURELIB_KERNELS='fast'.*'reference'"):
        choice.choose()


def test_a_trial_is_remembered(tmp_path):
    code = "from featurelib import kernels; print(kernels.expected(), 'numba' in sys.modules)"
    for numba_is_loaded in (True, False):
        line = [sys.executable, "-c", f"import sys\n{code}"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        env |= {"NUMBA_CACHE_DIR": str(tmp_path), choice.VARIABLE: ""}
        done = subprocess.run(line, env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == f"compiled {numba_is_loaded}"
    env[choice.VARIABLE] = "reference"
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "reference False"


def test_vectors_that_give_wrong_numbers_are_seen(monkeypatch):
    from featurelib.kernels import probe

    assert choice.why_not_compiled() is None
    monkeypatch.setattr(probe, "probe", lambda x, out: out.fill(1.0))
    assert choice.why_not_compiled() == "vectors give wrong numbers"
