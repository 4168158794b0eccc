"""What a task on a Dask worker tells the driver while it runs."""

from __future__ import annotations

import threading
import time
from typing import Any

import distributed

_EVERY_S = 1.0


def topic_of(run_id: str) -> str:
    """Return the name under which Dask passes on what the tasks of a run tell."""
    return f"featurelib-{run_id}"


class Pulse:
    """Tells the driver what a task is at, once a second at most.

    Parameters
    ----------
    worker : distributed.Worker
        The worker.
    run_id : str
        Name of the run.
    flight : str
        Name of the shard in flight.

    Attributes
    ----------
    path : str
        The file that was opened or extracted last; empty before the first.
    """

    def __init__(self, worker: distributed.Worker, run_id: str, flight: str) -> None:
        self._worker, self._topic, self._flight = worker, topic_of(run_id), flight
        self._changes = threading.Lock()
        self._told_at = 0.0
        self.path = ""

    def begin(self) -> None:
        """Tell that the task begins with its preparation."""
        self.tell("preparing")

    def file(self, path: str) -> None:
        """Tell that a file is opened or extracted."""
        with self._changes:
            self.path = path
            if time.monotonic() - self._told_at < _EVERY_S:
                return
        self.tell("extracting")

    def tell(self, state: str, **more: Any) -> None:
        """Tell the state of the task now."""
        self._told_at = time.monotonic()
        told = {"flight": self._flight, "state": state, "path": self.path, **more}
        self._worker.log_event(self._topic, told)
