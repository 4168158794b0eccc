"""A scheduler in the driver's pod; the workers are pods of a Deployment and come by themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import distributed

from jobs.execution.clusters.kind import Kind
from jobs.execution.clusters.scheduler import own_scheduler, scheduler_security
from jobs.execution.provision import Fixed, Provision
from jobs.execution.workers import wait_for_workers
from jobs.settings import Settings, checked_values

_ADVICE = "look at the workers' pods with kubectl get pods and kubectl logs"


@dataclass(frozen=True)
class KubernetesOptions:
    """The table ``[cluster]`` of the kind ``kubernetes``.

    Attributes
    ----------
    host : str
        Address of the pod at which the scheduler listens.
    port : int
        Its port, to which the Service of the scheduler leads.
    """

    host: str = "0.0.0.0"
    port: int = 8786


@contextlib.contextmanager
def kubernetes_client(
    settings: Settings, *, debug: bool
) -> Iterator[tuple[distributed.Client, Provision]]:
    """Context manager for a client of a scheduler in this process, which pods can reach.

    The run begins when there are ``settings.min_workers`` workers, or at once if that is not
    given.

    Raises
    ------
    ClusterError
        If the scheduler does not start, or too few workers come.
    UsageError
        If an option is wrong, or there are no certificates.
    """
    options = _options(settings)
    with own_scheduler(settings, options.host, options.port, debug=debug) as (_, client):
        if settings.min_workers:
            wait_for_workers(client, settings.min_workers, settings.first_worker_limit_s, _ADVICE)
        yield client, Fixed(settings.min_workers or 0)


def _options(settings: Settings) -> KubernetesOptions:
    return KubernetesOptions(
        **checked_values(KubernetesOptions, settings.cluster_options, "[cluster]")
    )


def _check(settings: Settings) -> None:
    scheduler_security(settings, _options(settings).host)


KIND = Kind(check=_check, client=kubernetes_client)
