"""The files that a run must extract; large numbers are spilled to disk."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from jobs.corpus.formats import guessed_seconds
from jobs.corpus.partitioned_rows import spilled
from jobs.corpus.source_file import SourceFile

_LARGE_SECONDS = 20.0
_SCHEMA = pa.schema([("path", pa.string()), ("version", pa.string()), ("size", pa.int64())])


class PendingFiles:
    """Files to extract, added by hash bucket.

    Parameters
    ----------
    large_files : int
        Maximum number of files that are kept apart because they take long.
    files_in_memory : int
        Number of files at which those in memory are spilled.

    Attributes
    ----------
    n_files : int
        Number of files.
    seconds : float
        Rough cost of all files [s].
    """

    def __init__(self, *, large_files: int = 10_000, files_in_memory: int = 500_000) -> None:
        self._large_files = large_files
        self._files_in_memory = files_in_memory
        self.n_files = 0
        self.seconds = 0.0
        self._large: list[tuple[int, SourceFile]] = []
        self._buckets: list[tuple[int, pa.Table]] = []
        self._n_in_memory = 0
        self._n_spilled = 0

    def add(self, bucket: int, items: list[SourceFile]) -> None:
        """Add files of a hash bucket."""
        if not items:
            return
        self.n_files += len(items)
        self.seconds += sum(map(guess, items))
        if len(self._large) < self._large_files:
            large = [i for i in items if guess(i) > _LARGE_SECONDS]
            self._large += [(bucket, item) for item in large]
            items = [i for i in items if guess(i) <= _LARGE_SECONDS]
        columns = [[i.path for i in items], [i.version for i in items], [i.size for i in items]]
        self._buckets.append((bucket, pa.table(columns, schema=_SCHEMA)))
        self._n_in_memory += len(items)
        if self._n_in_memory >= self._files_in_memory:
            self._spill()

    def _spill(self) -> None:
        in_memory = self._buckets[self._n_spilled :]
        table = spilled(pa.concat_tables([rows for _, rows in in_memory]))
        start = 0
        for index, (bucket, rows) in enumerate(in_memory, start=self._n_spilled):
            self._buckets[index] = (bucket, table.slice(start, len(rows)))
            start += len(rows)
        self._n_spilled, self._n_in_memory = len(self._buckets), 0

    @property
    def large(self) -> list[tuple[int, SourceFile]]:
        """Files that take long, with their hash buckets, the longest first."""
        return sorted(self._large, key=lambda large: -guess(large[1]))

    def buckets(self) -> Iterator[tuple[int, list[SourceFile]]]:
        """Yield the files that are not `large`, by hash bucket."""
        for bucket, rows in self._buckets:
            columns = (rows[name].to_pylist() for name in ("path", "size", "version"))
            yield bucket, [SourceFile(*values) for values in zip(*columns, strict=True)]


def guess(file: SourceFile) -> float:
    """Return the rough cost of a file [s]."""
    return guessed_seconds(file.path, file.size)
