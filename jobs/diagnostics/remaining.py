"""`Remaining`: the expected time until all files are extracted."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jobs.execution.costs import CostModel

if TYPE_CHECKING:
    from jobs.execution.results import ShardResult

#: A worker that has finished nothing for so many times the longest shard is not counted on.
_LATE = 2.0

_LEAST_EFFICIENCY = 0.1

#: Shards that cost this share of the work together decide how fast the machines are now, with the
#: weight of shares of the assumption that they are as fast as before.
_RECENT_SHARE, _PRIOR_SHARE = 0.1, 0.02


class Remaining:
    """Expected time until the end of a count of files that are extracted.

    What is left costs what files of the same class have cost so far, or more, if the last shards
    cost more than was expected: machines and networks are not equally fast all the time. Workers
    share it, as far as they were busy so far, and they have already worked on what is at them.

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
        self._recent_expected_s = self._recent_s = 0.0
        self._ends: float | None = None

    def add(self, result: ShardResult) -> None:
        """Add the result of a shard that has just been finished."""
        if not result.timings:  # what a dead worker left, or an error that the driver noted
            return
        now = time.monotonic()
        self._compare(result)
        self._costs.observe(result.timings)
        for name, (guessed, measured) in result.timings.items():
            self._left[name] = max(0.0, self._left.get(name, 0.0) - guessed)
            self._busy_s += measured
        began = max(self._began, now - result.seconds)
        self._spent_s += now - self._done_at.pop(result.worker, began)
        self._done_at[result.worker] = now  # the last of all
        self._longest_s = max(self._longest_s, result.seconds)
        self._ends = now + self._seconds(now)

    def _compare(self, result: ShardResult) -> None:
        """Compare what a shard cost with what was expected."""
        known = {name: t for name, t in result.timings.items() if self._costs.knows(name)}
        expected = self._costs.total({name: guessed for name, (guessed, _) in known.items()})
        kept = math.exp(-expected / (_RECENT_SHARE * self._work_s())) if expected else 1.0
        self._recent_expected_s = kept * self._recent_expected_s + expected
        self._recent_s = kept * self._recent_s + sum(measured for _, measured in known.values())

    def _work_s(self) -> float:
        """Return the expected cost of everything, as far as it is known [s]."""
        return self._busy_s + self._costs.total(self._left)

    def _drift(self) -> float:
        """Return the ratio of present to expected costs."""
        assumed = _PRIOR_SHARE * self._work_s()
        return (self._recent_s + assumed) / (self._recent_expected_s + assumed)

    def _seconds(self, now: float) -> float:
        n_workers = max(1, self.n_workers)
        efficiency = self._busy_s / self._spent_s if self._spent_s > 0 else 1.0
        work = self._drift() * self._costs.total(self._left)
        work /= min(1.0, max(_LEAST_EFFICIENCY, efficiency))
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
