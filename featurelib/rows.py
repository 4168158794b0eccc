"""Rows of one file on their way from the extractor to a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


class Rows(NamedTuple):
    """Some rows of one file, in order of channel and segment.

    Attributes
    ----------
    n : int
        Number of rows.
    facts : mapping of str to object
        Columns that are the same on each row, such as ``audio_hash``: their value.
    columns : mapping of str to sequence
        Columns of the rows' own, such as ``segment``: one value a row.
    values : np.ndarray [shape=(n, n_values), dtype=float32] or None
        The feature columns of one number a row, in table order.
    """

    n: int
    facts: Mapping[str, Any]
    columns: Mapping[str, Any]
    values: np.ndarray | None = None


class RowCollector:
    """Rows of many files, put together column by column.

    Parameters
    ----------
    schema : pyarrow.Schema
        Schema of the rows, as `featurelib.schema` gives it.
    value_names : sequence of str
        Names of the columns that are in `Rows.values`.
    """

    def __init__(self, schema: pa.Schema, value_names: list[str]) -> None:
        self._schema = schema
        self._value_names = value_names
        self._others = [name for name in schema.names if name not in set(value_names)]
        self._series = [field.name for field in schema if _is_series(field.type)]
        self._columns: dict[str, list[Any]] = {name: [] for name in schema.names}
        self._values: list[np.ndarray] = []
        self.n_rows = 0
        #: About as much memory as the rows take.
        self.n_bytes = 0

    def add(self, rows: Rows) -> None:
        """Take in more rows."""
        columns = self._columns
        for name in self._others:
            if name in rows.columns:
                columns[name].extend(rows.columns[name])
            else:
                columns[name].extend([rows.facts.get(name)] * rows.n)
        values = rows.values
        if values is None:
            values = np.array([rows.columns[name] for name in self._value_names], np.float32).T
            values = values.reshape(rows.n, len(self._value_names))
        self._values.append(values)
        self.n_rows += rows.n
        self.n_bytes += values.nbytes + 8 * rows.n * len(self._others)
        for name in self._series:
            self.n_bytes += sum(series.nbytes for series in rows.columns[name])

    def table(self) -> pa.Table:
        """The rows as an Arrow table."""
        import pyarrow as pa

        none = np.empty((0, len(self._value_names)), np.float32)
        values = np.concatenate([none, *self._values])
        place = {name: i for i, name in enumerate(self._value_names)}
        arrays = []
        for field in self._schema:
            if field.name in place:
                array = pa.array(np.ascontiguousarray(values[:, place[field.name]]))
            elif field.name in self._series:
                array = _series_array(self._columns[field.name], field.type)
            else:
                array = pa.array(self._columns[field.name], field.type)
            arrays.append(array)
        return pa.Table.from_arrays(arrays, schema=self._schema)


def _is_series(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_large_list(kind)


def _series_array(series: list[np.ndarray], kind: pa.DataType) -> pa.Array:
    """Series of shape (n_frames,) or (n_frames, width), one a row, as an Arrow array."""
    import pyarrow as pa

    ends = np.cumsum([0, *map(len, series)], dtype=np.int64)
    numbers = np.concatenate([np.empty(0, np.float32), *(one.ravel() for one in series)])
    values = pa.array(numbers)
    if pa.types.is_fixed_size_list(kind.value_type):
        values = pa.FixedSizeListArray.from_arrays(values, type=kind.value_type)
    return pa.LargeListArray.from_arrays(pa.array(ends), values, type=kind)


def arrow_type(text: str) -> pa.DataType:
    """The Arrow type that a column's description names.

    Parameters
    ----------
    text : str
        As Arrow prints it, or ``list<float>`` for one number a frame, ``list<float[20]>``
        for twenty.
    """
    import pyarrow as pa

    if not text.startswith("list<"):
        return pa.type_for_alias({"float": "float32", "double": "float64"}.get(text, text))
    inside = text.removeprefix("list<float").removesuffix(">")
    if not inside:
        return pa.large_list(pa.float32())
    return pa.large_list(pa.list_(pa.float32(), int(inside.strip("[]"))))
