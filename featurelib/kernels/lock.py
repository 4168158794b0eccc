"""One process of a machine compiles at a time: processes that compile in parallel can crash."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
from collections.abc import Iterator

_in_process = threading.RLock()
_depth = 0


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """Hold this user's lock on this machine; the kernel releases it if the process dies.

    A thread that holds the lock may take it again.
    """
    global _depth
    with _in_process, contextlib.ExitStack() as stack:
        if _depth == 0 and (file := _open()) is not None:
            stack.callback(os.close, file)
            fcntl.flock(file, fcntl.LOCK_EX)
        _depth += 1
        try:
            yield
        finally:
            _depth -= 1


@contextlib.contextmanager
def held_by_parent() -> Iterator[None]:
    """Take the lock as held, because the process that started this one holds it."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1


def _open() -> int | None:
    path = os.path.join(tempfile.gettempdir(), f"featurelib-{os.getuid()}.lock")
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:  # another user has a file of this name: compile without the lock
        return None
