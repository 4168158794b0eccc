"""A cluster by a clock of its own: what a run says of the time that is left, on steady machines."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from unittest import mock

import pyarrow as pa

from jobs.corpus.formats import cost_class, guessed_seconds
from jobs.corpus.hashing import bucket_of, path_hashes
from jobs.diagnostics import remaining
from jobs.diagnostics.remaining import Remaining
from jobs.execution.costs import CostModel
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard, shards
from jobs.table.pending import PendingFiles

_PENDING = pa.schema(
    [("path", pa.string()), ("size_bytes", pa.int64()), ("source_version", pa.string())]
)


def pending_of(files: dict[str, int], n_buckets: int) -> PendingFiles:
    """Return files, by their sizes in bytes, as a run that extracts all of them plans them."""
    pending = PendingFiles()
    paths, sizes = pa.array(files), pa.array(files.values(), pa.int64())
    rows = pa.table([paths, sizes, pa.array(["v"] * len(files))], schema=_PENDING)
    buckets = bucket_of(path_hashes(paths), n_buckets)
    for bucket in range(n_buckets):
        pending.add(bucket, rows.filter(pa.array(buckets == bucket)))
    return pending


@dataclass
class SimulatedCluster:
    """Workers that take shards in turn.

    Attributes
    ----------
    cost
        Returns the seconds that a file takes, by its path and size.
    overhead_s
        What a worker loses between two shards.
    now
        The time since the extraction began [s].
    """

    cost: Callable[[str, int], float]
    n_workers: int
    overhead_s: float = 0.0
    now: float = 0.0
    _said: list[tuple[float, float]] = field(default_factory=list)

    def run(self, pending: PendingFiles) -> None:
        """Extract everything, and note what is said to be left after each shard."""
        with mock.patch.object(remaining, "time", mock.Mock(monotonic=lambda: self.now)):
            self._run(pending)

    def _run(self, pending: PendingFiles) -> None:
        left = Remaining(pending.guesses, self.n_workers)
        costs = CostModel()
        waiting = shards(pending, lambda: self.n_workers, costs)
        busy: list[tuple[float, int, ShardResult]] = []
        free = list(range(self.n_workers))
        while True:
            while free and (shard := next(waiting, None)) is not None:
                worker = free.pop()
                result = self._result(shard, worker)
                heapq.heappush(busy, (self.now + result.seconds + self.overhead_s, worker, result))
            if not busy:
                return
            self.now, worker, result = heapq.heappop(busy)
            free.append(worker)
            costs.observe(result.timings)
            left.add(result)
            assert left.seconds is not None
            self._said.append((self.now, self.now + left.seconds))

    def _result(self, shard: Shard, worker: int) -> ShardResult:
        result = ShardResult(shard.bucket, worker=str(worker))
        for (path, _), size in zip(shard.files, shard.sizes, strict=True):
            taken = self.cost(path, size)
            name = cost_class(path, size)
            guessed, measured = result.timings.get(name, (0.0, 0.0))
            result.timings[name] = (guessed + guessed_seconds(path, size), measured + taken)
            result.seconds += taken
        return result

    def error(self, share: float) -> float | None:
        """Return the error of the time left after a share of the time, as a share of what was left.

        None if nothing had been said by then.
        """
        at = share * self.now
        index = bisect_right(self._said, (at, float("inf"))) - 1
        return None if index < 0 else (self._said[index][1] - self.now) / (self.now - at)
