"""The time that is left of an extraction, by a clock that a simulated cluster sets forward."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from dataclasses import dataclass, field

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.corpus.formats import cost_class, guessed_seconds
from jobs.corpus.hashing import bucket_of, path_hashes
from jobs.diagnostics import remaining
from jobs.diagnostics.remaining import Remaining
from jobs.execution.costs import CostModel
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard, shards
from jobs.table.pending import PendingFiles

PENDING = pa.schema(
    [("path", pa.string()), ("size_bytes", pa.int64()), ("source_version", pa.string())]
)

#: What a file takes at least, and a byte of each format [s].
Speeds = dict[str, float]


@dataclass
class Cluster:
    """Workers that take shards in turn, by a clock of their own.

    Attributes
    ----------
    speeds
        Seconds a byte of each format takes; of "" each file.
    overhead_s
        What a worker loses between two shards.
    """

    speeds: Speeds
    n_workers: int
    overhead_s: float = 0.0
    now: float = 1000.0
    said: list[tuple[float, float]] = field(default_factory=list)

    def result(self, shard: Shard, worker: int) -> ShardResult:
        result = ShardResult(shard.bucket, worker=str(worker))
        for (path, _), size in zip(shard.files, shard.sizes, strict=True):
            taken = self.speeds[""] + size * self.speeds[path.rpartition(".")[2]]
            name = cost_class(path, size)
            guessed, measured = result.timings.get(name, (0.0, 0.0))
            result.timings[name] = (guessed + guessed_seconds(path, size), measured + taken)
            result.seconds += taken
        return result

    def run(self, pending: PendingFiles) -> float:
        """Extract everything; note what is said to be left after each shard; return the end."""
        left = Remaining(pending.guesses, self.n_workers)
        costs = CostModel()
        waiting = shards(pending, lambda: self.n_workers, costs)
        busy: list[tuple[float, int, ShardResult]] = []
        free = list(range(self.n_workers))
        while True:
            while free and (shard := next(waiting, None)) is not None:
                worker = free.pop()
                result = self.result(shard, worker)
                heapq.heappush(busy, (self.now + result.seconds + self.overhead_s, worker, result))
            if not busy:
                return self.now
            self.now, worker, result = heapq.heappop(busy)
            free.append(worker)
            costs.observe(result.timings)
            left.add(result)
            assert left.seconds is not None
            self.said.append((self.now, self.now + left.seconds))


def pending_of(files: dict[str, int], n_buckets: int) -> PendingFiles:
    pending = PendingFiles()
    paths, sizes = pa.array(files), pa.array(files.values(), pa.int64())
    rows = pa.table([paths, sizes, pa.array(["v"] * len(files))], schema=PENDING)
    buckets = bucket_of(path_hashes(paths), n_buckets)
    for bucket in range(n_buckets):
        pending.add(bucket, rows.filter(pa.array(buckets == bucket)))
    return pending


BYTES_A_SECOND = {"wav": 176_400, "flac": 90_000, "ogg": 14_000, "mp3": 16_000}


def mixed(n_files: int, seed: int) -> dict[str, int]:
    """Return files from 1 s to 10 min, the short ones and the cheap formats first."""
    draw = random.Random(seed)
    durations = sorted(10 ** draw.uniform(0, 2.8) for _ in range(n_files))
    formats = list(BYTES_A_SECOND)
    return {
        f"{n:05}.{formats[n % 4]}": round(duration * BYTES_A_SECOND[formats[n % 4]])
        for n, duration in enumerate(durations)
    }


@settings(deadline=None)
@given(
    seconds=st.fixed_dictionaries({name: st.floats(0.001, 0.05) for name in BYTES_A_SECOND}),
    each=st.floats(0.0005, 0.05),
    n_workers=st.integers(1, 8),
    n_buckets=st.sampled_from([1, 2, 40]),
    overhead_s=st.sampled_from([0.0, 0.05]),
    seed=st.integers(0, 99),
)
def test_it_is_right_within_a_fifth_after_a_tenth_of_the_time(
    seconds: Speeds, each: float, n_workers: int, n_buckets: int, overhead_s: float, seed: int
) -> None:
    """Whatever the formats cost: the guesses are wrong by factors that differ between formats."""
    speeds = {name: of_one / BYTES_A_SECOND[name] for name, of_one in seconds.items()}
    cluster = Cluster({**speeds, "": each}, n_workers, overhead_s)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remaining.time, "monotonic", lambda: cluster.now)
        ended = cluster.run(pending_of(mixed(1000, seed), n_buckets))
    began = 1000.0
    for share in (0.1, 0.2, 0.3, 0.5):
        now = began + share * (ended - began)
        expected = cluster.said[bisect_right([at for at, _ in cluster.said], now) - 1][1]
        assert expected - now == pytest.approx(ended - now, rel=0.2), share
