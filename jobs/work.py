"""The files that a run has to extract, bucket by bucket, kept on disk where they are many."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from jobs.inventory import on_disk
from jobs.plan import Item, Shard, estimated_seconds, shard_seconds, shards

_ROWS_IN_MEMORY = 500_000
_SCHEMA = pa.schema([("path", pa.string()), ("version", pa.string()), ("size", pa.int64())])


class Work:
    """Files to extract: added bucket after bucket, read back as shards."""

    def __init__(self) -> None:
        self.n_files = 0
        self.seconds = 0.0
        self._buckets: list[tuple[int, pa.Table]] = []
        self._n_in_memory = 0
        self._n_spilled = 0

    def add(self, bucket: int, items: list[Item]) -> None:
        """Take in a bucket's files."""
        if not items:
            return
        columns = [[i.path for i in items], [i.version for i in items], [i.size for i in items]]
        self._buckets.append((bucket, pa.table(columns, schema=_SCHEMA)))
        self.n_files += len(items)
        self.seconds += sum(estimated_seconds(i.path, i.size) for i in items)
        self._n_in_memory += len(items)
        if self._n_in_memory >= _ROWS_IN_MEMORY:
            self._spill()

    def _spill(self) -> None:
        fresh = self._buckets[self._n_spilled :]
        table = on_disk(pa.concat_tables([rows for _, rows in fresh]))
        start = 0
        for index, (bucket, rows) in enumerate(fresh, start=self._n_spilled):
            self._buckets[index] = (bucket, table.slice(start, len(rows)))
            start += len(rows)
        self._n_spilled, self._n_in_memory = len(self._buckets), 0

    def shards(self, n_workers: int) -> Iterator[Shard]:
        """Yield the work as shards, sized so that there is some for every worker."""
        seconds = shard_seconds(self.seconds, n_workers)
        for bucket, rows in self._buckets:
            columns = (rows[name].to_pylist() for name in ("path", "size", "version"))
            items = (Item(*values) for values in zip(*columns, strict=True))
            yield from shards(bucket, items, seconds)
