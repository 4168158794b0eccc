"""Wait for, check and count the workers of a cluster."""

from __future__ import annotations

import distributed

from jobs.errors import ClusterError
from jobs.execution.version import code_version

_WORKERS_TIMEOUT_S = 120


def wait_for_workers(client: distributed.Client, n_workers: int) -> None:
    """Wait until a cluster has at least `n_workers` workers.

    Raises
    ------
    ClusterError
        If they do not come within two minutes.
    """
    try:
        client.wait_for_workers(n_workers, timeout=_WORKERS_TIMEOUT_S)
    except TimeoutError as error:
        n_present = len(client.scheduler_info(n_workers=-1)["workers"])
        raise ClusterError(
            f"{n_present} of {n_workers} workers came within {_WORKERS_TIMEOUT_S} s: start them"
            " with `dask worker`, or ask for fewer with --workers"
        ) from error


def check_workers(client: distributed.Client) -> None:
    """Check that all workers run the same code as this process.

    Raises
    ------
    ClusterError
        If a worker has another version of the code or its libraries, or has no featurelib.
    """
    expected = code_version()
    versions = client.run(code_version, on_error="return")
    for worker, version in versions.items():
        if isinstance(version, BaseException):
            raise ClusterError(f"featurelib does not work on the worker {worker}: {version!r}")
        if version != expected:
            raise ClusterError(
                f"the worker {worker} runs featurelib {version} and the driver {expected}:"
                " install the same version of the code and its libraries on both"
            )


def n_threads(client: distributed.Client) -> int:
    """Return the number of tasks that the workers can run at once, at least 1."""
    return max(1, sum(client.nthreads().values()))
