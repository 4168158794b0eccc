"""Which kernels this process uses: compiled ones, or their reference in NumPy.

The choice is made once, at the first use of a kernel: see `featurelib.kernels`.
"""

from __future__ import annotations

import os
import warnings
from typing import Literal

import numpy as np

from featurelib.errors import ParameterError

Kernels = Literal["compiled", "reference"]

#: Environment variable that makes the choice; else kernels are compiled where they can be.
VARIABLE = "FEATURELIB_KERNELS"


def choose() -> Kernels:
    """Return the kernels to use; warn if they are not the compiled ones for want of any.

    Raises
    ------
    ParameterError
        If the environment variable has another value than the two names.
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
        return "compiled"
    warnings.warn(
        f"kernels cannot be compiled here ({problem}): NumPy computes the features instead,"
        f" more slowly; {VARIABLE}=reference accepts that without this warning",
        RuntimeWarning,
        stacklevel=3,
    )
    return "reference"


def why_not_compiled() -> str | None:
    """Return what goes wrong with a small kernel of vectors, if anything does."""
    x = np.arange(1.0, 9.0)
    out = np.empty_like(x)
    try:
        from featurelib.kernels.probe import probe

        probe(x, out)
    except Exception as error:  # noqa: BLE001 - whatever numba and LLVM raise
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    expected = np.sqrt(x * x[0] + x)
    return None if np.allclose(out, expected, rtol=1e-12) else "vectors give wrong numbers"
