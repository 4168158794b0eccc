"""Divide the pending files into shards, one for each task."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import xxhash

from jobs.corpus.formats import cost_class
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

    @property
    def name(self) -> str:
        """A short name for logs, by the paths: the same files have it whoever extracts them."""
        digest = xxhash.xxh3_64()
        for path, _ in self.files:
            digest.update(f"{path}\0".encode())
        return digest.hexdigest()[:8]

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


#: About this share of the work is done first, as a sample that tells what the rest costs.
SAMPLE_SHARE = 0.04

#: Number of shards of each worker in the sample.
SHARDS_A_SAMPLE = 3


def shard_seconds(remaining_seconds: float, total_seconds: float, n_workers: int) -> float:
    """Return the expected cost of the next shard [s].

    Shards of the sample are small, so that results come soon. Later ones become smaller towards
    the end, so that all workers end at about the same time.
    """
    n_workers = max(1, n_workers)
    if remaining_seconds > (1 - SAMPLE_SHARE) * total_seconds:
        return sample_seconds(total_seconds, n_workers)
    share = remaining_seconds / (SHARDS_AHEAD * n_workers)
    least = min(SHARD_SECONDS_AT_LEAST, total_seconds / (SHARDS_A_WORKER * n_workers))
    return max(least, min(SHARD_SECONDS, share))


def sample_seconds(total_seconds: float, n_workers: int) -> float:
    """Return the expected cost of a shard of files whose cost is not known yet [s]."""
    n_workers = max(1, n_workers)
    return min(SHARD_SECONDS, SAMPLE_SHARE * total_seconds / (SHARDS_A_SAMPLE * n_workers))


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

    First come small shards with a sample of files of all formats and sizes. Then files that take
    long, each in a shard alone. The last shards are small, and so are those with files of a format
    of which nothing is measured yet.

    Parameters
    ----------
    pending : PendingFiles
        The files.
    n_workers : callable
        Returns the current number of shards that can be extracted at once.
    costs : CostModel
        Predicts costs. It may learn from results meanwhile.
    """
    left = _Left(pending.guesses, n_workers, costs)
    buckets = pending.buckets()
    first = next(buckets, None)
    if first is not None:
        bucket, files = first
        seconds = SAMPLE_SHARE * pending.seconds
        sample, files = _sampled(files, seconds, seconds / max(1, n_workers()))
        yield from left.shards(bucket, sample)
        buckets = itertools.chain([(bucket, files)], buckets)
    for bucket, file in pending.large:
        yield from left.shards(bucket, [file])
    for bucket, files in buckets:
        yield from left.shards(bucket, sorted(files, key=guess, reverse=True))


class _Left:
    """What is left to do, in guessed seconds by class."""

    def __init__(
        self, guesses: Mapping[str, float], n_workers: Callable[[], int], costs: CostModel
    ) -> None:
        self._all, self._left = guesses, dict(guesses)
        self._n_workers, self._costs = n_workers, costs

    def _limits(self) -> tuple[float, float]:
        """Return the expected cost of the next shard, and of its files of unknown cost [s]."""
        left, whole = self._costs.total(self._left), self._costs.total(self._all)
        n_workers = self._n_workers()
        return shard_seconds(left, whole, n_workers), sample_seconds(whole, n_workers)

    def shards(self, bucket: int, files: Sequence[SourceFile]) -> Iterator[Shard]:
        """Yield files of a bucket as shards, in their order."""
        chosen: list[SourceFile] = []
        cost = unknown = limit = unknown_limit = 0.0
        for file in files:
            if not chosen:
                limit, unknown_limit = self._limits()
            chosen.append(file)
            name = cost_class(file.path, file.size)
            self._left[name] -= guess(file)
            expected = self._costs.seconds(file.path, file.size)
            cost += expected
            if not self._costs.knows_format(name):
                unknown += expected
            if cost >= limit or unknown >= unknown_limit or len(chosen) >= SHARD_FILES:
                yield shard_of(bucket, chosen)
                chosen, cost, unknown = [], 0.0, 0.0
        if chosen:
            yield shard_of(bucket, chosen)


def _sampled(
    files: list[SourceFile], seconds: float, most: float
) -> tuple[list[SourceFile], list[SourceFile]]:
    """Return a sample of files, and the others.

    It has every n-th file of each class, in order of their sizes, and one at least. The classes
    come in turn, so that each of its shards tells of several.

    Parameters
    ----------
    files : list of SourceFile
        The files.
    seconds : float
        About what the sample costs [s].
    most : float
        Files that cost more are not taken [s].
    """
    share = seconds / max(seconds, sum(map(guess, files)))
    ordered = sorted(files, key=lambda file: (cost_class(file.path, file.size), guess(file)))
    sample: list[tuple[int, SourceFile]] = []
    others: list[SourceFile] = []
    for _, group in itertools.groupby(ordered, lambda file: cost_class(file.path, file.size)):
        turn, due = 0, 1 - share  # the first file of each class is taken
        for file in group:
            due += share
            if due >= 1 and guess(file) <= most:
                sample.append((turn, file))
                turn, due = turn + 1, due - 1
            else:
                others.append(file)
    sample.sort(key=lambda taken: taken[0])
    return [file for _, file in sample], others
