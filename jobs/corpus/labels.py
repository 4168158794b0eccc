"""Read and check label files and lists: paths, labels and carried columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.fma import read_tracks
from jobs.corpus.partitioned_rows import PartitionedRows, repeated
from jobs.corpus.stated import add_urls
from jobs.corpus.textfile import as_utf8, read_csv
from jobs.errors import UsageError
from jobs.storage.names import encode_path, stored_path
from jobs.storage.parquet import read_parquet

#: Names of the column of paths, in order of preference.
PATH_NAMES = ("path", "file", "filename", "file_name", "filepath", "file_path", "url")

LABEL = "label"
TABULAR = (".csv", ".tsv", ".parquet", ".pq")

#: Names of unnamed columns: in CSV, in CSV by pandas, and in Parquet by pandas.
_NAMELESS = re.compile(r"\s*|Unnamed: \d+|__index_level_\d+__")

#: A Windows drive, or a server and its share. In a stored form backslashes are doubled.
_WINDOWS = re.compile(r"[A-Za-z]:\\|\\\\[^\\/]+\\[^\\]")


def read_rows(data: bytes, name: str, notes: list[str] | None = None) -> pa.Table:
    r"""Return the rows of a CSV, TSV, Parquet or plain text file (one path per line).

    The column of paths is renamed ``path`` and holds stored forms. Other columns are
    unchanged; in CSV they are strings, because types are not guessed.

    Text is UTF-8, or UTF-16 with a byte order mark. In plain text, bytes that are not UTF-8
    are part of a name. A path may be a stored form already (``AC\\DC``, ``\xff``), except
    for a path in bytes in Parquet.

    FMA's ``tracks.csv`` is known too: see `jobs.corpus.fma`.

    Parameters
    ----------
    data : bytes
        Contents of the file.
    name : str
        Name of the file; its extension decides the format.
    notes : list of str, optional
        Notes for the user are appended to it.

    Raises
    ------
    UsageError
        If the file cannot be read, has no column of paths, or has an empty path.
    """
    lower = name.lower()
    try:
        if lower.endswith((".parquet", ".pq")):
            table = read_parquet(pa.py_buffer(data))
        elif (tracks := read_tracks(data)) is not None:
            return tracks
        elif lower.endswith((".csv", ".tsv")):
            table = read_csv(data, name, "\t" if lower.endswith(".tsv") else ",", set(PATH_NAMES))
        else:
            text = as_utf8(data, name).decode("utf-8", "surrogateescape")
            lines = (line.rstrip("\r") for line in text.split("\n") if line.strip())
            paths = [_stored(line, name) for line in lines]
            return pa.table({"path": pa.array(paths, pa.string())})
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{name} cannot be read: {str(error).splitlines()[0]}") from error
    table = _named_columns(table, name, [] if notes is None else notes)
    column = next((c for c in PATH_NAMES if c in table.column_names), None)
    if column is None:
        table = add_urls(table)
        column = next((c for c in PATH_NAMES if c in table.column_names), None)
    if column is None:
        raise UsageError(
            f"{name} has no column of paths: it has {', '.join(table.column_names) or 'none'};"
            f" name one {PATH_NAMES[0]!r}"
        )
    if len(set(table.column_names)) < len(table.column_names):
        raise UsageError(f"{name} names a column twice: {', '.join(table.column_names)}")
    rest = table.drop_columns([column])
    return rest.add_column(0, "path", _stored_column(table[column], name))


def _stored_column(paths: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return a column of paths in stored form.

    Raises
    ------
    UsageError
        If a path is empty, or of a Windows machine.
    """
    if pa.types.is_dictionary(paths.type) or pa.types.is_large_string(paths.type):
        paths = paths.cast(pa.string())
    if pa.types.is_string(paths.type):
        has_text = pc.fill_null(pc.not_equal(paths, ""), False)
        if pc.all(has_text).as_py() and not pc.any(pc.match_substring(paths, "\\")).as_py():
            return paths  # a name without a backslash is its own stored form
    texts = paths.to_pylist()
    for row, path in enumerate(texts, start=1):
        if not path:
            raise UsageError(f"{name}: the path in row {row} is empty")
    return pa.chunked_array([pa.array([_stored(path, name) for path in texts], pa.string())])


def _stored(path: Any, name: str) -> str:
    if isinstance(path, bytes):
        return encode_path(path.decode("utf-8", "surrogateescape"))
    text = str(path)
    if _WINDOWS.match(text):
        raise UsageError(
            f"{name} names {text}, a path of a Windows machine: write paths relative to the"
            " corpus, or as they are on this machine"
        )
    return stored_path(text)


def _named_columns(table: pa.Table, name: str, notes: list[str]) -> pa.Table:
    """Return a table without its unnamed columns, such as an index that pandas wrote."""
    named = [i for i, column in enumerate(table.column_names) if not _NAMELESS.fullmatch(column)]
    if n := table.num_columns - len(named):
        notes.append(
            f"{name}: {n} {'column' if n == 1 else 'columns'} without a name left out"
            " (pandas writes its index so, unless told index=False)"
        )
    return table.select(named) if n else table


def carried_schema(rows: pa.Table, taken: Sequence[str], name: str) -> pa.Schema:
    """Return the carried columns of a list or label file: all but the path and the label.

    Raises
    ------
    UsageError
        If a column name clashes with another, ignoring case (DuckDB is case-insensitive),
        or its type is not supported.
    """
    fields = []
    names = {name.lower(): name for name in taken}
    for field in rows.schema:
        if field.name in ("path", LABEL):
            continue
        lower = field.name.lower()
        other = names.get(lower, field.name)
        if lower in names or lower.startswith("by_"):
            raise UsageError(
                f"{name} has a column {field.name!r}, a name that the table has already"
                + ("" if other == field.name else f" (as {other!r}; readers ignore case)")
                + ": rename or drop it"
            )
        names[lower] = field.name
        plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_null(plain) or pa.types.is_large_string(plain):
            plain = pa.string()
        if pa.types.is_nested(plain):
            raise UsageError(f"{name}: column {field.name!r} is nested ({plain}); drop it")
        fields.append(pa.field(field.name, plain))
    return pa.schema(fields)


def label_strings(rows: pa.Table, name: str) -> pa.ChunkedArray:
    """Return the column of labels as strings; NaN, as pandas writes it for no label, is null.

    Raises
    ------
    UsageError
        If their type cannot be converted to strings.
    """
    labels = rows[LABEL]
    if pa.types.is_floating(labels.type):
        labels = pc.if_else(pc.is_nan(labels), None, labels)
    try:
        return labels.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UsageError(
            f"{name}: the column {LABEL!r} is {rows[LABEL].type}; make it strings"
        ) from error


class LabelFile:
    """The labels and carried columns of a label file, read back by hash bucket.

    Parameters
    ----------
    rows : pyarrow.Table
        ``path`` relative to the corpus root, ``label``, and the carried columns.
    carried : pyarrow.Schema
        The carried columns.
    name : str
        The file's name, for errors.
    notes : sequence of str
        Notes for the user.
    has_folders : bool
        Whether any of the paths in the file has a folder. Otherwise they may be names of files.

    Attributes
    ----------
    n_labels : int
        Number of distinct labels.
    has_empty : bool
        Whether any label is empty.
    """

    def __init__(
        self,
        rows: pa.Table,
        carried: pa.Schema,
        name: str,
        notes: Sequence[str] = (),
        *,
        has_folders: bool = True,
    ) -> None:
        schema = pa.schema([("path", pa.string()), (LABEL, pa.string()), *carried])
        self.schema = schema
        self.carried = carried
        self.name = name
        self.notes = notes
        rows = rows.set_column(
            rows.column_names.index(LABEL), schema.field(LABEL), label_strings(rows, name)
        )
        self.n_labels = len(rows[LABEL].unique())
        self.has_empty = not pc.all(pc.fill_null(pc.not_equal(rows[LABEL], ""), False)).as_py()
        self.example = rows["path"][0].as_py() if len(rows) else None
        self.has_folders = has_folders
        self._from_file = PartitionedRows(schema)
        self._from_file.add(rows.select(schema.names))
        self._matched = PartitionedRows(schema)

    def __len__(self) -> int:
        return self._from_file.n_rows

    def set_buckets(self, n_buckets: int) -> None:
        """Set the number of hash buckets."""
        self._from_file.set_buckets(n_buckets)
        self._matched.set_buckets(n_buckets)

    def rows(self, bucket: int) -> pa.Table:
        """Return the rows of a hash bucket, as they are in the file."""
        return self._from_file.bucket(bucket)

    def add_matched(self, rows: pa.Table) -> None:
        """Add rows whose path in the file has another form; see `jobs.corpus.matching`."""
        self._matched.add(rows)

    def bucket(self, bucket: int) -> pa.Table:
        """Return the labels and carried values of a hash bucket, also those of matched rows.

        Raises
        ------
        UsageError
            If the file has a path twice.
        """
        rows = pa.concat_tables([self._from_file.bucket(bucket), self._matched.bucket(bucket)])
        if (path := repeated(rows["path"])) is not None:
            raise UsageError(f"{self.name} has the path {path!r} twice: keep one of them")
        return rows
