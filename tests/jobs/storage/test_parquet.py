"""Row groups of bounded size, and what their rows are taken to weigh."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.storage.parquet import (
    FIRST_ROW_GROUPS,
    FileSchema,
    Writer,
    cuts,
    first_row_groups,
    open_parquet,
)

SIZES = st.lists(st.integers(1, 50), max_size=60)


@given(SIZES, st.integers(1, 120))
def test_runs_are_as_long_as_the_limit_allows(sizes: list[int], limit: int) -> None:
    runs = list(cuts(np.array(sizes, np.int64), limit))
    assert [i for start, stop in runs for i in range(start, stop)] == list(range(len(sizes)))
    for start, stop in runs:
        assert sum(sizes[start:stop]) <= limit or stop == start + 1
        if stop < len(sizes):
            assert sum(sizes[start : stop + 1]) > limit


@given(st.lists(st.none() | st.integers(0, 9), max_size=20))
def test_rows_weigh_what_their_series_hold(lengths: list[int | None]) -> None:
    vectors = pa.large_list(pa.list_(pa.float32(), 3))
    series = [None if n is None else [[0.5] * 3] * n for n in lengths]
    rows = pa.table({"a": pa.array(series, vectors), "b": pa.array([1.0] * len(series))})
    expected = [8 + 8 + 12 * (n or 0) for n in lengths]
    assert FileSchema(rows.schema).row_bytes(rows).tolist() == expected
    twice = pa.concat_tables([rows, rows])
    assert FileSchema(rows.schema).row_bytes(twice.slice(len(rows))).tolist() == expected


def test_large_rows_are_row_groups_by_themselves() -> None:
    sink = io.BytesIO()
    n_floats = 3 * 2**20  # 12 MB a row
    rows = pa.table(
        {"a": pa.array([np.zeros(n_floats, np.float32)] * 5, pa.large_list(pa.float32()))}
    )
    with Writer(sink, rows.schema) as writer:
        writer.write(rows)
    metadata = pq.read_metadata(sink)
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert sizes == [2, 2, 1]


def test_the_row_groups_of_first_rows() -> None:
    rows = pa.table({"a": [1, 2]})
    for said, expected in ((None, range(2)), (1, range(1)), (0, range(0)), (9, range(2))):
        sink = io.BytesIO()
        with Writer(sink, rows.schema) as writer:
            writer.write(rows)
            writer.write(rows)
            writer.n_first_groups = said
        with open_parquet(sink) as file:
            assert first_row_groups(file) == expected


@pytest.mark.parametrize("said", ["-1", "x", ""])
def test_a_number_of_first_row_groups_that_is_none_counts_as_not_said(said: str) -> None:
    sink = io.BytesIO()
    rows = pa.table({"a": [1, 2]})
    with pq.ParquetWriter(sink, rows.schema) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata({FIRST_ROW_GROUPS: said})
    assert first_row_groups(open_parquet(pa.py_buffer(sink.getvalue()))) == range(1)


def test_a_file_without_rows_has_a_row_group_for_readers() -> None:
    sink = io.BytesIO()
    with Writer(sink, pa.schema([("a", pa.int64())])) as writer:
        writer.close()
    assert pq.read_metadata(sink).num_row_groups == 1
    assert len(pq.read_table(sink)) == 0


def test_a_signal_in_the_middle_is_the_error_that_is_raised() -> None:
    class Broken:
        """What pyarrow's writer may be like after a signal."""

        def write_table(self, rows: pa.Table, **options: Any) -> None:
            if len(rows):
                raise KeyboardInterrupt
            self.close()

        def close(self) -> None:
            raise pa.ArrowInvalid("Operation on closed file")

    class Form(FileSchema):
        def open(self, *arguments: Any, **options: Any) -> Any:
            return Broken()

    rows = pa.table({"a": [1]})

    def write() -> None:
        with Writer(io.BytesIO(), Form(rows.schema)) as writer:
            writer.write(rows)

    with pytest.raises(KeyboardInterrupt):
        write()
