"""Start an embedded cluster of worker processes on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import dask
import distributed
from dask.system import CPU_COUNT

from jobs.errors import ClusterError
from jobs.execution import forkserver
from jobs.execution.clusters.configuration import configured
from jobs.execution.clusters.healing import Healing
from jobs.execution.clusters.kind import Kind
from jobs.execution.clusters.reasons import reason_of
from jobs.execution.clusters.scaling import Planned, adapt
from jobs.execution.clusters.tls import security_of
from jobs.execution.provision import Provision
from jobs.execution.workers import wait_for_workers
from jobs.settings import Settings

#: Dask configuration of the embedded cluster alone; `configured` has what all clusters share.
_CONFIG: dict[str, Any] = {
    # the task says which file used too much memory, where the nanny would only end the worker
    "distributed.worker.memory.terminate": False,
    # the driver itself watches for signs of life; a laptop that slept has lost nobody
    "distributed.scheduler.worker-ttl": None,
    # lost workers are replaced by `Healing`; after this time Dask would close their nannies
    "distributed.deploy.lost-worker-timeout": "1000 days",
}

_CLOSE_TIMEOUT_S = 0.5

#: How long the client, and then the cluster, may take to close; the process goes on after it [s].
_LEAVE_AFTER_S = 10.0

_ADVICE = "--debug shows why no process starts, and --cluster inline runs without workers"


@contextlib.contextmanager
def local_client(
    settings: Settings, *, debug: bool
) -> Iterator[tuple[distributed.Client, Provision]]:
    """Context manager for a client of an embedded cluster, which lasts as long as the client.

    Raises
    ------
    ClusterError
        If the cluster does not start.
    """
    level = "info" if debug else "critical"
    quiet = {} if debug else {"logging": {"distributed": level, "bokeh": level, "tornado": level}}
    n_workers = local_workers(settings)
    security = _security(settings)
    with (
        forkserver.serving() as method,
        configured(),
        dask.config.set(_CONFIG | quiet),
        dask.config.set({"distributed.worker.multiprocessing-method": method}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        with contextlib.ExitStack() as stack:
            with forkserver.signals_kept_from_children():
                try:
                    cluster = distributed.LocalCluster(
                        n_workers=0,  # `Healing` starts them, and others if these fail
                        threads_per_worker=1,
                        processes=True,
                        host="127.0.0.1",  # nothing listens beyond loopback
                        protocol="tcp://" if security is None else "tls://",
                        security=security,
                        dashboard_address="127.0.0.1:0",
                        worker_dashboard_address="127.0.0.1:0",
                        scheduler_kwargs={"dashboard": settings.dashboard},
                        memory_limit=settings.worker_memory,
                        silence_logs=logging.INFO if debug else logging.CRITICAL,
                    )
                except (OSError, ValueError, RuntimeError) as error:
                    raise ClusterError(
                        f"the local cluster does not start: {reason_of(error)}"
                    ) from error
                stack.callback(close_or_leave, cluster)
                # before any worker starts: a client waits for the workers, Ctrl-C would end that
                # wait and their start with it, and Dask could not close the cluster any more
                client = distributed.Client(cluster)
                stack.callback(close_or_leave, client)
                stack.enter_context(Healing(cluster, None if settings.is_adaptive else n_workers))
                if settings.is_adaptive:
                    adapt(cluster, settings)
            try:
                if settings.min_workers != 0:
                    wait_for_workers(client, 1, settings.first_worker_limit_s, _ADVICE)
                yield client, Planned(cluster)
            except BaseException:
                _end_workers(cluster)
                raise


def close_or_leave(opened: distributed.deploy.Cluster | distributed.Client) -> None:
    """Close a cluster or a client, or leave it behind: workers end with this process at last."""
    with contextlib.suppress(TimeoutError):
        opened.close(timeout=_LEAVE_AFTER_S)


def local_workers(settings: Settings) -> int:
    """Return the number of workers of an embedded cluster."""
    return settings.max_workers or CPU_COUNT


def _security(settings: Settings) -> distributed.Security | None:
    """Return certificates if they are asked for: those in Dask's configuration are of others."""
    return security_of(settings) if settings.tls is not None else None


def _end_workers(cluster: distributed.LocalCluster) -> None:
    """End the workers without waiting for their tasks: finished work is already on disk."""

    async def end() -> None:
        nannies = cluster.workers.values()
        await asyncio.gather(*(n.close(timeout=_CLOSE_TIMEOUT_S) for n in nannies))

    with contextlib.suppress(
        OSError, RuntimeError, TimeoutError
    ):  # closing the cluster ends them too
        cluster.sync(end, callback_timeout=10 * _CLOSE_TIMEOUT_S)


KIND = Kind(check=_security, client=local_client)
