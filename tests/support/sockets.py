"""What processes listen on: whether other machines reach it, and whether it has TLS."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Listener:
    """A socket that a process listens on.

    Attributes
    ----------
    host, port
        Where.
    command
        The command line of the process.
    """

    host: str
    port: int
    command: str

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def protocol(self) -> str:
        """``http``, ``tls`` for whatever encrypts, or ``other``."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        with (
            contextlib.suppress(ConnectionError, TimeoutError),
            socket.create_connection((host, self.port), timeout=5) as plain,
        ):
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if plain.recv(5) == b"HTTP/":
                return "http"
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            contextlib.suppress(ssl.SSLError, ConnectionError, TimeoutError),
            socket.create_connection((host, self.port), timeout=5) as plain,
            context.wrap_socket(plain),
        ):
            return "tls"
        return "other"


def listeners(processes: Iterable[psutil.Process]) -> list[Listener]:
    """Return all sockets that processes listen on: TCP, and UDP that is not connected."""
    found = []
    for process in processes:
        try:
            command = " ".join(process.cmdline())
            sockets = process.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        found += [
            Listener(one.laddr.ip, one.laddr.port, command)
            for one in sockets
            if one.status == psutil.CONN_LISTEN or (one.type == socket.SOCK_DGRAM and not one.raddr)
        ]
    return found


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def family_of(pid: int) -> list[psutil.Process]:
    """Return a process and all that it started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def assert_closed_to_others(processes: Iterable[psutil.Process], *, at_least: int) -> None:
    """Fail if processes listen beyond loopback without TLS, or on fewer sockets than expected."""
    found = listeners(processes)
    assert len(found) >= at_least, found
    assert [one for one in found if not one.is_loopback and one.protocol != "tls"] == []


def assert_encrypted(processes: Iterable[psutil.Process], *, at_least: int) -> None:
    """Fail if fewer sockets than expected have TLS, or others but web servers on loopback."""
    found = [(one, one.protocol) for one in listeners(processes)]
    assert sum(protocol == "tls" for _, protocol in found) >= at_least, found
    plain = [(one, protocol) for one, protocol in found if protocol != "tls"]
    assert [one for one, protocol in plain if not (one.is_loopback and protocol == "http")] == []
