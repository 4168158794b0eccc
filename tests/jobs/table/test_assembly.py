"""Rows that are put together from the row groups of many files."""

from __future__ import annotations

import functools
import io
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.storage.parquet import Writer, open_parquet, to_parquet
from jobs.table.assembly import Cache, FileSource, Pick, rows_of_parts

N_FILES = 30
N_FRAMES = 100_000


class Watched(Writer):
    """Notes how much memory Arrow has in use at each write."""

    n_bytes: tuple[int, ...] = ()

    def write(self, rows: pa.Table) -> None:
        self.n_bytes += (pa.total_allocated_bytes(),)
        super().write(rows)


def test_first_rows_do_not_hold_the_row_groups_that_they_come_from() -> None:
    series = pa.array([np.zeros(N_FRAMES, np.float32)] * 8, pa.large_list(pa.float32()))
    paths = [f"{i:02}.wav" for i in range(N_FILES)]
    picks = []
    for number, path in enumerate(paths):
        rows = pa.table(
            {
                "path": [path] * 8,
                "channel": pa.nulls(8, pa.int32()),
                "segment": pa.array(range(8), pa.int32()),
                "rms": series,
            }
        )
        data = to_parquet(rows)
        metadata = open_parquet(pa.py_buffer(data)).metadata
        source = FileSource(functools.partial(io.BytesIO, data), metadata, RuntimeError)
        picks.append(Pick(source, True, np.array([number])))
    group = rows.nbytes
    before = pa.total_allocated_bytes()
    with Watched(io.BytesIO(), rows.schema) as writer:
        index = pa.array(paths)
        [part] = rows_of_parts([("part", picks)], rows.schema, index, pa.table({}), Cache(1))
        part.write_to(writer)
    assert (part.is_small, part.n_rows) == (False, 8 * N_FILES)
    first_rows = N_FILES * group / 8
    assert writer.n_bytes[0] - before < 2 * first_rows + 2 * group


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=8, max_size=40),
    st.sampled_from([1, 3000, 2**20]),
)
def test_a_row_group_is_decoded_twice_at_most(wanted: list[tuple[int, int]], n_bytes: int) -> None:
    decoded: Counter[tuple[int, int]] = Counter()
    tables = [
        pa.table({"path": [f"{i}"] * 200, "n": pa.array(range(i, i + 200))}) for i in range(2)
    ]
    sources = []
    for rows in tables:
        sink = io.BytesIO()
        with pq.ParquetWriter(sink, rows.schema) as writer:
            for start in range(0, 200, 100):
                writer.write_table(rows.slice(start, 100))
        data = sink.getvalue()
        source = FileSource(
            functools.partial(io.BytesIO, data), open_parquet(pa.py_buffer(data)).metadata, OSError
        )
        sources.append(source)
    unchanged = FileSource.read

    def read(self: FileSource, groups: Sequence[int]) -> pa.Table:
        decoded[sources.index(self), groups[0]] += 1
        return unchanged(self, groups)

    with pytest.MonkeyPatch.context() as patch, Cache(n_bytes) as cache:
        patch.setattr(FileSource, "read", read)
        for i, group in wanted:
            rows = cache.get(sources[i], group)
            assert rows.equals(tables[i].slice(100 * group, 100))
    assert all(n <= 2 for n in decoded.values())
