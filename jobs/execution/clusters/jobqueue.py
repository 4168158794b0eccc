"""Start workers as the jobs of a queueing system (Slurm, PBS, …), with dask-jobqueue."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import dask
import distributed

from jobs.errors import ClusterError, UsageError
from jobs.execution.clusters.arguments import check_arguments
from jobs.execution.clusters.configuration import CONFIG, configured
from jobs.execution.clusters.imports import importing
from jobs.execution.clusters.jobs import Jobs, ListJobs
from jobs.execution.clusters.listening import check_dashboard, check_interface, check_ports
from jobs.execution.clusters.reasons import reason_of
from jobs.execution.clusters.scaling import adapt
from jobs.execution.clusters.tls import security_of
from jobs.execution.leaving import LEAVE_AT
from jobs.settings import Settings

with importing():
    from dask_jobqueue.core import Job, JobQueueCluster

#: How long it may take to cancel all jobs, and to close the cluster [s].
_CLOSE_S = 60.0

#: `Jobs` replaces jobs that are gone; Dask would not do so for jobs of several workers.
_CONFIG = {"distributed.deploy.lost-worker-timeout": "1000 days"}

#: Workers leave so long before the wall time, to finish their file: a fraction, and bounds [s].
_MARGIN, _MARGIN_LEAST_S, _MARGIN_MOST_S = 0.05, 60, 600

#: They leave at different times, so that not all of them wait in the queue at once: a fraction.
_STAGGER = 0.1

#: How long the logs of runs that have failed are kept [s].
_LOGS_S = 30 * 24 * 3600

_TEXT = (str,), "text, in quotes"
_LINES = (list, dict), 'a list, such as ["one", "two"]'
_NUMBER = (int,), "a whole number of at least 1"

#: What some arguments must be; dask-jobqueue would take one text for a list of its letters.
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "memory": ((str,), "a size with its unit, such as '2GB'"),
    "cores": _NUMBER,
    "processes": _NUMBER,
    "scheduler_options": ((dict,), "a table, such as { port = 8786 }"),
    **dict.fromkeys(("queue", "account", "interface", "log_directory", "python"), _TEXT),
    **dict.fromkeys(
        ("job_extra_directives", "job_script_prologue", "job_directives_skip", "worker_extra_args"),
        _LINES,
    ),
}

#: Arguments that are no choice: they follow from how a run uses its cluster.
_FIXED = ("asynchronous", "config_name", "job_cls", "loop", "protocol", "scheduler_cls", "security")

_WALL_TIME = re.compile(r"(?:(?:(\d+)-)?(\d+):)(\d+):(\d+)")


@contextlib.contextmanager
def jobqueue_client(
    settings: Settings,
    cluster_class: type[JobQueueCluster],
    arguments: Mapping[str, Any],
    listed: ListJobs | None = None,
    *,
    debug: bool,
) -> Iterator[tuple[distributed.Client, Jobs]]:
    """Context manager for a client of a cluster whose workers are jobs; it cancels them at last.

    Parameters
    ----------
    settings : Settings
        The number of workers.
    cluster_class : type
        Class of dask-jobqueue.
    arguments : mapping
        Its arguments, from `checked_arguments`.
    listed : callable, optional
        Returns what the queueing system says of the user's jobs.
    debug : bool
        Show Dask's log.

    Raises
    ------
    ClusterError
        If the cluster does not start.
    UsageError
        If an option is wrong, or others could reach the cluster.
    """
    job_class = cast(Any, cluster_class).job_cls
    with contextlib.ExitStack() as stack:
        logs = arguments.get("log_directory") or stack.enter_context(logs_of_jobs())
        _check_path("log_directory", logs)
        arguments = {
            **arguments,
            "log_directory": logs,
            "job_cls": type(job_class.__name__, (_PrivateScript, job_class), {}),
        }
        if not debug:  # errors that concern the user are reported in one line
            arguments["silence_logs"] = logging.CRITICAL
        stack.enter_context(configured())
        stack.enter_context(dask.config.set(_CONFIG))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        with check_ports(settings.cluster, arguments["security"]):
            try:
                cluster = cluster_class(**arguments)
            except (OSError, RuntimeError, TypeError, ValueError) as error:
                reason = reason_of(error)
                message = " ".join(str(reason).split())
                if isinstance(reason, TypeError | ValueError):
                    raise UsageError(f"[cluster] of {settings.cluster}: {message}") from error
                raise ClusterError(f"the cluster does not start: {message}") from error
            stack.callback(_close, cluster)
        client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
        jobs = stack.enter_context(Jobs(cluster, adapt(cluster, settings), listed, logs))
        yield client, jobs


class _PrivateScript:
    """Writes the script of a job where no other user can read or replace it; see `Job`.

    dask-jobqueue deletes a temporary file, and opens another of the same name: all users of a
    login node can be faster than that, and have their commands run.
    """

    @contextlib.contextmanager
    def job_file(self) -> Iterator[str]:
        """Context manager for the file with the script; gives its name."""
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
            file.write(cast(Job, self).job_script())
            file.flush()
            yield file.name


def _close(cluster: JobQueueCluster) -> None:
    with contextlib.suppress(TimeoutError):
        cluster.close(timeout=_CLOSE_S)


@contextlib.contextmanager
def logs_of_jobs() -> Iterator[str]:
    """Context manager for a folder for the logs of jobs; it stays for 30 days if the run fails."""
    parent = Path.home() / ".cache" / "featurelib" / "jobs"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _forget_old(parent)
        folder = tempfile.mkdtemp(prefix="run-", dir=parent)
    except OSError as error:
        raise ClusterError(
            f"no folder for the logs of jobs can be made in {parent}: {error.strerror}; name"
            " another as log_directory in [cluster]"
        ) from error
    try:
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):  # there are logs to look at
            os.rmdir(folder)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _forget_old(parent: Path) -> None:
    """Delete the folders of runs whose last job started long ago."""
    for folder in parent.glob("run-*"):
        with contextlib.suppress(OSError):  # another run deletes it
            if folder.stat().st_mtime < time.time() - _LOGS_S:
                shutil.rmtree(folder, ignore_errors=True)


def checked_arguments(
    settings: Settings, cluster_class: type[JobQueueCluster], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a class of dask-jobqueue, checked.

    Parameters
    ----------
    settings : Settings
        The number of workers, and the certificates.
    cluster_class : type
        The class.
    options : mapping
        The table ``[cluster]``.

    Raises
    ------
    UsageError
        If an option is missing or wrong, or others could reach the cluster.
    """
    if settings.workers is None:
        raise UsageError(
            f"--cluster {settings.cluster} starts as many workers as --workers says: give N, or"
            " MIN:MAX"
        )
    job_class = cast(Any, cluster_class).job_cls
    check_arguments(settings.cluster, options, cluster_class, job_class)
    return arguments_of(options, job_class.config_name, security_of(settings))


def arguments_of(
    options: Mapping[str, Any], config_name: str, security: distributed.Security | None
) -> dict[str, Any]:
    """Return the arguments of a class of dask-jobqueue.

    Parameters
    ----------
    options : mapping
        The table ``[cluster]``.
    config_name : str
        Where Dask's configuration has defaults for the class, below ``jobqueue``.
    security : distributed.Security, optional
        Certificates.

    Raises
    ------
    UsageError
        If an option is missing or wrong, or others could reach the cluster.
    """

    def option(key: str) -> Any:
        default = dask.config.get(f"jobqueue.{config_name}.{key}", None)
        return options.get(key.replace("-", "_"), default)

    _check_kinds(options)
    if option("memory") is None:
        raise UsageError(
            "[cluster] has no memory: give the memory of a job, such as memory = '2GB', and cores"
            " if a job is to have more than one worker"
        )
    cores = option("cores") or 1
    processes = options.get("processes", cores)
    if processes != cores:
        raise UsageError(
            f"[cluster] has processes = {processes} and cores = {cores}: a worker has one thread,"
            " so leave processes out"
        )
    check_interface(option("interface"), option("scheduler-options"), security)
    if "protocol" in (option("scheduler-options") or {}):
        raise UsageError("scheduler_options has protocol: leave it out, --tls DIR decides on it")
    scheduler_options = {"dashboard_address": "127.0.0.1:0", **(option("scheduler-options") or {})}
    check_dashboard(scheduler_options["dashboard_address"])
    _check_path("local_directory", option("local-directory"))
    for file in () if security is None else security.get_tls_config_for_role("worker").values():
        if file is not None and "\n" not in file:  # else it is the contents of a file
            _check_path("--tls", file)
    return {
        "job_name": "featurelib",
        "python": shlex.quote(sys.executable),
        **options,
        "cores": cores,
        "processes": cores,
        "security": security,
        "scheduler_options": scheduler_options,
        "worker_extra_args": [
            *(option("worker-extra-args") or ()),
            *("--dashboard-address", "127.0.0.1:0"),
        ],
        "job_script_prologue": [
            f"export DASK_INTERNAL_INHERIT_CONFIG={dask.config.serialize(CONFIG)}",
            *_leaving(str(option("walltime"))),
            *(option("job-script-prologue") or ()),
        ],
    }


def _check_kinds(options: Mapping[str, Any]) -> None:
    if "n_workers" in options:
        raise UsageError("[cluster] has n_workers: give --workers N, or MIN:MAX, instead")
    for key in _FIXED:
        if key in options:
            raise UsageError(f"[cluster] has {key}: leave it out, it is given by the run itself")
    for key, (kinds, what) in _KINDS.items():
        value = options.get(key)
        if value is None:
            continue
        if type(value) not in kinds or (kinds == (int,) and value < 1):
            raise UsageError(f"[cluster] has {key} = {value!r}: give {what}")


def _check_path(name: str, path: str | None) -> None:
    """Check a path that dask-jobqueue writes into the script of a job without quotes."""
    if path is not None and len(str(path).split()) > 1:
        raise UsageError(
            f"{name}: {path!r} has spaces, with which the scripts of jobs do not work: use another"
            " folder"
        )


def _leaving(wall_time: str) -> Iterator[str]:
    """Yield lines of shell that say when the workers of a job leave it."""
    seconds = wall_time_s(wall_time)
    if seconds is None:
        return
    margin = min(max(_MARGIN * seconds, _MARGIN_LEAST_S), _MARGIN_MOST_S, seconds / 2)
    latest, stagger = math.floor(seconds - margin), max(1, int(_STAGGER * seconds))
    yield f"export {LEAVE_AT}=$(( $(date +%s) + {latest} - (RANDOM * 32768 + RANDOM) % {stagger} ))"


def wall_time_s(text: str) -> int | None:
    """Return a wall time ``[DAYS-]HOURS:MINUTES:SECONDS`` [s]; None if it is none."""
    found = _WALL_TIME.fullmatch(text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((24 * days + hours) * 60 + minutes) * 60 + seconds
