"""Replace the workers of an embedded cluster that their nannies have given up.

A nanny starts its worker again when that dies, but not if it dies while it starts. Dask replaces
no nanny.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

import distributed
from distributed import Nanny, Status

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5

#: How long a nanny may be without a process, and a process without a place in the cluster [s].
_WITHOUT_PROCESS_S = 5.0
_WITHOUT_CLUSTER_S = 90.0

#: How long the process of a nanny that is given up may take to end before it is killed [s].
_CLOSE_S = 2.0

#: Pause before the first replacement in a row, and longest pause: each is twice the last [s].
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


class Healing:
    """Keeps an embedded cluster at its number of workers, or between two.

    Parameters
    ----------
    cluster : distributed.LocalCluster
        The cluster, started without workers.
    n_workers : int, optional
        Number of workers. Without it lost workers are only removed: somebody else scales the
        cluster.
    """

    def __init__(self, cluster: distributed.LocalCluster, n_workers: int | None) -> None:
        self._cluster, self._n_workers = cluster, n_workers
        self._task: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Future[Any]] = set()  # the event loop itself holds none
        self._lacking_since: dict[Any, float] = {}
        self._pause_s = _FIRST_PAUSE_S
        self._may_start_at = 0.0

    def __enter__(self) -> Healing:
        self._cluster.sync(self._begin)
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(RuntimeError):  # the cluster's loop has ended
            self._cluster.sync(self._end)

    async def _begin(self) -> None:
        self._scale()
        self._task = asyncio.create_task(self._heal())

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _scale(self) -> None:
        if self._n_workers is not None:
            self._cluster.scale(self._n_workers)

    async def _heal(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                self._look(time.monotonic())
            except Exception:
                logger.exception("the workers cannot be looked after now")

    def _look(self, now: float) -> None:
        if gone := [name for name in self._cluster.worker_spec if self._is_gone(name, now)]:
            self._replace(gone, now)
        elif not self._lacking_since:
            self._pause_s = _FIRST_PAUSE_S

    def _is_gone(self, name: Any, now: float) -> bool:
        """Return whether a worker will not come back by itself."""
        nanny: Nanny | None = self._cluster.workers.get(name)
        if nanny is None:  # it is starting
            return False
        if nanny.status in (Status.closing, Status.closed, Status.failed):
            return True
        if nanny.worker_address in self._cluster.scheduler.workers:
            self._lacking_since.pop(name, None)
            return False
        since = self._lacking_since.setdefault(name, now)
        return now - since > (_WITHOUT_CLUSTER_S if nanny.is_alive() else _WITHOUT_PROCESS_S)

    def _replace(self, names: list[Any], now: float) -> None:
        if now < self._may_start_at:
            return
        for name in names:
            self._lacking_since.pop(name, None)
            del self._cluster.worker_spec[name]
            # its successor may get the same name, and Dask would take this nanny for it
            closing = asyncio.ensure_future(self._cluster.workers.pop(name).close(_CLOSE_S))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._scale()
        self._may_start_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
