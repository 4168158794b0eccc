"""A real Slurm on this machine, with one node of two CPUs, for the tests marked ``programs``."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.support.driver import ROOT, wait_until

_SERVERS = ROOT / "tests" / "servers"


class Slurm:
    """A running Slurm; see `running_slurm`.

    Attributes
    ----------
    conf
        Its configuration, the value of ``SLURM_CONF``.
    """

    def __init__(self, conf: Path) -> None:
        self.conf = conf

    def call(self, *line: str) -> str:
        """Run a command of Slurm, and return what it says."""
        env = {**os.environ, "SLURM_CONF": str(self.conf)}
        return subprocess.run(line, check=True, text=True, capture_output=True, env=env).stdout

    def states(self) -> dict[str, str]:
        """Return the state of each job that Slurm remembers, by its number."""
        line = ("squeue", "--noheader", "--states=all", "--sort=i", "--format=%i %T")
        return dict(job.split() for job in self.call(*line).splitlines())

    def active(self) -> list[str]:
        """Return the numbers of the jobs that wait or run."""
        return self.call("squeue", "--noheader", "--format=%i").split()

    def wait_until_empty(self, timeout: float = 120) -> None:
        wait_until(lambda: not self.active(), "no job is left", timeout)

    def cancel(self, *numbers: str) -> None:
        self.call("scancel", *numbers)

    @contextlib.contextmanager
    def partition_down(self) -> Iterator[None]:
        """Context manager in which no job starts."""
        self.call("scontrol", "update", "partitionname=main", "state=down")
        try:
            yield
        finally:
            self.call("scontrol", "update", "partitionname=main", "state=up")


def job_of(pid: int) -> str:
    """Return the number of the job that a process belongs to."""
    return psutil.Process(pid).environ()["SLURM_JOB_ID"]


def processes_of(job: str, slurm: Slurm) -> list[psutil.Process]:
    """Return the processes of a job."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            names = environment.get("SLURM_JOB_ID"), environment.get("SLURM_CONF")
            if names == (job, str(slurm.conf)):
                found.append(process)
    return found


@contextlib.contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    """Context manager for a Slurm whose state is in a folder, which it makes."""
    for program in ("slurmctld", "slurmd", "munged", "sbatch"):
        assert shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"), (
            f"{program} is not installed: apt-get install slurm-wlm munge (.ci/run does)"
        )
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        ports = {"PORT": str(one.getsockname()[1]), "NODE_PORT": str(other.getsockname()[1])}
    started = subprocess.run(
        [_SERVERS / "slurm-up.sh", folder],
        env={**os.environ, **ports},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert started.returncode == 0, started.stdout
    try:
        yield Slurm(folder / "slurm.conf")
    finally:
        subprocess.run([_SERVERS / "slurm-down.sh", folder], check=True)
