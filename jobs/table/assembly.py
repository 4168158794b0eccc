"""Assemble a new part from rows of parts and staged files, one row group at a time."""

from __future__ import annotations

import abc
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.errors import TableError
from jobs.storage.parquet import (
    ROW_GROUP_BYTES,
    Writer,
    cuts,
    fixed_bytes,
    is_storage_error,
    open_parquet,
    read_groups,
    series_bytes,
    series_names,
)
from jobs.storage.spool import Section, Spool
from jobs.table import schema

#: Size of the decoded row groups that are kept for the next output row group.
_CACHE_BYTES = 32 * 2**20

#: Decoded row groups that are read again are moved from memory to disk when they are larger.
_SPOOL_BYTES = 8 * 2**20

#: Number of rows whose paths are looked up together.
_ROWS_LOOKED_UP = 500_000

#: A part whose rows are not larger is put together in memory, with others: all rows of a bucket's
#: staged files are read once for all of these parts, and once for each larger one.
_SMALL_BYTES = ROW_GROUP_BYTES // 2


class Cache:
    """A cache of decoded row groups that drops the least recently used.

    Rows of a part may come from every staged file of a bucket, and those of the next part again.
    So a row group that is read a second time is kept, decoded, in a temporary file: without it,
    a bucket that is larger than the cache would be decoded once for each part.

    Parameters
    ----------
    n_bytes : int
        Maximum size in memory; a larger row group is kept alone.
    """

    def __init__(self, n_bytes: int = _CACHE_BYTES) -> None:
        self._free = n_bytes
        self._groups: OrderedDict[tuple[RowSource, int], pa.Table] = OrderedDict()
        self._read_before: set[tuple[RowSource, int]] = set()
        self._spool = Spool(_SPOOL_BYTES)
        self._kept: dict[tuple[RowSource, int], tuple[Section, int]] = {}

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *error: object) -> None:
        self._spool.__exit__()

    def get(self, source: RowSource, group: int) -> pa.Table:
        """Return a row group of a source."""
        key = (source, group)
        if key in self._groups:
            self._groups.move_to_end(key)
            return self._groups[key]
        rows = self._read(key)
        self._groups[key] = rows
        self._free -= rows.nbytes
        while self._free < 0 and len(self._groups) > 1:
            _, oldest = self._groups.popitem(last=False)
            self._free += oldest.nbytes
        return rows

    def _read(self, key: tuple[RowSource, int]) -> pa.Table:
        if key in self._kept:
            section, n_bytes = self._kept[key]
            data = bytearray(n_bytes)
            section.reopened().readinto(data)
            return pa.ipc.open_stream(pa.py_buffer(data)).read_all()
        source, group = key
        rows = source.read([group])
        if key in self._read_before:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, rows.schema) as writer:
                writer.write_table(rows)
            section = self._spool.section()
            self._kept[key] = section, section.write(sink.getvalue())
        self._read_before.add(key)
        return rows


class RowSource(abc.ABC):
    """Rows in groups, from which the rows of parts are taken.

    Parameters
    ----------
    schema : pyarrow.Schema
        Schema of the rows.
    sizes : sequence of int
        Number of rows of each group.

    Attributes
    ----------
    schema : pyarrow.Schema
        Schema of the rows.
    starts : np.ndarray [shape=(n_groups + 1,), dtype=int64]
        Number of the first row of each group, then the number of all rows.
    """

    def __init__(self, schema: pa.Schema, sizes: Sequence[int]) -> None:
        self.schema = schema
        self.starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._keys: Keys | None = None

    @abc.abstractmethod
    def read(self, groups: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of some groups."""

    def keys(self, paths: pa.Array) -> Keys:
        """Return the keys and sizes of all rows; `paths` must be the same in every call."""
        if self._keys is None:
            load_keys([self], paths)
        assert self._keys is not None
        return self._keys

    @property
    def has_keys(self) -> bool:
        """Whether the keys have been read."""
        return self._keys is not None

    def set_keys(self, pieces: Sequence[tuple[np.ndarray, ...]]) -> None:
        """Set the columns of `Keys`, as they are in each row group."""
        file, channel, segment, n_bytes = map(np.concatenate, zip(*pieces, strict=True))
        by_file = np.argsort(file, kind="stable")
        self._keys = Keys(file, channel, segment, n_bytes, by_file, file[by_file])

    def read_keys(self, group: int) -> tuple[pa.ChunkedArray, tuple[np.ndarray, ...]]:
        """Return the paths of a row group, and the columns of `Keys` without the file."""
        has_key = schema.SEGMENT in self.schema.names
        rows = self.read([group], [schema.PATH, *(schema.ROW_KEY if has_key else ())])
        sizes = np.full(len(rows), fixed_bytes(self.schema), np.int64)
        for name in series_names(self.schema):
            sizes += series_bytes(self.read([group], [name])[name])
        if not has_key:
            zeros = np.zeros(len(rows), np.int32)
            return rows[schema.PATH], (zeros, zeros, sizes)
        channel = pc.fill_null(rows[schema.CHANNEL], -1).to_numpy()
        segment = pc.fill_null(rows[schema.SEGMENT], 0).to_numpy()  # errors have null
        return rows[schema.PATH], (channel, segment, sizes)


class FileSource(RowSource):
    """The rows of a part or staged file, by its row groups.

    Parameters
    ----------
    open_file : callable
        Opens the file. It is open only during reads, because there may be very many.
    metadata : pyarrow.parquet.FileMetaData
        Footer of the file.
    damaged : callable
        Returns the error to raise if the file is damaged.
    """

    def __init__(
        self,
        open_file: Callable[[], BinaryIO],
        metadata: pq.FileMetaData,
        damaged: Callable[[object], Exception],
    ) -> None:
        self._open_file, self._metadata, self._damaged = open_file, metadata, damaged
        groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
        super().__init__(metadata.schema.to_arrow_schema(), [group.num_rows for group in groups])

    def read(self, groups: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        try:
            with self._open_file() as source, open_parquet(source, self._metadata) as file:
                return read_groups(file, columns, groups)
        except (pa.ArrowException, OSError) as error:
            if is_storage_error(error):
                raise
            raise self._damaged(error) from error


class SpilledSource(RowSource):
    """Rows of `jobs.corpus.partitioned_rows.PartitionedRows`, each piece of which is a group."""

    def __init__(self, rows: pa.Table) -> None:
        self._pieces = [pa.Table.from_batches([batch]) for batch in rows.to_batches()]
        super().__init__(rows.schema, [len(piece) for piece in self._pieces])

    def read(self, groups: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        rows = pa.concat_tables([self._pieces[group] for group in groups])
        return rows if columns is None else rows.select(columns)


def load_keys(sources: Iterable[RowSource], paths: pa.Array) -> None:
    """Read the keys of the rows of sources.

    They are looked up in the paths for many sources at once: each time, all paths are hashed.

    Parameters
    ----------
    sources : iterable of RowSource
        The sources.
    paths : pyarrow.Array
        All paths of the hash bucket, sorted.
    """
    found: dict[RowSource, list[tuple[np.ndarray, ...]]] = {}
    waiting: list[tuple[RowSource, pa.ChunkedArray, tuple[np.ndarray, ...]]] = []
    n_waiting = 0

    def look_up() -> None:
        chunks = [chunk for _, own, _ in waiting for chunk in own.chunks]
        at = pc.index_in(pa.chunked_array(chunks, pa.string()), paths)
        files = pc.fill_null(at, -1).to_numpy().astype(np.int32)
        start = 0
        for source, own, others in waiting:
            found.setdefault(source, []).append((files[start : start + len(own)], *others))
            start += len(own)

    for source in sources:
        for group in range(0 if source.has_keys else len(source.starts) - 1):
            waiting.append((source, *source.read_keys(group)))
            n_waiting += len(waiting[-1][1])
            if n_waiting >= _ROWS_LOOKED_UP:
                look_up()
                waiting, n_waiting = [], 0
    look_up()
    for source, pieces in found.items():
        source.set_keys(pieces)


class Keys(NamedTuple):
    """Keys of rows, as arrays with one value per row.

    Attributes
    ----------
    file : np.ndarray
        Index of the file's path in the sorted paths; -1 for other files.
    channel : np.ndarray
        Number of the channel; -1 for null.
    segment : np.ndarray
        Number of the segment.
    n_bytes : np.ndarray
        Approximate size of the row in bytes.
    by_file : np.ndarray
        Row numbers, sorted by `file`.
    sorted_file : np.ndarray
        `file`, sorted.
    """

    file: np.ndarray
    channel: np.ndarray
    segment: np.ndarray
    n_bytes: np.ndarray
    by_file: np.ndarray
    sorted_file: np.ndarray

    def rows_of(self, files: np.ndarray) -> np.ndarray:
        """Return the numbers of the rows of some files, which are in order."""
        starts = np.searchsorted(self.sorted_file, files, "left")
        counts = np.searchsorted(self.sorted_file, files, "right") - starts
        ends = np.cumsum(counts)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        return self.by_file[np.repeat(starts, counts) + within]


class Pick(NamedTuple):
    """A source from which a part takes the rows of some files.

    Attributes
    ----------
    source : RowSource
        The source.
    as_it_is : bool
        Whether rows are copied unchanged, because they are in the part already. Other rows
        get the label and carried columns of the listing.
    files : np.ndarray
        The files, as indices of the sorted paths, in order.
    """

    source: RowSource
    as_it_is: bool
    files: np.ndarray


class _Index(NamedTuple):
    """Rows of a part in their order, and the source of each."""

    pick: np.ndarray
    row: np.ndarray
    file: np.ndarray
    n_bytes: np.ndarray

    def cut(self, start: int, stop: int) -> _Index:
        return _Index(*(array[start:stop] for array in self))


class PartRows(NamedTuple):
    """The rows of a new part, in row groups.

    Attributes
    ----------
    part : str
        Name of the part.
    n_rows : int
        Number of rows.
    first : iterable of pyarrow.Table
        First rows of files.
    others : iterable of pyarrow.Table
        All other rows.
    """

    part: str
    n_rows: int
    first: Iterable[pa.Table]
    others: Iterable[pa.Table]

    @property
    def is_small(self) -> bool:
        """Whether the rows are in memory."""
        return isinstance(self.first, list)

    def write_to(self, writer: Writer) -> None:
        """Write the part: first rows of files in row groups of their own, then all others."""
        writer.n_rows = self.n_rows
        for rows in self.first:
            writer.write(rows)
        writer.n_first_groups = writer.n_groups
        for rows in self.others:
            writer.write(rows)


def rows_of_parts(
    parts: Iterable[tuple[str, Sequence[Pick]]],
    wanted: pa.Schema,
    paths: pa.Array,
    attributes: pa.Table,
    cache: Cache,
) -> Iterator[PartRows]:
    """Yield the rows of new parts, in order.

    A large part is read while its rows are taken. Small parts are put together many at once,
    since each column costs the same for one row as for many.

    Parameters
    ----------
    parts : iterable of tuple
        Name of each part, and the sources of its rows.
    wanted : pyarrow.Schema
        Schema of the parts.
    paths : pyarrow.Array
        All paths of the hash bucket, sorted.
    attributes : pyarrow.Table
        Columns that come from the listing, one row for each path.
    cache : Cache
        Cache of the sources' row groups.

    Raises
    ------
    TableError
        If a part would hold a row twice.
    """
    waiting: list[tuple[str, Sequence[Pick], _Index, int]] = []
    n_bytes = 0
    for part, picks in parts:
        index, n_first = _index(picks, paths, part)
        size = int(index.n_bytes.sum())
        if size > _SMALL_BYTES or n_bytes + size > ROW_GROUP_BYTES:
            yield from _small_parts(waiting, attributes, wanted, cache)
            waiting, n_bytes = [], 0
        if size <= _SMALL_BYTES:
            waiting.append((part, picks, index, n_first))
            n_bytes += size
            continue
        first, others = (
            _row_groups(piece, picks, attributes, wanted, cache)
            for piece in (index.cut(0, n_first), index.cut(n_first, len(index.row)))
        )
        yield PartRows(part, len(index.row), first, others)
    yield from _small_parts(waiting, attributes, wanted, cache)


def _row_groups(
    index: _Index, picks: Sequence[Pick], attributes: pa.Table, wanted: pa.Schema, cache: Cache
) -> Iterator[pa.Table]:
    for start, stop in cuts(index.n_bytes):
        yield _gather(index.cut(start, stop), picks, attributes, wanted, cache)


def _small_parts(
    parts: Sequence[tuple[str, Sequence[Pick], _Index, int]],
    attributes: pa.Table,
    wanted: pa.Schema,
    cache: Cache,
) -> Iterator[PartRows]:
    """Yield the rows of parts that fit into memory together."""
    if not parts:
        return
    numbers: dict[tuple[RowSource, bool], int] = {}
    pieces: list[_Index] = []
    for _, picks, index, _ in parts:
        common = [numbers.setdefault((p.source, p.as_it_is), len(numbers)) for p in picks]
        pieces.append(index._replace(pick=np.array(common, np.int64)[index.pick]))
    joined = _Index(*map(np.concatenate, zip(*pieces, strict=True)))
    nothing = np.zeros(0, np.int64)
    all_picks = [Pick(source, as_it_is, nothing) for source, as_it_is in numbers]
    rows = wanted.empty_table()
    if len(joined.row):
        rows = _gather(joined, all_picks, attributes, wanted, cache)
    start = 0
    for part, _, index, n_first in parts:
        n_rows = len(index.row)
        slices = rows.slice(start, n_first), rows.slice(start + n_first, n_rows - n_first)
        first, others = ([piece] if len(piece) else [] for piece in slices)
        yield PartRows(part, n_rows, first, others)
        start += n_rows


def _index(picks: Sequence[Pick], paths: pa.Array, part: str) -> tuple[_Index, int]:
    """Return the rows of a part in order, and the number of files' first rows."""
    pieces: list[tuple[np.ndarray, ...]] = []
    for number, pick in enumerate(picks):
        keys = pick.source.keys(paths)
        rows = keys.rows_of(pick.files)
        pieces.append((np.full(len(rows), number, np.int32), rows, *(k[rows] for k in keys[:4])))
    if not pieces:
        empty = np.empty(0, np.int64)
        return _Index(empty, empty, empty, empty), 0
    pick_of, rows, file, channel, segment, n_bytes = map(np.concatenate, zip(*pieces, strict=True))
    is_other = (segment != 0) | (channel > 0)
    order = np.lexsort((segment, channel, file, is_other))
    key = np.stack([file, channel, segment])[:, order]
    duplicates = np.flatnonzero((key[:, 1:] == key[:, :-1]).all(axis=0))
    if len(duplicates):
        path = paths[key[0, duplicates[0]]].as_py()
        raise TableError(f"{part} would hold {path} twice: nothing of it was written")
    n_first = int(len(rows) - is_other.sum())
    return _Index(pick_of[order], rows[order], file[order], n_bytes[order]), n_first


def _gather(
    index: _Index, picks: Sequence[Pick], attributes: pa.Table, wanted: pa.Schema, cache: Cache
) -> pa.Table:
    """Return the rows of an index, in its order."""
    order = np.lexsort((index.row, index.pick))
    ends = np.searchsorted(index.pick[order], np.arange(len(picks)), side="right")
    pieces: list[pa.Table] = []
    start = 0
    for pick, end in zip(picks, ends, strict=True):
        for group, numbers in _by_group(index.row[order[start:end]], pick.source.starts):
            rows = _take(cache.get(pick.source, group), numbers - pick.source.starts[group])
            files = index.file[order[start : start + len(rows)]]
            start += len(rows)
            pieces.append(
                rows if pick.as_it_is else _with_attributes(rows, files, attributes, wanted)
            )
    rows = pa.concat_tables([piece.replace_schema_metadata(None) for piece in pieces])
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return _take(rows, places)


def _by_group(rows: np.ndarray, starts: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each row group with its part of the sorted row numbers."""
    edges = np.searchsorted(rows, starts)
    for group in np.flatnonzero(np.diff(edges)):
        yield int(group), rows[edges[group] : edges[group + 1]]


def _take(rows: pa.Table, places: np.ndarray) -> pa.Table:
    n = len(places)
    # a slice keeps the memory of the whole table, so use it only for most of the rows
    if n and 2 * n >= len(rows) and (np.diff(places) == 1).all():
        return rows.slice(int(places[0]), n)
    return rows.take(pa.array(places))


def _with_attributes(
    rows: pa.Table, files: np.ndarray, attributes: pa.Table, wanted: pa.Schema
) -> pa.Table:
    """Return rows in a part's schema, with the label and carried columns of the listing."""
    row_attributes = attributes.take(pa.array(files))
    columns = []
    for field in wanted:
        if field.name in row_attributes.column_names:
            columns.append(row_attributes[field.name])
        elif field.name == schema.ERROR_CLASS:
            columns.append(schema.error_classes(rows[schema.ERROR_KIND]))
        else:
            columns.append(rows[field.name])
    return pa.Table.from_arrays(columns, schema=wanted)
