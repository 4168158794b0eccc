"""All rows of a table in order, in bounded memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import JobError, export_table
from jobs.export import ordering
from jobs.export.ordering import KEY, sorted_rows
from jobs.table.reader import open_table
from tests.jobs.export.tables import make_table, spec_of
from tests.support.light import features

SPEC = spec_of({"features": ["rms"], "level": {"length_s": 3.0}})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{i % 3}/{i:03}.wav": f"{i} {1 + i % 4}" for i in range(100)}
    return make_table(tmp_path_factory.mktemp("ordering"), SPEC, files, buckets=4)


def keys(rows: pa.Table) -> list[tuple[str, int]]:
    return list(zip(rows["path"].to_pylist(), rows["segment"].to_pylist(), strict=True))


@settings(max_examples=settings().max_examples // 2)
@given(piece_bytes=st.integers(200, 20_000))
def test_pieces_of_any_size_give_the_same_rows(table: Path, piece_bytes: int) -> None:
    opened = open_table(str(table), {})
    names = [*KEY, "rms_mean"]
    pieces = list(sorted_rows(opened, names, piece_bytes=piece_bytes))
    rows = pa.concat_tables(pieces)
    assert keys(rows) == sorted(keys(features(table)))
    whole = pa.concat_tables(sorted_rows(opened, names))
    assert rows.equals(whole)


def test_a_row_that_is_being_moved_is_in_the_file_once(tmp_path: Path) -> None:
    """For a moment it is in two parts: of its old label, and of its new one."""
    table = make_table(tmp_path, SPEC, {"a/1.wav": "1 2", "b/2.wav": "2 1"}, buckets=1)
    moved = table / "features" / "by_label=c"
    shutil.copytree(table / "features" / "by_label=a", moved)
    [rows] = sorted_rows(open_table(str(table), {}), [*KEY, "rms_mean"])
    assert keys(rows) == [("a/1.wav", 0), ("a/1.wav", 1), ("b/2.wav", 0)]


@pytest.mark.parametrize("end", ["deleted", "replaced"])
def test_a_table_that_changes_meanwhile_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    table = make_table(tmp_path, SPEC, {"a/1.wav": "1 2", "b/2.wav": "2 1"}, buckets=1)
    [part] = (table / "features" / "by_label=b").iterdir()
    look_at = ordering._look_at

    def look_and_change(opened, name, names):
        found = look_at(opened, name, names)
        if "by_label=b" in name:
            part.unlink() if end == "deleted" else part.write_bytes(part.read_bytes() + b"x")
        return found

    monkeypatch.setattr(ordering, "_look_at", look_and_change)
    with pytest.raises(JobError, match="changed by a run while it was exported: try again"):
        export_table(table, tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    table = make_table(tmp_path, SPEC, {"a/1.wav": "1 2"}, buckets=1)
    [part] = (table / "features" / "by_label=a").iterdir()
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(JobError, match=r"by_label=a/part-00000\.parquet is damaged"):
        export_table(table, tmp_path / "x.csv")


@pytest.mark.slow
def test_memory_is_that_of_a_few_pieces(tmp_path: Path) -> None:
    """The rows take 30 times what is in memory at once."""
    table = make_table(tmp_path, SPEC, {f"{i}.wav": f"{i}" for i in range(40)}, buckets=4)
    opened = open_table(str(table), {})
    n = 50_000
    rng = np.random.default_rng(0)
    for name in opened.parts:
        if name.startswith("features"):
            one = pq.ParquetFile(table / name).read().slice(0, 1)
            rows = one.take(pa.array(np.zeros(n, np.int64)))
            paths = np.sort(rng.integers(0, 10**9, n)).astype(str)
            columns = {"path": pa.array(paths), "audio_hash": pa.array(["x" * 100] * n)}
            for column, values in columns.items():
                index = rows.schema.get_field_index(column)
                rows = rows.set_column(index, column, values)
            pq.write_table(rows, table / name, row_group_size=1000)
    opened = open_table(str(table), {})
    before, most, total = pa.total_allocated_bytes(), 0, 0
    last = ""
    for rows in sorted_rows(opened, opened.feature_schema.names, piece_bytes=2**20):
        most = max(most, pa.total_allocated_bytes() - before)
        total += rows.nbytes
        assert last < rows["path"][0].as_py()
        last = rows["path"][-1].as_py()
    assert total > 30 * 2**20
    assert most < total / 5
