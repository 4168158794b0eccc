"""Read a table: its parts, their entries and their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import ConflictError, TableError
from jobs.storage import parquet
from jobs.storage.base import Store
from jobs.storage.opening import open_store
from jobs.storage.parallel import in_threads, requests_at_once
from jobs.storage.retry import with_retries
from jobs.table import schema
from jobs.table.changes import PART
from jobs.table.images import ImageFiles
from jobs.table.layout import (
    ERRORS,
    FEATURES,
    INDEX,
    bucket_of_part,
    is_errors,
    label_folder,
    part_name,
)
from jobs.table.metadata import IMAGES, TableMetadata, read_metadata
from jobs.table.parts import list_parts
from jobs.table.staging import Origin

T = TypeVar("T")


class _Read(NamedTuple):
    """Rows of a part, the number of all its rows, and its version."""

    rows: pa.Table
    n_rows: int
    version: str


class Table:
    """An existing table.

    Parameters
    ----------
    store : Store
        Store of the table.
    metadata : TableMetadata
        The contents of its table.json.

    Attributes
    ----------
    parts : dict
        Version of each part, by name, as last listed, read or written.
    images : ImageFiles, optional
        The images that are there. `held` then gives the files whose images are not there a null
        version, so that they are made again.
    """

    def __init__(self, store: Store, metadata: TableMetadata) -> None:
        self.store = store
        self.metadata = metadata
        self.images: ImageFiles | None = None
        self.carried = metadata.carried_schema
        rows = metadata.recorded_spec.schema
        self.feature_schema = schema.feature_schema(rows, self.carried, metadata.tags)
        self.error_schema = schema.error_schema(self.carried)
        self.staged_schema = schema.staged_schema(
            rows, metadata.tags, has_label=metadata.stages_labels
        )
        self._n_rows: dict[tuple[str, str], int] = {}
        self.parts: dict[str, str] = {}
        self._by_bucket: dict[int, list[str]] = {}
        self.refresh()

    def refresh(self) -> dict[str, str]:
        """List the parts again; return their versions by name."""
        parts = list_parts(self.store)
        self.parts, self._by_bucket = {}, {}
        for name, version in parts.items():
            self.set_part(name, version)
        return parts

    def set_part(self, name: str, version: str) -> None:
        """Record the version of a part.

        Raises
        ------
        TableError
            If the table has no such hash bucket: rows in the part would never be planned.
        """
        if _bucket(name) >= self.metadata.n_buckets:
            raise TableError(
                f"{self.store.url}/{name} is no part of this table, which has"
                f" {self.metadata.n_buckets} buckets: move it elsewhere"
            )
        if name not in self.parts:
            self._by_bucket.setdefault(_bucket(name), []).append(name)
        self.parts[name] = version

    def parts_of(self, bucket: int) -> list[str]:
        """Return the names of the parts of a hash bucket: of all labels, and the errors."""
        return sorted(self._by_bucket.get(bucket, ()))

    def part_for(self, bucket: int, label: str | None, is_error: bool) -> str:
        """Return the name of the part for a file's rows, or for its error row."""
        if is_error:
            return f"{ERRORS}/{part_name(bucket)}"
        folder = INDEX if self.metadata.kind == IMAGES else FEATURES
        if self.metadata.partition_by == "none":
            return f"{folder}/{part_name(bucket)}"
        return f"{folder}/{label_folder(label)}/{part_name(bucket)}"

    def schema_of(self, part: str) -> pa.Schema:
        """Return the schema of a part."""
        return self.error_schema if is_errors(part) else self.feature_schema

    @property
    def origin(self) -> Origin:
        """Origin in the metadata of staged files for this table."""
        return Origin(self.metadata.corpus, self.metadata.n_buckets)

    @property
    def attribute_names(self) -> list[str]:
        """Names of the columns that come from the listing, not from the audio."""
        return [schema.LABEL, *self.carried.names]

    def held(self, bucket: int) -> pa.Table:
        """Return the entries of a hash bucket, one for each file of each part.

        Threads may ask for different buckets at the same time.

        Returns
        -------
        pyarrow.Table
            Columns as `jobs.table.changes` describes them.
        """
        names = [*schema.HELD_COLUMNS, *self.attribute_names]
        fields = [self.error_schema.field(name) for name in (*names, schema.ERROR_KIND)]
        wanted = pa.schema(fields).remove_metadata()
        parts: list[str] = []
        pieces = [wanted.empty_table()]
        for part, found in self._first_rows_of(bucket, names, wanted.names):
            rows = found.replace_schema_metadata(None)
            if not is_errors(part):
                rows = self._without_lost_images(part, rows)
                rows = rows.append_column(wanted.field(-1), pa.nulls(len(rows), pa.string()))
            parts.append(part)
            pieces.append(rows.cast(wanted))
        of_part = np.repeat(np.arange(len(parts), dtype=np.int32), [len(p) for p in pieces[1:]])
        part_column = pa.DictionaryArray.from_arrays(of_part, pa.array(parts, pa.string()))
        return pa.concat_tables(pieces).append_column(PART, part_column).combine_chunks()

    def paths(self, bucket: int) -> pa.ChunkedArray:
        """Return the paths of the entries of a hash bucket, as `held` does, and nothing else."""
        names = [schema.PATH]
        chunks: list[pa.Array] = []
        for _, rows in self._first_rows_of(bucket, names, names):
            chunks += rows[schema.PATH].chunks
        return pa.chunked_array(chunks, pa.string())

    def _first_rows_of(
        self, bucket: int, names: list[str], names_of_errors: list[str]
    ) -> Iterator[tuple[str, pa.Table]]:
        """Yield each part of a hash bucket with columns of its first rows; read several at once."""

        def read(part: str) -> _Read:
            return self._read_first(part, names_of_errors if is_errors(part) else names)

        parts = self.parts_of(bucket)
        found = in_threads(read, parts, requests_at_once(self.store))
        for part, rows in zip(parts, found, strict=True):
            yield part, self._noted(part, rows)

    def each_bucket(
        self, read: Callable[[int], T], buckets: Iterable[int]
    ) -> Iterator[tuple[int, T]]:
        """Yield hash buckets with what `held` or `paths` returns of each; read several at once.

        The more parts a bucket has, the fewer buckets are in memory: at least two.
        """
        n_at_once = requests_at_once(self.store)
        n_parts = max(1, len(self.parts) // self.metadata.n_buckets)
        n_at_once = min(n_at_once, max(2, n_at_once // n_parts))
        return in_threads(lambda bucket: (bucket, read(bucket)), buckets, n_at_once)

    def _without_lost_images(self, part: str, rows: pa.Table) -> pa.Table:
        """Return first rows with a null version for files some of whose images are not there."""
        if self.images is None:
            return rows
        found = self.read_columns(part, [schema.PATH, schema.IMAGE, schema.IMAGE_BYTES])
        is_there = self.images.are_there(found[schema.IMAGE], found[schema.IMAGE_BYTES])
        lost = found[schema.PATH].filter(pa.array(~is_there)).combine_chunks()
        versions = rows["source_version"]
        kept = pc.if_else(pc.is_in(rows[schema.PATH], lost), pa.scalar(None, pa.string()), versions)
        return rows.set_column(rows.column_names.index("source_version"), "source_version", kept)

    def first_rows(self, part: str, names: list[str]) -> pa.Table:
        """Return some columns of each file's first row in a part.

        Raises
        ------
        TableError
            If the part is damaged, or was not written by featurelib.
        """
        return self._noted(part, self._read_first(part, names))

    def each_first_rows(
        self, names: list[str], *, with_errors: bool = False
    ) -> Iterator[tuple[str, pa.Table]]:
        """Yield each feature part and what `first_rows` returns of it; read several at once.

        Parameters
        ----------
        names : list of str
            Names of columns.
        with_errors : bool
            Read the error parts, too.

        Raises
        ------
        TableError
            As `first_rows`.
        """
        parts = [part for part in sorted(self.parts) if with_errors or not is_errors(part)]
        n_threads = requests_at_once(self.store)
        found = in_threads(lambda part: self._read_first(part, names), parts, n_threads)
        for part, read in zip(parts, found, strict=True):
            yield part, self._noted(part, read)

    def _read_first(self, part: str, names: list[str]) -> _Read:
        """Read what `first_rows` returns; change nothing, since threads call this."""
        if is_errors(part):
            return self._read(part, names)
        key = [name for name in schema.ROW_KEY if name not in names]
        found = self._read(part, [*names, *key], first=True)
        rows = found.rows.filter(schema.is_first(found.rows)).select(names)
        return found._replace(rows=rows)

    def n_rows_by_part(self, bucket: int) -> dict[str, int]:
        """Return the number of rows of each feature part of a bucket that was read before."""
        return {part: self.n_rows(part) for part in self.parts_of(bucket) if not is_errors(part)}

    def n_rows(self, part: str) -> int:
        """Return the number of rows of a part; call `read_columns` before."""
        return self._n_rows[part, self.parts[part]]

    def read_columns(self, part: str, names: list[str]) -> pa.Table:
        """Return some columns of a part.

        Raises
        ------
        TableError
            If the part is damaged, or was not written by featurelib.
        """
        return self._noted(part, self._read(part, names))

    def row_groups(self, part: str, names: list[str]) -> Iterator[pa.Table]:
        """Yield some columns of a part, one row group at a time.

        Raises
        ------
        TableError
            If the part is damaged, or was not written by featurelib.
        """
        try:
            source, _ = self.store.open(part)
            with source, parquet.open_parquet(source) as file:
                for group in range(file.num_row_groups):
                    rows = parquet.read_groups(file, names, [group])
                    if len(rows.column_names) != len(names):
                        raise self.damaged(part, "columns are missing")
                    yield rows
        except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
            if parquet.is_storage_error(error):
                raise
            raise self.damaged(part, error) from error

    def _noted(self, part: str, found: _Read) -> pa.Table:
        """Record the version and number of rows of a part that was read; return its rows."""
        self.set_part(part, found.version)
        self._n_rows[part, found.version] = found.n_rows
        return found.rows

    def _read(self, part: str, names: list[str], *, first: bool = False) -> _Read:
        """Read columns of a part, or of the row groups that hold files' first rows."""

        def read() -> _Read:
            source, version = self.store.open(part)
            with source, parquet.open_parquet(source) as file:
                groups = parquet.first_row_groups(file) if first else None
                rows = parquet.read_groups(file, names, groups)
                return _Read(rows, file.metadata.num_rows, version)

        try:
            found = with_retries(read, attempts=4, retry_if=self._is_worth_rereading)
        except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
            if parquet.is_storage_error(error):
                raise
            raise self.damaged(part, error) from error
        if len(found.rows.column_names) != len(names):
            raise self.damaged(part, "columns are missing")
        return found

    def _is_worth_rereading(self, error: BaseException) -> bool:
        """Return whether a part was replaced while it was read, or damaged on the way."""
        is_damage = isinstance(error, pa.ArrowInvalid | OSError) and not parquet.is_storage_error(
            error
        )
        return isinstance(error, ConflictError) or (is_damage and not self.store.in_place)

    def damaged(self, part: str, why: object) -> TableError:
        """Return the error for a part that cannot be read."""
        line = str(why).splitlines()[0]
        return TableError(
            f"{self.store.url}/{part} is damaged ({line}): restore it, or delete it and run the"
            " job, which extracts its files again"
        )


def _bucket(part: str) -> int:
    bucket = bucket_of_part(part)
    assert bucket is not None
    return bucket


def open_table(location: str, options: dict[str, Any]) -> Table:
    """Open a table for reading.

    Raises
    ------
    TableError
        If there is no table, or it cannot be read.
    """
    store = open_store(location, options)
    try:
        metadata = read_metadata(store)
    except PermissionError as error:
        raise TableError(f"no permission to read {store.url}: {error.strerror or error}") from error
    except OSError as error:
        raise TableError(f"cannot read {store.url}: {error.strerror or error}") from error
    if metadata is None:
        raise TableError(
            f"there is no table at {store.url}: make one with featurelib extract CORPUS"
            f" --output {location}"
        )
    return Table(store, metadata)
