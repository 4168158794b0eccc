"""Files to extract, as shards: all of them once, what takes long first, small ones last."""

from __future__ import annotations

import itertools
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.corpus.formats import cost_class, guessed_seconds
from jobs.corpus.source_file import SourceFile
from jobs.execution.costs import CostModel
from jobs.execution.sharding import (
    SAMPLE_SHARE,
    SHARD_FILES,
    SHARD_SECONDS,
    SHARD_SECONDS_AT_LEAST,
    SHARDS_A_SAMPLE,
    SHARDS_A_WORKER,
    SHARDS_AHEAD,
    Shard,
    shard_seconds,
    shards,
)
from jobs.table.pending import PendingFiles

BUCKETS = st.lists(
    st.lists(st.integers(0, 3 * 10**9) | st.none(), max_size=30), min_size=1, max_size=4
)


PENDING = pa.schema(
    [("path", pa.string()), ("size_bytes", pa.int64()), ("source_version", pa.string())]
)


def work_of(
    buckets: list[list[int | None]], **limits: int
) -> tuple[PendingFiles, list[tuple[int, SourceFile]]]:
    work, added = PendingFiles(**limits), []
    for bucket, sizes in enumerate(buckets):
        items = [SourceFile(f"{bucket}-{i}.mp3", size, f"v{i}") for i, size in enumerate(sizes)]
        columns = [[i.path for i in items], sizes, [i.version for i in items]]
        work.add(bucket, pa.table(columns, schema=PENDING))
        added += [(bucket, item) for item in items]
    return work, added


def cost(shard: Shard) -> float:
    files = zip(shard.files, shard.sizes, strict=True)
    return sum(guessed_seconds(path, size) for (path, _), size in files)


@given(BUCKETS, st.integers(1, 9))
def test_every_file_is_in_one_shard_of_its_bucket(
    buckets: list[list[int | None]], n_workers: int
) -> None:
    work, added = work_of(buckets)
    found = list(shards(work, lambda: n_workers, CostModel()))
    assert work.n_files == len(added)
    files = [
        (shard.bucket, *file, size)
        for shard in found
        for file, size in zip(shard.files, shard.sizes, strict=True)
    ]
    expected = [(bucket, i.path, i.version, i.size or 0) for bucket, i in added]
    assert sorted(files) == sorted(expected)
    for shard in found:
        assert 0 < len(shard) <= SHARD_FILES
        # the last file alone may exceed what is asked for
        assert cost(shard) - guessed_seconds(shard.files[-1][0], shard.sizes[-1]) < SHARD_SECONDS


def test_what_takes_long_comes_after_the_sample_whatever_its_bucket() -> None:
    hour, song = 50 * 10**9, 10**6
    work, _ = work_of([[song] * 5000, [song, 2 * hour, song], [hour]])
    divided = list(shards(work, lambda: 2, CostModel()))
    places = [i for i, shard in enumerate(divided) if max(shard.sizes) >= hour]
    of_sample = divided[: places[0]]
    assert [divided[i].sizes for i in places] == [(2 * hour,), (hour,)]
    assert [divided[i].bucket for i in places] == [1, 2]
    assert places == [len(of_sample), len(of_sample) + 1]
    assert {shard.bucket for shard in of_sample} == {0}


def as_guessed() -> CostModel:
    """Return what is known after an MP3 file that cost what was guessed."""
    costs = CostModel()
    costs.observe({cost_class("a.mp3", 10**6): (1.0, 1.0)})
    return costs


def test_shards_stay_small_while_nothing_of_a_format_is_measured() -> None:
    work, _ = work_of([[10**6] * 4000])
    costs = CostModel()
    divided = shards(work, lambda: 2, costs)
    first = list(itertools.islice(divided, 20))  # the sample, and more
    small = SAMPLE_SHARE * work.seconds / (2 * SHARDS_A_SAMPLE)
    assert all(cost(shard) < 1.1 * small for shard in first)
    costs.observe({cost_class("a.flac", 10**6): (1.0, 1.0)})
    assert cost(next(divided)) < 1.1 * small
    costs.observe({cost_class("a.mp3", 10**7): (1.0, 1.0)})
    assert cost(next(divided)) > 0.9 * SHARD_SECONDS


def test_shards_after_the_sample_get_smaller_and_end_small() -> None:
    work, _ = work_of([[10**6] * 4000])
    costs = [cost(shard) for shard in shards(work, lambda: 2, as_guessed())]
    n_sample = costs.index(max(costs))
    assert max(costs) == pytest.approx(SHARD_SECONDS, abs=0.1)
    assert sum(costs[:n_sample]) == pytest.approx(SAMPLE_SHARE * work.seconds, rel=0.3)
    assert n_sample >= 2 * SHARDS_A_SAMPLE
    assert costs[n_sample:] == sorted(costs[n_sample:], reverse=True)
    assert costs[-1] < 1.0
    assert len(costs) >= 2 * 8


def test_the_sample_has_files_of_each_class_in_proportion() -> None:
    sizes = [10**4] * 400 + [10**5] * 200 + [10**6] * 100 + [2 * 10**7]
    work, _ = work_of([sizes])
    sampled: Counter[int] = Counter()
    divided = shards(work, lambda: 2, CostModel())
    # alone, the longest file would be more than the whole sample, so it ends the sample
    first = list(itertools.takewhile(lambda shard: 2 * 10**7 not in shard.sizes, divided))
    assert len(set(first[0].sizes)) >= 2  # already the first shard
    for shard in first:
        sampled.update(shard.sizes)
    assert 12 <= sampled[10**4] <= 20  # of 400, 200 and 100: about 4 %
    assert 6 <= sampled[10**5] <= 10
    assert 3 <= sampled[10**6] <= 5


def test_every_worker_gets_several_shards_of_a_few_short_files() -> None:
    work, _ = work_of([[1000] * 60])
    assert len(list(shards(work, lambda: 2, CostModel()))) >= 8


def test_many_long_files_are_not_all_kept_aside() -> None:
    work, added = work_of([[10**10] * 3, [10**10] * 5], large_files=3)
    divided = list(shards(work, lambda: 2, CostModel()))
    assert len(divided) == len(added) == sum(map(len, divided))


def test_more_work_than_is_kept_in_memory() -> None:
    work, added = work_of([[10**6] * 7, [10**6] * 7, [], [10**6] * 7], files_in_memory=10)
    divided = list(shards(work, lambda: 1, CostModel()))
    assert sorted(f for s in divided for f in s.files) == sorted(
        (i.path, i.version) for _, i in added
    )


def test_shards_follow_what_was_measured_and_the_number_of_workers() -> None:
    work, _ = work_of([[10**6] * 4000])
    costs, n_workers = as_guessed(), 2
    divided = shards(work, lambda: n_workers, costs)
    first = next(shard for shard in divided if cost(shard) > 0.9 * SHARD_SECONDS)
    costs.observe({cost_class("a.mp3", 10**6): (cost(first), 10 * cost(first))})
    assert len(next(divided)) < 0.2 * len(first)
    n_workers = 1000
    assert len(next(divided)) < 0.1 * len(first)


def test_the_less_remains_the_smaller_the_next_shard() -> None:
    assert shard_seconds(1e6, 1e6, 4) == SHARD_SECONDS
    assert shard_seconds(40, 1e6, 4) == 40 / 4 / SHARDS_AHEAD
    assert shard_seconds(20, 1e6, 4) < shard_seconds(20, 1e6, 2) < shard_seconds(30, 1e6, 2)
    assert shard_seconds(0.001, 1e6, 4) == SHARD_SECONDS_AT_LEAST


def test_little_work_is_shared_by_all_workers() -> None:
    assert shard_seconds(0.01, 0.1, 4) == 0.1 / 4 / SHARDS_A_WORKER
