"""Native libraries: what they say on the terminal, their threads, their memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
"""Environment that gives every native pool one thread; set before the libraries load."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT_BYTES = 32 * 2**20
_MAPPED_BYTES = 4 * 2**20

_lock = threading.Lock()
_depth = 0
_saved: list[int] = []
_OUTPUTS = (1, 2)
_MAX_TAKEN = 4000


def keep_freed_memory() -> None:
    """Let malloc keep some of what is freed for what is asked for next.

    Dask's nannies set MALLOC_TRIM_THRESHOLD_ so that everything goes back to the system
    at once. The arrays of each block of audio are then new pages, each of which costs a
    fault: that doubles the time of a file. Has no effect where malloc is not glibc's.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


@contextlib.contextmanager
def captured_output() -> Iterator[Callable[[], str]]:
    """Keep what native code writes to standard output and error away from the terminal.

    Yields a function that returns, and forgets, what was written so far. The descriptors
    are the process's: what another thread writes meanwhile is captured as well.
    """
    global _depth, _saved
    with tempfile.TemporaryFile() as file:
        with _lock:
            if _depth == 0:
                sys.stdout.flush()
                sys.stderr.flush()
                _saved = [os.dup(descriptor) for descriptor in _OUTPUTS]
                for descriptor in _OUTPUTS:
                    os.dup2(file.fileno(), descriptor)
            _depth += 1
        position = 0

        def take() -> str:
            nonlocal position
            data = os.pread(file.fileno(), _MAX_TAKEN, position)
            position = os.fstat(file.fileno()).st_size
            return data.decode("utf-8", "replace").strip()

        try:
            yield take
        finally:
            with _lock:
                _depth -= 1
                if _depth == 0:
                    for descriptor, saved in zip(_OUTPUTS, _saved, strict=True):
                        os.dup2(saved, descriptor)
                        os.close(saved)
