"""Shards: the files of one task, and how large they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from jobs.corpus.source_file import SourceFile
from jobs.execution.costs import CostModel
from jobs.table.pending import PendingFiles, guess


@dataclass(frozen=True, slots=True)
class Shard:
    """Files of one bucket that one task extracts."""

    bucket: int
    files: tuple[tuple[str, str], ...]
    """Path and listed version of each."""
    sizes: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def single_files(self) -> list[Shard]:
        """Return one shard for each file."""
        sizes = self.sizes or (0,) * len(self.files)
        return [
            Shard(self.bucket, (file,), (size,))
            for file, size in zip(self.files, sizes, strict=True)
        ]


SHARD_SECONDS = 45.0
SHARD_SECONDS_AT_LEAST = 0.4
SHARD_FILES = 2000
SHARDS_AHEAD = 2
"""A shard is so small a part of each worker's share of the work that remains."""
SHARDS_A_WORKER = 8
"""Even of little work every worker gets so many shards."""


def shard_seconds(remaining_seconds: float, total_seconds: float, n_workers: int) -> float:
    """Return how much expected work goes into the next shard.

    The less work remains, the less it is, so that all workers end at about the same time.
    """
    share = remaining_seconds / (SHARDS_AHEAD * max(1, n_workers))
    least = min(SHARD_SECONDS_AT_LEAST, total_seconds / (SHARDS_A_WORKER * max(1, n_workers)))
    return max(least, min(SHARD_SECONDS, share))


def shard_of(bucket: int, items: Sequence[SourceFile]) -> Shard:
    """Return the shard of a bucket's files."""
    return Shard(
        bucket,
        tuple((item.path, item.version) for item in items),
        tuple(item.size or 0 for item in items),
    )


def shards(
    pending: PendingFiles, n_workers: Callable[[], int], costs: CostModel
) -> Iterator[Shard]:
    """Yield the pending files as shards of a size that lets all workers end at the same time.

    Files that take long come first, each by itself. The last shards are small.

    Parameters
    ----------
    pending : PendingFiles
        The files.
    n_workers : callable
        Returns how many shards are worked on at once, as it is now.
    costs : CostModel
        What files cost, as far as it is known now.
    """
    remaining = pending.seconds
    for bucket, file in pending.large:
        remaining -= guess(file)
        yield shard_of(bucket, [file])
    for bucket, files in pending.buckets():
        chosen: list[SourceFile] = []
        cost = limit = 0.0
        for file in sorted(files, key=guess, reverse=True):
            if not chosen:
                factor = costs.factor
                limit = shard_seconds(remaining * factor, pending.seconds * factor, n_workers())
            chosen.append(file)
            remaining -= guess(file)
            cost += costs.seconds(file.path, file.size)
            if cost >= limit or len(chosen) >= SHARD_FILES:
                yield shard_of(bucket, chosen)
                chosen, cost = [], 0.0
        if chosen:
            yield shard_of(bucket, chosen)
