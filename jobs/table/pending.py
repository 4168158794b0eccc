"""The files that a run must extract; large numbers are spilled to disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.formats import costs_by_class, guessed_costs, guessed_seconds
from jobs.corpus.partitioned_rows import spilled
from jobs.corpus.source_file import SourceFile
from jobs.table.schema import LABEL, PATH

_LARGE_SECONDS = 20.0
_SCHEMA = pa.schema(
    [(PATH, pa.string()), ("size_bytes", pa.int64()), ("source_version", pa.string())]
)
_LABELLED = _SCHEMA.append(pa.field(LABEL, pa.string()))


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
    guesses : Counter
        Rough cost of all files [s], by class (see `jobs.corpus.formats.cost_class`).
    """

    def __init__(self, *, large_files: int = 10_000, files_in_memory: int = 500_000) -> None:
        self._large_files = large_files
        self._files_in_memory = files_in_memory
        self.n_files = 0
        self.guesses: Counter[str] = Counter()
        self._large: list[tuple[int, SourceFile]] = []
        self._buckets: list[tuple[int, pa.Table]] = []
        self._n_in_memory = 0
        self._n_spilled = 0

    def add(self, bucket: int, files: pa.Table) -> None:
        """Add files of a hash bucket: ``path``, ``size_bytes``, ``source_version``.

        They may have a ``label`` too, all or none.
        """
        if not len(files):
            return
        form = _SCHEMA if LABEL not in files.column_names else _LABELLED
        files = files.select(form.names).cast(form)
        costs = guessed_costs(files[PATH], files["size_bytes"])
        self.n_files += len(files)
        self.guesses.update(costs_by_class(files[PATH], files["size_bytes"]))
        if len(self._large) < self._large_files:
            is_large = pa.array(costs > _LARGE_SECONDS)
            self._large += [(bucket, file) for file in _source_files(files.filter(is_large))]
            files = files.filter(pc.invert(is_large))
        self._buckets.append((bucket, files))
        self._n_in_memory += len(files)
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
    def seconds(self) -> float:
        """Rough cost of all files [s]."""
        return sum(self.guesses.values())

    @property
    def large(self) -> list[tuple[int, SourceFile]]:
        """Files that take long, with their hash buckets, the longest first."""
        return sorted(self._large, key=lambda large: -guess(large[1]))

    def buckets(self) -> Iterator[tuple[int, list[SourceFile]]]:
        """Yield the files that are not `large`, by hash bucket."""
        for bucket, rows in self._buckets:
            yield bucket, _source_files(rows)


def _source_files(rows: pa.Table) -> list[SourceFile]:
    columns = (column.to_pylist() for column in rows.columns)
    return [SourceFile(*values) for values in zip(*columns, strict=True)]


def guess(file: SourceFile) -> float:
    """Return the rough cost of a file [s]."""
    return guessed_seconds(file.path, file.size)
