"""Read the rows of a table by other hash buckets than its own."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from jobs.corpus.hashing import overlapping
from jobs.corpus.partitioned_rows import PartitionedRows
from jobs.errors import ConflictError
from jobs.storage.base import Fetched, contents_of
from jobs.storage.parallel import in_threads, requests_at_once
from jobs.storage.parquet import is_storage_error, open_parquet, read_groups
from jobs.table.layout import is_errors
from jobs.table.reader import Table

#: Rows of a bucket that wait in memory; more are spilled.
_IN_MEMORY_BYTES = 64 * 2**20


class BucketRows(NamedTuple):
    """The rows of a hash bucket, as they are in the parts.

    Attributes
    ----------
    features, errors : pyarrow.Table
        Rows of files with features, and of files without.
    """

    features: pa.Table
    errors: pa.Table


class Rebucketed:
    """The rows of a table, as if it had another number of hash buckets.

    Each part is read once. The rows of the table's own bucket are spilled to a temporary file,
    sorted by the hash of their path, as long as one of the other buckets needs them.

    Parameters
    ----------
    table : Table
        The table. Its parts must keep the versions that they have now.
    n_buckets : int
        The other number of buckets.
    """

    def __init__(self, table: Table, n_buckets: int) -> None:
        self._table, self._n_buckets = table, n_buckets
        self._spilled: dict[int, tuple[PartitionedRows, PartitionedRows]] = {}

    def bucket(self, bucket: int) -> BucketRows:
        """Return the rows of one of the other buckets; to be called in their order.

        Raises
        ------
        ConflictError
            If a part has another version now.
        TableError
            If a part is damaged.
        """
        needed = overlapping(bucket, self._n_buckets, self._table.metadata.n_buckets)
        self._spilled = {own: rows for own, rows in self._spilled.items() if own in needed}
        for own in needed:
            if own not in self._spilled:
                self._spilled[own] = self._spill(own)
        kinds = zip(*(self._spilled[own] for own in needed), strict=True)
        return BucketRows(*(pa.concat_tables([r.bucket(bucket) for r in rows]) for rows in kinds))

    def _spill(self, own: int) -> tuple[PartitionedRows, PartitionedRows]:
        table = self._table
        features, errors = (
            PartitionedRows(_plain(schema), bytes_in_memory=_IN_MEMORY_BYTES)
            for schema in (table.feature_schema, table.error_schema)
        )
        parts = table.parts_of(own)
        fetched = in_threads(table.store.fetch, parts, requests_at_once(table.store))
        for part, contents in zip(parts, fetched, strict=True):
            try:
                self._read(part, contents, errors if is_errors(part) else features)
            finally:
                contents.close()
        features.set_buckets(self._n_buckets)
        errors.set_buckets(self._n_buckets)
        return features, errors

    def _read(self, part: str, contents: Fetched, rows: PartitionedRows) -> None:
        if contents.version != self._table.parts[part]:
            raise ConflictError(f"{part} has changed")
        try:
            with contents_of(contents) as source, open_parquet(source) as file:
                if not file.schema_arrow.equals(rows.schema):
                    raise self._table.damaged(part, "its columns are not those of this table")
                for group in range(file.num_row_groups):
                    rows.add(read_groups(file, None, [group]))
        except (pa.ArrowException, OSError) as error:
            if is_storage_error(error):
                raise
            raise self._table.damaged(part, error) from error


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.remove_metadata() for field in schema])
