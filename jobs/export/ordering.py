"""All rows of a table by path, channel and segment, in bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.errors import ConflictError
from jobs.storage.parallel import in_threads, requests_at_once
from jobs.storage.parquet import fixed_bytes, is_storage_error, open_parquet, read_groups
from jobs.storage.scratch import temporary_file
from jobs.table.layout import is_errors
from jobs.table.reader import Table
from jobs.table.schema import CHANNEL, PATH, SEGMENT

T = TypeVar("T")

#: Columns by which rows are sorted.
KEY = (PATH, CHANNEL, SEGMENT)

#: Rows are sorted in memory in pieces of about this size [bytes].
PIECE_BYTES = 32 * 2**20

#: Most temporary files; larger tables have larger pieces.
_MAX_PIECES = 250

#: Of so many rows of a part, one is looked at to find the limits of the pieces.
_STRIDE = 8


class _Part(NamedTuple):
    """A part, as it was when the export began.

    Attributes
    ----------
    name, version : str
        Name and version.
    n_groups : int
        Number of row groups.
    n_bytes : int
        Approximate size of the columns to read, in memory [bytes].
    paths : list of str
        The paths of some rows.
    """

    name: str
    version: str
    n_groups: int
    n_bytes: int
    paths: list[str]


def sorted_rows(
    table: Table, names: Sequence[str], *, piece_bytes: int = PIECE_BYTES
) -> Iterator[pa.Table]:
    """Yield columns of all feature rows of a table, sorted by path, channel and segment.

    A table that does not fit into one piece is distributed over temporary files, each for a
    range of paths. A row that a run is moving is in two parts; it is yielded once.

    Parameters
    ----------
    table : Table
        The table.
    names : sequence of str
        Columns to read, which include those of `KEY`.
    piece_bytes : int
        Size of the pieces that are sorted in memory [bytes].

    Raises
    ------
    TableError
        If a part is damaged.
    ConflictError, FileNotFoundError
        If a part was replaced or deleted meanwhile.
    """
    schema = pa.schema([table.feature_schema.field(name).remove_metadata() for name in names])
    n_threads = requests_at_once(table.store)
    wanted = [name for name in sorted(table.parts) if not is_errors(name)]
    parts = list(in_threads(lambda name: _look_at(table, name, names), wanted, n_threads))
    groups = [(part, group) for part in parts for group in range(part.n_groups)]

    def read(item: tuple[_Part, int]) -> pa.Table:
        part, group = item
        return _read(table, part.name, part.version, lambda file: read_groups(file, names, [group]))

    pieces = (rows.cast(schema) for rows in in_threads(read, groups, n_threads))
    limits = _limits(parts, piece_bytes)
    if not limits:
        yield _in_order(pa.concat_tables([schema.empty_table(), *pieces]))
        return
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(temporary_file()) for _ in range(len(limits) + 1)]
        _distribute(pieces, limits, files, schema, piece_bytes)
        for file in files:
            file.seek(0)
            with pa.ipc.open_stream(file) as reader:
                yield _in_order(reader.read_all())


def _look_at(table: Table, name: str, names: Sequence[str]) -> _Part:
    row_bytes = fixed_bytes(pa.schema([table.feature_schema.field(name) for name in names]))

    def look(file: pq.ParquetFile) -> tuple[int, int, list[str]]:
        metadata, wanted = file.metadata, set(names)
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        n_stored = sum(
            column.total_uncompressed_size
            for group in groups
            for column in (group.column(i) for i in range(group.num_columns))
            if column.path_in_schema.partition(".")[0] in wanted
        )
        n_bytes = max(n_stored, metadata.num_rows * row_bytes)  # equal texts are stored once
        paths = read_groups(file, [PATH])[PATH]
        some = np.arange(0, len(paths), _STRIDE)
        return len(groups), n_bytes, paths.take(pa.array(some)).to_pylist()

    return _Part(name, table.parts[name], *_read(table, name, table.parts[name], look))


def _read(table: Table, name: str, version: str, call: Callable[[pq.ParquetFile], T]) -> T:
    """Return what a function reads from one version of a part."""
    try:
        source, opened = table.store.open(name)
        with source:
            if opened != version:
                raise ConflictError(f"{name} was replaced while it was read")
            with open_parquet(source) as file:
                return call(file)
    except (pa.ArrowException, OSError) as error:
        if is_storage_error(error):
            raise
        raise table.damaged(name, error) from error


def _limits(parts: Sequence[_Part], piece_bytes: int) -> list[str]:
    """Return the first paths of all pieces but the first one."""
    n_bytes = sum(part.n_bytes for part in parts)
    n_pieces = min(-(-n_bytes // piece_bytes), _MAX_PIECES)
    paths = sorted(path for part in parts for path in part.paths)
    return sorted({paths[i * len(paths) // n_pieces] for i in range(1, n_pieces)})


def _distribute(
    tables: Iterator[pa.Table],
    limits: Sequence[str],
    files: Sequence[BinaryIO],
    schema: pa.Schema,
    piece_bytes: int,
) -> None:
    """Write rows to the files of their ranges of paths."""
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(pa.ipc.new_stream(file, schema)) for file in files]

        def put(waiting: list[pa.Table]) -> None:
            rows = pa.concat_tables([schema.empty_table(), *waiting]).combine_chunks()
            rows = rows.take(pc.sort_indices(rows[PATH]))
            paths = np.array(rows[PATH].to_pylist(), object)
            ends = [*np.searchsorted(paths, np.array(limits, object)).tolist(), len(rows)]
            for writer, start, end in zip(writers, [0, *ends], ends, strict=False):
                if end > start:
                    writer.write_table(rows.slice(start, end - start))

        waiting: list[pa.Table] = []
        n_bytes = 0
        for rows in tables:
            waiting.append(rows)
            n_bytes += rows.nbytes
            if n_bytes >= piece_bytes:
                put(waiting)
                waiting, n_bytes = [], 0
        put(waiting)


def _in_order(rows: pa.Table) -> pa.Table:
    """Return rows sorted by `KEY`, each key once."""
    rows = rows.combine_chunks()
    rows = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in KEY]))
    is_repeated = np.ones(max(len(rows) - 1, 0), bool)
    for name in KEY:
        column = rows[name].combine_chunks()
        if name == CHANNEL:
            column = pc.fill_null(column, -1)
        is_repeated &= pc.equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return rows.filter(np.concatenate([[True], ~is_repeated])) if is_repeated.any() else rows
