"""Workers on hosts that are reached by SSH; the scheduler is in the driver's process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import distributed

import featurelib.extras
from jobs.errors import ClusterError, UsageError
from jobs.execution.clusters.scheduler import own_scheduler
from jobs.execution.workers import wait_for_workers
from jobs.settings import Settings, checked_values

#: Options of asyncssh, unless the user gives others: a lost host is noticed.
_CONNECT_OPTIONS = {"connect_timeout": 20, "keepalive_interval": 15}

#: How long workers on a host wait for the scheduler [s].
_WAIT_S = 30

#: Pause before a host is tried again, and longest pause: each is twice the last [s].
_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0

#: How long the run waits for slower hosts when another one works already [s].
_SLOWER_S = 30.0

_LOOK_EVERY_S = 0.1

#: How long workers have to end when they are told to [s].
_END_S = 5.0

_START = "import jobs.cli; jobs.cli.main()"

#: What a worker writes to its log when it belongs to the cluster.
_REGISTERED = "Registered to:"


@dataclass(frozen=True)
class SSHOptions:
    """The table ``[cluster]`` of the kind ``ssh``.

    Attributes
    ----------
    hosts : tuple of str
        Names or addresses of the hosts, without the driver's own unless it works too.
    connect_options : dict
        Arguments of ``asyncssh.connect``: ``username``, ``port``, ``client_keys``,
        ``known_hosts``, … The keys of hosts are checked.
    remote_python : str
        Python on the hosts, with featurelib installed (default: the driver's path).
    remote_tls : str, optional
        Folder of the certificates on the hosts (default: the path of ``--tls``).
    n_workers : int, optional
        Number of workers on each host (default one per core).
    local_directory : str, optional
        Folder for temporary files on the hosts.
    host : str, optional
        Address of the driver's machine at which the hosts reach the scheduler. By default the
        one on the way to the first host.
    port : int
        Port of the scheduler; 0 for any.
    """

    hosts: tuple[str, ...] = ()
    connect_options: dict[str, Any] = field(default_factory=dict, repr=False)
    remote_python: str = sys.executable
    remote_tls: str | None = None
    n_workers: int | None = None
    local_directory: str | None = None
    host: str | None = None
    port: int = 0


def ssh_options(settings: Settings) -> SSHOptions:
    """Return the options of the kind ``ssh``.

    Raises
    ------
    UsageError
        If an option is wrong, or there are no hosts.
    """
    options = SSHOptions(**checked_values(SSHOptions, settings.cluster_options, "[cluster]"))
    if not options.hosts:
        raise UsageError(
            "cluster is 'ssh', and no hosts are given: list them in the settings file, such as"
            ' hosts = ["node1", "node2"] below [cluster]'
        )
    if len(set(options.hosts)) < len(options.hosts):
        raise UsageError(
            f"[cluster]: hosts is {list(options.hosts)}: name each host once; n_workers is the"
            " number of workers on each"
        )
    return options


@contextlib.contextmanager
def ssh_client(settings: Settings, *, debug: bool) -> Iterator[distributed.Client]:
    """Context manager for a client of a cluster on hosts that are reached by SSH.

    Hosts that cannot be used are named in a warning and tried again, as are hosts that are lost
    later.

    Raises
    ------
    ClusterError
        If no host can be used, or too few workers come.
    UsageError
        If an option is wrong, or there are no certificates.
    """
    options = ssh_options(settings)
    with featurelib.extras.needing("cluster"):
        import asyncssh

    address = options.host or _address_towards(options.hosts[0])
    with own_scheduler(settings, address, options.port, debug=debug) as (cluster, client):
        line = _command(options, settings, cluster.scheduler_address)
        connecting = {**_CONNECT_OPTIONS, **options.connect_options}
        hosts = [_Host(name, asyncssh, connecting, line) for name in options.hosts]
        with _kept(cluster, hosts):
            _wait_for(hosts, settings.first_worker_timeout_s)
            if settings.min_workers:
                advice = "; ".join(h.problem for h in hosts if h.problem) or "ask for fewer"
                wait_for_workers(
                    client, settings.min_workers, settings.first_worker_timeout_s, advice
                )
            yield client


class _Host:
    """Keeps workers running on one host.

    Attributes
    ----------
    problem : str
        Why it has no workers; empty if it has some, or may have some soon.
    is_working : bool
        Whether one of its workers belongs to the cluster.
    """

    def __init__(
        self, name: str, asyncssh: ModuleType, connect_options: dict[str, Any], line: str
    ) -> None:
        self.name = name
        self._asyncssh, self._options, self._line = asyncssh, connect_options, line
        self.problem = ""
        self.is_working = False

    async def keep(self) -> None:
        """Start the workers, and start them again when they have ended."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                why = await self._work()
            except (OSError, TypeError, ValueError, self._asyncssh.Error) as error:
                why = str(error) or type(error).__name__
            if self.is_working:
                pause_s = _FIRST_PAUSE_S
            self.problem, self.is_working = f"{self.name}: {why}", False
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _work(self) -> str:
        """Run the workers until they end; return their last words."""
        last = ""
        async with self._asyncssh.connect(self.name, **self._options) as connection:
            process = await connection.create_process(
                self._line,
                stdin=self._asyncssh.DEVNULL,
                stdout=self._asyncssh.DEVNULL,
                errors="replace",
            )
            try:
                async for line in process.stderr:
                    last = line.strip() or last
                    if _REGISTERED in line:
                        self.problem, self.is_working = "", True
                await process.wait_closed()
            except asyncio.CancelledError:
                process.terminate()  # sshd refuses it for root
                raise
        return last.removeprefix("featurelib: ") or f"the workers ended ({process.returncode})"


@contextlib.contextmanager
def _kept(cluster: distributed.SpecCluster, hosts: list[_Host]) -> Iterator[None]:
    """Context manager in which hosts have workers."""
    tasks: list[asyncio.Task[None]] = []

    async def begin() -> None:
        tasks.extend(asyncio.create_task(host.keep()) for host in hosts)

    async def end() -> None:
        told = cluster.scheduler.broadcast(msg={"op": "terminate"}, nanny=True, on_error="ignore")
        with contextlib.suppress(TimeoutError, OSError):
            await asyncio.wait_for(told, _END_S)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_END_S)

    cluster.sync(begin)
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError, TimeoutError):  # the cluster's loop has ended
            cluster.sync(end, callback_timeout=3 * _END_S)


def _wait_for(hosts: list[_Host], timeout_s: float) -> None:
    """Wait until each host has a worker or a problem; warn of those that have problems.

    Raises
    ------
    ClusterError
        If no host has a worker.
    """
    began = time.monotonic()
    while not all(host.is_working or host.problem for host in hosts):
        waited = time.monotonic() - began
        if waited > timeout_s or (waited > _SLOWER_S and any(host.is_working for host in hosts)):
            break
        time.sleep(_LOOK_EVERY_S)
    idle = [host.problem or f"{host.name}: no worker yet" for host in hosts if not host.is_working]
    if len(idle) == len(hosts):
        raise ClusterError(f"no host has workers: {'; '.join(idle)}")
    for problem in idle:
        warnings.warn(f"no workers on {problem} (it is tried again)", stacklevel=2)


def _command(options: SSHOptions, settings: Settings, scheduler: str) -> str:
    """Return the command line for the shell of a host. It has paths of keys, never keys."""
    line = [options.remote_python, "-c", _START, "cluster", "worker", scheduler]
    if settings.tls is not None:
        line += ["--tls", options.remote_tls or os.path.abspath(settings.tls)]
    if options.n_workers is not None:
        line += ["--workers", str(options.n_workers)]
    if options.local_directory is not None:
        line += ["--local-directory", options.local_directory]
    line += ["--worker-memory", settings.worker_memory, "--wait", str(_WAIT_S)]
    return shlex.join(line)


def _address_towards(name: str) -> str:
    """Return the address of this machine on the way to another; nothing is sent."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(name, 22, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)
            return probe.getsockname()[0]
    except OSError as error:
        raise UsageError(
            f"[cluster]: the address of the host {name!r} is not known: {error.strerror}; give"
            " another name, or with host the address at which the hosts reach this machine"
        ) from error
