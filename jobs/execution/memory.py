"""The resident memory of a process, and its limit."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import psutil

#: A file may use this fraction of a worker's memory limit, as Dask's nanny ends a worker at 95 %.
USABLE_FRACTION = 0.9

#: How often the memory of a process is looked at [s].
LOOK_EVERY_S = 0.1


def resident_bytes(pid: int | None = None) -> int:
    """Return the resident memory of a process in bytes, of this one by default; 0 if it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def usable_bytes(memory_limit: int | None) -> int | None:
    """Return what a file may use of a worker's memory limit in bytes; None without a limit."""
    return int(USABLE_FRACTION * memory_limit) if memory_limit else None


@contextlib.contextmanager
def watched(limit: int | None, on_excess: Callable[[int], None]) -> Iterator[None]:
    """Watch the memory of this process meanwhile.

    Parameters
    ----------
    limit : int, optional
        Largest resident memory in bytes; None to watch nothing.
    on_excess : callable
        Called with the resident memory, once, in another thread.
    """
    if limit is None:
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_EVERY_S):
            if (used := resident_bytes()) > limit:
                on_excess(used)
                return

    threading.Thread(target=watch, name="memory", daemon=True).start()
    try:
        yield
    finally:
        done.set()
