"""Listings spilled to disk and read back by bucket."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.corpus.hashing import bucket_of, overlapping, path_hashes
from jobs.corpus.partitioned_rows import PartitionedRows, spilled
from tests.support.audio_files import open_below

SCHEMA = pa.schema([("path", pa.string()), ("size", pa.int64())])


def page(start: int, stop: int) -> pa.Table:
    names = [f"{i}.wav" for i in range(start, stop)]
    return pa.table({"path": names, "size": list(range(start, stop))}, schema=SCHEMA)


@pytest.mark.parametrize("n_in_memory", [10**6, 50, 1])
def test_every_row_comes_back_in_its_bucket(n_in_memory: int) -> None:
    inventory = PartitionedRows(SCHEMA, rows_in_memory=n_in_memory)
    for start in range(0, 300, 20):
        inventory.add(page(start, start + 20))
    assert inventory.n_rows == 300
    for n_buckets in (7, 1, 2):  # the number is only known at the end, and may be asked again
        inventory.set_buckets(n_buckets)
        found = []
        for bucket in range(n_buckets):
            rows = inventory.bucket(bucket)
            paths = rows["path"].to_pylist()
            assert set(bucket_of(path_hashes(pa.array(paths)), n_buckets)) <= {bucket}
            found += zip(paths, rows["size"].to_pylist(), strict=True)
        assert sorted(found) == sorted((f"{i}.wav", i) for i in range(300))


def test_an_empty_inventory_has_empty_buckets() -> None:
    inventory = PartitionedRows(SCHEMA)
    inventory.set_buckets(3)
    assert [len(inventory.bucket(bucket)) for bucket in range(3)] == [0, 0, 0]
    assert inventory.bucket(0).schema == SCHEMA


def test_spilled_rows_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    new_file, open_while_written = pa.ipc.new_file, []

    def looking(*args: Any) -> pa.RecordBatchFileWriter:
        open_while_written.append(len(open_below(tmp_path)))
        assert os.listdir(tmp_path) == []  # nothing is left of a process that dies now
        return new_file(*args)

    monkeypatch.setattr(pa.ipc, "new_file", looking)
    rows = spilled(page(0, 10))
    assert open_while_written == [1]
    assert os.listdir(tmp_path) == []
    assert rows.equals(page(0, 10))


@pytest.mark.parametrize("n_in_memory", [10**6, 50, 1])
def test_large_rows_are_spilled_by_their_size(n_in_memory: int) -> None:
    rows = PartitionedRows(SCHEMA, bytes_in_memory=n_in_memory)
    for start in range(0, 300, 20):
        rows.add(page(start, start + 20))
    rows.set_buckets(1)
    assert sorted(rows.bucket(0)["size"].to_pylist()) == list(range(300))
    assert len(rows.bucket(0).to_batches()) == {10**6: 1}.get(n_in_memory, 15)


counts = st.integers(1, 5000)


@given(counts, counts, st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50))
def test_overlapping_buckets_are_those_that_share_hashes(n: int, other: int, hashes: Any) -> None:
    found = np.array(hashes, np.uint64)
    for bucket, elsewhere in zip(bucket_of(found, n), bucket_of(found, other), strict=True):
        assert elsewhere in overlapping(int(bucket), n, other)


@given(counts, counts)
def test_overlapping_buckets_cover_all_in_order(n: int, other: int) -> None:
    ranges = [overlapping(bucket, n, other) for bucket in range(n)]
    assert (ranges[0].start, ranges[-1].stop) == (0, other)
    for before, after in itertools.pairwise(ranges):
        assert after.start in (before.stop - 1, before.stop)
    assert [overlapping(bucket, n, n) for bucket in range(n)] == [range(b, b + 1) for b in range(n)]
