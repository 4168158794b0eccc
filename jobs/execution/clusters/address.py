"""Connect to a running cluster by the address of its scheduler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import distributed
from distributed.comm.core import FatalCommClosedError

from jobs.errors import ClusterError, UsageError
from jobs.execution.clusters.kind import Kind
from jobs.execution.clusters.listening import is_loopback
from jobs.execution.clusters.tls import security_of
from jobs.execution.provision import Fixed, Provision
from jobs.execution.workers import wait_for_workers
from jobs.settings import Settings

_ADVICE = "start them with `dask worker`, or ask for fewer with --workers"
_CONNECT_TIMEOUT = "20s"


@contextlib.contextmanager
def remote_client(
    settings: Settings, *, debug: bool
) -> Iterator[tuple[distributed.Client, Provision]]:
    """Context manager for a client of a running cluster, whose workers others start.

    Raises
    ------
    ClusterError
        If the scheduler does not answer, or too few workers come.
    UsageError
        If the scheduler is on another machine and has no TLS, or certificates are missing.
    """
    address, security = settings.cluster, security_for(settings)
    try:
        client = distributed.Client(
            address, security=security, timeout=_CONNECT_TIMEOUT, set_as_default=False
        )
    except FatalCommClosedError as error:
        raise ClusterError(
            f"the scheduler at {address} has certificates of another authority: give those that it"
            " was started with, --tls DIR"
        ) from error
    except (OSError, ValueError, TimeoutError) as error:
        hint = "" if security else "; if it has TLS, give tls://… and --tls DIR"
        raise ClusterError(f"no scheduler answers at {address}: {error}{hint}") from error
    with client:
        if settings.min_workers:  # without it the run begins, and an adaptive cluster grows
            wait_for_workers(client, settings.min_workers, settings.first_worker_limit_s, _ADVICE)
        yield client, Fixed(settings.min_workers or 0)


def security_for(settings: Settings) -> distributed.Security | None:
    """Return the certificates for the scheduler whose address is in the settings.

    Raises
    ------
    UsageError
        If the scheduler is on another machine and has no TLS, or certificates are missing.
    """
    address = settings.cluster
    check_address(address)
    if settings.tls is not None and not address.startswith("tls://"):
        raise UsageError(
            f"{address} is the address of a scheduler without TLS, and tls is {settings.tls!r}:"
            " start the scheduler with these certificates and give tls://…, or leave --tls out"
        )
    if not address.startswith("tls://"):
        return None
    security = security_of(settings)
    if security is None:
        raise UsageError(
            "tls://… needs certificates: give --tls DIR, or name them in Dask's configuration,"
            " distributed.comm.tls (see deploy/README.md)"
        )
    return security


def check_address(address: str) -> None:
    """Check that only users of this machine, or holders of a certificate, reach a scheduler.

    Raises
    ------
    UsageError
        If the scheduler is on another machine and has no TLS.
    """
    if address.startswith(("tls://", "wss://", "inproc://")) or is_loopback(
        urlsplit(address).hostname or ""
    ):
        return
    raise UsageError(
        f"{address} is a scheduler without TLS beyond this machine, where anybody who reaches"
        " it can run code: start it with TLS and give tls://… (see deploy/README.md)"
    )


KIND = Kind(check=security_for, client=remote_client)
