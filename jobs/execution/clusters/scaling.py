"""Let a cluster have the number of workers that the settings say, and keep it."""

from __future__ import annotations

import math
import pickle
from typing import Any

from distributed.deploy import Adaptive, SpecCluster

from jobs.settings import Settings

#: A worker that has been idle so long may be ended [s].
_IDLE_S = 10

#: Tasks are so long that each is worth a worker: Dask's default asks for one worker a few tasks.
_TARGET_DURATION = "1s"


class Planned:
    """The workers that a cluster has asked for.

    Parameters
    ----------
    cluster : distributed.deploy.SpecCluster
        The cluster.
    """

    def __init__(self, cluster: SpecCluster) -> None:
        self._cluster = cluster

    def n_wanted(self) -> int:
        """Return how many workers the cluster is to have now."""
        return n_planned(self._cluster)

    def why(self) -> str:
        """Return nothing: Dask's classes do not say."""
        return ""

    def check(self) -> None:
        """Do nothing."""


def adapt(cluster: SpecCluster, settings: Settings) -> Adaptive:
    """Keep a cluster between its smallest and its largest number of workers.

    Workers that are lost are replaced, also if the number is fixed; `scale` would not do that.
    """
    group = group_size(cluster)
    return cluster.adapt(
        Adaptive=WholeJobs,
        minimum=_rounded_up(settings.min_workers or 0, group),
        maximum=_rounded_up(settings.max_workers or 0, group),
        interval="1s",
        wait_count=_IDLE_S,
        target_duration=_TARGET_DURATION,
    )


def n_planned(cluster: SpecCluster) -> int:
    """Return how many workers a cluster is to have; from any thread, unlike its own `plan`."""
    return sum(len(spec.get("group", "1")) for spec in list(cluster.worker_spec.values()))


def group_size(cluster: SpecCluster) -> int:
    """Return how many workers start and end together, as one job."""
    return len((cluster.new_spec or {}).get("group", ())) or 1


class WholeJobs(Adaptive):
    """Asks for workers in multiples of those of one job, and ends whole jobs that are idle."""

    def __init__(self, cluster: SpecCluster, **options: Any) -> None:
        self._group = group_size(cluster)
        super().__init__(cluster, worker_key=_job_of if self._group > 1 else None, **options)

    async def workers_to_close(self, target: int) -> list[str]:
        """Return the names of idle workers that may be closed, down to a number of workers."""
        # told how many to close, Dask would also name workers that are at a task
        return await self.scheduler.workers_to_close(
            minimum=target,
            memory_ratio=0,
            key=pickle.dumps(self.worker_key) if self.worker_key else None,
            attribute="name",
        )

    async def safe_target(self) -> int:
        """Return the number of workers that should exist."""
        return _rounded_up(await super().safe_target(), self._group)


def _rounded_up(n: int, group: int) -> int:
    return math.ceil(n / group) * group


def _job_of(worker: Any) -> str:
    """Return the name of the job of a worker, which Dask names JOB-NUMBER."""
    return str(worker.name).rpartition("-")[0]
