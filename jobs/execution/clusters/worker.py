"""Workers that are started by hand, by a service manager or over SSH, and join a scheduler."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import dask
import distributed
from distributed.comm import connect, get_address_host
from distributed.comm.core import FatalCommClosedError

from jobs.errors import ClusterError
from jobs.execution.clusters.address import security_for
from jobs.execution.clusters.configuration import CONFIG
from jobs.execution.clusters.tls import FILES
from jobs.settings import Settings

_ONE_ATTEMPT_S = 2.0
_PAUSE_S = 1.0

#: Workers that found the scheduler, but cannot join it for so long, end.
_DEATH_TIMEOUT = "60s"


@dataclass(frozen=True)
class WorkerOptions:
    """How workers join a scheduler.

    Attributes
    ----------
    scheduler : str
        Address of the scheduler.
    tls : str, optional
        Folder with the certificates; by default those of Dask's configuration.
    n_workers : int, optional
        Number of worker processes, of one thread each (default one per core).
    memory : str
        Memory limit of each, in Dask's notation.
    local_directory : str, optional
        Folder for temporary files.
    wait_s : float, optional
        How long they wait for the scheduler [s]; for ever if it is not given.
    """

    scheduler: str
    tls: str | None = None
    n_workers: int | None = None
    memory: str = "auto"
    local_directory: str | None = None
    wait_s: float | None = None


def become_workers(options: WorkerOptions, on_wait: Callable[[], None]) -> NoReturn:
    """Wait for the scheduler, then turn this process into Dask's ``dask worker``.

    Parameters
    ----------
    options : WorkerOptions
        The scheduler, and the workers.
    on_wait : callable
        Is called once if the scheduler is not there yet.

    Raises
    ------
    ClusterError
        If the scheduler has other certificates, or is not there in time.
    UsageError
        If the scheduler is on another machine and has no TLS, or certificates are missing.
    """
    security = security_for(Settings(cluster=options.scheduler, tls=options.tls))
    host = asyncio.run(_reach(options, security or distributed.Security(), on_wait))
    line = command(options, host)
    # above the user's own configuration, as in the embedded cluster
    inherited = {"DASK_INTERNAL_INHERIT_CONFIG": dask.config.serialize(CONFIG)}
    sys.stdout.flush()
    os.execve(line[0], line, os.environ | inherited)


def command(options: WorkerOptions, host: str) -> list[str]:
    """Return the command of Dask that starts the workers.

    Parameters
    ----------
    options : WorkerOptions
        The scheduler, and the workers.
    host : str
        Address of this machine at which the scheduler reaches it.
    """
    line = [sys.executable, "-m", "dask", "worker", options.scheduler, "--host", host]
    # without this address Dask's web server of each worker listens on all addresses
    line += ["--dashboard-address", "127.0.0.1:0", "--nthreads", "1"]
    line += ["--nworkers", str(options.n_workers or -1), "--memory-limit", options.memory]
    line += ["--death-timeout", _DEATH_TIMEOUT]
    if options.tls is not None:
        names = ("--tls-ca-file", "--tls-cert", "--tls-key")
        for name, file in zip(names, FILES, strict=True):
            line += [name, os.path.join(options.tls, file)]
    if options.local_directory is not None:
        line += ["--local-directory", options.local_directory]
    return line


async def _reach(
    options: WorkerOptions, security: distributed.Security, on_wait: Callable[[], None]
) -> str:
    """Wait for the scheduler; return the address of this machine on the way to it."""
    scheduler, wait_s = options.scheduler, options.wait_s
    timeout_s = _ONE_ATTEMPT_S if wait_s is None else min(wait_s, _ONE_ATTEMPT_S)
    began, said = time.monotonic(), False
    while True:
        try:
            comm = await connect(
                scheduler, timeout=timeout_s, **security.get_connection_args("worker")
            )
        except FatalCommClosedError as error:
            raise ClusterError(
                f"the scheduler at {scheduler} has certificates of another authority: copy those"
                " that it was started with to this machine"
            ) from error
        except OSError as error:
            if wait_s is not None and time.monotonic() - began >= wait_s:
                raise ClusterError(f"no scheduler answers at {scheduler}: {error}") from error
            if not said:
                on_wait()
                said = True
            await asyncio.sleep(_PAUSE_S)
        else:
            host = get_address_host(comm.local_address)
            await comm.close()
            return host
