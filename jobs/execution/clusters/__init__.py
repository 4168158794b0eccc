"""The Dask cluster that the settings name: one file of this folder a kind."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import distributed

from jobs.execution.clusters.kind import Kind
from jobs.execution.clusters.local import local_workers
from jobs.execution.provision import Provision
from jobs.settings import KUBERNETES, LOCAL, SLURM, SSH, Settings

_LOGGERS = (
    "distributed",
    "distributed.client",
    "tornado.application",
)  # each has a level of its own


def _kind(settings: Settings) -> Kind:
    """Return the kind of the cluster in the settings; only its own libraries are imported."""
    if settings.cluster == LOCAL:
        from jobs.execution.clusters.local import KIND
    elif settings.cluster == SLURM:
        from jobs.execution.clusters.slurm import KIND
    elif settings.cluster == SSH:
        from jobs.execution.clusters.ssh import KIND
    elif settings.cluster == KUBERNETES:
        from jobs.execution.clusters.kubernetes import KIND
    elif settings.is_class:
        from jobs.execution.clusters.named import KIND
    else:
        from jobs.execution.clusters.address import KIND
    return KIND


def check_cluster(settings: Settings) -> None:
    """Check the options and the certificates of the cluster in the settings; nothing is started.

    Raises
    ------
    featurelib.MissingExtraError
        If the cluster needs a package that is not installed.
    UsageError
        If an option is wrong, a certificate cannot be used, or others could reach the cluster.
    """
    _kind(settings).check(settings)


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
    with _log_level(debug=debug), _kind(settings).client(settings, debug=debug) as opened:
        yield opened


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
