"""What may leave a table when files are gone or not listed, and the limits that hold it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import CorpusError, UsageError
from jobs.table.changes import Change
from tests.support.light import errors, labels, plan, published, run, write


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for i in range(10):
        write(tmp_path / "music" / f"{i % 2}" / f"{i}.wav", "x" * (i + 1))
    return tmp_path / "music"


@pytest.fixture
def table(music: Path, tmp_path: Path) -> Path:
    run(music, tmp_path / "t")
    assert len(labels(tmp_path / "t")) == 10
    return tmp_path / "t"


def delete(music: Path, *numbers: int) -> None:
    for i in numbers:
        (music / f"{i % 2}" / f"{i}.wav").unlink()


def test_a_whole_listing_deletes(music: Path, table: Path) -> None:
    delete(music, 3)
    report = run(music, table)
    assert report.counts == {Change.DELETED: 1, Change.UNCHANGED: 9}
    assert report.n_read == 0
    assert len(labels(table)) == 9


@pytest.mark.parametrize(
    "options", [{"include": ["1/*"]}, {"exclude": ["0/*"]}, {"limit": 3}, {"keep_missing": True}]
)
def test_other_listings_delete_nothing(music: Path, table: Path, options: dict) -> None:
    delete(music, 2)
    report = run(music, table, **options)
    assert report.counts[Change.DELETED] == 0
    assert len(labels(table)) == 10


def test_globs_and_lists_delete_nothing(music: Path, table: Path, tmp_path: Path) -> None:
    run(f"{music}/**/3.wav", table)
    run(write(music / "list.txt", "1/3.wav\n"), table)
    assert len(labels(table)) == 10


@pytest.mark.parametrize("as_list", [False, True])
def test_delete_missing(music: Path, table: Path, as_list: bool) -> None:
    options = {"keep_missing": False, "max_deleted": 1.0}
    if as_list:
        run(write(music / "list.txt", "1/1.wav\n1/3.wav\n"), table, **options)
    else:
        run(music, table, include=["1/[13].wav"], **options)
    assert set(labels(table)) == {"1/1.wav", "1/3.wav"}


def test_too_many_deletions_hold_everything_back(music: Path, table: Path) -> None:
    delete(music, 1, 2)
    write(music / "new.wav")
    before = published(table)
    report = run(music, table)
    assert report.exit_code == 3
    assert "2 of the table's 10 files are gone" in report.reason
    assert "--max-deleted" in report.reason
    assert published(table) == before
    assert plan(music, table).reason == report.reason
    assert run(music, table, max_deleted=0.2).exit_code == 0
    assert len(labels(table)) == 9


def test_an_unmounted_share_deletes_nothing(music: Path, table: Path) -> None:
    before = published(table)
    music.rename(music.with_name("elsewhere"))
    with pytest.raises(CorpusError, match="there is no folder"):
        run(music, table)
    music.mkdir()
    with pytest.raises(CorpusError, match="no audio files in"):
        run(music, table)
    assert published(table) == before


def test_too_many_failures_hold_the_publication_back(music: Path, table: Path) -> None:
    for i in range(4):
        write(music / f"new{i}.wav", "bad" if i < 2 else "good")
    before = published(table)
    report = run(music, table, max_failed=0.3)
    assert report.exit_code == 3
    assert "2 of 4 files failed (2 undecodable)" in report.reason
    assert published(table) == before
    again = run(music, table, max_failed=0.3, extractor=forbidden)
    assert again.exit_code == 3
    assert published(table) == before
    done = run(music, table, max_failed=0.5, extractor=forbidden)  # nothing is read again
    assert done.exit_code == 0
    assert (done.n_reused, len(labels(table)), len(errors(table))) == (4, 12, 2)


def forbidden(source: object, spec: object) -> dict:
    raise AssertionError(f"{source} is read again")


def test_listed_files_that_are_not_there(music: Path, tmp_path: Path) -> None:
    file = write(music / "list.txt", "".join(f"0/{i}.wav\n" for i in (0, 2, 4, 1, 3)))
    run(file, tmp_path / "t")
    assert errors(tmp_path / "t") == {"0/1.wav": "vanished", "0/3.wav": "vanished"}
    write(music / "0" / "1.wav")
    report = run(file, tmp_path / "t")
    assert report.counts == {Change.RETRY: 2, Change.UNCHANGED: 3}
    assert errors(tmp_path / "t") == {"0/3.wav": "vanished"}
    assert len(labels(tmp_path / "t")) == 4


def test_a_listed_file_that_vanishes_keeps_its_row(music: Path, tmp_path: Path) -> None:
    file = write(music / "list.txt", "0/0.wav\n0/2.wav\n0/4.wav\n")
    run(file, tmp_path / "t")
    (music / "0" / "2.wav").unlink()
    run(file, tmp_path / "t")
    assert set(labels(tmp_path / "t")) == {"0/0.wav", "0/2.wav", "0/4.wav"}
    assert errors(tmp_path / "t") == {}


@pytest.mark.parametrize("line", ["0/a\0b.wav", "0/" + "x" * 300 + ".wav", "0/\0", "self.wav"])
def test_names_that_no_file_can_have(music: Path, tmp_path: Path, line: str) -> None:
    (music / "self.wav").symlink_to("self.wav")
    run(write(music / "list.txt", f"0/0.wav\n{line}\n"), tmp_path / "t")
    assert set(labels(tmp_path / "t")) == {"0/0.wav"}
    assert errors(tmp_path / "t") == {line: "vanished"}


def test_links_to_a_share_that_is_not_mounted(music: Path, table: Path, tmp_path: Path) -> None:
    share = tmp_path / "share"
    for i in range(2):
        write(share / "inside" / f"{i}.wav")
        (music / f"link{i}.wav").symlink_to(share / "inside" / f"{i}.wav")
    (music / "folder").symlink_to(share / "inside")
    run(music, table)
    before = labels(table)
    assert len(before) == 14
    share.rename(tmp_path / "elsewhere")
    with pytest.raises(CorpusError, match=r"music/folder is a link to nothing.*--exclude folder"):
        run(music, table)
    (music / "folder").unlink()
    report = run(music, table, max_deleted=0.5)
    assert report.counts[Change.DELETED] == 2
    assert set(labels(table)) == {path for path in before if not path.startswith("folder/")}
    assert errors(table) == {}
    (tmp_path / "elsewhere").rename(share)
    assert run(music, table).counts == {Change.UNCHANGED: 12}


def test_if_nothing_can_be_read_the_run_stops(music: Path, tmp_path: Path) -> None:
    file = write(music / "list.txt", "".join(f"gone/{i}.wav\n" for i in range(200)))
    with pytest.raises(CorpusError, match=r"first \d+ files could all not be read.*vanished"):
        run(file, tmp_path / "t")
    assert not (tmp_path / "t" / "errors").exists()


def test_a_path_listed_twice_is_refused(music: Path, table: Path) -> None:
    before = published(table)
    for text in ("0/0.wav\n0/0.wav\n", f"0/0.wav\n{music}/0/0.wav\n", "0/0.wav\n./0/0.wav\n"):
        with pytest.raises(UsageError, match=r"'0/0.wav' is listed twice"):
            run(write(music / "list.txt", text), table)
    assert published(table) == before


def test_fifos_and_folders_in_a_list(music: Path, tmp_path: Path) -> None:
    import os

    os.mkfifo(music / "pipe.wav")
    file = write(music / "list.txt", "0/0.wav\npipe.wav\n0\n")
    run(file, tmp_path / "t")
    assert set(labels(tmp_path / "t")) == {"0/0.wav"}
    assert errors(tmp_path / "t") == {"pipe.wav": "unreadable", "0": "unreadable"}


def test_passed_over_files_are_counted(music: Path, table: Path) -> None:
    for name in ("cover.jpg", "1/front.JPG", "1/notes.txt", "LICENSE", ".hidden.wav"):
        write(music / name)
    report = run(music, table, exclude=["0/*"])
    assert report.passed_over == {"not audio": 4, "hidden": 1}
    assert report.to_dict()["not_audio"] == {".jpg": 2, ".txt": 1, "without extension": 1}
    said = "2 .jpg, 1 .txt, 1 without extension, 1 hidden passed over"
    assert said in report.summary_lines()
    assert run(music, table, include=["0/*"]).passed_over["filtered out"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "parent"}, r"--labels none, and now it is parent"),
        ({"labels": "parent", "partition_by": "none"}, r"--labels none, and now it is parent"),
        ({"buckets": 3}, r"--buckets 1, and now it is 3"),
        ({"spec": "genre-v1"}, r"another spec \(.*another spec is another table"),
    ],
)
def test_a_table_of_another_kind_is_refused(
    music: Path, table: Path, options: dict, message: str
) -> None:
    import featurelib

    before = published(table)
    if "spec" in options:
        options = {"spec": featurelib.get_spec(options["spec"])}
    with pytest.raises(UsageError, match=message):
        run(music, table, **options)
    with pytest.raises(UsageError, match=message):
        plan(music, table, **options)
    assert published(table) == before


def test_other_partitions_columns_and_corpora_are_refused(music: Path, tmp_path: Path) -> None:
    table = tmp_path / "t"
    run(music, table, labels="parent")
    before = published(table)
    with pytest.raises(UsageError, match=r"--partition-by label, and now it is none"):
        run(music, table, labels="parent", partition_by="none")
    with pytest.raises(UsageError, match=r"table of the corpus .*music, not of .*music/0"):
        run(music / "0", table, labels="parent")
    file = str(write(tmp_path / "labels.csv", "path,label\n0/0.wav,rock\n"))
    with pytest.raises(UsageError, match=r"--labels parent, and now it is file"):
        run(music, table, labels=file)
    assert published(table) == before
    run(music, tmp_path / "t2", labels=file)
    write(tmp_path / "labels.csv", "path,label,bpm\n0/0.wav,rock,1\n")
    with pytest.raises(UsageError, match=r"carried columns none, and now it is bpm \(string\)"):
        run(music, tmp_path / "t2", labels=file)


def test_a_table_that_has_no_parts_yet_is_made_anew(music: Path, tmp_path: Path) -> None:
    write(music / "1" / "1.wav", "bad")
    assert run(music, tmp_path / "t", max_failed=0.0).exit_code == 3
    assert run(music, tmp_path / "t", labels="parent", buckets=3).exit_code == 0
    assert len(labels(tmp_path / "t")) == 9


def test_the_number_of_buckets(music: Path, tmp_path: Path) -> None:
    run(music, tmp_path / "t", buckets=4)
    parts = sorted(path.name for path in (tmp_path / "t" / "features").iterdir())
    assert set(parts) <= {f"part-0000{i}.parquet" for i in range(4)}
    assert len(parts) > 1
    report = run(music, tmp_path / "t")  # the table knows
    assert report.counts == {Change.UNCHANGED: 10}


def test_the_limit_on_a_corpus_that_outgrew_its_buckets(
    music: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(music, table).notes == []
    monkeypatch.setattr("jobs.preflight.bucket_count", lambda *args: 5)
    assert "outgrown the table's 1 buckets" in run(music, table).notes[0]
