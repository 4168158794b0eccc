"""An embedded cluster of worker processes on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import warnings
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

import dask
import distributed
from dask.system import CPU_COUNT

from jobs.errors import ClusterError
from jobs.execution.native import ONE_THREAD
from jobs.settings import Settings

CONFIG: dict[str, Any] = {
    # the second death of a worker over one shard ends the shard, and the driver splits it
    "distributed.scheduler.allowed-failures": 1,
    # a worker has one task at a time, so that its death is blamed on no other
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.nanny.pre-spawn-environ": ONE_THREAD,
    # what looks after the processes many times a second takes the cores from the work
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "500ms",
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.gil.enabled": False,
}
"""What the embedded cluster needs of Dask's configuration; deploy/README.md has it for others."""
_PATIENCE_S = 0.5


@contextlib.contextmanager
def local_client(settings: Settings, *, debug: bool) -> Iterator[distributed.Client]:
    level = "info" if debug else "critical"
    quiet = {} if debug else {"logging": {"distributed": level, "bokeh": level, "tornado": level}}
    n_workers = settings.workers or CPU_COUNT
    with dask.config.set(CONFIG), dask.config.set(quiet), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.ExitStack() as stack:
            with _interrupts_kept_from_children():
                try:
                    cluster = distributed.LocalCluster(
                        n_workers=n_workers,
                        threads_per_worker=1,
                        processes=True,
                        host="127.0.0.1",  # nothing listens beyond loopback
                        dashboard_address="127.0.0.1:0",
                        worker_dashboard_address="127.0.0.1:0",
                        scheduler_kwargs={"dashboard": False},
                        memory_limit=settings.worker_memory,
                        silence_logs=logging.INFO if debug else logging.CRITICAL,
                    )
                except (OSError, ValueError, RuntimeError) as error:
                    raise ClusterError(f"the local cluster does not start: {error}") from error
                stack.enter_context(cluster)
            client = stack.enter_context(distributed.Client(cluster))
            try:
                yield client
            except BaseException:
                _end_workers(cluster)
                raise


def _end_workers(cluster: distributed.LocalCluster) -> None:
    """End workers without waiting for what they are at: finished work is on disk already."""

    async def end() -> None:
        nannies = cluster.workers.values()
        await asyncio.gather(*(n.close(timeout=_PATIENCE_S) for n in nannies))

    with contextlib.suppress(OSError, RuntimeError, TimeoutError):  # closing ends them as well
        cluster.sync(end, callback_timeout=10 * _PATIENCE_S)


@contextlib.contextmanager
def _interrupts_kept_from_children() -> Iterator[None]:
    """Let Ctrl-C reach this process alone, not the workers that share its terminal.

    Threads that are started meanwhile have SIGINT blocked, and so have the processes that
    they start, now or later: each worker would print its own traceback.
    """
    # this process of multiprocessing's, once started, does not unblock SIGINT any more
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
