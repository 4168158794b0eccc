"""Check that what a cluster listens on is out of reach for others, or has TLS."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Iterator, Mapping
from typing import Any

import distributed
import psutil

from jobs.errors import UsageError

_CERTIFICATES = "make certificates with `featurelib cluster certificates DIR`, and give --tls DIR"


def check_interface(
    interface: str | None,
    scheduler_options: Mapping[str, Any] | None,
    security: distributed.Security | None,
) -> None:
    """Check where scheduler and workers will listen, before they do.

    Raises
    ------
    UsageError
        If others reach them, and there is no TLS, or there is no such interface.
    """
    addresses = psutil.net_if_addrs()
    options = scheduler_options or {}
    for name in (interface, options.get("interface")):
        if name is not None and name not in addresses:
            raise UsageError(
                f"[cluster] has interface = {name!r}: there are {', '.join(sorted(addresses))}"
            )
    if security is not None:
        return
    if interface is None or not _is_loopback_interface(interface):
        raise UsageError(
            "scheduler and workers would listen where others reach them, without TLS, and anybody"
            f" who reaches them can run code: {_CERTIFICATES}; if all jobs run on this machine,"
            " interface = 'lo' in [cluster] does without"
        )
    host, other = options.get("host"), options.get("interface")
    if not (host is None or is_loopback(host)) or not (
        other is None or _is_loopback_interface(other)
    ):
        raise UsageError(
            f"the scheduler would listen on {host or other} without TLS: {_CERTIFICATES}"
        )


def check_dashboard(address: Any) -> None:
    """Check that a dashboard, which has no login, is on loopback.

    Raises
    ------
    UsageError
        If it is not.
    """
    if not is_loopback(str(address).rpartition(":")[0]):
        raise UsageError(
            f"[cluster] has dashboard_address = {address!r}: the dashboard has no login, so give"
            " '127.0.0.1:PORT', and reach it through ssh -L"
        )


@contextlib.contextmanager
def check_ports(cluster: str, security: distributed.Security | None) -> Iterator[None]:
    """Context manager in which a cluster starts: check what this process listens on after it.

    Raises
    ------
    UsageError
        If others reach a new port, and there is no TLS.
    """
    before = _ports()
    yield
    if security is None and (new := _ports() - before):
        host, port = min(new)
        raise UsageError(
            f"{cluster} listens on {host}:{port}, where others reach it, without TLS: say in"
            f" [cluster] that it listens on 127.0.0.1, or {_CERTIFICATES}"
        )


def _is_loopback_interface(name: str) -> bool:
    return all(
        is_loopback(one.address.partition("%")[0])
        for one in psutil.net_if_addrs()[name]
        if one.family.name in ("AF_INET", "AF_INET6")
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host, given by name or number."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _ports() -> set[tuple[str, int]]:
    """Return address and port of all sockets of this process that others reach."""
    found = psutil.Process(os.getpid()).net_connections(kind="tcp")
    return {
        tuple(one.laddr)
        for one in found
        if one.status == psutil.CONN_LISTEN and not is_loopback(one.laddr.ip)
    }
