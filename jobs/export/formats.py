"""Formats of an exported file: CSV, Parquet, Arrow and NPZ, written piece by piece."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.storage.parquet import FileSchema, cuts
from jobs.storage.scratch import temporary_file
from jobs.table.schema import CHANNEL, LABEL, PATH, SEGMENT

if TYPE_CHECKING:
    from jobs.export.layouts import Layout

#: Rows are converted to text in pieces of about this size [bytes].
_TEXT_BYTES = 4 * 2**20

#: Numbers of a matrix, or texts, are written in pieces of so many rows.
_COPY_ROWS = 2**16

#: Time of the members of an archive, so that equal tables give equal files.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def _write_csv(file: BinaryIO, layout: Layout, pieces: Iterator[pa.Table]) -> int:
    """Write CSV: numbers in the fewest digits that give the same float32, series as JSON."""
    file.write(layout.header.encode())
    sizes = FileSchema(layout.schema)
    n_rows = 0
    for rows in pieces:
        for start, stop in cuts(sizes.row_bytes(rows), _TEXT_BYTES):
            cells = [_text(column) for column in rows.slice(start, stop - start).columns]
            lines = pc.binary_join_element_wise(
                *cells, ",", null_handling="replace", null_replacement=""
            )
            file.write("".join(f"{line}\n" for line in lines.to_pylist()).encode())
        n_rows += len(rows)
    return n_rows


def _text(column: pa.ChunkedArray) -> pa.Array:
    """Return the cells of a column; null stays null."""
    array = pa.concat_arrays(column.chunks)
    if pa.types.is_large_list(array.type):
        return _quoted(_json(array))
    if pa.types.is_string(array.type):
        return _quoted(array)
    return array.cast(pa.string())


def _quoted(texts: pa.Array) -> pa.Array:
    """Return texts in quotes where CSV needs them."""
    needs = pc.match_substring_regex(texts, '[",\r\n]')
    inner = pc.replace_substring(texts, '"', '""')
    return pc.if_else(needs, pc.binary_join_element_wise('"', inner, '"', ""), texts)


def _json(lists: pa.Array) -> pa.Array:
    """Return lists of numbers, or of vectors of numbers, as JSON."""
    offsets = lists.offsets.to_numpy()
    items = lists.values.slice(offsets[0], offsets[-1] - offsets[0])
    texts = items.flatten() if pa.types.is_fixed_size_list(items.type) else items
    texts = texts.cast(pa.string())
    if pa.types.is_fixed_size_list(items.type):
        ends = np.arange(0, len(texts) + 1, items.type.list_size, dtype=np.int64)
        texts = _joined(pa.LargeListArray.from_arrays(ends, texts))
    joined = _joined(pa.LargeListArray.from_arrays(offsets - offsets[0], texts))
    return pc.if_else(lists.is_valid(), joined, pa.scalar(None, joined.type))


def _joined(lists: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise("[", pc.binary_join(lists, ","), "]", "").cast(pa.string())


def _write_parquet(file: BinaryIO, layout: Layout, pieces: Iterator[pa.Table]) -> int:
    """Write Parquet, with the descriptions of the columns as metadata of the fields."""
    sizes = FileSchema(layout.schema)
    n_rows = 0
    options = {
        "compression": "zstd",
        "use_dictionary": sizes.exact,
        "write_statistics": sizes.exact,
    }
    with pq.ParquetWriter(file, layout.schema, **options) as writer:
        for rows in pieces:
            for start, stop in cuts(sizes.row_bytes(rows)):
                writer.write_table(rows.slice(start, stop - start))
            n_rows += len(rows)
    return n_rows


def _write_arrow(file: BinaryIO, layout: Layout, pieces: Iterator[pa.Table]) -> int:
    """Write an Arrow file (Feather 2), uncompressed, so that readers can map it into memory."""
    n_rows = 0
    with pa.ipc.new_file(file, layout.schema) as writer:
        for rows in pieces:
            writer.write_table(rows)
            n_rows += len(rows)
    return n_rows


def _write_npz(file: BinaryIO, layout: Layout, pieces: Iterator[pa.Table]) -> int:
    """Write arrays that `numpy.load` reads without pickle.

    They are ``matrix`` (float32, one row for each row of the table), ``names`` of its columns,
    ``paths``, ``labels`` (empty if there is none), ``segments`` and ``channels`` (-1 if they
    have no separate rows).
    """
    names = [name for name in layout.schema.names if name not in (PATH, CHANNEL, SEGMENT, LABEL)]
    numbers = {"segments": (SEGMENT, 0), "channels": (CHANNEL, -1)}
    texts = {"paths": PATH, "labels": LABEL}
    with temporary_file() as matrix, temporary_file() as others:
        # an array's header has its length and the length of its longest text
        n_rows = 0
        longest = dict.fromkeys(texts, 1)
        fields = pa.schema([layout.schema.field(name) for name in (PATH, CHANNEL, SEGMENT, LABEL)])
        fields = pa.schema([field.remove_metadata() for field in fields])
        with pa.ipc.new_stream(others, fields) as writer:
            for rows in pieces:
                for start in range(0, len(rows), _COPY_ROWS):
                    some = rows.slice(start, _COPY_ROWS)
                    columns = [some[name].to_numpy() for name in names]
                    matrix.write(np.stack(columns, axis=1).astype(np.float32).tobytes())
                    writer.write_table(some.select(fields.names).cast(fields))
                    for name, column in texts.items():
                        length = pc.max(pc.utf8_length(some[column])).as_py()
                        longest[name] = max(longest[name], length or 1)
                n_rows += len(rows)

        def batches(column: str, null: Any) -> Iterator[np.ndarray]:
            others.seek(0)
            with pa.ipc.open_stream(others) as reader:
                for batch in reader:
                    array = pc.fill_null(batch.column(column), null)
                    yield array.to_numpy(zero_copy_only=False)

        with zipfile.ZipFile(file, "w") as archive:
            shape = (n_rows, len(names))
            matrix.seek(0)
            with _member(archive, "matrix", np.dtype(np.float32), shape) as member:
                while data := matrix.read(_TEXT_BYTES):
                    member.write(data)
            with _member(archive, "names", np.array(names).dtype, (len(names),)) as member:
                member.write(np.array(names).tobytes())
            for name, column in texts.items():
                kind = np.dtype(f"<U{longest[name]}")
                with _member(archive, name, kind, (n_rows,)) as member:
                    for values in batches(column, ""):
                        member.write(values.astype(kind).tobytes())
            for name, (column, null) in numbers.items():
                with _member(archive, name, np.dtype(np.int32), (n_rows,)) as member:
                    for values in batches(column, null):
                        member.write(values.astype(np.int32).tobytes())
    return n_rows


def _member(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype, shape: tuple[int, ...]
) -> IO[bytes]:
    """Open a member of an NPZ archive, and write the header of its array."""
    info = zipfile.ZipInfo(f"{name}.npy", _NO_TIME)
    info.external_attr = 0o644 << 16
    if dtype.kind == "U":
        info.compress_type = zipfile.ZIP_DEFLATED  # texts are padded
    member = archive.open(info, "w", force_zip64=True)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(member, header)
    return member


#: Functions that write a file by formats: they take file, layout and pieces of its rows, and
#: return the number of rows.
FORMATS: dict[str, Callable[[BinaryIO, Layout, Iterator[pa.Table]], int]] = {
    "csv": _write_csv,
    "parquet": _write_parquet,
    "npz": _write_npz,
    "arrow": _write_arrow,
}
