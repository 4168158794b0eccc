"""What the server of worker processes imports before it forks (`jobs.execution.forkserver`).

A forked process has only one thread. So nothing may run in the server whose threads or locks
a worker would miss: `threads_and_loops` finds them, and the server ends if there are any.
"""

from __future__ import annotations

import os
import sys
import threading

import distributed
import distributed.nanny
import fsspec.asyn
import fsspec.spec
import pandas  # noqa: F401 - pyarrow imports it for its first table

import featurelib
import jobs.execution.dask
import jobs.storage.parquet  # noqa: F401
from featurelib import kernels


def threads_and_loops() -> list[str]:
    """Return what this process has that a fork would not inherit in working order."""
    found = [f"thread {thread.name}" for thread in threading.enumerate()[1:]]
    n_native = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    if n_native > threading.active_count():
        found.append(f"{n_native - threading.active_count()} threads of native libraries")
    if fsspec.asyn.loop[0] is not None or fsspec.asyn.iothread[0] is not None:
        found.append("fsspec's event loop")
    found += [f"open {kind.__name__}" for kind in _file_systems() if kind._cache]
    if (pool := sys.modules.get("numba.np.ufunc.parallel")) and pool._is_initialized:
        found.append("numba's threads")
    return found


def _file_systems() -> list[type]:
    found: list[type] = [fsspec.spec.AbstractFileSystem]
    for kind in found:
        found += kind.__subclasses__()
    return found


def preload() -> None:
    """Load what all specs need: decoders and compiled kernels.

    Raises
    ------
    RuntimeError
        If this process has threads, an event loop or an open file system.
    """
    featurelib.check_decoders()
    kernels.NAME  # noqa: B018 - loads them
    if found := threads_and_loops():
        raise RuntimeError(f"workers cannot be forked from a process with {', '.join(found)}")


preload()
