"""Tags as columns, and labels that are tags: known only when a file has been read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import featurelib
from jobs.errors import UsageError
from jobs.settings import Settings
from jobs.status import table_status
from jobs.table.changes import PART, Change, PlanOptions, compare
from tests.support.light import errors, features, invoke, labels, light_extractor, plan, run, write
from tests.support.tables import write_files

GENRE = {"labels": "tag:genre", "partition_by": "label", "buckets": 2}


def tagged(source: Any, spec: Any, tags: tuple[str, ...] = ()) -> Iterator[featurelib.Rows]:
    """Make a row by the light extractor; the file's text is the genre."""
    text = Path(source).read_text()
    for rows in light_extractor(source, spec):
        yield rows._replace(facts=dict.fromkeys(tags) | {"genre": text.split("/")[0] or None})


@pytest.fixture
def music(tmp_path: Path) -> Path:
    files = {"a.wav": "rock", "b.wav": "jazz", "x/c.wav": "rock", "d.wav": "", "e.wav": "bad"}
    return write_files(tmp_path / "music", files)


def folders(table: Path) -> set[str]:
    return {path.parent.name for path in (table / "features").rglob("*.parquet")}


LABELS = {"a.wav": "rock", "b.wav": "jazz", "x/c.wav": "rock", "d.wav": None}


def test_files_without_the_tag_are_counted(music: Path, tmp_path: Path) -> None:
    report = run(music, tmp_path / "t", extractor=tagged, **GENRE)
    assert report.signs == {"unlabelled": 1}
    assert "Without a label: 1 (the files do not have the tag)" in report.summary_lines()


def test_a_row_keeps_its_label_until_its_file_changes(music: Path, tmp_path: Path) -> None:
    table = tmp_path / "t"
    run(music, table, extractor=tagged, **GENRE)
    assert labels(table) == LABELS
    assert folders(table) == {"by_label=rock", "by_label=jazz", "by_label=unlabelled"}
    assert "genre" not in features(table).column_names
    assert errors(table) == {"e.wav": "undecodable"}

    report = run(music, table, extractor=tagged, **GENRE)
    assert report.counts == {Change.UNCHANGED: 5}
    assert table_status(str(table), {}).rerun["unchanged"] == 5

    write_files(music, {"a.wav": "jazz", "d.wav": "metal"})
    assert plan(music, table, extractor=tagged, **GENRE).counts[Change.CHANGED] == 2
    report = run(music, table, extractor=tagged, **GENRE)
    assert report.counts == {Change.UNCHANGED: 3, Change.CHANGED: 2}
    assert labels(table) == LABELS | {"a.wav": "jazz", "d.wav": "metal"}
    report = run(music, table, extractor=tagged, recompute=True, **GENRE)
    assert labels(table) == LABELS | {"a.wav": "jazz", "d.wav": "metal"}
    assert report.n_read == 5


def test_recomputing_takes_the_label_that_the_file_has_now(music: Path, tmp_path: Path) -> None:
    table = tmp_path / "t"
    run(music, table, extractor=tagged, **GENRE)
    before = os.stat(music / "a.wav")
    write(music / "a.wav", "folk")  # of the same size and time, as by another decoder
    os.utime(music / "a.wav", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(music, table, extractor=tagged, **GENRE).counts == {Change.UNCHANGED: 5}
    assert labels(table) == LABELS
    run(music, table, extractor=tagged, recompute=True, **GENRE)
    assert labels(table) == LABELS | {"a.wav": "folk"}


def test_an_error_has_no_label_and_gets_one_with_its_features(music: Path, tmp_path: Path) -> None:
    table = tmp_path / "t"
    run(music, table, extractor=tagged, **GENRE)
    write_files(music, {"e.wav": "blues", "a.wav": "bad"})
    run(music, table, extractor=tagged, **GENRE)
    assert errors(table) == {"a.wav": "undecodable"}
    found = {path: label for path, label in LABELS.items() if path != "a.wav"}
    assert labels(table) == found | {"e.wav": "blues"}


def test_a_list_s_columns_change_and_the_label_stays(music: Path, tmp_path: Path) -> None:
    table, files = tmp_path / "t", music / "files.csv"
    write(files, "path,bpm\na.wav,1\nb.wav,2\n")
    run(files, table, extractor=tagged, **GENRE)
    write(files, "path,bpm\na.wav,1\nb.wav,3\n")
    report = run(files, table, extractor=tagged, **GENRE)
    assert report.counts == {Change.UNCHANGED: 1, Change.RELABELLED: 1}
    assert labels(table) == {"a.wav": "rock", "b.wav": "jazz"}
    assert features(table)["bpm"].to_pylist() == ["1", "3"]
    write(files, "path,label\na.wav,x\n")
    with pytest.raises(UsageError, match="has labels of its own: drop --labels"):
        run(files, tmp_path / "u", extractor=tagged, **GENRE)


def test_of_two_entries_the_later_run_has_the_label() -> None:
    items = pa.table(
        {"path": ["a"], "size_bytes": [1], "source_version": ["v"], "label": pa.nulls(1, "string")}
    )
    entries = pa.table(
        {
            "path": ["a", "a"],
            PART: ["rock", "jazz"],
            "source_version": ["v", "v"],
            "spec_fingerprint": ["f", "f"],
            "run_id": ["1", "2"],
            "error_kind": pa.nulls(2, "string"),
            "label": ["rock", "jazz"],
        }
    )
    found = compare(items, entries, PlanOptions("f", own_labels=True))
    assert found.counts == {Change.UNCHANGED: 1}
    assert (found.kept.tolist(), found.n_surplus, found.has_changes) == ([1], 1, True)


def test_tags_are_columns_in_one_order(music: Path, tmp_path: Path) -> None:
    table = tmp_path / "t"
    run(music, table, extractor=tagged, tags=["genre", "artist"])
    rows = features(table)
    names = rows.column_names
    assert names[names.index("label") + 1 :][:3] == ["artist", "genre", "size_bytes"]
    assert dict(zip(rows["path"].to_pylist(), rows["genre"].to_pylist(), strict=True)) == LABELS
    assert rows["artist"].null_count == 4
    report = run(music, table, extractor=tagged, tags=["artist", "genre"])
    assert report.counts == {Change.UNCHANGED: 5}
    for tags, text in ((["genre"], "now it is genre"), ([], "now it is none")):
        with pytest.raises(UsageError, match=f"with --tags artist,genre, and {text}: give what"):
            run(music, table, extractor=tagged, tags=tags)
    with pytest.raises(UsageError, match="with --labels none, and now it is tag:genre"):
        run(music, table, extractor=tagged, tags=["artist", "genre"], labels="tag:genre")


def test_labels_of_tags_are_partitioned_on_request_only(music: Path, tmp_path: Path) -> None:
    run(music, tmp_path / "t", extractor=tagged, labels="tag:genre", tags=["genre"])
    assert folders(tmp_path / "t") == {"features"}
    assert labels(tmp_path / "t") == LABELS
    assert features(tmp_path / "t")["genre"].equals(features(tmp_path / "t")["label"])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"tags": ("gerne",)}, r"tags: there is no tag 'gerne'; there are artist, album"),
        ({"labels": "tag:gerne"}, r"labels is 'tag:gerne': there is no tag 'gerne'; there are"),
        ({"labels": "tag:"}, r"there is no tag ''"),
    ],
)
def test_unknown_tags(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Settings(**settings)


def test_names_that_clash(music: Path, tmp_path: Path) -> None:
    files = write(music / "files.csv", "path,Genre\na.wav,1\n")
    with pytest.raises(UsageError, match="has a column 'Genre', a name that the table has already"):
        run(files, tmp_path / "t", extractor=tagged, tags=["genre"])
    spec = featurelib.FeatureSpec.from_dict(
        {
            "name": "x",
            "features": [{"family": "rms", "columns": "Genre", "statistics": ["mean"]}],
        }
    )
    with pytest.raises(UsageError, match="--tags has genre, and the spec has a column of that"):
        run(music, tmp_path / "t", extractor=tagged, tags=["genre"], spec=spec)


def test_the_command(tmp_path: Path) -> None:
    from tests.featurelib.audio.test_tag_values import WANTED, by_soundfile

    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.flac").write_bytes(by_soundfile("FLAC", "PCM_16"))
    options = "--tags=genre,track, artist", "--labels=tag:genre", "--cluster=inline"
    options = (*options, "--preset=tutorial-v1")
    ended = invoke("extract", tmp_path / "music", "-o", tmp_path / "t", *options)
    assert ended.returncode == 0, ended.stderr
    [row] = features(tmp_path / "t").select(["label", "artist", "genre", "track"]).to_pylist()
    assert row == {"label": WANTED["genre"], **{n: WANTED[n] for n in ("artist", "genre", "track")}}
    ended = invoke("extract", tmp_path / "music", "-o", tmp_path / "u", "--tags", "genres")
    assert ended.returncode == 2
    assert "there is no tag 'genres'" in ended.stderr
