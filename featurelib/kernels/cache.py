"""The cache of compiled kernels on disk.

Numba's cache compiles a kernel again if the kernel's own file has changed. But a kernel also
contains code from the files of the vectors, and LLVM makes its machine code. So the cache
stamp here also covers these files and the versions of numba and llvmlite.
"""

from __future__ import annotations

import functools
import hashlib
import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba import njit

from featurelib.kernels.lock import compiling

_WARNED = "FEATURELIB_CACHE_WARNED"

#: Files whose code goes into all kernels.
_SHARED = ("lanes.py", "memory.py", "vector.py")

#: All kernels of the modules that this process has imported, if they can be kept on disk.
KERNELS: list[Any] = []


@cache
def digest(folder: Path) -> str:
    """Return the digest of what all kernels of a folder share: files and library versions."""
    found = hashlib.sha256(f"numba {numba.__version__} llvmlite {llvmlite.__version__}".encode())
    for name in _SHARED:
        found.update((folder / name).read_bytes())
    return found.hexdigest()


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator: compile a function at its first call, and keep the result on disk.

    Parameters
    ----------
    **options
        More options for `numba.njit`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # Python cannot run vectors
            raise RuntimeError("NUMBA_DISABLE_JIT is set")
        try:
            compiled = njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # no folder for the cache can be written
            _warn_once()
            return njit(nogil=True, **options)(function)
        kept = compiled._cache._cache_file
        kept._source_stamp = (kept._source_stamp, digest(Path(__file__).parent))
        # processes that save at once would give two signatures the same file
        kept.save, kept.load = _one_at_a_time(_if_possible(kept.save)), _one_at_a_time(kept.load)
        KERNELS.append(compiled)
        return compiled

    return decorate


def is_kept(compiled: Any, types: tuple[Any, ...]) -> bool:
    """Return whether a kernel is on disk, compiled for arguments of these types."""
    key = compiled._cache._index_key(types, compiled.targetctx.codegen())
    return key in compiled._cache._cache_file._load_index()


def _one_at_a_time(access: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(access)
    def locked(*arguments: Any) -> Any:
        with compiling():
            return access(*arguments)

    return locked


def _if_possible(save: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(save)
    def saved(*arguments: Any) -> Any:
        try:
            return save(*arguments)
        except OSError:  # such as a full disk; the kernel itself is there
            _warn_once()

    return saved


@cache
def _warn_once() -> None:
    """Warn once on a machine: processes that this one starts inherit that it has warned."""
    if _WARNED in os.environ:
        return
    os.environ[_WARNED] = "1"
    warnings.warn(
        "compiled kernels cannot be kept on disk, so each process compiles them, which takes about"
        " 20 s: set NUMBA_CACHE_DIR to a folder that can be written and has room",
        RuntimeWarning,
        stacklevel=3,
    )
