"""Shards: the files of one task, and how large they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.corpus.source_file import SourceFile


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
