"""What the server of worker processes imports before it forks (`jobs.execution.forkserver`).

A forked process has only one thread. So nothing may run in the server whose threads or locks
a worker would miss: `threads_and_loops` finds them, and the server ends if there are any.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
import threading
from importlib import import_module

#: All that a worker imports until its first file is done. pyarrow imports pandas for its first
#: table. The modules of Dask are imported by the last two.
_MODULES = (
    "multiprocessing.synchronize",
    "tornado.platform.asyncio",
    "pandas",
    "pyarrow.pandas_compat",
    "jobs.storage.parquet",
    "jobs.storage.local",
    "jobs.execution.dask",
    "jobs.execution.clusters",
)


def threads_and_loops() -> list[str]:
    """Return what this process has that a fork would not inherit in working order."""
    found = [f"the thread {thread.name}" for thread in threading.enumerate()[1:]]
    tasks = "/proc/self/task"
    n_threads = len(os.listdir(tasks)) if os.path.isdir(tasks) else 1
    if n_threads > threading.active_count():
        found.append(f"{n_threads - threading.active_count()} threads of native libraries")
    if (asyn := sys.modules.get("fsspec.asyn")) and (asyn.loop[0] or asyn.iothread[0]):
        found.append("the event loop of fsspec")
    if (spec := sys.modules.get("fsspec.spec")) is not None:
        kinds = [spec.AbstractFileSystem]
        for kind in kinds:
            kinds += kind.__subclasses__()
        found += [f"an open {kind.__name__}" for kind in kinds if kind._cache]
    if (pool := sys.modules.get("numba.np.ufunc.parallel")) and pool._is_initialized:
        found.append("the threads of numba")
    return found


def preload() -> None:
    """Import what all workers need, and load decoders and compiled kernels.

    Raises
    ------
    RuntimeError
        If this process then has threads, an event loop or an open file system.
    """
    # imports make hardly any garbage, and looking for it takes a sixth of their time
    gc.disable()
    try:
        for name in _MODULES:
            import_module(name)
        featurelib = import_module("featurelib")
        featurelib.check_decoders()
        import_module("featurelib.kernels").NAME  # noqa: B018 - loads them
        import_module("featurelib.extraction.extract")
        platform.uname()  # Dask asks for it, and it takes a process to know
        gc.freeze()  # pages of objects that are never looked at stay shared
    finally:
        gc.enable()
    if found := threads_and_loops():
        raise RuntimeError(f"workers cannot be forked from a process with {', '.join(found)}")
