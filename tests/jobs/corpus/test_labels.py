"""Labels and carried columns, from folders and files, through the whole job."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.corpus.labels import carried_schema, read_rows
from jobs.errors import UsageError
from jobs.table.changes import Change
from tests.support.light import errors, features, labels, published, run, write
from tests.support.tables import log_of

STRANGE = ["01", "1.0", "null", "a/b", "..", "=", "%", "%2F", "naïve ☃", "unlabelled", " "]
STRANGE += ["rock", "Rock", "ROCK", "rock.", "rock ", "Rock~1", "é", "e\u0301", "É"]
STRANGE += ["'quoted\"", "two\nlines", "\\", "True", "NaN", "x" * 300, "é" * 200]


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.wav", "c.wav"):
        write(tmp_path / "music" / name)
    return tmp_path / "music"


def label_file(tmp_path: Path, text: str) -> str:
    return str(write(tmp_path / "labels.csv", text))


def test_folders_as_labels(tmp_path: Path) -> None:
    for name in ("rock/a.wav", "01/b.wav", "x/rock/c.wav", "top.wav"):
        write(tmp_path / "music" / name)
    report = run(tmp_path / "music", tmp_path / "t", labels="parent")
    [note] = report.notes
    assert note == f"1 files of {tmp_path}/music have no label: they are in no folder below it"
    assert [line["text"] for line in log_of(tmp_path / "t") if line["event"] == "note"] == [note]
    assert labels(tmp_path / "t") == {
        "rock/a.wav": "rock",
        "01/b.wav": "01",
        "x/rock/c.wav": "rock",
        "top.wav": None,
    }
    folders = {path.name for path in (tmp_path / "t" / "features").iterdir()}
    assert folders == {"by_label=rock", "by_label=_01", "by_label=unlabelled"}


def test_a_folder_s_backslash_stays_single_in_its_label(tmp_path: Path) -> None:
    write(tmp_path / "music" / "AC\\DC" / "a.wav")
    run(tmp_path / "music", tmp_path / "t", labels="parent")
    assert labels(tmp_path / "t") == {r"AC\\DC/a.wav": r"AC\DC"}


def test_any_text_is_a_label(tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(len(STRANGE))]
    for name in names:
        write(tmp_path / "music" / name)
    rows = pa.table({"path": names, "label": STRANGE})
    pq.write_table(rows, tmp_path / "labels.parquet")
    for _ in range(2):
        report = run(tmp_path / "music", tmp_path / "t", labels=str(tmp_path / "labels.parquet"))
        assert labels(tmp_path / "t") == dict(zip(names, STRANGE, strict=True))
    assert report.counts == {Change.UNCHANGED: len(STRANGE)}
    assert len(list((tmp_path / "t" / "features").iterdir())) == len(STRANGE)


def test_a_csv_s_labels_are_strings(music: Path, tmp_path: Path) -> None:
    file = label_file(tmp_path, 'path,label,bpm\na.wav,01,120\n./b.wav,"",\nc.wav,,"x, y"\n')
    run(music, tmp_path / "t", labels=file)
    rows = features(tmp_path / "t").select(["path", "label", "bpm"]).to_pylist()
    assert rows == [
        {"path": "a.wav", "label": "01", "bpm": "120"},
        {"path": "b.wav", "label": None, "bpm": None},
        {"path": "c.wav", "label": None, "bpm": "x, y"},
    ]


def test_full_paths_in_a_label_file(music: Path, tmp_path: Path) -> None:
    file = label_file(tmp_path, f"file,label\n{music}/a.wav,rock\nfile://{music}/b.wav,jazz\n")
    report = run(music, tmp_path / "t", labels=file)
    assert labels(tmp_path / "t") == {"a.wav": "rock", "b.wav": "jazz", "c.wav": None}
    assert any("1 files have no label" in note for note in report.notes)


def test_a_byte_order_mark_and_crlf(music: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbfpath,label\r\na.wav,rock\r\n")
    run(music, tmp_path / "t", labels=str(tmp_path / "labels.csv"))
    assert labels(tmp_path / "t")["a.wav"] == "rock"


CARRIED: dict[str, pa.Array] = {
    "year": pa.array([1999, None, 3], pa.int16()),
    "score": pa.array([0.5, None, float("nan")], pa.float64()),
    "half": pa.array([0.1, None, float("nan")], pa.float32()),
    "ok": pa.array([True, None, False]),
    "day": pa.array([datetime.date(2020, 1, 2), None, None], pa.date32()),
    "at": pa.array([1, None, 2], pa.timestamp("us")),
    "artist": pa.array(["é", None, ""], pa.large_string()),
    "genre": pa.array(["x", None, "y"]).dictionary_encode(),
    "nothing": pa.nulls(3),
    "raw": pa.array([b"\x00\xff", None, b""]),
}


@pytest.mark.parametrize("as_list", [False, True])
def test_carried_columns_keep_their_types(music: Path, tmp_path: Path, as_list: bool) -> None:
    rows = pa.table(
        {"path": ["a.wav", "b.wav", "c.wav"], "label": pa.array([1, 2, None]), **CARRIED}
    )
    file = (music if as_list else tmp_path) / "labels.parquet"
    pq.write_table(rows, file)
    corpus, options = (file, {}) if as_list else (music, {"labels": str(file)})
    run(corpus, tmp_path / "t", **options)
    found = features(tmp_path / "t")
    assert found["label"].to_pylist() == ["1", "2", None]
    for name, values in CARRIED.items():
        assert repr(found[name].to_pylist()) == repr(values.to_pylist())
    assert found.schema.field("year").type == pa.int16()
    assert found.schema.field("genre").type == pa.string()
    assert found.schema.field("nothing").type == pa.string()

    before = published(tmp_path / "t")
    report = run(corpus, tmp_path / "t", **options)
    assert report.counts == {Change.UNCHANGED: 3}  # a NaN is the same as it was
    assert published(tmp_path / "t") == before


def test_a_new_label_or_carried_value_needs_no_extraction(music: Path, tmp_path: Path) -> None:
    write(music / "b.wav", "bad")
    text = "path,label,bpm\na.wav,rock,1\nb.wav,rock,2\nc.wav,jazz,3\n"
    file = label_file(tmp_path, text)
    run(music, tmp_path / "t", labels=file)
    before = features(tmp_path / "t")
    label_file(tmp_path, text.replace("a.wav,rock,1", "a.wav,jazz,1").replace("jazz,3", "jazz,4"))
    report = run(music, tmp_path / "t", labels=file)
    assert report.n_read == 0
    assert report.counts == {Change.RELABELLED: 2, Change.UNCHANGED: 1}
    after = features(tmp_path / "t")
    assert after["label"].to_pylist() == ["jazz", "jazz"]
    assert after["bpm"].to_pylist() == ["1", "4"]
    rest = [name for name in after.column_names if name not in ("label", "bpm")]
    assert after.select(rest).equals(before.select(rest))
    assert errors(tmp_path / "t") == {"b.wav": "undecodable"}

    label_file(tmp_path, text.replace("b.wav,rock,2", "b.wav,pop,2"))
    assert run(music, tmp_path / "t", labels=file).n_read == 0
    rows = pq.read_table(tmp_path / "t" / "errors")
    assert rows["label"].to_pylist() == ["pop"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.wav,rock,x\n", r"labels.csv cannot be read: CSV parse error"),
        ("name,label\na.wav,rock\n", r"labels.csv has no column of paths: it has name, label"),
        ("path,genre\na.wav,rock\n", r"labels.csv has no column 'label': it has path, genre"),
        ("path,label\na.wav,rock\na.wav,jazz\n", r"labels.csv has the path 'a.wav' twice"),
        ("path,label\na.wav,rock\n./a.wav,rock\n", r"labels.csv has the path 'a.wav' twice"),
        ("path,label\nz/a.wav,rock\n", r"it has 'z/a.wav', and the corpus has '[abc].wav'"),
        ("path,label\n", r"labels.csv has no rows"),
        ("", r"labels.csv cannot be read: Empty CSV file"),
        ("path,label,rmse\na.wav,rock,1\n", r"'rmse'.*rename or drop it"),
        ("path,label,run_id\na.wav,rock,1\n", r"'run_id'.*rename or drop it"),
        ("path,label,Run_ID\na.wav,rock,1\n", r"'Run_ID'.*'run_id'.*rename or drop it"),
        ("path,label,Label\na.wav,rock,1\n", r"'Label'.*'label'.*rename or drop it"),
        ("path,label,Path\na.wav,rock,1\n", r"'Path'.*'path'.*rename or drop it"),
        ("path,label,label\na.wav,rock,1\n", r"names a column twice"),
    ],
)
def test_bad_label_files(music: Path, tmp_path: Path, text: str, message: str) -> None:
    run(music, tmp_path / "t", labels=label_file(tmp_path, "path,label\na.wav,rock\n"))
    before = published(tmp_path / "t")
    with pytest.raises(UsageError, match=message):
        run(music, tmp_path / "t", labels=label_file(tmp_path, text))
    assert published(tmp_path / "t") == before


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": pa.array([[1]])}, r"'x' is nested"),
        ({"x": pa.array([{"y": 1}])}, r"'x' is nested"),
        ({"x": pa.array([1], pa.timestamp("s", "UTC"))}, r"'x' has the type .*cannot be carried"),
        ({"x": pa.array([1]).cast(pa.decimal128(30, 2))}, r"'x' has the type .*cannot be carried"),
        ({"label": pa.array([["rock"]])}, r"'label' is list.*make it strings"),
        ({"label": pa.array([b"\xff"])}, r"'label' is binary.*make it strings"),
    ],
)
def test_types_that_cannot_be_carried(
    music: Path, tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    rows = {"path": ["a.wav"], "label": ["rock"], **columns}
    pq.write_table(pa.table(rows), tmp_path / "labels.parquet")
    pq.write_table(pa.table(rows), music / "list.parquet")
    with pytest.raises(UsageError, match=message):
        run(music, tmp_path / "t", labels=str(tmp_path / "labels.parquet"))
    with pytest.raises(UsageError, match=message):
        run(music / "list.parquet", tmp_path / "t2")
    assert not (tmp_path / "t" / "features").exists()


def test_a_list_s_own_labels(music: Path, tmp_path: Path) -> None:
    write(music / "list.csv", "path,label\na.wav,rock\nb.wav,\n")
    report = run(music / "list.csv", tmp_path / "t", partition_by="label")
    assert report.notes == [f"1 files of {music}/list.csv have no label"]
    assert labels(tmp_path / "t") == {"a.wav": "rock", "b.wav": None}
    with pytest.raises(UsageError, match="has labels of its own: drop --labels"):
        run(
            music / "list.csv",
            tmp_path / "t2",
            labels=label_file(tmp_path, "path,label\na.wav,x\n"),
        )


def test_partitions_need_labels(music: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no labels: give --labels"):
        run(music, tmp_path / "t", partition_by="label")


def test_a_flat_table_with_labels(music: Path, tmp_path: Path) -> None:
    file = label_file(tmp_path, "path,label\na.wav,rock\nb.wav,jazz\n")
    run(music, tmp_path / "t", labels=file, partition_by="none")
    assert labels(tmp_path / "t") == {"a.wav": "rock", "b.wav": "jazz", "c.wav": None}
    assert {path.name for path in (tmp_path / "t" / "features").iterdir()} == {"part-00000.parquet"}


def test_very_many_labels_want_a_word(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.preflight.MAX_LABELS", 2)
    file = label_file(tmp_path, "path,label\na.wav,1\nb.wav,2\nc.wav,3\n")
    with pytest.raises(UsageError, match=r"3 labels.*--partition-by none"):
        run(music, tmp_path / "t", labels=file)
    run(music, tmp_path / "t", labels=file, partition_by="label")
    run(music, tmp_path / "t2", labels=file, partition_by="none")


def test_rows_of_text(tmp_path: Path) -> None:
    assert read_rows(b" a b.wav\nx\ty\n\n", "list.txt")["path"].to_pylist() == [" a b.wav", "x\ty"]


def test_the_carried_schema() -> None:
    rows = pa.table({"path": ["a"], "label": ["b"], "x": pa.array(["c"]).dictionary_encode()})
    assert carried_schema(rows, [], "f") == pa.schema([("x", pa.string())])


def test_many_labels_of_few_files_give_a_note(tmp_path: Path) -> None:
    for i in range(100):
        write(tmp_path / "music" / f"artist {i}" / "a.wav")
    [note] = run(tmp_path / "music", tmp_path / "t", labels="parent").notes
    assert note.startswith("100 files have 100 labels, so the table has up to 100 tiny parts")
    assert "--partition-by none" in note
    assert run(tmp_path / "music", tmp_path / "t", labels="parent").notes == []
    flat = {"labels": "parent", "partition_by": "none"}
    assert run(tmp_path / "music", tmp_path / "flat", **flat).notes == []
    for i in range(10):
        for j in range(9):
            write(tmp_path / "few" / f"artist {i}" / f"{j}.wav")
    assert run(tmp_path / "few", tmp_path / "t2", labels="parent").notes == []
