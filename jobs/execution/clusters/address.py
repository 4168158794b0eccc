"""Connect to a running cluster by the address of its scheduler."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

import distributed

from jobs.errors import ClusterError, UsageError
from jobs.execution.workers import wait_for_workers
from jobs.settings import Settings

_ADVICE = "start them with `dask worker`, or ask for fewer with --workers"
_CONNECT_TIMEOUT = "20s"

#: Files for TLS in Dask's configuration, below ``distributed.comm.tls``.
_TLS_FILES = ("ca-file", "client.cert", "client.key")


@contextlib.contextmanager
def remote_client(settings: Settings) -> Iterator[distributed.Client]:
    """Context manager for a client of a running cluster.

    Raises
    ------
    ClusterError
        If the scheduler does not answer, or too few workers come.
    UsageError
        If the scheduler is on another machine and has no TLS, or certificates are missing.
    """
    address = settings.cluster
    check_address(address)
    if address.startswith("tls://"):
        _check_certificates()
    try:
        client = distributed.Client(address, timeout=_CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ClusterError(f"no scheduler answers at {address}: {error}") from error
    with client:
        if settings.min_workers:  # without it the run begins, and an adaptive cluster grows
            wait_for_workers(client, settings.min_workers, settings.first_worker_timeout_s, _ADVICE)
        yield client


def check_address(address: str) -> None:
    """Check that only users of this machine, or holders of a certificate, reach a scheduler.

    Raises
    ------
    UsageError
        If the scheduler is on another machine and has no TLS.
    """
    if address.startswith(("tls://", "wss://", "inproc://")) or _is_loopback(address):
        return
    raise UsageError(
        f"{address} is a scheduler without TLS beyond this machine, where anybody who reaches"
        " it can run code: start it with TLS and give tls://… (see deploy/README.md)"
    )


def _check_certificates() -> None:
    security = distributed.Security()
    for name in _TLS_FILES:
        _check_file(f"distributed.comm.tls.{name}", getattr(security, _attribute(name)))
    try:
        context = security.get_connection_args("client").get("ssl_context")
    except OSError as error:
        raise UsageError(
            f"the certificates for TLS cannot be used: {error}; check the files that"
            " distributed.comm.tls in Dask's configuration names (see deploy/README.md)"
        ) from error
    if context is None:
        raise UsageError(
            "tls://… needs certificates: name them in Dask's configuration,"
            " distributed.comm.tls (see deploy/README.md)"
        )


def _attribute(name: str) -> str:
    return f"tls_{name.replace('.', '_').replace('-', '_')}"


def _check_file(name: str, path: str | None) -> None:
    if path is None or "\n" in path:  # Dask also takes the contents of the file
        return
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise UsageError(
            f"{name} in Dask's configuration names {path}: {error.strerror}; correct the name, or"
            " make the file (see deploy/README.md)"
        ) from error


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
