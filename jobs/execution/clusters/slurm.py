"""Start workers as the jobs of Slurm."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

import distributed

from jobs.errors import ClusterError
from jobs.execution.clusters.imports import importing
from jobs.execution.clusters.jobqueue import checked_arguments, jobqueue_client
from jobs.execution.clusters.jobs import Jobs
from jobs.execution.clusters.kind import Kind
from jobs.settings import Settings

with importing():
    from dask_jobqueue import SLURMCluster

_ANSWER_S = 20.0

#: Formats of Slurm's ``--time`` besides ``[DAYS-]HOURS:MINUTES:SECONDS``.
_MINUTES = re.compile(r"(\d+)(?::(\d+))?")
_DAYS = re.compile(r"(\d+)-(\d+)(?::(\d+))?")


@contextlib.contextmanager
def slurm_client(settings: Settings, *, debug: bool) -> Iterator[tuple[distributed.Client, Jobs]]:
    """Context manager for a client of a cluster whose workers are jobs of Slurm.

    Raises
    ------
    ClusterError
        If Slurm does not answer, or would refuse the jobs.
    UsageError
        If an option is wrong, or others could reach the cluster.
    """
    arguments = _arguments(settings)
    with jobqueue_client(settings, SLURMCluster, arguments, listed, debug=debug) as opened:
        yield opened


def _arguments(settings: Settings) -> dict[str, Any]:
    options = dict(settings.cluster_options)
    if "walltime" in options:
        options["walltime"] = in_full(options["walltime"])
    return checked_arguments(settings, SLURMCluster, options)


async def listed() -> dict[str, str]:
    """Return the state of this user's jobs by their numbers, such as ``PENDING (Resources)``.

    Raises
    ------
    ClusterError
        If Slurm does not answer.
    """
    output = await _output("squeue", "--noheader", f"--user={os.getuid()}", "--format=%i|%T|%r")
    states = {}
    for line in output.splitlines():
        number, state, reason = line.split("|", 2)
        states[number] = state if reason == "None" else f"{state} ({reason})"
    return states


async def _output(*line: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise ClusterError(f"{line[0]}: {error.strerror}; run this where Slurm is") from error
    try:
        out, err = await asyncio.wait_for(process.communicate(), _ANSWER_S)
    except TimeoutError:
        process.kill()
        raise ClusterError(f"{line[0]} has not answered for {_ANSWER_S:g} s") from None
    if process.returncode:
        raise ClusterError(f"{line[0]}: {' '.join(err.decode(errors='replace').split())}")
    return out.decode(errors="replace")


def in_full(wall_time: object) -> str:
    """Return a wall time of Slurm as ``DAYS-HOURS:MINUTES:SECONDS``, or as it is.

    Examples
    --------
    >>> in_full(90), in_full("30:00"), in_full("2-12")
    ('0-00:90:00', '0-00:30:00', '2-12:00:00')
    """
    text = str(wall_time)
    if found := _MINUTES.fullmatch(text):
        return f"0-00:{found[1]}:{found[2] or '00'}"
    if found := _DAYS.fullmatch(text):
        return f"{found[1]}-{found[2]}:{found[3] or '00'}:00"
    return text


KIND = Kind(check=_arguments, client=slurm_client)
