"""Write and read Parquet files with page checksums and row groups of bounded size."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

#: Largest row group, uncompressed, unless one row is larger.
ROW_GROUP_BYTES = 32 * 2**20

#: Key in the Parquet metadata: the number of leading row groups that hold files' first rows.
FIRST_ROW_GROUPS = "first_row_groups"

#: Key in the Parquet metadata: the units of the columns.
UNITS = b"units"

_UNIT = b"unit"

#: Files with so few rows are written without dictionaries, statistics and compression, whose
#: overhead would be larger than what they save.
_FEW_ROWS = 8

_STRING_BYTES = 32
_MAX_ROWS = 2**20


class FileSchema:
    """How the rows of a schema are written; to be made once for many files.

    The metadata of fields is not written, apart from units: with many columns it is larger than
    many a file. Arrow's own copy of the schema is only written if Parquet cannot express it.

    Parameters
    ----------
    schema : pyarrow.Schema
        Schema of the rows.

    Attributes
    ----------
    schema : pyarrow.Schema
        The same without metadata.
    metadata : dict
        Metadata of the files.
    is_parquets_own : bool
        Whether Parquet can express the schema, so that Arrow's copy is not stored.
    exact : list of str
        Columns that are worth a dictionary and statistics. Measured numbers have no dictionary,
        and no order that statistics could use.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = pa.schema([field.remove_metadata() for field in schema])
        units = [(field.metadata or {}).get(_UNIT, b"") for field in schema]
        self.metadata: dict[bytes, bytes] = dict(schema.metadata or {})
        if any(units):
            self.metadata[UNITS] = b"\t".join(units)
        exact = self.exact = [field.name for field in self.schema if _is_exact(field.type)]
        self.is_parquets_own = _is_parquets_own(self.schema)
        self._dense = {"compression": "zstd", "use_dictionary": exact, "write_statistics": exact}
        self._small = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        self._fixed_bytes, self._series = fixed_bytes(schema), series_names(schema)

    def open(self, sink: Any, *, is_small: bool) -> pq.ParquetWriter:
        """Open a Parquet file for writing."""
        options = self._small if is_small else self._dense
        return pq.ParquetWriter(
            sink,
            self.schema.with_metadata(self.metadata),
            write_page_checksum=True,
            store_schema=not self.is_parquets_own,
            **options,
        )

    def row_bytes(self, rows: pa.Table) -> np.ndarray:
        """Return the approximate uncompressed size of each row in bytes.

        Returns
        -------
        np.ndarray [shape=(n_rows,), dtype=int64]
        """
        sizes = np.full(len(rows), self._fixed_bytes, np.int64)
        for name in self._series:
            sizes += series_bytes(rows[name])
        return sizes


class Writer:
    """Write a Parquet file by row groups, with a checksum on every page.

    Parameters
    ----------
    sink : binary file object
        Destination; it stays open.
    schema : pyarrow.Schema or FileSchema
        Schema of the rows.

    Attributes
    ----------
    n_rows : int, optional
        Number of rows that will be written, if it is known before the first row is.
    n_groups : int
        Number of row groups written.
    n_first_groups : int, optional
        Number of leading row groups that hold files' first rows; None for all.
    """

    def __init__(self, sink: BinaryIO, schema: pa.Schema | FileSchema) -> None:
        self._sink = sink
        self._form = FileSchema(schema) if isinstance(schema, pa.Schema) else schema
        self._buffer: pa.BufferOutputStream | None = None
        self._opened: pq.ParquetWriter | None = None
        self._is_closed = False
        self.n_rows: int | None = None
        self.n_groups = 0
        self.n_first_groups: int | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.close()
        elif not self._is_closed:
            self._is_closed = True
            if self._opened is not None:
                with contextlib.suppress(pa.ArrowException, OSError):  # it may be broken by now
                    self._opened.close()

    @property
    def _writer(self) -> pq.ParquetWriter:
        if self._opened is None:
            if is_small := self.n_rows is not None and self.n_rows <= _FEW_ROWS:
                self._buffer = pa.BufferOutputStream()  # hundreds of writes of a few bytes
            sink = self._sink if self._buffer is None else self._buffer
            self._opened = self._form.open(sink, is_small=is_small)
        return self._opened

    def write(self, rows: pa.Table) -> None:
        """Write rows as one or more row groups of bounded size."""
        for start, stop in cuts(self._form.row_bytes(rows)):
            self._writer.write_table(rows.slice(start, stop - start), row_group_size=stop - start)
            self.n_groups += 1

    def close(self) -> None:
        """Write the footer. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self.n_groups:
            self.n_rows = 0
            self._writer.write_table(self._form.schema.empty_table())
        # Parquet has it from Arrow's schema, if that is stored
        metadata = dict(self._form.metadata) if self._form.is_parquets_own else {}
        if self.n_first_groups not in (None, self.n_groups):
            metadata[FIRST_ROW_GROUPS.encode()] = str(self.n_first_groups).encode()
        if metadata:
            self._writer.add_key_value_metadata(metadata)
        self._writer.close()
        if self._buffer is not None:
            self._sink.write(self._buffer.getvalue().to_pybytes())


def _is_exact(kind: pa.DataType) -> bool:
    return not (pa.types.is_floating(kind) or pa.types.is_nested(kind))


def _is_parquets_own(schema: pa.Schema) -> bool:
    """Return whether a schema without metadata comes back from Parquet's own types."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema, store_schema=False).close()
    return pq.read_schema(pa.BufferReader(sink.getvalue())).equals(schema)


def fixed_bytes(schema: pa.Schema) -> int:
    """Return the approximate size in bytes of a row without its series columns."""
    return sum(
        field.type.bit_width // 8 or 1 if pa.types.is_primitive(field.type) else _STRING_BYTES
        for field in schema
        if not pa.types.is_large_list(field.type)
    )


def series_names(schema: pa.Schema) -> list[str]:
    """Return the names of the series columns."""
    return [field.name for field in schema if pa.types.is_large_list(field.type)]


def series_bytes(column: pa.ChunkedArray) -> np.ndarray:
    """Return the size in bytes of each row of a series column."""
    item = column.type.value_type
    width = item.list_size if pa.types.is_fixed_size_list(item) else 1
    number = item.value_type if pa.types.is_fixed_size_list(item) else item
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    return 8 + lengths * (width * number.bit_width // 8)


def cuts(sizes: np.ndarray, limit: int = ROW_GROUP_BYTES) -> Iterator[tuple[int, int]]:
    """Cut rows into consecutive slices of at most `limit` bytes; a larger row is a slice alone.

    Yields
    ------
    start, stop : int
        Bounds of each slice, in order.
    """
    ends = np.cumsum(sizes)
    start, before = 0, 0
    while start < len(ends):
        stop = int(np.searchsorted(ends, before + limit, side="right"))
        stop = min(max(stop, start + 1), start + _MAX_ROWS)
        yield start, stop
        start, before = stop, int(ends[stop - 1])


def to_parquet(table: pa.Table) -> bytes:
    """Return a table as a Parquet file."""
    sink = io.BytesIO()
    with Writer(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue()


def open_parquet(
    source: BinaryIO | pa.Buffer, metadata: pq.FileMetaData | None = None
) -> pq.ParquetFile:
    """Open a Parquet file; page checksums are verified on reading.

    Parameters
    ----------
    source : binary file object or pyarrow.Buffer
        The file.
    metadata : pyarrow.parquet.FileMetaData, optional
        Its footer, if already read.
    """
    return pq.ParquetFile(
        source, metadata=metadata, pre_buffer=False, page_checksum_verification=True
    )


def read_groups(
    file: pq.ParquetFile, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None
) -> pa.Table:
    """Return all rows of a Parquet file, or the rows of some row groups.

    Only the calling thread reads. If a thread of PyArrow still used a Python file at the end
    of the process, the process would abort.
    """
    if groups is None:
        return file.read(columns, use_threads=False)
    return file.read_row_groups(groups, columns, use_threads=False)


def read_parquet(source: BinaryIO | pa.Buffer, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the table in a Parquet file, or some of its columns."""
    with open_parquet(source) as file:
        return read_groups(file, columns)


def is_storage_error(error: Exception) -> bool:
    """Return whether a read error comes from the storage, not from damaged bytes.

    For damaged bytes PyArrow raises its own exceptions, or OSError without an errno.
    """
    return isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None)


def first_row_groups(file: pq.ParquetFile) -> range:
    """Return the row groups that hold files' first rows; all if the metadata has no number."""
    value = (file.metadata.metadata or {}).get(FIRST_ROW_GROUPS.encode(), b"")
    n_groups = file.metadata.num_row_groups
    return range(min(int(value), n_groups) if value.isdigit() else n_groups)
