"""What the driver knows of a Dask cluster: its workers, and what each of them is at."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import distributed

from jobs.errors import ClusterError
from jobs.execution.workers import never_pause

_LOOK_EVERY_S = 1.0
_WORKERS_A_SECOND = 200  # a look at many workers takes the scheduler some time
_RESTART_S = 30.0
_FIRST_LOOK_S = 30.0


@dataclass(frozen=True)
class ClusterState:
    """The cluster at one moment.

    Attributes
    ----------
    at : float
        When it was so, by `time.monotonic` [s].
    threads : mapping
        Number of threads of each worker, by address.
    tasks : mapping
        Address of the worker that each task is at, by key.
    """

    at: float
    threads: Mapping[str, int] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_threads(self) -> int:
        """Number of threads of all workers."""
        return sum(self.threads.values())


class ClusterWatch:
    """Asks the scheduler every second for the state of the cluster, in a thread of its own.

    The scheduler may not answer for a while, and the driver must not stand still then.

    Parameters
    ----------
    client : distributed.Client
        Client of the cluster.

    Attributes
    ----------
    state : ClusterState
        The last known state.

    Raises
    ------
    ClusterError
        If the scheduler does not answer at the start.
    """

    def __init__(self, client: distributed.Client) -> None:
        self._client = client
        self._done = threading.Event()
        self._busy: set[str] = set()
        self.state = self._first_look()

    def __enter__(self) -> ClusterWatch:
        self.state = self._first_look()
        threading.Thread(target=self._run, name="watch", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()

    def _run(self) -> None:
        while not self._done.wait(max(_LOOK_EVERY_S, len(self.state.threads) / _WORKERS_A_SECOND)):
            # it may answer the next time; if not, the state becomes old, which ends the run
            with contextlib.suppress(Exception):
                self.state = self._look()

    def _first_look(self) -> ClusterState:
        seen: queue.SimpleQueue[ClusterState | Exception] = queue.SimpleQueue()

        def look() -> None:
            try:
                seen.put(self._look())
            except Exception as error:  # noqa: BLE001 - raised by the caller
                seen.put(error)

        threading.Thread(target=look, name="first look", daemon=True).start()
        try:
            state = seen.get(timeout=_FIRST_LOOK_S)
        except queue.Empty:
            raise ClusterError(
                f"the scheduler at {self._client.scheduler.address} has not answered for"
                f" {_FIRST_LOOK_S:g} s: run the same command again when it works"
            ) from None
        if isinstance(state, Exception):
            raise state
        return state

    def _look(self) -> ClusterState:
        info = self._client.scheduler_info(n_workers=-1)
        if "workers" not in info:  # Dask knows nothing of a scheduler that it has lost
            raise ConnectionError("the connection to the scheduler is lost")
        workers: dict[str, Any] = info["workers"]
        for name, info in workers.items():
            if info.get("status") == "paused":
                self._aside(name, self._unpause)
        processing = self._client.processing()
        return ClusterState(
            time.monotonic(),
            {name: info["nthreads"] for name, info in workers.items()},
            {key: name for name, keys in processing.items() for key in keys},
        )

    def restart(self, worker: str) -> bool:
        """Restart a worker that does not answer, in the background; remove it if it has no nanny.

        Its tasks go to other workers.

        Returns
        -------
        bool
            False if the worker is being restarted already.
        """
        return self._aside(worker, self._restart)

    def _aside(self, worker: str, act: Callable[[str], None]) -> bool:
        """Do something with a worker in a thread, as it may not answer; once at a time."""
        if worker in self._busy:
            return False
        self._busy.add(worker)

        def run() -> None:
            with contextlib.suppress(ValueError, OSError, RuntimeError):  # the worker is gone
                act(worker)
            self._busy.discard(worker)

        threading.Thread(target=run, name="worker", daemon=True).start()
        return True

    def _restart(self, worker: str) -> None:
        self._client.restart_workers([worker], timeout=_RESTART_S, raise_for_error=False)

    def _unpause(self, worker: str) -> None:
        self._client.run(never_pause, workers=[worker], on_error="ignore")
