"""Open a Dask client, of an embedded local cluster or of a running cluster."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import distributed

from jobs.execution.clusters.address import remote_client
from jobs.execution.clusters.local import local_client, local_workers
from jobs.settings import LOCAL, Settings

_LOGGERS = (
    "distributed",
    "distributed.client",
    "tornado.application",
)  # each has a level of its own


@contextlib.contextmanager
def open_client(settings: Settings, *, debug: bool = False) -> Iterator[distributed.Client]:
    """Context manager for a client of the cluster in the settings.

    Raises
    ------
    ClusterError
        If the cluster cannot be reached, or no worker comes.
    UsageError
        If the scheduler is on another machine and has no TLS, or certificates are missing.
    """
    if settings.cluster == LOCAL:
        with _log_level(debug=debug), local_client(settings, debug=debug) as client:
            yield client
    else:
        with _log_level(debug=debug), remote_client(settings) as client:
            yield client


def expected_workers(settings: Settings) -> int:
    """Return how many workers the cluster in the settings will have, at least."""
    return local_workers(settings) if settings.cluster == LOCAL else settings.min_workers or 1


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
