"""Arrow schemas of what is on disk: feature parts, error parts and fragments."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

import featurelib
from jobs.plan import CONTENT_KINDS

PATH = "path"
SEGMENT = "segment"
LABEL = "label"
ERROR_KIND = "error_kind"

MAX_MESSAGE = 500


def _field(name: str, kind: pa.DataType, description: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable, {"unit": "", "description": description, "librosa": ""})


_PATH = _field(PATH, pa.string(), "path relative to the corpus root, in stored form")
_SEGMENT = _field(SEGMENT, pa.int32(), "number of the segment of the file, from 0")
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
    "error_class", pa.string(), "content: of the file itself; environment: tried again next run"
)

HELD_COLUMNS = (PATH, "source_version", "spec_fingerprint", "run_id")
"""Columns that planning reads of every part, beside the label, carried and error columns."""


def _signal_fields(spec: featurelib.FeatureSpec) -> list[pa.Field]:
    return [f for f in featurelib.schema(spec) if f.name != SEGMENT]


def feature_schema(spec: featurelib.FeatureSpec, carried: pa.Schema) -> pa.Schema:
    """Return the schema of the parts below ``features/``."""
    return pa.schema([_PATH, _SEGMENT, _LABEL, *carried, *_PROVENANCE, *_signal_fields(spec)])


def error_schema(carried: pa.Schema) -> pa.Schema:
    """Return the schema of the parts below ``errors/``."""
    return pa.schema([_PATH, _LABEL, *carried, *_ERROR, _ERROR_CLASS, *_PROVENANCE])


def fragment_schema(spec: featurelib.FeatureSpec) -> pa.Schema:
    """Return the schema of a fragment: rows and errors in one file, labels in neither."""
    return pa.schema([_PATH, _SEGMENT, *_ERROR, *_PROVENANCE, *_signal_fields(spec)])


def taken_names(spec: featurelib.FeatureSpec) -> list[str]:
    """Return the column names that columns carried from lists may not have."""
    none = pa.schema([])
    return sorted({*feature_schema(spec, none).names, *error_schema(none).names})


def error_class(kind: str) -> str:
    """Return ``content`` or ``environment``."""
    return "content" if kind in CONTENT_KINDS else "environment"


def to_parquet(table: pa.Table) -> bytes:
    """Return a table as a Parquet file, with a checksum on every page."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def from_parquet(data: bytes) -> pa.Table:
    """Return the table in a Parquet file, its page checksums verified."""
    return read_parquet(pa.py_buffer(data))


def read_parquet(source: BinaryIO | pa.Buffer, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the table, or some columns of it, in a Parquet file, its page checksums verified.

    All in the calling thread: one of PyArrow's own that still has a Python file in hand
    when the process ends would abort it.
    """
    with pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True) as file:
        return file.read(columns, use_threads=False)
