"""Listings spilled to disk and read back by bucket."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.corpus.hashing import bucket_of, path_hashes
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
