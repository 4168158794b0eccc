"""The workers of a cluster: how many there are, and whether they run the driver's code."""

from __future__ import annotations

import distributed

from jobs.errors import ClusterError
from jobs.execution.version import code_version

_WORKERS_TIMEOUT_S = 120


def wait_for_workers(client: distributed.Client, n_workers: int) -> None:
    """Wait until there are workers.

    Raises
    ------
    ClusterError
        If they do not come in time.
    """
    try:
        client.wait_for_workers(n_workers, timeout=_WORKERS_TIMEOUT_S)
    except TimeoutError as error:
        found = len(client.scheduler_info(n_workers=-1)["workers"])
        raise ClusterError(
            f"{found} of {n_workers} workers came within {_WORKERS_TIMEOUT_S} s: start them with"
            " `dask worker`, or ask for fewer with --workers"
        ) from error


def check_workers(client: distributed.Client) -> None:
    """Refuse workers that run other code than this process.

    Raises
    ------
    ClusterError
        If a worker has another version of the code or its libraries, or none.
    """
    ours = code_version()
    found = client.run(code_version, on_error="return")
    for worker, theirs in found.items():
        if isinstance(theirs, BaseException):
            raise ClusterError(f"featurelib does not work on the worker {worker}: {theirs!r}")
        if theirs != ours:
            raise ClusterError(
                f"the worker {worker} runs featurelib {theirs} and the driver {ours}: install the"
                " same version of the code and its libraries on both"
            )


def n_threads(client: distributed.Client) -> int:
    """Return how many tasks the cluster's workers can run at once."""
    return max(1, sum(client.nthreads().values()))
