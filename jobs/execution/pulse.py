"""What a task on a Dask worker tells the driver while it runs."""

from __future__ import annotations

import threading
from typing import Any

import distributed

_EVERY_S = 1.0


def topic_of(run_id: str) -> str:
    """Return the name under which Dask passes on what the tasks of a run tell."""
    return f"featurelib-{run_id}"


def compiling_topic(run_id: str) -> str:
    """Return the name under which Dask passes on how many kernels are compiled."""
    return f"{topic_of(run_id)}-compiling"


class Pulse:
    """Tells the driver every second what a task is at, if that has changed.

    Parameters
    ----------
    worker : distributed.Worker
        The worker.
    run_id : str
        Name of the run.
    flight : str
        Name of the shard in flight.
    """

    def __init__(self, worker: distributed.Worker, run_id: str, flight: str) -> None:
        self._worker, self._topic, self._flight = worker, topic_of(run_id), flight
        self._done = threading.Event()
        self._path = ""
        self._n_opened = 0

    def __enter__(self) -> Pulse:
        self.prepare()
        threading.Thread(target=self._run, name="pulse", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()

    def prepare(self) -> None:
        """Tell that a process loads libraries, before it extracts a file."""
        self.tell("preparing")

    def file(self, path: str) -> None:
        """Note that a file is opened or extracted."""
        self._path = path
        self._n_opened += 1

    def tell(self, state: str, **more: Any) -> None:
        """Tell the state of the task now."""
        told = {
            "flight": self._flight,
            "worker": self._worker.address,
            "state": state,
            "path": self._path,
            **more,
        }
        self._worker.log_event(self._topic, told)

    def _run(self) -> None:
        n_told = 0
        while not self._done.wait(_EVERY_S):
            if self._n_opened != n_told:
                n_told = self._n_opened
                self.tell("extracting")
