"""Open a client of the Dask cluster that the settings name: one file of this folder a kind."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import distributed

from jobs.execution.clusters.address import remote_client
from jobs.execution.clusters.kubernetes import kubernetes_client
from jobs.execution.clusters.local import local_client, local_workers
from jobs.execution.provision import Fixed, Provision
from jobs.settings import KUBERNETES, LOCAL, SLURM, SSH, Settings

_LOGGERS = (
    "distributed",
    "distributed.client",
    "tornado.application",
)  # each has a level of its own


@contextlib.contextmanager
def open_cluster(
    settings: Settings, *, debug: bool = False
) -> Iterator[tuple[distributed.Client, Provision]]:
    """Context manager for a client of the cluster in the settings, and its coming workers.

    Raises
    ------
    ClusterError
        If the cluster cannot be reached, or no worker comes.
    UsageError
        If an option is wrong, or others could reach the cluster.
    """
    with _log_level(debug=debug), contextlib.ExitStack() as stack:
        if settings.cluster == LOCAL:
            yield stack.enter_context(local_client(settings, debug=debug))
        elif settings.cluster == SLURM:
            from jobs.execution.clusters.slurm import slurm_client

            yield stack.enter_context(slurm_client(settings, debug=debug))
        elif settings.is_class:
            from jobs.execution.clusters.named import named_client

            yield stack.enter_context(named_client(settings, debug=debug))
        elif settings.cluster == SSH:
            from jobs.execution.clusters.ssh import ssh_client

            yield stack.enter_context(ssh_client(settings, debug=debug))
        else:
            is_pod = settings.cluster == KUBERNETES
            opened = kubernetes_client(settings, debug=debug) if is_pod else remote_client(settings)
            client = stack.enter_context(opened)
            yield client, Fixed(settings.min_workers or 0)


def expected_workers(settings: Settings) -> int:
    """Return how many workers the cluster in the settings may have, as far as that is known."""
    if settings.cluster == LOCAL:
        return local_workers(settings)
    is_own = settings.cluster in (SLURM, SSH) or settings.is_class
    return (settings.max_workers if is_own else settings.min_workers) or 1


@contextlib.contextmanager
def _log_level(*, debug: bool) -> Iterator[None]:
    """Hide Dask's log: errors that concern the user are reported in one line."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO if debug else logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
