"""Rows that are put together from the row groups of many files."""

from __future__ import annotations

import functools
import io

import numpy as np
import pyarrow as pa

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
