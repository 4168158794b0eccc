"""Let Ctrl-C and SIGTERM end a run only where nothing is half done.

Python raises the exception of a signal between any two steps of the main thread: also in a
``__del__``, where it is lost, and just after a lock was taken, which nobody releases then. In
Dask's client, either would let a run go on, or stand still.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Context manager: a signal that comes meanwhile takes effect at its end.

    It does nothing in other threads than the main one, as no signal interrupts these.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _deferred(signal.SIGINT), _deferred(signal.SIGTERM):
        yield


@contextlib.contextmanager
def _deferred(number: int) -> Iterator[None]:
    handler = signal.getsignal(number)
    if not callable(handler):  # the signal is ignored, or ends the process at once
        yield
        return
    came: list[int] = []
    try:
        signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        signal.signal(number, handler)
        if came:
            handler(number, None)
