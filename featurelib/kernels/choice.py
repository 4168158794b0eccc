"""Choose the kernels of this process: compiled, or the reference in NumPy.

The choice is made once, when a kernel is first used: see `featurelib.kernels`.
"""

from __future__ import annotations

import os
import warnings
from typing import Literal

import numpy as np

from featurelib.errors import ParameterError
from featurelib.kernels import remembered
from featurelib.kernels.lock import compiling

Kernels = Literal["compiled", "reference"]

#: Environment variable for the choice. By default kernels are compiled if that works.
VARIABLE = "FEATURELIB_KERNELS"

#: Environment variable that is set once a process has warned that kernels cannot be kept on disk.
#: Processes that it starts do not warn again.
WARNED = "FEATURELIB_CACHE_WARNED"


_FACT = "vectors work"


def choose() -> Kernels:
    """Return the kernels to use; warn if the reference is used because nothing can be compiled.

    Raises
    ------
    ParameterError
        If the environment variable has an unknown value.
    """
    wanted = os.environ.get(VARIABLE) or "auto"
    if wanted == "reference":
        return "reference"
    if wanted == "compiled":
        return "compiled"
    if wanted != "auto":
        raise ParameterError(
            f"{VARIABLE}={wanted!r} in the environment: it must be 'compiled' or 'reference'"
        )
    problem = why_not_compiled()
    if problem is None:
        remembered.remember(_FACT)
        return "compiled"
    remembered.forget(_FACT)
    warnings.warn(
        f"kernels cannot be compiled here ({problem}): NumPy computes the features instead,"
        f" more slowly; {VARIABLE}=reference accepts that without this warning",
        RuntimeWarning,
        stacklevel=3,
    )
    return "reference"


def expected() -> Kernels:
    """Return what `choose` would return, without a trial if one succeeded on this machine before.

    Raises
    ------
    ParameterError
        As `choose` does.
    """
    is_open = os.environ.get(VARIABLE, "auto") in ("", "auto")
    return "compiled" if is_open and remembered.knows(_FACT) else choose()


def why_not_compiled() -> str | None:
    """Compile and try a small kernel of vectors; return the problem, or None if it works."""
    x = np.arange(1.0, 9.0)
    out = np.empty_like(x)
    try:
        from featurelib.kernels.probe import probe

        with compiling():
            probe(x, out)
    except Exception as error:  # noqa: BLE001 - whatever numba and LLVM raise
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    expected = np.sqrt(x * x[0] + x)
    return None if np.allclose(out, expected, rtol=1e-12) else "vectors give wrong numbers"
