"""The formats: what common readers find in the files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import featurelib
from jobs import JobError, export_table
from jobs.export import export
from tests.jobs.export.tables import make_table, spec_of, value_of
from tests.support.light import features, run, write

FILES = {"rock/b.wav": "b 2", "rock/a.wav": "a 3", "jazz/é,\n.wav": "c 1", "no_label.wav": "d 2"}

SERIES = {
    "features": ["rms", {"family": "mfcc", "n_mfcc": 2}],
    "defaults": {"statistics": ["mean", "series"]},
    "level": {"length_s": 3.0},
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_table(tmp_path_factory.mktemp("export"), spec_of(SERIES), FILES)


def expected(table: Path) -> pa.Table:
    rows = features(table)
    return rows.sort_by([("path", "ascending"), ("segment", "ascending")])


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_parquet_and_arrow_have_the_table_and_its_descriptions(
    table: Path, tmp_path: Path, kind: str
) -> None:
    output = tmp_path / f"x.{kind}"
    made = export_table(table, output)  # by its extension
    rows = pq.read_table(output) if kind == "parquet" else pa.ipc.open_file(output).read_all()
    wanted = expected(table)
    assert (
        rows.select(["path", "segment", "label", "rms_mean"]).to_pydict()
        == wanted.select(["path", "segment", "label", "rms_mean"]).to_pydict()
    )
    assert rows.drop(["path"]).to_pydict() == wanted.select(rows.schema.names[1:]).to_pydict()
    assert (made.n_rows, made.n_columns) == (8, len(rows.schema))
    described = {column.name: column for column in featurelib.describe(spec_of(SERIES))}
    for name in ("rms_mean", "mfcc_series", "duration_s"):
        metadata = rows.schema.field(name).metadata
        assert metadata[b"description"].decode() == described[name].definition
        assert metadata[b"librosa"].decode() == described[name].librosa
    read = pl.read_parquet if kind == "parquet" else pl.read_ipc
    assert read(output)["rms_mean"].to_list() == rows["rms_mean"].to_pylist()


def test_csv_has_all_columns(table: Path, tmp_path: Path) -> None:
    export_table(table, tmp_path / "x.csv")
    rows, wanted = pd.read_csv(tmp_path / "x.csv"), expected(table).to_pandas()
    assert rows["path"].tolist() == wanted["path"].tolist()
    assert rows["path"][0] == "jazz/é,\n.wav"
    assert rows["label"].isna().tolist() == wanted["label"].isna().tolist()
    assert rows["channel"].isna().all()
    assert rows["source_version"].tolist() == wanted["source_version"].tolist()
    for name in ("rms_mean", "mfcc_01_mean", "start_s", "segment"):
        assert rows[name].astype(wanted[name].dtype).tolist() == wanted[name].tolist()
    assert json.loads(rows["rms_series"][0]) == [0.1, 0.1]
    assert json.loads(rows["mfcc_series"][7]) == [[0.1, 0.1], [0.1, 0.1]]


def test_npz_is_read_without_pickle(table: Path, tmp_path: Path) -> None:
    export_table(table, tmp_path / "x.npz")
    wanted = expected(table).to_pandas()
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"matrix", "names", "paths", "labels", "segments", "channels"}
        names = featurelib.feature_names(spec_of(SERIES))
        assert arrays["names"].tolist() == names
        assert arrays["matrix"].dtype == np.float32
        np.testing.assert_array_equal(arrays["matrix"], wanted[names].to_numpy())
        assert arrays["paths"].tolist() == wanted["path"].tolist()
        assert arrays["labels"].tolist() == wanted["label"].fillna("").tolist()
        assert arrays["segments"].tolist() == wanted["segment"].tolist()
        assert arrays["channels"].tolist() == [-1] * 8


def test_a_table_of_series_is_no_matrix(tmp_path: Path) -> None:
    spec = spec_of({"features": ["rms"], "defaults": {"statistics": ["series"]}})
    table = make_table(tmp_path, spec, {"a.wav": "a"})
    with pytest.raises(JobError, match=r"series only.*export it as parquet"):
        export_table(table, tmp_path / "x.npz")


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz", "arrow"])
def test_a_table_without_rows(tmp_path: Path, kind: str) -> None:
    table = make_table(tmp_path, spec_of({"features": ["rms"]}), {"a/a.wav": "x ?"})
    assert export_table(table, tmp_path / f"x.{kind}").n_rows == 0
    if kind == "csv":
        assert len(pd.read_csv(tmp_path / "x.csv")) == 0
    elif kind == "npz":
        assert np.load(tmp_path / "x.npz")["matrix"].shape == (0, 2)


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz", "arrow"])
def test_equal_tables_give_equal_files(table: Path, tmp_path: Path, kind: str) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    export(str(table), str(one), kind, {})
    export(str(table), str(other), kind, {})
    assert one.read_bytes() == other.read_bytes()


def test_carried_columns_are_exported(tmp_path: Path) -> None:
    spec = spec_of({"features": ["rms"]})
    rows = {"path": ["a.wav", "b.wav"], "label": ["x", "y"], "day": ["2026-01-02", None]}
    kinds = pa.table(rows).cast(
        pa.schema([("path", "string"), ("label", "string"), ("day", pa.date32())])
    )
    pq.write_table(kinds, tmp_path / "labels.parquet")
    files = {"a.wav": "a", "b.wav": "b"}
    table = make_table(tmp_path, spec, files, labels=str(tmp_path / "labels.parquet"))
    export_table(table, tmp_path / "x.csv")
    found = pd.read_csv(tmp_path / "x.csv")
    assert found["day"].fillna("").tolist() == ["2026-01-02", ""]
    assert found["rms_mean"].astype(np.float32).tolist() == [
        value_of(text, 0, "rms_mean") for text in "ab"
    ]


def test_names_of_columns_that_csv_must_quote(tmp_path: Path) -> None:
    names = ["a, b", 'quo"te', "new\nline"]
    write(tmp_path / "music" / "a.wav")
    rows = {"path": ["a.wav"]} | {name: ["1,5"] for name in names}
    pq.write_table(pa.table(rows), tmp_path / "music" / "list.parquet")
    run(tmp_path / "music" / "list.parquet", tmp_path / "table")
    export_table(tmp_path / "table", tmp_path / "x.csv")
    read = pd.read_csv(tmp_path / "x.csv")
    assert list(read)[4:7] == names
    assert read[names].to_numpy().tolist() == [["1,5"] * 3]
