"""Write Dask's report on what the scheduler and the workers of a run did."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import distributed

from featurelib.extras import needing
from jobs.diagnostics.events import Note, Observer
from jobs.errors import UsageError


def check_dashboard() -> None:
    """Check that Dask can draw its dashboard and its reports.

    Raises
    ------
    featurelib.MissingExtraError
        If bokeh is not installed.
    """
    with needing("cluster"):
        import bokeh  # noqa: F401


def check_report(path: str) -> None:
    """Check that a report can be made and written, before a cluster is started.

    Raises
    ------
    featurelib.MissingExtraError
        If bokeh is not installed.
    UsageError
        If the file cannot be written.
    """
    check_dashboard()
    folder = Path(path).parent
    if not folder.is_dir() or Path(path).is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"performance_report: {path} cannot be written: give a file in a folder that exists"
            " and that you may write"
        )


@contextlib.contextmanager
def reported(
    client: distributed.Client, path: str | None, run_id: str, notify: Observer
) -> Iterator[None]:
    """Context manager for work on a cluster, of which a report is written; of none without a path.

    The report needs no network to be looked at. A cluster that is lost leaves none.
    """
    if path is None:
        yield
        return
    report = distributed.performance_report(path, mode="inline")
    with client.as_current():
        client.sync(report.__aenter__)
    try:
        yield
    finally:
        try:
            with client.as_current():
                client.sync(report.__aexit__, None, None, None, code=f"featurelib, run {run_id}")
        except Exception as error:  # noqa: BLE001 - whatever Dask meets, the run has its results
            notify(Note(f"there is no performance report {path}: {error}"))
