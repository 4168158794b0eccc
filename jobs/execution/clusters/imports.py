"""Import libraries of clusters, some of which change this process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from featurelib.extras import needing


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Context manager for imports of the extra ``cluster``: Ctrl-C keeps its meaning.

    dask-jobqueue replaces the handler of SIGINT when it is imported.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        with needing("cluster"):
            yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
