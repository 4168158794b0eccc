"""What each kind of cluster has: a check of its options, and a way to open it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import distributed

from jobs.execution.provision import Provision
from jobs.settings import Settings


class Check(Protocol):
    """Raises a `UsageError` if an option of a cluster, or a certificate, is wrong."""

    def __call__(self, settings: Settings) -> object: ...


class Opener(Protocol):
    """Returns a context manager for a client of a cluster, and its coming workers."""

    def __call__(
        self, settings: Settings, *, debug: bool
    ) -> AbstractContextManager[tuple[distributed.Client, Provision]]: ...


class Kind(NamedTuple):
    """A kind of cluster.

    Attributes
    ----------
    check : callable
        Checks the settings as far as it can be done before the cluster is opened.
    client : callable
        Opens the cluster.
    """

    check: Check
    client: Opener
