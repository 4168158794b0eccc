"""Label files whose keys are names of files or stems, and FMA's tracks.csv."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.corpus.fma import read_tracks
from jobs.errors import UsageError
from jobs.table.changes import Change
from tests.support.light import features, labels, run, write

TRACKS = """\
,album,set,set,track,track
,title,split,subset,genre_top,title
track_id,,,,,
2,"AWOL, A Way
Of Life",training,small,Hip-Hop,Food
3,x,validation,large,,"Electric Ave"
134,x,test,medium,Rock,"y"
999999,x,test,medium,Rock,gone
"""


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for name in ("x/a.1.wav", "x/b.wav", "y/b.mp3", "y/deep/c.wav", "d.wav", "x/d.wav"):
        write(tmp_path / "music" / name)
    return tmp_path / "music"


def labelled(music: Path, text: str, **options: object) -> dict[str, str | None]:
    file = write(music.parent / "labels.csv", f"file,label\n{text}")
    run(music, music.parent / "t", labels=str(file), **options)
    found = labels(music.parent / "t")
    return {path: label for path, label in found.items() if label is not None}


@pytest.mark.parametrize("buckets", [1, 7])
def test_names_and_stems(music: Path, buckets: int) -> None:
    text = "a.1,1\nb.wav,2\nb.mp3,3\nc,4\nd.wav,5\nnowhere,6\n"
    assert labelled(music, text, buckets=buckets) == {
        "x/a.1.wav": "1",
        "x/b.wav": "2",
        "y/b.mp3": "3",
        "y/deep/c.wav": "4",
        "d.wav": "5",  # the whole path, so that x/d.wav has no label
    }


def test_a_name_in_another_unicode_form(tmp_path: Path) -> None:
    write(tmp_path / "music" / "x" / "e\u0301.wav")
    write(tmp_path / "music" / "e\u0301.mp3")
    found = labelled(tmp_path / "music", "\u00e9.wav,1\n\u00e9.mp3,2\n")
    assert found == {"x/e\u0301.wav": "1", "e\u0301.mp3": "2"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("b,1\n", "has 'b', which may be 'x/b.wav' or 'y/b.mp3': write the whole path"),
        ("a.1,1\na.1.wav,2\n", "has the path 'x/a.1.wav' twice: keep one of them"),
        ("a.1,1\nc,1\na.1,2\n", "has the path 'a.1' twice: keep one of them"),
    ],
)
def test_ambiguous_names_are_refused(music: Path, text: str, why: str) -> None:
    with pytest.raises(UsageError, match=r"labels\.csv") as caught:
        labelled(music, text)
    assert why in str(caught.value)


def test_a_file_with_folders_is_keyed_by_whole_paths(music: Path) -> None:
    assert labelled(music, "x/a.1.wav,1\nc.wav,2\n") == {"x/a.1.wav": "1"}


@pytest.mark.parametrize("root", ["fma", "."])
def test_tracks_of_fma(tmp_path: Path, root: str) -> None:
    for name in ("000/000002.mp3", "000/000003.mp3", "000/000134.mp3", "155/155000.mp3"):
        write(tmp_path / "music" / "fma" / name)
    file = write(tmp_path / "tracks.csv", TRACKS)
    report = run(tmp_path / "music" / root, tmp_path / "t", labels=str(file))
    rows = features(tmp_path / "t").select(["path", "label", "split", "subset"]).to_pylist()
    assert [(row["path"].removeprefix("fma/"), *list(row.values())[1:]) for row in rows] == [
        ("000/000002.mp3", "Hip-Hop", "training", "small"),
        ("000/000003.mp3", None, "validation", "large"),
        ("000/000134.mp3", "Rock", "test", "medium"),
        ("155/155000.mp3", None, None, None),
    ]
    assert f"2 files have no label in {file}" in report.notes  # one has no genre
    assert f"1 labels in {file} have no file in the corpus" in report.notes
    report = run(tmp_path / "music" / root, tmp_path / "t", labels=str(file))
    assert report.counts == {Change.UNCHANGED: 4}


def test_another_csv_is_no_tracks_of_fma() -> None:
    assert read_tracks(b"path,label\na.wav,rock\n") is None
    assert read_tracks(b",a\n,b\ntrack_id,\n2,x\n") is None
    assert read_tracks(b"") is None


def test_a_track_without_a_number_is_refused() -> None:
    with pytest.raises(UsageError, match="'2a'"):
        read_tracks(TRACKS.replace("999999", "2a").encode())


@pytest.mark.parametrize("selection", [{"include": ["x/*"]}, {"exclude": ["d.wav"]}])
def test_a_file_that_is_left_out_keeps_its_name(music: Path, selection: dict[str, object]) -> None:
    text = "a.1,1\nd.wav,5\n"
    assert labelled(music, text, **selection) == {"x/a.1.wav": "1"}
    assert labelled(music, text) == {"x/a.1.wav": "1", "d.wav": "5"}


@pytest.mark.parametrize("form", ["./{}", "{root}/{}"])
def test_a_path_of_the_root_is_no_name(music: Path, form: str) -> None:
    text = "".join(f"{form.format(name, root=music)},1\n" for name in ("c.wav", "d.wav"))
    assert labelled(music, text) == {"d.wav": "1"}


def test_files_without_a_label_are_counted(music: Path) -> None:
    def notes(text: str) -> list[str]:
        file = write(music.parent / "labels.csv", f"file,label\n{text}")
        found = run(music, music.parent / "t", labels=str(file)).notes
        return [note.replace(str(file), "F") for note in found]

    matched = "names in F are those of files in other folders, or without their extension"
    assert notes("a.1.wav,1\nc,\nd.wav,\n") == [
        f"2 {matched}, and were matched",
        "5 files have no label in F",  # of six
    ]
    names = ["x/a.1.wav", "x/b.wav", "y/b.mp3", "y/deep/c.wav", "d.wav", "x/d.wav"]
    assert notes("".join(f"{name},1\n" for name in names)) == []


def test_labels_that_are_not_a_number_are_none(music: Path) -> None:
    rows = pa.table({"path": ["d.wav", "x/d.wav"], "label": [float("nan"), 3.0]})
    pq.write_table(rows, music.parent / "labels.parquet")
    run(music, music.parent / "t", labels=str(music.parent / "labels.parquet"))
    found = labels(music.parent / "t")
    assert (found["d.wav"], found["x/d.wav"]) == (None, "3")


def test_carried_columns_in_another_order_and_with_any_name(music: Path) -> None:
    file, table = music.parent / "labels.csv", music.parent / "t"
    write(file, "path,label,part,fold\nd.wav,1,A,B\n")
    run(music, table, labels=str(file))
    write(file, "path,label,fold,part\nd.wav,2,B,A\n")
    write(music / "new.wav")
    report = run(music, table, labels=str(file))
    assert report.counts[Change.RELABELLED] == 1
    [row] = [row for row in features(table).to_pylist() if row["path"] == "d.wav"]
    assert (row["label"], row["part"], row["fold"]) == ("2", "A", "B")
