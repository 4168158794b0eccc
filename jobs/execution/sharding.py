"""Divide the pending files into shards, one for each task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from jobs.corpus.source_file import SourceFile
from jobs.execution.costs import CostModel
from jobs.table.pending import PendingFiles, guess


@dataclass(frozen=True, slots=True)
class Shard:
    """Files of one hash bucket that one task extracts.

    Attributes
    ----------
    bucket : int
        The hash bucket.
    files : tuple
        Path and listed version of each file.
    sizes : tuple of int
        Size of each file in bytes, 0 if unknown; empty if no size is known.
    labels : tuple of (str or None)
        Label of each file; empty if no file has a label that decides what is made of it.
    is_suspect : bool
        Whether one of the files may end its process, so that they are extracted in a child.
    n_deaths : int
        Number of workers that died over these files.
    """

    bucket: int
    files: tuple[tuple[str, str], ...]
    sizes: tuple[int, ...] = ()
    is_suspect: bool = False
    n_deaths: int = 0
    labels: tuple[str | None, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def only(self, indices: Sequence[int]) -> Shard:
        """Return a shard of some of the files."""
        return replace(
            self,
            files=tuple(self.files[index] for index in indices),
            sizes=tuple(self.sizes[index] for index in indices) if self.sizes else (),
            labels=tuple(self.labels[index] for index in indices) if self.labels else (),
        )

    def label_of(self, index: int) -> str | None:
        """Return the label of a file, if it is known."""
        return self.labels[index] if self.labels else None

    def without(self, index: int) -> Shard:
        """Return a shard of all files except one."""
        return self.only([other for other in range(len(self)) if other != index])

    def pieces(self, n_pieces: int) -> list[Shard]:
        """Return at most `n_pieces` shards that have the files together."""
        length = -(-len(self) // n_pieces)
        return [
            self.only(range(len(self))[start : start + length])
            for start in range(0, len(self), length)
        ]


#: Largest expected cost of a shard, unless a single file costs more [s].
SHARD_SECONDS = 45.0

#: Smallest expected cost of a shard, if there is enough work for all workers [s].
SHARD_SECONDS_AT_LEAST = 0.4

#: Maximum number of files in a shard.
SHARD_FILES = 2000

#: Each shard is 1/SHARDS_AHEAD of a worker's share of the remaining work.
SHARDS_AHEAD = 2

#: With little work, shards are so small that each worker gets this many.
SHARDS_A_WORKER = 8


def shard_seconds(remaining_seconds: float, total_seconds: float, n_workers: int) -> float:
    """Return the expected cost of the next shard [s].

    Shards become smaller towards the end, so that all workers end at about the same time.
    """
    share = remaining_seconds / (SHARDS_AHEAD * max(1, n_workers))
    least = min(SHARD_SECONDS_AT_LEAST, total_seconds / (SHARDS_A_WORKER * max(1, n_workers)))
    return max(least, min(SHARD_SECONDS, share))


def shard_of(bucket: int, items: Sequence[SourceFile]) -> Shard:
    """Return a shard of files of one hash bucket."""
    return Shard(
        bucket,
        tuple((item.path, item.version) for item in items),
        tuple(item.size or 0 for item in items),
        labels=tuple(item.label for item in items) if any(item.label for item in items) else (),
    )


def shards(
    pending: PendingFiles, n_workers: Callable[[], int], costs: CostModel
) -> Iterator[Shard]:
    """Yield the pending files as shards, sized so that all workers end at about the same time.

    Files that take long come first, each in a shard alone. The last shards are small.

    Parameters
    ----------
    pending : PendingFiles
        The files.
    n_workers : callable
        Returns the current number of shards that can be extracted at once.
    costs : CostModel
        Predicts costs. It may learn from results meanwhile.
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
