"""Compiled kernels on disk.

Numba keeps what it compiles, and knows by the file of a kernel whether it is of this
kernel still. The vectors in it come from other files, and its code from LLVM: here they
count as well. What is out of date is compiled again, and overwritten.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba import njit

#: What goes into all kernels.
_SHARED = ("lanes.py", "memory.py", "vector.py")


@cache
def digest(folder: Path) -> str:
    """Digest of all that decides how a folder's kernels are compiled, but for their own files."""
    found = hashlib.sha256(f"numba {numba.__version__} llvmlite {llvmlite.__version__}".encode())
    for name in _SHARED:
        found.update((folder / name).read_bytes())
    return found.hexdigest()


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator of functions that are compiled at their first call, and kept on disk.

    Parameters
    ----------
    **options
        Of `numba.njit`, beside those that all kernels have.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # vectors are nothing that Python could run
            raise RuntimeError("NUMBA_DISABLE_JIT is set")
        try:
            compiled = njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # neither beside the package nor for the user
            _warn_once()
            return njit(nogil=True, **options)(function)
        kept = compiled._cache._cache_file
        kept._source_stamp = (kept._source_stamp, digest(Path(__file__).parent))
        return compiled

    return decorate


@cache
def _warn_once() -> None:
    warnings.warn(
        "there is no folder to keep compiled kernels in, so each process compiles them, which"
        " takes some 20 s: set NUMBA_CACHE_DIR to one that can be written",
        RuntimeWarning,
        stacklevel=3,
    )
