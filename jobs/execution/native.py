"""Control native libraries: their output, their threads and their memory."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator

from jobs.storage.scratch import temporary_file

#: Environment variables that give every native thread pool one thread. Libraries read them when
#: they load.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_KEPT_BYTES = 32 * 2**20
_MAPPED_BYTES = 4 * 2**20

_lock = threading.Lock()
_depth = 0
_saved: dict[int, int] = {}
_MAX_DRAINED_BYTES = 4000


def keep_freed_memory() -> None:
    """Let malloc keep some freed memory for the next allocations.

    Dask's nannies set MALLOC_TRIM_THRESHOLD_, so that all freed memory is returned to the
    system at once. Then every block of audio needs new pages, and the page faults double the
    time of a file. This function has no effect if malloc is not glibc's.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


@contextlib.contextmanager
def captured_output() -> Iterator[Callable[[], str]]:
    """Capture the output of native code on standard output and error.

    The file descriptors belong to the process, so output of other threads is captured too.

    Yields
    ------
    callable
        Returns the output since its last call.
    """
    global _depth, _saved
    with temporary_file() as file:
        with _lock:
            if _depth == 0:
                _flush()
                # a process without standard output may use its number for another file
                outputs = {1: sys.__stdout__, 2: sys.__stderr__}
                _saved = {n: os.dup(n) for n, output in outputs.items() if output is not None}
                for descriptor in _saved:
                    os.dup2(file.fileno(), descriptor)
            _depth += 1
        position = 0

        def drain() -> str:
            nonlocal position
            _flush_c()
            data = os.pread(file.fileno(), _MAX_DRAINED_BYTES, position)
            position = os.fstat(file.fileno()).st_size
            return data.decode("utf-8", "replace").strip()

        try:
            yield drain
        finally:
            with _lock:
                _depth -= 1
                if _depth == 0:
                    _flush()
                    for descriptor, saved in _saved.items():
                        os.dup2(saved, descriptor)
                        os.close(saved)


def _flush() -> None:
    for output in (sys.stdout, sys.stderr):
        if output is not None:
            output.flush()
    _flush_c()


def _flush_c() -> None:
    # text in C's buffer would otherwise appear later, among other output
    if (output := _c_output()) is not None:
        fflush, stdout = output
        fflush(stdout)


@functools.cache
def _c_output() -> tuple[Callable[[ctypes.c_void_p], int], ctypes.c_void_p] | None:
    try:
        libc = ctypes.CDLL(None)
        return libc.fflush, ctypes.c_void_p.in_dll(libc, "stdout")
    except (OSError, AttributeError, ValueError):  # a C library with other names
        return None
