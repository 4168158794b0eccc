"""Getting a Dask client: an embedded local cluster, or one that is running already."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import distributed

from jobs.execution.clusters.address import remote_client
from jobs.execution.clusters.local import local_client
from jobs.settings import LOCAL, Settings

_LOGGERS = ("distributed", "distributed.client", "tornado.application")  # Dask gives each a level


@contextlib.contextmanager
def open_client(settings: Settings, *, debug: bool = False) -> Iterator[distributed.Client]:
    """Give a client of the cluster that the settings name, and close what was opened for it.

    Raises
    ------
    ClusterError
        If it cannot be reached, or no worker comes.
    UsageError
        If it is beyond this machine and without TLS, or certificates are missing.
    """
    if settings.cluster == LOCAL:
        with _log_level(debug=debug), local_client(settings, debug=debug) as client:
            yield client
    else:
        with _log_level(debug=debug), remote_client(settings) as client:
            yield client


@contextlib.contextmanager
def _log_level(*, debug: bool) -> Iterator[None]:
    """Keep Dask's log from the terminal: what it means to a user is said in one line."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO if debug else logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
