"""Open the executor of a run: this process or a Dask cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobs.execution.executor import Executor, InlineExecutor
from jobs.settings import INLINE, Settings

if TYPE_CHECKING:
    import distributed


@contextlib.contextmanager
def open_executor(
    settings: Settings, client: distributed.Client | None = None, *, debug: bool = False
) -> Iterator[Executor]:
    """Context manager for the executor of a run, on a given client or as the settings say.

    Parameters
    ----------
    settings : Settings
        ``settings.cluster`` names the cluster.
    client : distributed.Client, optional
        Client of the cluster to use; it stays open.
    debug : bool
        Show Dask's log.

    Raises
    ------
    ClusterError
        If the cluster cannot be reached, or its workers run different code.
    UsageError
        If the scheduler is on another machine and has no TLS.
    """
    if client is None and settings.cluster == INLINE:
        yield InlineExecutor()
        return
    # importing Dask takes half a second, which a run without files to extract saves
    from jobs.execution.clusters import expected_workers, open_cluster
    from jobs.execution.clusters.address import check_address
    from jobs.execution.dask import DaskExecutor
    from jobs.execution.performance import check_dashboard, check_report
    from jobs.execution.workers import check_workers

    if settings.dashboard:
        check_dashboard()
    if settings.performance_report is not None:
        check_report(settings.performance_report)
    if client is not None:
        check_address(client.scheduler.address)
        check_workers(client)
        yield DaskExecutor(client, settings)
        return
    with open_cluster(settings, debug=debug) as (own, provision):
        check_workers(own)
        yield DaskExecutor(own, settings, expected_workers(settings), provision)
