"""Start a cluster of any Dask class, given by its dotted name."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any, cast

import distributed
from distributed.deploy import Cluster, SpecCluster

from featurelib import MissingExtraError
from jobs.errors import ClusterError, UsageError
from jobs.execution.clusters.address import check_address
from jobs.execution.clusters.arguments import check_arguments, passes_on
from jobs.execution.clusters.configuration import configured
from jobs.execution.clusters.imports import importing
from jobs.execution.clusters.kind import Kind
from jobs.execution.clusters.listening import check_dashboard, check_ports
from jobs.execution.clusters.reasons import reason_of
from jobs.execution.clusters.scaling import Planned, adapt
from jobs.execution.clusters.tls import security_of
from jobs.execution.provision import Fixed, Provision
from jobs.settings import Settings, did_you_mean

_CLOSE_S = 60.0

#: Arguments of Dask's own local cluster: as of the embedded one.
_LOCAL = {
    "host": "127.0.0.1",
    "threads_per_worker": 1,
    "n_workers": 0,
    "dashboard_address": "127.0.0.1:0",
    "worker_dashboard_address": "127.0.0.1:0",
}


@contextlib.contextmanager
def named_client(
    settings: Settings, *, debug: bool
) -> Iterator[tuple[distributed.Client, Provision]]:
    """Context manager for a client of a cluster of the class that the settings name.

    Raises
    ------
    ClusterError
        If the cluster does not start.
    UsageError
        If there is no such class, an argument is wrong, or others could reach the cluster.
    """
    cluster_class, arguments = _checked(settings)
    if _is_jobqueue(cluster_class):
        from jobs.execution.clusters.jobqueue import jobqueue_client

        any_class = cast(Any, cluster_class)
        with jobqueue_client(settings, any_class, arguments, debug=debug) as opened:
            yield opened
        return
    security = security_of(settings)
    if security is not None:
        arguments = {"security": security, "protocol": "tls://"} | arguments
    with contextlib.ExitStack() as stack:
        stack.enter_context(configured())
        with check_ports(settings.cluster, security):
            cluster = _started(settings.cluster, cluster_class, arguments)
            stack.callback(_close, cluster)
        check_address(cluster.scheduler_address)
        client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
        _scale(cluster, settings)
        yield client, Planned(cluster) if isinstance(cluster, SpecCluster) else Fixed(0)


def _checked(settings: Settings) -> tuple[type[Cluster], dict[str, Any]]:
    """Return the class of the cluster in the settings, and its arguments."""
    cluster_class = class_of(settings.cluster)
    arguments: dict[str, Any] = dict(settings.cluster_options)
    if _is_jobqueue(cluster_class):
        from jobs.execution.clusters.jobqueue import checked_arguments

        return cluster_class, checked_arguments(settings, cast(Any, cluster_class), arguments)
    if issubclass(cluster_class, distributed.LocalCluster):
        workers = (distributed.Nanny, distributed.Worker)
        check_arguments(settings.cluster, arguments, cluster_class, *workers)
        arguments = _LOCAL | arguments
    elif not passes_on(cluster_class):
        check_arguments(settings.cluster, arguments, cluster_class)
    for key in ("dashboard_address", "worker_dashboard_address"):
        if arguments.get(key) is not None:
            check_dashboard(arguments[key])
    return cluster_class, arguments


def _check(settings: Settings) -> None:
    _checked(settings)
    security_of(settings)


def _is_jobqueue(cluster_class: type[Cluster]) -> bool:
    return any(base.__module__ == "dask_jobqueue.core" for base in cluster_class.__mro__)


def class_of(name: str) -> type[Cluster]:
    """Return the class of a cluster by its dotted name.

    Raises
    ------
    UsageError
        If there is none.
    """
    module_name, _, class_name = name.rpartition(".")
    try:
        with importing():
            module = importlib.import_module(module_name)
    except MissingExtraError:
        raise
    except ImportError as error:
        raise UsageError(
            f"cluster is {name!r}: {error}; install it, or correct the name"
        ) from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Cluster)):
        classes = [
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, Cluster) and key[0] != "_"
        ]
        hint = did_you_mean(class_name, classes) if classes else ""
        raise UsageError(
            f"cluster is {name!r}: {module_name} has no cluster class {class_name}{hint}"
        )
    return found


def _started(name: str, cluster_class: type[Cluster], arguments: dict[str, Any]) -> Cluster:
    try:
        return cluster_class(**arguments)
    except (TypeError, ValueError, OSError, RuntimeError, ImportError) as error:
        reason = reason_of(error)
        message = " ".join(str(reason).split())
        if isinstance(reason, TypeError | ValueError):
            raise UsageError(f"[cluster] of {name}: {message}") from error
        raise ClusterError(f"{name} does not start: {message}") from error


def _scale(cluster: Cluster, settings: Settings) -> None:
    """Let a cluster have as many workers as the settings say, if they do."""
    if settings.max_workers is None:
        return
    if isinstance(cluster, SpecCluster):
        adapt(cluster, settings)
    elif settings.is_adaptive:
        cluster.adapt(minimum=settings.min_workers, maximum=settings.max_workers)
    else:
        cluster.scale(settings.max_workers)


def _close(cluster: Cluster) -> None:
    with contextlib.suppress(TimeoutError):
        cluster.close(timeout=_CLOSE_S)


KIND = Kind(check=_check, client=named_client)
