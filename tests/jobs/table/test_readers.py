"""Every reader opens TABLE/features as it stands, and finds the same rows and types."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import featurelib
from jobs.table.changes import Change
from jobs.table.reader import open_table
from tests.support.light import SPEC, features, published, run, write

# dask's own, inside its Parquet reader
pytestmark = pytest.mark.filterwarnings("ignore:(The inplace keyword|Constructing a Categorical)")

Reader = Callable[[Path], pa.Table]


def _arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def with_pandas(folder: Path) -> pa.Table:
    return _arrow(pd.read_parquet(folder))


def with_duckdb(folder: Path) -> pa.Table:
    glob = f"{folder}/**/*.parquet"
    return duckdb.sql(f"SELECT * FROM read_parquet('{glob}')").to_arrow_table()


def with_duckdb_keys(folder: Path) -> pa.Table:
    glob = f"{folder}/**/*.parquet"
    query = f"SELECT * FROM read_parquet('{glob}', hive_partitioning = true)"
    return duckdb.sql(query).to_arrow_table()


def with_polars(folder: Path) -> pa.Table:
    return pl.read_parquet(folder).to_arrow()


def with_polars_glob(folder: Path) -> pa.Table:
    return pl.scan_parquet(folder / "**" / "*.parquet").collect().to_arrow()


def with_pyarrow(folder: Path) -> pa.Table:
    return ds.dataset(folder, format="parquet").to_table()


def with_pyarrow_keys(folder: Path) -> pa.Table:
    return pq.read_table(folder)


def with_dask(folder: Path) -> pa.Table:
    import dask.dataframe as dd

    return _arrow(dd.read_parquet(folder).compute(scheduler="synchronous"))


READERS = [
    with_pandas,
    with_duckdb,
    with_duckdb_keys,
    with_polars,
    with_polars_glob,
    with_pyarrow,
    with_pyarrow_keys,
    with_dask,
]


def normal(rows: pa.Table) -> pa.Table:
    """Return rows by path, without the folders' key, in types that no reader has variants of."""
    names = [name for name in rows.column_names if name != "by_label"]
    fields = []
    for field in rows.select(names).schema:
        kind = field.type
        if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            kind = pa.string()
        fields.append(pa.field(field.name, kind))
    return rows.select(names).cast(pa.schema(fields)).sort_by("path").combine_chunks()


LABELS = {
    "rock": 3,
    "01": 2,
    "1.0": 1,
    "null": 1,
    "true": 1,
    "2020-01-01": 1,
    "a=b": 1,
    "50%": 1,
    "é ☃": 1,
    "unlabelled": 1,
    "Rock": 1,
    "Hip-Hop.": 1,
    "__HIVE_DEFAULT_PARTITION__": 1,
    "abcde" + "é" * 120: 1,
    "é" * 120: 1,
    "a\\b": 1,
}


def make_corpus(folder: Path) -> int:
    write(folder / "top.wav")
    for label, n in LABELS.items():
        for i in range(n):
            write(folder / label / f"{i}.wav", "x" * (i + 1))
    return 1 + sum(LABELS.values())


@pytest.fixture(scope="module", params=["label", "none"])
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a table, partitioned or flat, in which one part was emptied and one changed."""
    top = tmp_path_factory.mktemp("readers")
    n_files = make_corpus(top / "music")
    options = {"labels": "parent", "partition_by": request.param, "buckets": 2}
    run(top / "music", top / "t", **options)
    # the smallest bucket of a label is emptied, another file is changed
    (top / "music" / "null" / "0.wav").unlink()
    write(top / "music" / "rock" / "1.wav", "changed")
    report = run(top / "music", top / "t", **options)
    assert report.n_files == n_files - 1
    rows = [pq.read_metadata(path).num_rows for path in (top / "t" / "features").rglob("*.parquet")]
    assert (0 in rows) == (request.param == "label")
    return top / "t"


@pytest.mark.parametrize("read", READERS)
def test_every_reader_finds_the_same(table: Path, read: Reader) -> None:
    parts = sorted((table / "features").rglob("*.parquet"))
    expected = normal(
        pa.concat_tables([pq.ParquetFile(part).read() for part in parts]).replace_schema_metadata(
            None
        )
    )
    found = normal(read(table / "features").replace_schema_metadata(None))
    assert found.column_names == expected.column_names
    assert [str(t) for t in found.schema.types] == [str(t) for t in expected.schema.types]
    assert found.to_pylist() == expected.to_pylist()


@pytest.mark.parametrize("read", READERS)
def test_labels_are_strings(table: Path, read: Reader) -> None:
    labels = read(table / "features")["label"].to_pylist()
    expected = {**LABELS, None: 1}
    del expected["null"]
    assert {label: labels.count(label) for label in set(labels)} == expected


@pytest.mark.parametrize("read", READERS)
def test_an_only_label_that_looks_like_a_number(tmp_path: Path, read: Reader) -> None:
    write(tmp_path / "music" / "01" / "a.wav")
    write(tmp_path / "music" / "02" / "b.wav")
    run(tmp_path / "music", tmp_path / "t", labels="parent")
    assert sorted(read(tmp_path / "t" / "features")["label"].to_pylist()) == ["01", "02"]


@pytest.mark.parametrize("read", READERS)
def test_a_table_with_nothing_but_errors_reads_too(tmp_path: Path, read: Reader) -> None:
    file = write(tmp_path / "music" / "a.wav")
    write(tmp_path / "music" / "b.wav", "bad")
    run(tmp_path / "music", tmp_path / "t")
    file.unlink()
    run(tmp_path / "music", tmp_path / "t", max_deleted=1.0)
    rows = read(tmp_path / "t" / "features")
    assert len(rows) == 0
    assert {"path", "label", "rmse"} <= set(rows.column_names)


@pytest.mark.parametrize("read", READERS)
def test_errors_read_like_features(tmp_path: Path, read: Reader) -> None:
    write(tmp_path / "music" / "rock" / "a.wav", "bad")
    run(tmp_path / "music", tmp_path / "t", labels="parent")
    [row] = read(tmp_path / "t" / "errors").to_pylist()
    assert (row["path"], row["label"], row["error_kind"]) == ("rock/a.wav", "rock", "undecodable")
    assert row["error_class"] == "content"


def test_one_label_s_folder_is_a_table_of_its_own(table: Path) -> None:
    folder = table / "features" / "by_label=rock"
    if folder.exists():
        frame = pd.read_parquet(folder)
        assert set(frame["label"]) == {"rock"}
        query = f"""SELECT count(*) FROM read_parquet('{table}/features/**/*.parquet',
            hive_partitioning = true) WHERE by_label = 'rock'"""
        assert duckdb.sql(query).fetchall() == [(3,)]


def test_units_are_in_the_files_and_definitions_in_the_table(table: Path) -> None:
    described = {column.name: column for column in featurelib.describe(SPEC)}
    info = json.loads((table / "_job" / "table.json").read_text())
    assert info["columns"] == [dataclasses.asdict(column) for column in described.values()]
    for part in (table / "features").rglob("*.parquet"):
        schema = pq.read_schema(part)
        units = dict(zip(schema.names, schema.metadata[b"units"].decode().split("\t"), strict=True))
        assert units["size_bytes"] == "byte"
        for name, column in described.items():
            assert units[name] == column.unit
        assert not any(field.metadata for field in schema)


def test_a_part_of_one_row_is_small(tmp_path: Path) -> None:
    spec = featurelib.get_spec("genre-v1")
    write(tmp_path / "music" / "a.wav")
    run(tmp_path / "music", tmp_path / "t", spec=spec)
    [part] = (tmp_path / "t" / "features").iterdir()
    assert pq.read_metadata(part).num_columns > 120
    assert part.stat().st_size < 15_200


def test_parts_with_descriptions_and_without_are_one_table(tmp_path: Path) -> None:
    """Earlier versions wrote the metadata of every field into each part."""
    make_corpus(tmp_path / "music")
    run(tmp_path / "music", tmp_path / "t", buckets=2)
    expected = features(tmp_path / "t")
    table = open_table(str(tmp_path / "t"), {})
    former, *_ = sorted((tmp_path / "t" / "features").rglob("*.parquet"))
    rows = pq.ParquetFile(former).read().cast(table.feature_schema)
    pq.write_table(rows, former, compression="zstd", write_page_checksum=True)
    assert pq.read_schema(former).field("rmse").metadata[b"description"]
    assert features(tmp_path / "t").equals(expected)
    folder = tmp_path / "t" / "features"
    paths = set(expected["path"].to_pylist())
    assert set(pd.read_parquet(folder)["path"]) == paths
    assert set(pl.read_parquet(folder / "**/*.parquet")["path"]) == paths
    query = f"SELECT path, rmse FROM read_parquet('{folder}/**/*.parquet') ORDER BY path"
    assert [path for path, _ in duckdb.sql(query).fetchall()] == sorted(paths)
    for number in range(20):
        write(tmp_path / "music" / f"new {number}.wav")
    report = run(tmp_path / "music", tmp_path / "t")
    assert report.counts == {Change.UNCHANGED: len(paths), Change.NEW: 20}
    assert not pq.read_schema(former).field("rmse").metadata
    assert paths < set(features(tmp_path / "t")["path"].to_pylist())


def test_every_page_has_a_checksum(table: Path) -> None:
    part = max((table / "features").rglob("*.parquet"), key=lambda path: path.stat().st_size)
    intact = part.read_bytes()
    columns = pq.ParquetFile(part).metadata.row_group(0)
    for index in range(columns.num_columns):
        column = columns.column(index)
        data = bytearray(intact)
        start = column.dictionary_page_offset or column.data_page_offset
        data[start + column.total_compressed_size - 1] ^= 0x01  # the last byte of a page
        with pytest.raises(OSError, match="CRC checksum verification failed"):
            pq.read_table(pa.BufferReader(bytes(data)), page_checksum_verification=True)


def test_only_finished_parquet_is_below_features(table: Path) -> None:
    for path in (table / "features").rglob("*"):
        assert path.is_dir() or path.name.startswith("part-")
        assert not path.name.startswith((".", "_"))
    info = json.loads((table / "_job" / "table.json").read_text())
    assert info["n_buckets"] == 2


def test_rows_are_sorted_and_unique(table: Path) -> None:
    for part in (table / "features").rglob("*.parquet"):
        rows = pq.ParquetFile(part).read(["path", "segment"]).to_pylist()
        keys = [(row["path"], row["segment"]) for row in rows]
        assert keys == sorted(set(keys))


def test_what_does_not_change_stays_byte_identical(tmp_path: Path) -> None:
    make_corpus(tmp_path / "music")
    run(tmp_path / "music", tmp_path / "t", labels="parent")
    before = published(tmp_path / "t")
    write(tmp_path / "music" / "rock" / "0.wav", "changed")
    write(tmp_path / "music" / "new" / "0.wav")
    report = run(tmp_path / "music", tmp_path / "t", labels="parent")
    after = published(tmp_path / "t")
    changed = {Path(p).parent.name for p in after if after[p] != before.get(p) and p.endswith("t")}
    assert changed == {"by_label=rock", "by_label=new"}
    assert before.keys() <= after.keys()
    assert report.parts_written == 2


def test_a_dictionary_s_worth_of_types(table: Path) -> None:
    """Plain types only: what a reader does with the others differs."""
    for part in table.rglob("part-*.parquet"):
        for kind in pq.read_schema(part).types:
            assert str(kind) in {"string", "int32", "int64", "float", "double", "bool"}


def test_dask_reads_labels_of_every_look_as_they_stand(tmp_path: Path) -> None:
    """It guesses the type of a folder's key file by file, and stumbles over differing ones."""
    import dask.dataframe as dd

    for label in ("01", "rock", "1.5", "true"):
        write(tmp_path / "music" / label / "a.wav")
    run(tmp_path / "music", tmp_path / "t", labels="parent")
    frame = dd.read_parquet(tmp_path / "t" / "features").compute()
    assert set(frame["label"]) == {"01", "rock", "1.5", "true"}
    assert set(frame["by_label"]) == {"_01", "rock", "_1.5", "_true"}
    assert set(frame["path"]) == {f"{label}/a.wav" for label in frame["label"]}
