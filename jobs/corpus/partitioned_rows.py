"""Rows of any number, spilled to disk and read back by hash bucket."""

from __future__ import annotations

import mmap

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.hashing import bucket_of, path_hashes
from jobs.storage.scratch import temporary_file


class PartitionedRows:
    """Rows keyed by a ``path`` column, added in any order and read back by hash bucket.

    Rows are sorted by the hash of their path, some hundred thousands at a time, and spilled to
    an unnamed temporary file. The file vanishes with the process, even if that is killed.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns of the rows, among them ``path`` (string).
    rows_in_memory : int
        Number of rows at which those in memory are sorted and spilled.
    bytes_in_memory : int, optional
        Their size at which they are spilled too; for rows that may be large.
    """

    def __init__(
        self,
        schema: pa.Schema,
        *,
        rows_in_memory: int = 500_000,
        bytes_in_memory: int | None = None,
    ) -> None:
        self._rows_in_memory, self._bytes_in_memory = rows_in_memory, bytes_in_memory
        self.schema = schema
        self.n_rows = 0
        self._waiting: list[pa.Table] = []
        self._n_waiting = self._waiting_bytes = 0
        self._runs: list[tuple[np.ndarray, pa.Table]] = []
        self._offsets: list[np.ndarray] = []

    def add(self, rows: pa.Table) -> None:
        """Add a page of rows."""
        self._waiting.append(rows.cast(self.schema))
        self._n_waiting += len(rows)
        self.n_rows += len(rows)
        if self._bytes_in_memory is not None:
            self._waiting_bytes += self._waiting[-1].nbytes
        is_large = self._waiting_bytes > (self._bytes_in_memory or 0)
        if is_large or self._n_waiting >= self._rows_in_memory:
            self._spill()

    def _spill(self) -> None:
        if not self._n_waiting:
            return
        table = pa.concat_tables(self._waiting).combine_chunks()
        hashes = path_hashes(table["path"].combine_chunks())
        order = np.argsort(hashes, kind="stable")
        self._runs.append((hashes[order], spilled(table.take(pa.array(order)))))
        self._waiting, self._n_waiting, self._waiting_bytes = [], 0, 0

    def set_buckets(self, n_buckets: int) -> None:
        """Set the number of hash buckets. No rows may be added afterwards."""
        self._spill()
        edges = np.arange(n_buckets + 1)
        self._offsets = [
            np.searchsorted(bucket_of(hashes, n_buckets), edges) for hashes, _ in self._runs
        ]

    def bucket(self, bucket: int) -> pa.Table:
        """Return the rows of one bucket."""
        pieces = [
            rows.slice(int(offsets[bucket]), int(offsets[bucket + 1] - offsets[bucket]))
            for (_, rows), offsets in zip(self._runs, self._offsets, strict=True)
        ]
        return pa.concat_tables(pieces) if pieces else self.schema.empty_table()


def spilled(table: pa.Table) -> pa.Table:
    """Return the same rows, memory-mapped from an unnamed temporary file."""
    with temporary_file() as file:
        with pa.ipc.new_file(pa.PythonFile(file, "w"), table.schema) as writer:
            writer.write_table(table)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return pa.ipc.open_file(pa.py_buffer(mapped)).read_all()


def repeated(paths: pa.ChunkedArray) -> str | None:
    """Return a path that is there more than once; None if there is none."""
    if len(paths.unique()) == len(paths):
        return None
    values, counts = paths.value_counts().flatten()
    return values[pc.index(pc.greater(counts, 1), True).as_py()].as_py()
