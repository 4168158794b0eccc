"""Wait for and check the workers of a cluster."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import distributed

from jobs.errors import ClusterError
from jobs.execution.version import code_version

#: How long workers may take to say which code they run [s].
_ANSWER_S = 30.0


def wait_for_workers(
    client: distributed.Client, n_workers: int, timeout_s: float, advice: str
) -> None:
    """Wait until a cluster has at least `n_workers` workers.

    Parameters
    ----------
    client : distributed.Client
        Client of the cluster.
    n_workers : int
        Number of workers.
    timeout_s : float
        How long they may take [s].
    advice : str
        What to do if they do not come, for the error.

    Raises
    ------
    ClusterError
        If they do not come within `timeout_s` seconds.
    """
    try:
        client.wait_for_workers(n_workers, timeout=timeout_s)
    except TimeoutError as error:
        n_present = len(client.scheduler_info(n_workers=-1)["workers"])
        raise ClusterError(
            f"{n_present} of {n_workers} workers came within {timeout_s:g} s"
            f" (first_worker_timeout_s): {advice}"
        ) from error


def check_workers(client: distributed.Client) -> None:
    """Check that all present workers run the same code as this process.

    If a worker does not answer, none is checked here: each task checks its worker too.

    Raises
    ------
    ClusterError
        If a worker has another version of the code or its libraries, or has no featurelib.
    """
    expected = code_version()
    pool = ThreadPoolExecutor(1)
    asked = pool.submit(client.run, code_version, on_error="return")
    pool.shutdown(wait=False)
    try:
        versions = asked.result(_ANSWER_S)
    except TimeoutError:
        return
    for worker, version in versions.items():
        if isinstance(version, BaseException):
            raise ClusterError(f"featurelib does not work on the worker {worker}: {version!r}")
        if version != expected:
            raise ClusterError(
                f"the worker {worker} runs featurelib {version} and the driver {expected}:"
                " install the same version of the code and its libraries on both"
            )


def never_pause(dask_worker: distributed.Worker) -> None:
    """Let a worker take tasks however much memory it uses; for `distributed.Client.run`.

    A paused worker keeps its task and takes no other, so a run would stand still for ever. Our
    own limit ends a worker that uses too much.
    """
    dask_worker.memory_manager.memory_pause_fraction = False
    if dask_worker.status is distributed.Status.paused:
        dask_worker.status = distributed.Status.running


def memory_limit_of(worker: distributed.Worker) -> int | None:
    """Return the memory limit of a worker in bytes; None if it has none.

    A worker in the driver's own process has none: to end it would end the user's program.
    """
    if worker.address.startswith("inproc://"):
        return None
    return worker.memory_manager.memory_limit or None
