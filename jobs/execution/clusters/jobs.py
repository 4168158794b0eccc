"""Look after the jobs of a cluster in a queueing system: replace those that are gone.

Dask takes a job that was submitted for a worker that will come. But jobs are cancelled in the
queue, end before their worker is there, or reach their wall time; and a submission may fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shlex
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Status
from distributed.deploy import Adaptive

from jobs.errors import ClusterError
from jobs.execution.clusters.scaling import n_planned

if TYPE_CHECKING:
    from dask_jobqueue.core import Job, JobQueueCluster

logger = logging.getLogger(__name__)

#: Returns the state of the user's jobs, with its reason, by their numbers.
#: A `ClusterError` says that the queueing system does not answer.
ListJobs = Callable[[], Awaitable[dict[str, str]]]

_LOOK_EVERY_S = 1.0
_LIST_EVERY_S = 5.0

#: How long a job may be without workers after it had some: a nanny may start one again [s].
_WITHOUT_WORKERS_S = 15.0

#: Pause before jobs that end at once are replaced: each is twice the last [s].
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 120.0

#: If so many jobs are refused, or end without a worker, and no other has one, none will come.
_TRIES = 3

_LINE_LENGTH = 200

_NUMBER = re.compile(r"\d+")


class Jobs:
    """The jobs of a cluster; it is the cluster's `jobs.execution.provision.Provision`.

    Parameters
    ----------
    cluster : dask_jobqueue.core.JobQueueCluster
        The cluster.
    adaptive : distributed.deploy.Adaptive
        Asks for jobs where there are too few.
    listed : callable, optional
        Returns what the queueing system says of the user's jobs.
    logs : str
        Folder of the logs of jobs.
    """

    def __init__(
        self, cluster: JobQueueCluster, adaptive: Adaptive, listed: ListJobs | None, logs: str
    ) -> None:
        self._cluster, self._adaptive, self._listed = cluster, adaptive, listed
        self._logs = Path(logs)
        self._task: asyncio.Task[None] | None = None
        self._had_workers: set[str] = set()  # numbers of jobs
        self._lacking_since: dict[str, float] = {}
        self._states: dict[str, str] = {}
        self._listed_at = 0.0
        self._submitted: dict[str, float] = {}  # when each job was first seen
        self._refusal = ""  # what the last submission said, if it failed
        self._n_refused = 0
        self._silence = ""  # why the jobs cannot be listed, if so
        self._n_ended_at_once = 0
        self._pause_s, self._may_start_at = _FIRST_PAUSE_S, 0.0

    def __enter__(self) -> Jobs:
        self._cluster.sync(self._begin)
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(RuntimeError):  # the cluster's loop has ended
            self._cluster.sync(self._end)

    async def _begin(self) -> None:
        self._task = asyncio.create_task(self._look_after())

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._adaptive.stop("the run has ended")
        for job in self._cluster.workers.values():
            if job.status is Status.created:  # Dask would wonder what became of it
                job.status = Status.failed
        await self._cancel_all()

    async def _cancel_all(self) -> None:
        """Cancel all jobs with one command; Dask would start one for each."""
        jobs: list[Job] = [job for job in self._cluster.workers.values() if job.job_id]
        if not jobs:
            return
        numbers = [job.job_id for job in jobs]
        with contextlib.suppress(RuntimeError, OSError):  # some have ended by themselves
            await jobs[0]._call([*shlex.split(jobs[0].cancel_command), *numbers])
            for job in jobs:
                job.job_id = None

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self._look(time.monotonic())
            except Exception:
                logger.exception("the jobs cannot be looked after now")

    async def _look(self, now: float) -> None:
        if self._listed is not None and now - self._listed_at > _LIST_EVERY_S:
            await self._list()
        for job in list(self._cluster.workers.values()):
            if job.status is Status.created:
                await self._submit_again(job, now)
        gone = [name for name in self._cluster.worker_spec if self._is_gone(name, now)]
        for name in gone:
            # `Adaptive` notices, and asks for another, which may get the same name
            del self._cluster.worker_spec[name]
            job = self._cluster.workers.pop(name)
            logger.info("the job %s is gone", job.job_id)
            await job.close()

    async def _list(self) -> None:
        assert self._listed is not None
        try:
            # the moment before: a job that is submitted meanwhile may be missing
            at, states = time.monotonic(), await self._listed()
        except ClusterError as error:
            self._silence = str(error)
            return
        self._silence = ""
        self._listed_at, self._states = at, states

    async def _submit_again(self, job: Job, now: float) -> None:
        """Submit a job whose submission has failed, and remember why it fails."""
        if now < self._may_start_at:
            return
        try:
            await job
        except (RuntimeError, OSError, ValueError) as error:
            self._refusal = _refusal(str(error))
            self._n_refused += 1
            self._pause(now)
        else:
            self._refusal, self._n_refused = "", 0

    def _pause(self, now: float) -> None:
        self._may_start_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _is_gone(self, name: Any, now: float) -> bool:
        job: Job | None = self._cluster.workers.get(name)
        if job is None or not job.job_id:  # it is being submitted
            return False
        number = job.job_id
        self._submitted.setdefault(number, now)
        if self._has_workers(name):
            self._had_workers.add(number)
            self._lacking_since.pop(number, None)
            self._n_ended_at_once, self._pause_s = 0, _FIRST_PAUSE_S
            return False
        has_ended = number not in self._states and self._submitted[number] < self._listed_at
        if number in self._had_workers:
            lacking_s = now - self._lacking_since.setdefault(number, now)
            return has_ended or lacking_s > _WITHOUT_WORKERS_S
        if not has_ended or now < self._may_start_at:
            return False
        self._n_ended_at_once += 1
        self._pause(now)
        return True

    def _has_workers(self, name: Any) -> bool:
        suffixes = self._cluster.worker_spec[name].get("group", [""])
        present = self._cluster.scheduler.aliases
        return any(f"{name}{suffix}" in present for suffix in suffixes)

    def n_wanted(self) -> int:
        """Return how many workers the cluster is to have now."""
        return n_planned(self._cluster)

    def why(self) -> str:
        """Return the reason why workers do not come, in the queueing system's words."""
        if self._refusal:
            return f"no job can be submitted: {self._refusal}"
        if self._silence:
            return self._silence
        jobs = [job.job_id for job in list(self._cluster.workers.values()) if job.job_id]
        states = Counter(self._states[number] for number in jobs if number in self._states)
        if not states:
            return ""
        told = ", ".join(f"{n} {state}" for state, n in states.most_common())
        is_running = any(state.startswith("RUNNING") for state in states)
        log = self._last_words() if is_running and not self._had_workers else ""
        return f"of {states.total()} jobs {told}{log and f'; the last line of a log: {log}'}"

    def check(self) -> None:
        """Check that workers may still come.

        Raises
        ------
        ClusterError
            If no job was ever accepted, or all jobs end before their workers are there.
        """
        if not self._submitted and self._n_refused >= _TRIES:
            raise ClusterError(
                f"no job can be submitted: {self._refusal}; correct [cluster], and run the same"
                " command again"
            )
        n = self._n_ended_at_once
        if n < max(_TRIES, len(self._cluster.worker_spec)):
            return
        raise ClusterError(
            f"{n} jobs have ended before their workers joined the cluster"
            f" (the last line of a log in {self._logs}: {self._last_words() or 'none'}): correct"
            " [cluster], and run the same command again"
        )

    def _last_words(self) -> str:
        """Return the last line of the newest log of a job that says anything."""
        ours = {number.partition(".")[0] for number in self._submitted}  # PBS: NUMBER.SERVER
        with contextlib.suppress(OSError):
            files = [
                (path.stat().st_mtime, path)
                for path in self._logs.iterdir()
                if ours.intersection(_NUMBER.findall(path.name))  # runs may share the folder
            ]
            for _, path in sorted(files, reverse=True):
                if line := _last_line(path.read_text(errors="replace")):
                    return line
        return ""


def _refusal(text: str) -> str:
    """Return what the command said that was to submit a job, from dask-jobqueue's error."""
    return _last_line(text.rpartition("stderr:")[2]) or _last_line(text)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:_LINE_LENGTH] if lines else ""
