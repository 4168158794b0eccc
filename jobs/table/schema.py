"""Arrow schemas of feature parts, error parts and staged files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from featurelib import arrow_field
from jobs.errors import CONTENT_KINDS

PATH = "path"
CHANNEL = "channel"
SEGMENT = "segment"
LABEL = "label"
ERROR_KIND = "error_kind"
DURATION = "duration_s"
ERROR_CLASS = "error_class"

#: Columns of a table of images: the file of a row, relative to the table, and its size.
IMAGE = "image"
IMAGE_BYTES = "image_bytes"

MAX_MESSAGE = 500


def _field(name: str, kind: pa.DataType, description: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable, {"unit": "", "description": description, "librosa": ""})


_PATH = _field(PATH, pa.string(), "path relative to the corpus root, in stored form")
_LABEL = _field(LABEL, pa.string(), "label of the file")
_PROVENANCE = (
    pa.field(
        "size_bytes",
        pa.int64(),
        metadata={"unit": "byte", "description": "size of the file", "librosa": ""},
    ),
    _field("source_version", pa.string(), "version of the bytes that were read"),
    _field("spec_fingerprint", pa.string(), "fingerprint of the feature spec"),
    _field("run_id", pa.string(), "run that made this row"),
)
_ERROR = (
    _field(ERROR_KIND, pa.string(), "why there are no features"),
    _field("message", pa.string(), "what went wrong, in a line"),
)
_ERROR_CLASS = _field(
    ERROR_CLASS, pa.string(), "content: of the file itself; environment: tried again next run"
)

#: Columns of every part that planning reads, besides the label, carried and error columns.
HELD_COLUMNS = (PATH, "source_version", "spec_fingerprint", "run_id")

#: Columns that number the rows of a file. With the path they are the key of the table.
ROW_KEY = (CHANNEL, SEGMENT)


def row_schema(columns: Iterable[Mapping[str, str]]) -> pa.Schema:
    """Return the schema of extracted rows, from the descriptions of their columns."""
    return pa.schema([arrow_field(**column) for column in columns])


def feature_schema(rows: pa.Schema, carried: pa.Schema, tags: Sequence[str] = ()) -> pa.Schema:
    """Return the schema of the parts below ``features/``.

    Parameters
    ----------
    rows : pyarrow.Schema
        Schema of extracted rows.
    carried : pyarrow.Schema
        The carried columns.
    tags : sequence of str
        Names of the columns of tags.
    """
    key, rest = _split(rows)
    return pa.schema([_PATH, *key, _LABEL, *carried, *_tag_fields(tags), *_PROVENANCE, *rest])


def error_schema(carried: pa.Schema) -> pa.Schema:
    """Return the schema of the parts below ``errors/``."""
    return pa.schema([_PATH, _LABEL, *carried, *_ERROR, _ERROR_CLASS, *_PROVENANCE])


def staged_schema(
    rows: pa.Schema, tags: Sequence[str] = (), *, has_label: bool = False
) -> pa.Schema:
    """Return the schema of staged files: rows and errors together.

    Parameters
    ----------
    rows : pyarrow.Schema
        Schema of extracted rows.
    tags : sequence of str
        Names of the columns of tags.
    has_label : bool
        Whether the label is staged: it is one of the file's tags, or decides the row.
    """
    key, rest = _split(rows)
    label = [_LABEL] if has_label else []
    return pa.schema([_PATH, *key, *label, *_tag_fields(tags), *_ERROR, *_PROVENANCE, *rest])


def _tag_fields(tags: Sequence[str]) -> list[pa.Field]:
    return [_field(name, pa.string(), f"{name} in the file's tags") for name in tags]


def _split(rows: pa.Schema) -> tuple[list[pa.Field], list[pa.Field]]:
    key = [rows.field(name) for name in ROW_KEY]
    return key, [field for field in rows if field.name not in ROW_KEY]


def table_names(rows: pa.Schema) -> list[str]:
    """Return the names of all columns of a table; a duplicate is a clash."""
    return [*error_schema(pa.schema([])).names, "by_label", *rows.names]


def taken_names(rows: pa.Schema, tags: Sequence[str] = ()) -> list[str]:
    """Return the names that carried columns must not have."""
    no_columns = pa.schema([])
    names = feature_schema(rows, no_columns, tags).names
    return sorted({*names, *error_schema(no_columns).names})


def is_first(rows: pa.Table) -> pa.ChunkedArray:
    """Return whether each row is the first of its file: channel null or 0, and segment 0."""
    channel = pc.fill_null(rows[CHANNEL], 0)
    return pc.and_(pc.equal(channel, 0), pc.equal(rows[SEGMENT], 0))


def error_classes(kinds: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the class of each error kind: ``content`` or ``environment``."""
    is_content = pc.is_in(kinds, pa.array(sorted(CONTENT_KINDS)))
    return pc.if_else(is_content, "content", "environment")
