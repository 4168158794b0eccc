"""Files of several rows: segments, channels of their own, series; from the extractor to readers."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import featurelib
import jobs.execution.dask
import jobs.execution.sharding
import jobs.status
import jobs.storage.parquet
import jobs.table.assembly
import jobs.table.staging
from jobs.diagnostics.events import ignore
from jobs.errors import TableError
from jobs.execution.results import ShardResult
from jobs.relocation import relocate
from jobs.status import table_status
from jobs.table.changes import Change
from jobs.table.reader import open_table
from jobs.table.staging import open_staged
from tests.support import light, several
from tests.support.memory import peak_bytes
from tests.support.moments import Interrupted, at, die
from tests.support.quick import slow_but
from tests.support.several import Key, chroma_of, corpus_of, expected, rms_of, several_rows
from tests.support.tables import assert_same_table, assert_tidy, write_files, write_labels


def found(table: Path) -> dict[Key, float]:
    """Return the feature rows of a table, read part by part so that doubles show."""
    rows: dict[Key, float] = {}
    for part in sorted((table / "features").rglob("*.parquet")):
        for row in pq.ParquetFile(part).read(["path", "channel", "segment", "rmse"]).to_pylist():
            key = (row["path"], row["channel"], row["segment"])
            assert key not in rows
            rows[key] = row["rmse"]
    return rows


FILES = corpus_of(30)


def run(corpus: Path, table: Path, **options: Any) -> Any:
    return light.run(corpus, table, extractor=several_rows, **{"max_deleted": 1.0, **options})


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_files(tmp_path / "corpus", FILES)


@pytest.fixture
def series(monkeypatch: pytest.MonkeyPatch) -> None:
    several.give_series(monkeypatch.setattr)


def test_a_table_and_its_counts(corpus: Path, tmp_path: Path) -> None:
    table = tmp_path / "t"
    report = run(corpus, table, labels="parent", buckets=3)
    rows = expected(FILES)
    assert found(table) == rows
    assert (report.n_files, report.n_rows, report.n_errors) == (30, len(rows), 0)
    assert f"{table}: 30 files with features in {len(rows)} rows, 0 failed" in (
        report.summary_lines()
    )
    status = table_status(str(table), {})
    assert (status.n_files, status.n_rows) == (30, len(rows))
    assert f"rows     {len(rows)} of 30 files" in status.lines()
    assert status.labels == {"a": 10, "b": 10, "c": 10}
    again = run(corpus, table, labels="parent")
    assert (again.n_files, again.n_rows, again.parts_written) == (30, len(rows), 0)
    assert again.counts == Counter({Change.UNCHANGED: 30})


@pytest.mark.parametrize(
    "step", slow_but(["part written"], ["merge", "part started", "part written", "verify", "clean"])
)
def test_a_run_after_one_that_died(corpus: Path, tmp_path: Path, step: str) -> None:
    options = {"labels": "parent", "buckets": 2}
    with pytest.raises(Interrupted):
        run(corpus, tmp_path / "t", observer=at(step, die), **options)
    report = run(corpus, tmp_path / "t", **options)
    assert (report.n_files, report.n_rows) == (30, len(expected(FILES)))
    run(corpus, tmp_path / "fresh", **options)
    assert_same_table(tmp_path / "t", tmp_path / "fresh")
    assert_tidy(tmp_path / "t")


@pytest.mark.parametrize("step", [None, "part started", "part written"])
def test_changes(tmp_path: Path, step: str | None) -> None:
    """More rows, fewer rows, other channels, gone, bad, good again, new."""
    before = {
        "a.wav": "3 0 1",
        "b.wav": "5 2 2",
        "c.wav": "2 0 3",
        "d.wav": "4 2 4",
        "e.wav": "bad",
        "f.wav": "6 0 6",
    }
    after = {
        "a.wav": "7 2 10",
        "b.wav": "1 0 20",
        "d.wav": "bad",
        "e.wav": "3 2 50",
        "f.wav": before["f.wav"],
        "g.wav": "2 0 70",
    }
    corpus, table = write_files(tmp_path / "corpus", before), tmp_path / "t"
    run(corpus, table)
    assert found(table) == expected(before)
    assert light.errors(table) == {"e.wav": "undecodable"}
    (corpus / "c.wav").unlink()
    write_files(corpus, {name: text for name, text in after.items() if text != before.get(name)})
    if step is not None:
        with pytest.raises(Interrupted):
            run(corpus, table, observer=at(step, die, 2))
    report = run(corpus, table)
    assert found(table) == expected(after)
    assert light.errors(table) == {"d.wav": "undecodable"}
    assert (report.n_files, report.n_errors) == (5, 1)
    assert report.n_rows == len(expected(after))


def test_labels_move_all_rows_of_a_file(corpus: Path, tmp_path: Path) -> None:
    table, labels = tmp_path / "t", tmp_path / "labels.csv"
    run(corpus, table, labels=str(write_labels(labels, dict.fromkeys(FILES, "rock"))))
    of_file = {path: "rock" if i % 2 else "jazz" for i, path in enumerate(FILES)}
    report = run(corpus, table, labels=str(write_labels(labels, of_file)))
    assert report.counts[Change.RELABELLED] == 15
    assert (report.n_read, report.n_rows) == (0, len(expected(FILES)))
    assert found(table) == expected(FILES)
    for name in ("rock", "jazz"):
        rows = ds.dataset(table / "features" / f"by_label={name}").to_table(["path", "label"])
        assert set(rows["label"].to_pylist()) == {name}
        assert {of_file[path] for path in rows["path"].to_pylist()} == {name}


def test_carried_columns_are_on_every_row(corpus: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    for album in ("x", "y"):  # new, then changed in place
        rows = [f"{path},rock,{album}{i}" for i, path in enumerate(FILES)]
        labels.write_text("\n".join(["path,label,album", *rows]))
        run(corpus, tmp_path / "t", labels=str(labels))
        table = light.features(tmp_path / "t")
        albums = dict(zip(FILES, (f"{album}{i}" for i in range(30)), strict=True))
        assert table["album"].to_pylist() == [albums[path] for path in table["path"].to_pylist()]
        assert found(tmp_path / "t") == expected(FILES)


def test_an_unreadable_file_keeps_all_its_rows(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(corpus, tmp_path / "t")
    changed = "c/002.wav"
    write_files(corpus, {changed: "3 0 1000"})

    def unreadable(source: Any, spec: Any) -> Any:
        raise PermissionError("no")

    report = light.run(corpus, tmp_path / "t", extractor=unreadable)
    assert (report.counts[Change.CHANGED], report.failures) == (1, {"unreadable": 1})
    assert found(tmp_path / "t") == expected(FILES)


def test_a_table_that_moves_and_its_errors(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "t")
    corpus.rename(tmp_path / "moved")
    moved = relocate(str(tmp_path / "t"), str(tmp_path / "moved"))
    assert (moved.status, moved.n_match, moved.n_held) == ("relocated", 30, 30)


# the layout of parts


def groups_of(part: Path) -> list[list[Key]]:
    """Return the keys in each row group of a part."""
    file = pq.ParquetFile(part)
    columns = ["path", "channel", "segment"]
    groups = (file.read_row_group(i, columns) for i in range(file.num_row_groups))
    return [[tuple(row.values()) for row in group.to_pylist()] for group in groups]


def small_row_groups(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    cuts = jobs.storage.parquet.cuts
    for module in (jobs.storage.parquet, jobs.table.assembly):
        monkeypatch.setattr(module, "cuts", lambda sizes: cuts(sizes, n_bytes))


def test_first_rows_come_first(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_row_groups(monkeypatch, 4000)
    run(corpus, tmp_path / "t", buckets=2)
    for part in (tmp_path / "t" / "features").glob("*.parquet"):
        groups = groups_of(part)
        metadata = pq.read_metadata(part).metadata
        n_first = int(metadata[b"first_row_groups"])
        assert 1 < n_first < len(groups) - 1
        first = [key for group in groups[:n_first] for key in group]
        others = [key for group in groups[n_first:] for key in group]
        assert all(not (channel or segment) for _, channel, segment in first)
        assert not any(not (channel or segment) for _, channel, segment in others)
        for keys in (first, others):
            assert keys == sorted(keys, key=lambda key: (key[0], key[1] or 0, key[2]))


def test_planning_reads_one_row_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other row groups may be damaged: nothing of them is read."""
    corpus = write_files(tmp_path / "corpus", {"a.wav": "50 0 1", "b.wav": "2 2 2"})
    run(corpus, tmp_path / "t")
    [part] = (tmp_path / "t" / "features").glob("*.parquet")
    data = bytearray(part.read_bytes())
    metadata = pq.read_metadata(part)
    assert metadata.num_row_groups == 2
    for i in range(metadata.num_columns):
        column = metadata.row_group(1).column(i)
        start = column.dictionary_page_offset or column.data_page_offset
        data[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    part.write_bytes(data)
    report = light.plan(corpus, tmp_path / "t")
    assert report.counts == Counter({Change.UNCHANGED: 2})
    assert table_status(str(tmp_path / "t"), {}).n_files == 2
    with pytest.raises(OSError, match=r"checksum|page"):
        pq.read_table(part, page_checksum_verification=True)
    write_files(corpus, {"b.wav": "3 0 2"})  # the merge needs all of the part
    with pytest.raises(TableError, match="is damaged"):
        run(corpus, tmp_path / "t")


# staged


def shard_results(monkeypatch: pytest.MonkeyPatch) -> list[ShardResult]:
    results: list[ShardResult] = []
    extract_shard = jobs.execution.executor.extract_shard

    def noted(*arguments: Any) -> ShardResult:
        results.append(extract_shard(*arguments))
        return results[-1]

    monkeypatch.setattr("jobs.execution.executor.extract_shard", noted)
    return results


def test_a_shard_leaves_several_staged_files(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.table.staging, "STAGED_BYTES", 8000)
    results = shard_results(monkeypatch)
    with pytest.raises(Interrupted):
        run(corpus, tmp_path / "t", observer=at("merge", die))
    assert sum(len(result.staged) for result in results) > len(results)
    assert sum(result.n_files for result in results) == 30
    assert sum(result.n_rows for result in results) == len(expected(FILES))
    table = open_table(str(tmp_path / "t"), {})
    files: Counter[str] = Counter()
    for name in {name for result in results for name in result.staged}:
        with (tmp_path / "t" / name).open("rb") as source:
            file = open_staged(source, table.staged_schema, table.origin)
            assert file is not None
            files.update(set(file.read(["path"])["path"].to_pylist()))
    assert files == Counter(dict.fromkeys(FILES, 1))  # a file is in one staged file
    report = run(corpus, tmp_path / "t")
    assert (report.n_reused, report.n_rows) == (30, len(expected(FILES)))
    assert found(tmp_path / "t") == expected(FILES)


def test_a_long_file_is_a_staged_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, series: None
) -> None:
    """Its rows go to a temporary file as they come; the result is the same."""
    corpus = write_files(
        tmp_path / "corpus", {"a.wav": "2 0 1", "b.wav": "40 3 7", "c.wav": "1 0 2"}
    )
    run(corpus, tmp_path / "whole")
    monkeypatch.setattr(jobs.execution.sharding, "SAMPLE_SHARE", 0.0)  # several files to a shard
    monkeypatch.setattr(jobs.execution.sharding, "sample_seconds", lambda *_: 45.0)
    monkeypatch.setattr(jobs.table.staging, "STAGED_BYTES", 30_000)
    monkeypatch.setattr(jobs.table.staging, "ROW_GROUP_BYTES", 10_000)
    results = shard_results(monkeypatch)
    run(corpus, tmp_path / "t")
    assert len(results) < 3
    assert sum(len(result.staged) for result in results) == len(results) + 1
    assert_same_table(tmp_path / "t", tmp_path / "whole")


def test_a_long_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.table.staging, "STAGED_BYTES", 2000)
    corpus = write_files(tmp_path / "corpus", {"a.wav": "20 3 1", "b.wav": "1 0 1"})

    def changing(source: Any, spec: Any) -> Iterator[featurelib.Rows]:
        for rows in several_rows(source, spec):
            yield rows
            if Path(source).read_text().startswith("20"):
                write_files(corpus, {"a.wav": "3 2 5"})

    light.run(corpus, tmp_path / "t", extractor=changing)
    assert found(tmp_path / "t") == expected({"a.wav": "3 2 5", "b.wav": "1 0 1"})


def test_a_staged_file_damaged_within_is_extracted_again(corpus: Path, tmp_path: Path) -> None:
    """Its footer and what planning reads are whole; the merge finds it."""
    table = tmp_path / "t"
    with pytest.raises(Interrupted):
        run(corpus, table, observer=at("merge", die))
    staged = sorted(table.glob("_job/runs/*/staged/*"))
    metadata = pq.read_metadata(staged[0])
    index = metadata.schema.to_arrow_schema().names.index("rmse")
    column = metadata.row_group(0).column(index)
    data = bytearray(staged[0].read_bytes())
    data[(column.dictionary_page_offset or column.data_page_offset) + 40] ^= 0xFF
    staged[0].write_bytes(data)
    report = run(corpus, table)
    assert (report.n_files, report.n_rows) == (30, len(expected(FILES)))
    assert found(table) == expected(FILES)
    assert_tidy(table)


# series


def check_series(rows: list[dict[str, Any]]) -> None:
    assert {(r["path"], r["channel"], r["segment"]) for r in rows} == expected(FILES).keys()
    for row in rows:
        number = int(FILES[row["path"]].split()[2])
        key = (number, row["channel"], row["segment"])
        np.testing.assert_array_equal(np.array(row["rms_series"]).ravel(), rms_of(*key))
        frames = [np.asarray(frame, np.float32) for frame in row["chroma_series"]]
        chroma = np.array(frames, np.float32).reshape(-1, 12)
        np.testing.assert_array_equal(chroma, chroma_of(*key))


def test_series_go_through_the_table(corpus: Path, tmp_path: Path, series: None) -> None:
    table, labels = tmp_path / "t", tmp_path / "labels.csv"
    for label in ("rock", "jazz"):
        run(corpus, table, labels=str(write_labels(labels, dict.fromkeys(FILES, label))))
        check_series(light.features(table).to_pylist())
    assert found(table) == expected(FILES)
    schema = light.features(table).schema
    assert schema.field("rms_series").type.equals(pa.large_list(pa.float32()))
    vectors = pa.list_(pa.float32(), 12)
    assert schema.field("chroma_series").type.equals(pa.large_list(vectors))


def test_a_table_opens_without_its_specs_code(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a table is, is in table.json: nothing asks the spec, which may be unknown today."""
    run(corpus, tmp_path / "t")

    def gone(*arguments: Any) -> Any:
        raise AssertionError("a spec was built")

    monkeypatch.setattr(featurelib.FeatureSpec, "from_dict", gone)
    monkeypatch.setattr(featurelib, "describe", gone)
    monkeypatch.setattr(featurelib, "schema", gone)
    status = table_status(str(tmp_path / "t"), {})
    assert (status.rerun_problem, status.rerun["unchanged"]) == ("", 30)
    assert len(jobs.status.error_rows(str(tmp_path / "t"), {})) == 0
    assert len(jobs.status.partial_rows(str(tmp_path / "t"), {})) == 0


def test_readers_take_series(corpus: Path, tmp_path: Path, series: None) -> None:
    write_files(corpus, {"bad.wav": "bad"})
    run(corpus, tmp_path / "t", labels="parent")
    folder = tmp_path / "t" / "features"
    check_series(pd.read_parquet(folder).replace({np.nan: None}).to_dict("records"))
    check_series(pl.read_parquet(folder).to_dicts())
    glob = f"read_parquet('{folder}/**/*.parquet')"
    check_series(duckdb.sql(f"SELECT * FROM {glob}").to_arrow_table().to_pylist())

    path = "c/002.wav"
    frames = sum(len(rms_of(2, None, segment)) for segment in range(25))
    query = f"SELECT unnest(rms_series) AS rms FROM {glob} WHERE path = '{path}'"
    assert len(duckdb.sql(query).fetchall()) == frames
    of_file = pl.scan_parquet(folder / "**/*.parquet").filter(pl.col("path") == path)
    exploded = of_file.sort("segment").select(pl.col("rms_series").explode(empty_as_null=False))
    wanted = np.concatenate([rms_of(2, None, segment) for segment in range(25)])
    np.testing.assert_array_equal(exploded.collect()["rms_series"].to_numpy(), wanted)


def test_hugging_face_datasets_take_series(
    corpus: Path, tmp_path: Path, series: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # read when it is imported
    import datasets

    run(corpus, tmp_path / "t")
    files = str(tmp_path / "t" / "features" / "*.parquet")
    with contextlib.chdir(tmp_path):
        data = datasets.load_dataset(
            "parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
        )
    check_series(list(data))


# memory


N_LARGE, LARGE_BYTES = 320, 2_500_000
"""Files of the corpus that is merged in bounded memory, and the bytes of each one's series."""


def large_rows(source: Any, spec: featurelib.FeatureSpec) -> Iterator[featurelib.Rows]:
    """Give ten rows of series that do not compress."""
    random = np.random.default_rng(int(Path(source).read_text()))
    n_frames = LARGE_BYTES // 10 // (13 * 4)
    for segment in range(10):
        columns = {
            "segment": [segment],
            "rms_series": [random.random(n_frames, np.float32)],
            "chroma_series": [random.random((n_frames, 12), np.float32)],
        }
        attributes = {"peak": 1.0, "mix_peak": 1.0, "is_silent": False, "decoding": "whole"}
        values = random.random((1, len(featurelib.feature_names(spec))), np.float32)
        yield featurelib.Rows(1, attributes, columns, values)


def run_measured(corpus: Path, table: Path, peaks: Any, dies: bool) -> None:
    """Run the job; give how much the peak of the resident memory grew [byte]."""
    several.give_series()
    light.run(corpus.parent / "warm", table.parent / "warm_table", extractor=large_rows)
    before = peak_bytes()
    with contextlib.suppress(Interrupted):
        observer = at("merge", die) if dies else ignore
        light.run(corpus, table, extractor=large_rows, observer=observer)
    peaks.put(peak_bytes() - before)


@pytest.mark.slow
def test_a_part_of_hundreds_of_megabytes_is_merged_in_little_memory(tmp_path: Path) -> None:
    write_files(tmp_path / "corpus", {f"{i:03d}.wav": str(i) for i in range(N_LARGE)})
    write_files(tmp_path / "warm", {"0.wav": "0"})
    context = multiprocessing.get_context("spawn")  # each in a process of its own
    peaks: Any = context.Queue()
    grown = {}
    for step, dies in (("extract", True), ("merge", False)):
        arguments = (tmp_path / "corpus", tmp_path / "t", peaks, dies)
        process = context.Process(target=run_measured, args=arguments)
        process.start()
        grown[step] = peaks.get(timeout=300)
        process.join()
    [part] = (tmp_path / "t" / "features").glob("*.parquet")
    assert part.stat().st_size > 0.75 * N_LARGE * LARGE_BYTES  # their exponents compress
    metadata = pq.read_metadata(part)
    sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    assert max(sizes) < 1.1 * jobs.storage.parquet.ROW_GROUP_BYTES
    # of 800 MB; half as many files need the same
    assert grown["extract"] < 320 * 2**20
    assert grown["merge"] < 512 * 2**20, grown
    rows = pq.ParquetFile(part).read(["path", "segment"])
    assert len(rows) == 10 * N_LARGE
