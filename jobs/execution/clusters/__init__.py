"""Getting a Dask client: an embedded local cluster, or one that is running already."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import warnings
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any
from urllib.parse import urlsplit

import dask
import distributed
from dask.system import CPU_COUNT

from jobs.errors import ClusterError, UsageError
from jobs.native import ONE_THREAD
from jobs.settings import LOCAL, Settings
from jobs.version import code_version

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

_CONNECT_TIMEOUT = "20s"
_WORKERS_TIMEOUT_S = 120
_PATIENCE_S = 0.5
_LOGGERS = ("distributed", "distributed.client", "tornado.application")  # Dask gives each a level


@contextlib.contextmanager
def open_client(settings: Settings, *, debug: bool = False) -> Iterator[distributed.Client]:
    """Give a client of the cluster that the settings name, and close what was opened for it.

    Raises
    ------
    ClusterError
        If it cannot be reached, or no worker comes.
    UsageError
        If it is beyond this machine and without TLS, or certificates are missing.
    """
    if settings.cluster == LOCAL:
        with _log_level(debug=debug), _local_client(settings, debug=debug) as client:
            yield client
    else:
        with _log_level(debug=debug), _remote_client(settings) as client:
            yield client


@contextlib.contextmanager
def _log_level(*, debug: bool) -> Iterator[None]:
    """Keep Dask's log from the terminal: what it means to a user is said in one line."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO if debug else logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _local_client(settings: Settings, *, debug: bool) -> Iterator[distributed.Client]:
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


@contextlib.contextmanager
def _remote_client(settings: Settings) -> Iterator[distributed.Client]:
    address = settings.cluster
    if not address.startswith(("tls://", "wss://")) and not _is_loopback(address):
        raise UsageError(
            f"{address} is a scheduler without TLS beyond this machine, where anybody who reaches"
            " it can run code: start it with TLS and give tls://… (see deploy/README.md)"
        )
    if address.startswith("tls://"):
        _check_certificates()
    try:
        client = distributed.Client(address, timeout=_CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ClusterError(f"no scheduler answers at {address}: {error}") from error
    with client:
        wait_for_workers(client, settings.workers or 1)
        yield client


def _check_certificates() -> None:
    try:
        context = distributed.Security().get_connection_args("client").get("ssl_context")
    except OSError as error:
        raise UsageError(f"the certificates for TLS cannot be read: {error}") from error
    if context is None:
        raise UsageError(
            "tls://… needs certificates: name them in Dask's configuration,"
            " distributed.comm.tls (see deploy/README.md)"
        )


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def wait_for_workers(client: distributed.Client, n_workers: int) -> None:
    """Wait until there are workers.

    Raises
    ------
    ClusterError
        If they do not come in time.
    """
    try:
        client.wait_for_workers(n_workers, timeout=_WORKERS_TIMEOUT_S)
    except TimeoutError as error:
        found = len(client.scheduler_info(n_workers=-1)["workers"])
        raise ClusterError(
            f"{found} of {n_workers} workers came within {_WORKERS_TIMEOUT_S} s: start them with"
            " `dask worker`, or ask for fewer with --workers"
        ) from error


def check_workers(client: distributed.Client) -> None:
    """Refuse workers that run other code than this process.

    Raises
    ------
    ClusterError
        If a worker has another version of the code or its libraries, or none.
    """
    ours = code_version()
    found = client.run(code_version, on_error="return")
    for worker, theirs in found.items():
        if isinstance(theirs, BaseException):
            raise ClusterError(f"featurelib does not work on the worker {worker}: {theirs!r}")
        if theirs != ours:
            raise ClusterError(
                f"the worker {worker} runs featurelib {theirs} and the driver {ours}: install the"
                " same version of the code and its libraries on both"
            )


def n_threads(client: distributed.Client) -> int:
    """Return how many tasks the cluster's workers can run at once."""
    return max(1, sum(client.nthreads().values()))
