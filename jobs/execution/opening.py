"""Open the executor of a run: this process or a Dask cluster."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobs.execution.executor import Executor, InlineExecutor, OpenExecutor
from jobs.settings import INLINE, LOCAL, Settings

if TYPE_CHECKING:
    import distributed


def executor_opener(
    settings: Settings, client: distributed.Client | None = None, *, debug: bool = False
) -> OpenExecutor:
    """Return what opens the executor of a run, on a given client or as the settings say.

    What the settings ask for is checked now: a corpus can take minutes to list.

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
    featurelib.MissingExtraError
        If the cluster needs a package that is not installed.
    UsageError
        If an option of the cluster is wrong, the certificates cannot be used, or others could
        reach the cluster.
    """
    # importing Dask takes half a second, which a run without files to extract saves
    if settings.dashboard:
        from jobs.execution.performance import check_dashboard

        check_dashboard()
    if settings.performance_report is not None:
        from jobs.execution.performance import check_report

        check_report(settings.performance_report)
    if client is not None:
        from jobs.execution.clusters.address import check_address

        check_address(client.scheduler.address)
    elif settings.cluster != INLINE and (settings.cluster != LOCAL or settings.tls is not None):
        from jobs.execution.clusters import check_cluster

        check_cluster(settings)
    return functools.partial(_open_executor, settings, client, debug=debug)


@contextlib.contextmanager
def _open_executor(
    settings: Settings, client: distributed.Client | None, *, debug: bool
) -> Iterator[Executor]:
    if client is None and settings.cluster == INLINE:
        yield InlineExecutor()
        return
    from jobs.execution.clusters import expected_workers, open_cluster
    from jobs.execution.dask import DaskExecutor
    from jobs.execution.workers import check_workers

    if client is not None:
        check_workers(client)
        yield DaskExecutor(client, settings)
        return
    with open_cluster(settings, debug=debug) as (own, provision):
        check_workers(own)
        yield DaskExecutor(own, settings, expected_workers(settings), provision)
