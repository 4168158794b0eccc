"""The time that is left of an extraction, on a simulated cluster."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.diagnostics import remaining
from jobs.diagnostics.remaining import Remaining
from jobs.execution.results import ShardResult
from tests.support.simulated import SimulatedCluster, pending_of

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
@example(  # the cheap shards of the sample end long before the others
    seconds={"wav": 0.016, "flac": 0.047, "ogg": 0.001, "mp3": 0.031},
    each=0.031,
    n_workers=7,
    n_buckets=1,
    overhead_s=0.0,
    seed=0,
)
def test_it_is_right_within_a_fifth_after_a_tenth_of_the_time(
    seconds: dict[str, float],
    each: float,
    n_workers: int,
    n_buckets: int,
    overhead_s: float,
    seed: int,
) -> None:
    """Whatever the formats cost: the guesses are wrong by factors that differ between formats."""

    def cost(path: str, size: int) -> float:
        name = path.rpartition(".")[2]
        return each + seconds[name] * size / BYTES_A_SECOND[name]

    cluster = SimulatedCluster(cost, n_workers, overhead_s)
    cluster.run(pending_of(mixed(1000, seed), n_buckets))
    for share in (0.1, 0.2, 0.3, 0.5):
        error = cluster.error(share)
        assert error is not None
        assert abs(error) < 0.2, share


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(remaining.time, "monotonic", lambda: self.now)

    def done(self, left: Remaining, seconds: float, guessed: float, worker: str = "a") -> None:
        """Let a worker finish a shard of MP3 files, after it was busy for so long."""
        self.now += seconds
        timings = {"mp3:10": (guessed, seconds)}
        left.add(ShardResult(0, worker=worker, seconds=seconds, timings=timings))


def test_it_counts_down_between_shards_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    left = Remaining({"mp3:10": 10.0}, n_workers=1)
    assert left.seconds is None
    left.add(ShardResult(0, n_files=3))  # of a worker that died: it says nothing of costs
    assert left.seconds is None
    clock.done(left, 2.0, guessed=1.0)
    assert left.seconds == pytest.approx(18.0)
    clock.now += 5.0
    assert left.seconds == pytest.approx(13.0)
    clock.now += 50.0
    assert left.seconds == 0.0
    left.end()
    assert left.seconds is None


def test_it_follows_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    left = Remaining({"mp3:10": 100.0}, n_workers=1)
    clock.done(left, 1.0, guessed=1.0)
    alone = left.seconds
    assert alone == pytest.approx(99.0)
    left.n_workers = 4
    clock.done(left, 1.0, guessed=1.0)
    assert left.seconds == pytest.approx(alone / 4, rel=0.1)


def test_it_follows_machines_that_become_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    left = Remaining({"mp3:10": 200.0}, n_workers=1)
    for _ in range(100):
        clock.done(left, 1.0, guessed=1.0)
    assert left.seconds == pytest.approx(100.0, rel=0.01)
    for _ in range(50):  # the mean of all is 5/3, but a file takes three times as long now
        clock.done(left, 3.0, guessed=1.0)
    assert left.seconds == pytest.approx(150.0, rel=0.2)
