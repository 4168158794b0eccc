"""Reading a table back to compare it with another, and corpora whose files are a word of text."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.storage.parquet import to_parquet


def read_table(table: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a table's features and errors, sorted and without the runs' names."""
    return _read(Path(table) / "features"), _read(Path(table) / "errors")


def _read(folder: Path) -> pd.DataFrame:
    parts = _parts(folder)
    if not parts:
        return pd.DataFrame(columns=["path"])
    rows = pa.concat_tables(parts).to_pandas()
    keys = ["path", *(key for key in ("channel", "segment") if key in rows)]
    return rows.drop(columns="run_id").sort_values(keys, ignore_index=True)


def _parts(folder: Path, columns: list[str] | None = None) -> list[pa.Table]:
    # part by part, so that a file that is in two of them shows
    return [
        pq.ParquetFile(path).read(columns, use_threads=False)
        for path in sorted(folder.rglob("*.parquet"))
    ]


def assert_same_table(table: str | Path, expected: str | Path) -> None:
    """Fail where two tables differ by more than the runs' names."""
    for found, wanted in zip(read_table(table), read_table(expected), strict=True):
        pd.testing.assert_frame_equal(found, wanted)


def assert_tidy(table: str | Path) -> None:
    """Fail where a run left anything behind that it should have cleaned away."""
    folder = Path(table)
    assert sorted(path.name for path in folder.iterdir() if path.name != "errors") == [
        "_job",
        "features",
    ]
    left = [str(path.relative_to(folder)) for path in folder.rglob("*/staged/*")]
    left += [str(path.relative_to(folder)) for path in (folder / "_job" / "tmp").glob("*")]
    assert left == []
    published = [p for name in ("features", "errors") for p in (folder / name).rglob("*")]
    assert {p.suffix for p in published if p.is_file()} == {".parquet"}


def errors_of(table: str | Path) -> dict[str, str]:
    """Return the error kinds by path."""
    errors = read_table(table)[1]
    return dict(zip(errors["path"], errors["error_kind"], strict=True)) if len(errors) else {}


def paths_of(table: str | Path) -> list[str]:
    """Return the paths that have feature rows."""
    parts = _parts(Path(table) / "features", ["path", "channel", "segment"])
    rows = [row for part in parts for row in part.to_pylist()]
    return sorted(row["path"] for row in rows if not (row["channel"] or row["segment"]))


def log_of(table: str | Path) -> list[dict[str, Any]]:
    """Return the lines of the newest run's log."""
    newest = max((Path(table) / "_job" / "runs").glob("*/log.jsonl"))
    return [json.loads(line) for line in newest.read_text().splitlines()]


_clock = 1_700_000_000_000_000_000


def write_files(corpus: str | Path, files: dict[str, str]) -> Path:
    """Write files for `tests.support.doubles.by_content`, each with its own modification time."""
    global _clock
    for name, text in files.items():
        path = Path(corpus) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        _clock += 1_000_000_000
        os.utime(path, ns=(_clock, _clock))
    return Path(corpus)


def write_labels(file: str | Path, labels: dict[str, str]) -> Path:
    """Write a file of labels."""
    lines = ["path,label", *(f"{path},{label}" for path, label in labels.items())]
    Path(file).write_text("\n".join(lines) + "\n")
    return Path(file)


def make_older(table: str | Path, *columns: str) -> None:
    """Take columns out of a table, as if a version without them had made it."""
    file = Path(table) / "_job" / "table.json"
    metadata = json.loads(file.read_text())
    metadata["columns"] = [one for one in metadata["columns"] if one["name"] not in columns]
    file.write_text(json.dumps(metadata))
    for path in Path(table).glob("features/**/*.parquet"):
        rows = pq.ParquetFile(path).read(use_threads=False).drop_columns(list(columns))
        path.write_bytes(to_parquet(rows))
