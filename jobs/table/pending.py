"""The files that a run has to extract, bucket by bucket, kept on disk where they are many."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from jobs.corpus.partitioned_rows import spilled
from jobs.corpus.source_file import SourceFile
from jobs.execution.costs import CostModel, guessed_seconds
from jobs.execution.sharding import SHARD_FILES, Shard, shard_of, shard_seconds

_ROWS_IN_MEMORY = 500_000
_LARGE_SECONDS = 20.0
_LARGE_FILES = 10_000
_SCHEMA = pa.schema([("path", pa.string()), ("version", pa.string()), ("size", pa.int64())])


class PendingFiles:
    """Files to extract: added bucket after bucket, read back as shards."""

    def __init__(self) -> None:
        self.n_files = 0
        self._seconds = 0.0
        self._large: list[tuple[int, SourceFile]] = []
        self._buckets: list[tuple[int, pa.Table]] = []
        self._n_in_memory = 0
        self._n_spilled = 0

    def add(self, bucket: int, items: list[SourceFile]) -> None:
        """Take in a bucket's files."""
        if not items:
            return
        self.n_files += len(items)
        self._seconds += sum(map(_guess, items))
        if len(self._large) < _LARGE_FILES:
            large = [i for i in items if _guess(i) > _LARGE_SECONDS]
            self._large += [(bucket, item) for item in large]
            items = [i for i in items if _guess(i) <= _LARGE_SECONDS]
        columns = [[i.path for i in items], [i.version for i in items], [i.size for i in items]]
        self._buckets.append((bucket, pa.table(columns, schema=_SCHEMA)))
        self._n_in_memory += len(items)
        if self._n_in_memory >= _ROWS_IN_MEMORY:
            self._spill()

    def _spill(self) -> None:
        fresh = self._buckets[self._n_spilled :]
        table = spilled(pa.concat_tables([rows for _, rows in fresh]))
        start = 0
        for index, (bucket, rows) in enumerate(fresh, start=self._n_spilled):
            self._buckets[index] = (bucket, table.slice(start, len(rows)))
            start += len(rows)
        self._n_spilled, self._n_in_memory = len(self._buckets), 0

    def shards(self, n_workers: Callable[[], int], costs: CostModel) -> Iterator[Shard]:
        """Yield the work as shards, so large that all workers end at about the same time.

        Files that take long come first, each by itself; what comes last is small.

        Parameters
        ----------
        n_workers : callable
            How many shards are worked on at once, as it is now.
        costs : CostModel
            What is known, as it is now, of what files cost.
        """
        remaining = self._seconds
        for bucket, item in sorted(self._large, key=lambda large: -_guess(large[1])):
            remaining -= _guess(item)
            yield shard_of(bucket, [item])
        for bucket, rows in self._buckets:
            columns = (rows[name].to_pylist() for name in ("path", "size", "version"))
            items = [SourceFile(*values) for values in zip(*columns, strict=True)]
            files: list[SourceFile] = []
            cost = limit = 0.0
            for item in sorted(items, key=_guess, reverse=True):
                if not files:
                    factor = costs.factor
                    limit = shard_seconds(remaining * factor, self._seconds * factor, n_workers())
                files.append(item)
                remaining -= _guess(item)
                cost += costs.seconds(item.path, item.size)
                if cost >= limit or len(files) >= SHARD_FILES:
                    yield shard_of(bucket, files)
                    files, cost = [], 0.0
            if files:
                yield shard_of(bucket, files)


def _guess(item: SourceFile) -> float:
    return guessed_seconds(item.path, item.size)
