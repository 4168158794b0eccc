"""What the driver is told of the workers that a cluster has asked for and does not have yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jobs.diagnostics.events import Workers

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0


class Provision(Protocol):
    """Where the workers of a cluster come from."""

    def n_wanted(self) -> int:
        """Return how many workers the cluster is to have now; 0 if that is not known."""

    def why(self) -> str:
        """Return the reason why workers do not come, in the scheduler's words; else nothing."""

    def check(self) -> None:
        """Check that workers may still come.

        Raises
        ------
        ClusterError
            If they will not.
        """


class Fixed:
    """Workers that somebody else starts, or that start at once.

    Parameters
    ----------
    n : int
        Number of workers.
    """

    def __init__(self, n: int) -> None:
        self._n = n

    def n_wanted(self) -> int:
        """Return the number of workers."""
        return self._n

    def why(self) -> str:
        """Return nothing."""
        return ""

    def check(self) -> None:
        """Do nothing."""


class WorkerCount:
    """Decides when to tell how many workers there are.

    A change is told after some seconds, if it lasts, and at once if all workers are there. While
    workers come one by one, the pauses between such events become longer.

    Parameters
    ----------
    notify : callable
        Receives events `Workers`.
    """

    def __init__(self, notify: Callable[[Workers], None]) -> None:
        self._notify = notify
        self._told: tuple[int, int] | None = None
        self._changed_at: float | None = None
        self._pause_s = _FIRST_PAUSE_S

    def look(self, n_workers: int, n_wanted: int, now: float) -> None:
        """Tell the number of workers, if it is time.

        Parameters
        ----------
        n_workers, n_wanted : int
            Number of workers, and of those that the cluster is to have.
        now : float
            The time [s].
        """
        seen = n_workers, max(n_workers, n_wanted)
        if seen == self._told:
            self._changed_at = None
            return
        if self._changed_at is None:
            self._changed_at = now
        was_complete = self._told is not None and self._told[0] == self._told[1]
        is_news = n_workers >= n_wanted > 0 and not was_complete
        if not is_news and now - self._changed_at < self._pause_s:
            return
        self._pause_s = _FIRST_PAUSE_S if is_news else min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._told, self._changed_at = seen, None
        self._notify(Workers(*seen))
