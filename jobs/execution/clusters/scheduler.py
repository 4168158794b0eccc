"""A scheduler in the driver's own process, for workers that come from elsewhere."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import distributed

from jobs.errors import ClusterError, UsageError
from jobs.execution.clusters.configuration import configured
from jobs.execution.clusters.listening import is_loopback
from jobs.execution.clusters.local import close_or_leave
from jobs.execution.clusters.reasons import reason_of
from jobs.execution.clusters.tls import security_of
from jobs.settings import Settings


def scheduler_security(settings: Settings, host: str) -> distributed.Security | None:
    """Return the certificates of a scheduler that listens at an address.

    Raises
    ------
    UsageError
        If other machines can reach it and there are no certificates.
    """
    security = security_of(settings)
    if security is None and not is_loopback(host):
        raise UsageError(
            f"the scheduler would listen at {host} without TLS, where anybody who reaches it can"
            " run code: make certificates with featurelib cluster certificates DIR, copy them to"
            " every machine of the cluster, and give --tls DIR"
        )
    return security


@contextlib.contextmanager
def own_scheduler(
    settings: Settings, host: str, port: int, *, debug: bool
) -> Iterator[tuple[distributed.SpecCluster, distributed.Client]]:
    """Context manager for a scheduler without workers, and a client of it.

    Parameters
    ----------
    settings : Settings
        With the certificates.
    host : str
        Address to listen at.
    port : int
        Port to listen at; 0 for any.
    debug : bool
        Show Dask's log.

    Raises
    ------
    ClusterError
        If the scheduler does not start.
    UsageError
        If other machines can reach it and there are no certificates.
    """
    security = scheduler_security(settings, host)
    with configured(), contextlib.ExitStack() as stack:
        try:
            cluster = distributed.SpecCluster(
                scheduler={
                    "cls": distributed.Scheduler,
                    "options": {
                        "host": host,
                        "port": port,
                        "protocol": "tcp://" if security is None else "tls://",
                        "security": security,
                        "dashboard": False,
                        "dashboard_address": "127.0.0.1:0",  # it would listen at all addresses
                    },
                },
                workers={},
                security=security,
                silence_logs=logging.INFO if debug else logging.CRITICAL,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ClusterError(
                f"no scheduler starts at {host}, port {port}: {reason_of(error)}"
            ) from error
        stack.callback(close_or_leave, cluster)
        client = distributed.Client(cluster, set_as_default=False)
        stack.callback(close_or_leave, client)
        yield cluster, client
