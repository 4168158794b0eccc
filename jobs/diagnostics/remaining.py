"""`Remaining`: the expected time until all files are extracted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jobs.execution.costs import CostModel

if TYPE_CHECKING:
    from jobs.execution.results import ShardResult

#: A worker that has finished nothing for so many times the longest shard is not counted on.
_LATE = 2.0

_LEAST_EFFICIENCY = 0.1


class Remaining:
    """Expected time until the end of a count of files that are extracted.

    What is left costs what files of the same class have cost so far. Workers share it, as far as
    they were busy so far, and they have already worked on what is at them.

    Parameters
    ----------
    guesses : mapping
        Guessed time for all files on one worker [s], by class of files.
    n_workers : int
        Number of workers.

    Attributes
    ----------
    n_workers : int
        The present number of workers; may be set.
    """

    def __init__(self, guesses: Mapping[str, float], n_workers: int) -> None:
        self.n_workers = n_workers
        self._left = dict(guesses)
        self._costs = CostModel()
        self._began = time.monotonic()
        self._done_at: dict[str, float] = {}  # when each worker finished its last shard
        self._busy_s = self._spent_s = self._longest_s = 0.0
        self._ends: float | None = None

    def add(self, result: ShardResult) -> None:
        """Add the result of a shard that has just been finished."""
        if not result.timings:  # what a dead worker left, or an error that the driver noted
            return
        now = time.monotonic()
        self._costs.observe(result.timings)
        for name, (guessed, measured) in result.timings.items():
            self._left[name] = max(0.0, self._left.get(name, 0.0) - guessed)
            self._busy_s += measured
        began = max(self._began, now - result.seconds)
        self._spent_s += now - self._done_at.pop(result.worker, began)
        self._done_at[result.worker] = now  # the last of all
        self._longest_s = max(self._longest_s, result.seconds)
        self._ends = now + self._seconds(now)

    def _seconds(self, now: float) -> float:
        n_workers = max(1, self.n_workers)
        efficiency = self._busy_s / self._spent_s if self._spent_s > 0 else 1.0
        work = self._costs.total(self._left) / min(1.0, max(_LEAST_EFFICIENCY, efficiency))
        since = list(self._done_at.values())[-n_workers:]
        since += [self._began] * (n_workers - len(since))
        at_work = sum(min(now - at, _LATE * self._longest_s) for at in since)
        return max(0.0, work - at_work) / n_workers

    def end(self) -> None:
        """Forget the expectation: nothing is left, or the count ended early."""
        self._ends = None

    @property
    def seconds(self) -> float | None:
        """Expected time that is left [s]; None before the first shard."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())
