"""Arrow schemas of what is on disk: feature parts, error parts and staged files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from featurelib import arrow_field
from jobs.errors import CONTENT_KINDS

PATH = "path"
CHANNEL = "channel"
SEGMENT = "segment"
LABEL = "label"
ERROR_KIND = "error_kind"
ERROR_CLASS = "error_class"

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

HELD_COLUMNS = (PATH, "source_version", "spec_fingerprint", "run_id")
"""Columns that planning reads of every part, beside the label, carried and error columns."""

ROW_KEY = (CHANNEL, SEGMENT)
"""Columns that number the rows of one file; with the path, the key of the table."""


def row_schema(columns: Iterable[Mapping[str, str]]) -> pa.Schema:
    """Return the schema of what extraction gives, from the descriptions of its columns."""
    return pa.schema([arrow_field(**column) for column in columns])


def feature_schema(rows: pa.Schema, carried: pa.Schema) -> pa.Schema:
    """Return the schema of the parts below ``features/``.

    Parameters
    ----------
    rows : pyarrow.Schema
        Of what extraction gives.
    carried : pyarrow.Schema
        Columns carried from lists and label files.
    """
    key, rest = _split(rows)
    return pa.schema([_PATH, *key, _LABEL, *carried, *_PROVENANCE, *rest])


def error_schema(carried: pa.Schema) -> pa.Schema:
    """Return the schema of the parts below ``errors/``."""
    return pa.schema([_PATH, _LABEL, *carried, *_ERROR, _ERROR_CLASS, *_PROVENANCE])


def staged_schema(rows: pa.Schema) -> pa.Schema:
    """Return the schema of a staged file: rows and errors together, without labels."""
    key, rest = _split(rows)
    return pa.schema([_PATH, *key, *_ERROR, *_PROVENANCE, *rest])


def _split(rows: pa.Schema) -> tuple[list[pa.Field], list[pa.Field]]:
    key = [rows.field(name) for name in ROW_KEY]
    return key, [field for field in rows if field.name not in ROW_KEY]


def table_names(rows: pa.Schema) -> list[str]:
    """Return the names of all columns of a table; two that are equal cannot be."""
    return [*error_schema(pa.schema([])).names, "by_label", *rows.names]


def taken_names(rows: pa.Schema) -> list[str]:
    """Return the column names that columns carried from lists may not have."""
    none = pa.schema([])
    return sorted({*feature_schema(rows, none).names, *error_schema(none).names})


def is_first(rows: pa.Table) -> pa.ChunkedArray:
    """Say of each row whether it is its file's first: channel null or 0, and segment 0."""
    channel = pc.fill_null(rows[CHANNEL], 0)
    return pc.and_(pc.equal(channel, 0), pc.equal(rows[SEGMENT], 0))


def error_classes(kinds: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ``content`` or ``environment`` for each kind of error."""
    is_content = pc.is_in(kinds, pa.array(sorted(CONTENT_KINDS)))
    return pc.if_else(is_content, "content", "environment")
