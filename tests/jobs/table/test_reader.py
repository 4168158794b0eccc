"""What a run reads of the parts of a table, to plan and to verify."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.errors import TableError
from jobs.storage.local import LocalStore
from jobs.table.layout import FEATURES
from jobs.table.reader import open_table
from tests.support.light import run, write


def _corpus(folder: Path) -> Path:
    for i in range(40):
        write(folder / f"label-{i % 3}" / f"{i:02d}.wav", "bad" if i % 7 == 0 else "x" * i)
    return folder


@pytest.mark.parametrize("n_buckets", [1, 5])
def test_paths_are_those_of_the_entries(tmp_path: Path, n_buckets: int) -> None:
    run(_corpus(tmp_path / "corpus"), tmp_path / "table", buckets=n_buckets, max_failed=1.0)
    table = open_table(str(tmp_path / "table"), {})
    numbers = range(n_buckets)
    held, paths = (dict(table.each_bucket(r, numbers)) for r in (table.held, table.paths))
    assert list(held) == list(paths) == list(numbers)
    for bucket in numbers:
        assert paths[bucket].to_pylist() == held[bucket]["path"].to_pylist()
    found = [path for of_bucket in paths.values() for path in of_bucket.to_pylist()]
    assert sorted(found) == sorted(f"label-{i % 3}/{i:02d}.wav" for i in range(40))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]), "holds 'a/1.wav' twice"),
        (lambda rows: rows.slice(1), "holds 2 files instead of 3"),
    ],
    ids=["twice", "lost"],
)
def test_a_part_that_is_not_what_was_merged_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pa.Table], pa.Table],
    message: str,
) -> None:
    replace = LocalStore.replace

    def replace_otherwise(store: LocalStore, name: str, data: BinaryIO, **options: Any) -> str:
        if name.startswith(FEATURES):
            data.seek(0)
            rows = change(pq.read_table(io.BytesIO(data.read())))
            data = io.BytesIO()
            pq.write_table(rows, data)
        return replace(store, name, data, **options)

    for i in (1, 2, 3):
        write(tmp_path / "corpus" / "a" / f"{i}.wav")
    monkeypatch.setattr(LocalStore, "replace", replace_otherwise)
    with pytest.raises(TableError, match=message):
        run(tmp_path / "corpus", tmp_path / "table")
