"""A real OpenSSH server on loopback: tests/servers/sshd-up.sh."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.driver import ROOT
from tests.support.sockets import free_port

_SERVERS = ROOT / "tests" / "servers"


@dataclass(frozen=True)
class Sshd:
    """A running server.

    Attributes
    ----------
    folder
        Its keys and its log.
    port
        Where it listens, on 127.0.0.1.
    """

    folder: Path
    port: int

    @property
    def pid(self) -> int:
        return int((self.folder / "sshd.pid").read_text())

    @property
    def python(self) -> Path:
        """A Python that finds this code, wherever it is installed."""
        return self.folder / "python"

    def options(self, *hosts: str, **others: Any) -> dict[str, Any]:
        """Return a table ``[cluster]`` for hosts of this server, two workers on each."""
        connect_options = {
            "port": self.port,
            "client_keys": [str(self.folder / "id")],
            "known_hosts": str(self.folder / "known_hosts"),
            "config": [],  # nor the user's own configuration
        }
        defaults: dict[str, Any] = {"n_workers": 2, "remote_python": str(self.python)}
        connecting = connect_options | others.pop("connect_options", {})
        return {"hosts": list(hosts), "connect_options": connecting, **defaults, **others}


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """Start a server in a folder that is not there yet; stop it with the context."""
    port = free_port()
    environment = os.environ | {"PORT": str(port)}
    up = subprocess.run(
        [_SERVERS / "sshd-up.sh", folder], env=environment, capture_output=True, text=True
    )
    assert up.returncode == 0, up.stderr
    server = Sshd(folder, port)
    server.python.write_text(
        f'#!/bin/sh\nexport PYTHONPATH="{ROOT}"\nexec "{sys.executable}" "$@"\n'
    )
    server.python.chmod(0o755)
    try:
        yield server
    finally:
        subprocess.run([_SERVERS / "sshd-down.sh", folder], check=True)
