"""Rows of one file, between the extractor and a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns that describe the signal, in table order. They precede the feature columns. Columns
#: that describe the file are null for samples in memory.
SIGNAL_COLUMNS = (
    *("channel", "segment", "start_s", "end_s"),
    *("duration_s", "header_duration_s", "sample_rate_hz", "channels"),
    *("format", "subtype", "decoder", "decoding", "lost_s", "n_streams"),
    *("n_frames", "peak", "mix_peak", "clipped_fraction", "is_silent", "cutoff_hz", "audio_hash"),
)

_LIST = re.compile(r"list<(.+)>")
_VECTOR = re.compile(r"(\w+)\[(\d+)\]")
_ALIASES = {"halffloat": "float16", "float": "float32", "double": "float64"}


def arrow_type(text: str) -> pa.DataType:
    """Return the Arrow type that a column description names.

    Parameters
    ----------
    text : str
        A scalar type as Arrow prints it (``"float"``, ``"int32"``), or a series:
        ``"list<float>"`` for one number per frame, ``"list<float[20]>"`` for a vector per
        frame.

    Returns
    -------
    pyarrow.DataType
        For a series a large list, whose offsets have 64 bits.

    Raises
    ------
    ValueError
        If there is no such type.
    """
    import pyarrow as pa

    if match := _LIST.fullmatch(text):
        return pa.large_list(arrow_type(match[1]))
    if match := _VECTOR.fullmatch(text):
        return pa.list_(arrow_type(match[1]), int(match[2]))
    return pa.type_for_alias(_ALIASES.get(text, text))


def arrow_field(name: str, type: str, unit: str, definition: str, librosa: str) -> pa.Field:  # noqa: A002
    """Return the Arrow field of a column, with its description as metadata.

    Parameters
    ----------
    name, type, unit, definition, librosa : str
        As in `ColumnDescription`.

    Returns
    -------
    pyarrow.Field

    Raises
    ------
    ValueError
        If there is no such type.
    """
    import pyarrow as pa

    metadata = {"unit": unit, "description": definition, "librosa": librosa}
    return pa.field(name, arrow_type(type), metadata=metadata)


class Rows(NamedTuple):
    """Rows of one file, in order of channel and segment.

    Attributes
    ----------
    n : int
        Number of rows.
    facts : mapping of str to object
        Columns that have the same value in each row, such as ``audio_hash``: that value.
    columns : mapping of str to sequence
        Columns that differ between rows, such as ``segment``: one value per row. For a
        series it is np.ndarray [shape=(n_frames,) or (n_frames, width), dtype=float32].
    values : np.ndarray [shape=(n, n_values), dtype=float32] or None
        Feature columns with one number per row, in table order.
    """

    n: int
    facts: Mapping[str, Any]
    columns: Mapping[str, Any]
    values: np.ndarray | None = None

    def first(self, name: str) -> Any:
        """Return the first row's value of a column that is not in `values`."""
        return self.columns[name][0] if name in self.columns else self.facts.get(name)


class RowCollector:
    """Collects rows of many files into one Arrow table.

    If a row has no value for a column, as the row of a failed file, the value is null.

    Parameters
    ----------
    schema : pyarrow.Schema
        Schema of the rows, as `featurelib.schema` returns it. It may have more columns.
    value_names : list of str
        Names of the columns in `Rows.values`, as `featurelib.feature_names` returns them.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    n_bytes : int
        Approximate memory that the rows take [bytes].
    """

    def __init__(self, schema: pa.Schema, value_names: list[str]) -> None:
        import pyarrow as pa

        self._schema = schema
        self._value_names = value_names
        values = set(value_names)
        self._others = [field.name for field in schema if field.name not in values]
        self._series = [f.name for f in schema if pa.types.is_large_list(f.type)]
        self._columns: dict[str, list[Any]] = {name: [] for name in self._others}
        self._values: list[np.ndarray | None] = []
        self._counts: list[int] = []
        self.n_rows = 0
        self.n_bytes = 0

    def n_bytes_of(self, rows: Rows) -> int:
        """Return the approximate memory that rows take [bytes]."""
        n_series = sum(
            array.nbytes
            for name in self._series
            for array in rows.columns.get(name, ())
            if array is not None
        )
        n_text = sum(len(fact) for fact in rows.facts.values() if isinstance(fact, str))
        n_others = len(self._others) - len(self._series)
        return n_series + rows.n * (n_text + 8 * n_others + 4 * len(self._value_names))

    def add(self, rows: Rows) -> None:
        """Append rows."""
        columns = self._columns
        for name in self._others:
            if name in rows.columns:
                columns[name].extend(rows.columns[name])
            else:
                columns[name].extend([rows.facts.get(name)] * rows.n)
        values = rows.values
        if values is None and self._value_names and self._value_names[0] in rows.columns:
            values = np.array([rows.columns[name] for name in self._value_names], np.float32).T
        self._values.append(values)
        self._counts.append(rows.n)
        self.n_rows += rows.n
        self.n_bytes += self.n_bytes_of(rows)

    def table(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        import pyarrow as pa

        values, is_null = self._matrix()
        place = {name: i for i, name in enumerate(self._value_names)}
        arrays = []
        for field in self._schema:
            if field.name in place:
                column = np.ascontiguousarray(values[:, place[field.name]])
                arrays.append(pa.array(column, mask=is_null))
            elif pa.types.is_large_list(field.type):
                arrays.append(_series_array(self._columns[field.name], field.type))
            else:
                arrays.append(pa.array(self._columns[field.name], field.type))
        return pa.Table.from_arrays(arrays, schema=self._schema)

    def _matrix(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the values of all rows, and a mask of the rows without values, if any."""
        width = len(self._value_names)
        blocks = [
            np.zeros((n, width), np.float32) if values is None else values.reshape(n, width)
            for n, values in zip(self._counts, self._values, strict=True)
        ]
        values = np.concatenate([np.empty((0, width), np.float32), *blocks])
        has_none = [values is None for values in self._values]
        return values, np.repeat(has_none, self._counts) if any(has_none) else None


def _series_array(arrays: list[np.ndarray | None], kind: pa.DataType) -> pa.Array:
    """Convert one array per row to an Arrow list array."""
    import pyarrow as pa

    lengths = [0 if array is None else len(array) for array in arrays]
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    flat = np.concatenate(
        [np.empty(0, np.float32), *(array.ravel() for array in arrays if array is not None)],
        dtype=np.float32,
    )
    items = pa.array(flat)
    if pa.types.is_fixed_size_list(kind.value_type):
        items = pa.FixedSizeListArray.from_arrays(items, type=kind.value_type)
    mask = pa.array([array is None for array in arrays], pa.bool_())
    return pa.LargeListArray.from_arrays(offsets, items, type=kind, mask=mask)
