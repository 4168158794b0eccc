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
from typing import TYPE_CHECKING, Any

import distributed

import featurelib.extras
from jobs.errors import ClusterError, UsageError
from jobs.execution.clusters.kind import Kind
from jobs.execution.clusters.scheduler import own_scheduler, scheduler_security
from jobs.execution.workers import wait_for_workers
from jobs.settings import Settings, checked_values

if TYPE_CHECKING:
    from asyncssh import SSHClientConnectionOptions

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

_ADVICE = "ask for fewer with --workers"

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
def ssh_client(settings: Settings, *, debug: bool) -> Iterator[tuple[distributed.Client, Hosts]]:
    """Context manager for a client of a cluster on hosts that are reached by SSH.

    The run begins when each host has a worker or a problem, and there are
    ``settings.min_workers`` workers. Hosts with a problem are named in a warning and tried again,
    as are hosts that are lost later.

    Raises
    ------
    ClusterError
        If no host can be used, or too few workers come.
    UsageError
        If an option is wrong, or there are no certificates.
    """
    options = ssh_options(settings)
    limit_s = settings.first_worker_limit_s
    asyncssh, connecting = _connecting(options)
    address = _scheduler_host(options)
    with own_scheduler(settings, address, options.port, debug=debug) as (cluster, client):
        line = _command(options, settings, cluster.scheduler_address)
        hosts = Hosts(
            cluster,
            [_Host(name, asyncssh, connecting, line) for name in options.hosts],
            options.n_workers,
        )
        with hosts:
            hosts.wait(limit_s)
            if settings.min_workers:
                wait_for_workers(client, settings.min_workers, limit_s, hosts.why() or _ADVICE)
            yield client, hosts


def _connecting(options: SSHOptions) -> tuple[ModuleType, SSHClientConnectionOptions]:
    """Return the library, and its form of the options of connections."""
    with featurelib.extras.needing("cluster"):
        import asyncssh

    try:
        return asyncssh, asyncssh.SSHClientConnectionOptions(
            **{**_CONNECT_OPTIONS, **options.connect_options}
        )
    except (OSError, TypeError, ValueError, asyncssh.Error) as error:
        raise UsageError(f"[cluster.connect_options]: asyncssh says: {error}") from error


def _check(settings: Settings) -> None:
    options = ssh_options(settings)
    _connecting(options)
    scheduler_security(settings, _scheduler_host(options))


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
        self, name: str, asyncssh: ModuleType, options: SSHClientConnectionOptions, line: str
    ) -> None:
        self.name = name
        self._asyncssh, self._options, self._line = asyncssh, options, line
        self.problem = ""
        self.is_working = False

    async def keep(self) -> None:
        """Start the workers, and start them again when they have ended."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                why = await self._work()
            except (OSError, ValueError, self._asyncssh.Error) as error:
                why = str(error) or type(error).__name__
            if self.is_working:
                pause_s = _FIRST_PAUSE_S
            self.problem, self.is_working = f"{self.name}: {why}", False
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _work(self) -> str:
        """Run the workers until they end; return their last words."""
        last = ""
        async with self._asyncssh.connect(self.name, options=self._options) as connection:
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


class Hosts:
    """Keeps workers running on hosts.

    Parameters
    ----------
    cluster : distributed.SpecCluster
        The scheduler in this process.
    hosts : list of _Host
        The hosts.
    n_workers : int, optional
        Number of workers on each host, if it is known.
    """

    def __init__(
        self, cluster: distributed.SpecCluster, hosts: list[_Host], n_workers: int | None
    ) -> None:
        self._cluster, self._hosts, self._n_workers = cluster, hosts, n_workers or 0
        self._tasks: list[asyncio.Task[None]] = []

    def __enter__(self) -> Hosts:
        self._cluster.sync(self._begin)
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(RuntimeError, TimeoutError):  # the cluster's loop has ended
            self._cluster.sync(self._end, callback_timeout=3 * _END_S)

    async def _begin(self) -> None:
        self._tasks.extend(asyncio.create_task(host.keep()) for host in self._hosts)

    async def _end(self) -> None:
        # workers that only lose their scheduler wait half a minute for the file that they are at
        told = self._cluster.scheduler.broadcast(
            msg={"op": "terminate"}, nanny=True, on_error="ignore"
        )
        with contextlib.suppress(TimeoutError, OSError):
            await asyncio.wait_for(told, _END_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=_END_S)

    def n_wanted(self) -> int:
        """Return how many workers the hosts are to have; 0 if that is not known."""
        return len(self._hosts) * self._n_workers

    def why(self) -> str:
        """Return the problems of the hosts."""
        return "; ".join(host.problem for host in self._hosts if host.problem)

    def check(self) -> None:
        """Do nothing: hosts are tried again."""

    def wait(self, timeout_s: float) -> None:
        """Wait until each host has a worker or a problem; warn of those that have problems.

        Raises
        ------
        ClusterError
            If no host has a worker.
        """
        began = time.monotonic()
        while not all(host.is_working or host.problem for host in self._hosts):
            waited = time.monotonic() - began
            is_working = any(host.is_working for host in self._hosts)
            if waited > timeout_s or (waited > _SLOWER_S and is_working):
                break
            time.sleep(_LOOK_EVERY_S)
        idle = [
            host.problem or f"{host.name}: no worker came within {timeout_s:g} s"
            for host in self._hosts
            if not host.is_working
        ]
        if len(idle) == len(self._hosts):
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


def _scheduler_host(options: SSHOptions) -> str:
    """Return the address of this machine for the hosts; nothing is sent."""
    if options.host:
        return options.host
    name = options.hosts[0]
    try:
        family, kind, _, _, address = socket.getaddrinfo(name, 22, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)
            return probe.getsockname()[0]
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"[cluster]: the address of the host {name!r} is not known: {why}; give another name,"
            " or with host the address at which the hosts reach this machine"
        ) from error


KIND = Kind(check=_check, client=ssh_client)
