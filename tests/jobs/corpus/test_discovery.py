"""What belongs to a corpus: folders, globs, lists, filters, links and odd files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.corpus.corpus import Corpus, relative_path, relative_paths
from jobs.corpus.discovery import check_apart, open_corpus
from jobs.errors import CorpusError, UsageError
from jobs.storage.base import Page
from jobs.storage.local import LocalStore
from tests.support.light import write


def listed(corpus: Corpus) -> set[str]:
    return {path for page in corpus.pages() for path in page["path"].to_pylist()}


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    for name in (
        "top.wav",
        "rock/1.wav",
        "rock/2.FLAC",
        "rock/live/3.mp3",
        "jazz/4.ogg",
        "jazz/cover.jpg",
        "jazz/notes.txt",
        "jazz/.hidden.wav",
        ".cache/5.wav",
    ):
        write(folder / name)
    return folder


ALL = {"top.wav", "rock/1.wav", "rock/2.FLAC", "rock/live/3.mp3", "jazz/4.ogg"}


def test_a_folder_s_audio_files(music: Path) -> None:
    corpus = open_corpus(str(music))
    assert listed(corpus) == ALL
    assert corpus.passed_over == {"hidden": 2, "not audio": 2}
    assert corpus.complete


def test_ways_to_write_a_folder(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(music.parent)
    ways = ["music", "music/", "./music", "music/../music", str(music), f"file://{music}"]
    corpora = [open_corpus(way) for way in ways]
    assert {corpus.root for corpus in corpora} == {str(music)}
    assert all(listed(corpus) == ALL for corpus in corpora)


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        ({"include": ["rock/*"]}, {"rock/1.wav", "rock/2.FLAC", "rock/live/3.mp3"}),
        ({"include": ["*.wav", "jazz/*"]}, {"top.wav", "rock/1.wav", "jazz/4.ogg"}),
        ({"exclude": ["rock"]}, {"top.wav", "jazz/4.ogg"}),
        ({"exclude": ["rock/*"]}, {"top.wav", "jazz/4.ogg"}),
        ({"exclude": ["*/live/*"]}, ALL - {"rock/live/3.mp3"}),
        ({"include": ["rock/*"], "exclude": ["*.mp3"]}, {"rock/1.wav", "rock/2.FLAC"}),
        ({"include": ["[!rj]*"]}, {"top.wav"}),
    ],
)
def test_filters(music: Path, options: dict, paths: set[str]) -> None:
    corpus = open_corpus(str(music), **options)
    assert listed(corpus) == paths
    assert not corpus.complete


def test_only_a_limit_needs_the_order_of_a_store(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def scan(self: LocalStore, *arguments: Any, in_order: bool, **others: Any) -> Iterator[Page]:
        asked.append(in_order)
        return unchanged(self, *arguments, **others)

    unchanged = LocalStore.scan
    monkeypatch.setattr(LocalStore, "scan", scan)
    for limit in (None, 3):
        listed(open_corpus(str(music), limit=limit))
    assert asked == [False, True]


@pytest.mark.parametrize("limit", [1, 3, 5, 100])
def test_a_limit(music: Path, limit: int) -> None:
    corpus = open_corpus(str(music), limit=limit)
    assert len(listed(corpus)) == min(limit, 5)
    assert not corpus.complete


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("*.wav", {"top.wav"}),
        ("*/*.wav", {"rock/1.wav"}),
        ("**/*.wav", {"top.wav", "rock/1.wav"}),
        ("rock/**", {"1.wav", "2.FLAC", "live/3.mp3"}),
        ("rock/**/*.mp3", {"live/3.mp3"}),
        ("*/[0-2].*", {"rock/1.wav", "rock/2.FLAC"}),
        ("*/[!12].*", {"jazz/4.ogg"}),
        ("ro?k/?.wav", {"rock/1.wav"}),
    ],
)
def test_globs(music: Path, pattern: str, paths: set[str]) -> None:
    corpus = open_corpus(f"{music}/{pattern}")
    assert listed(corpus) == paths
    assert not corpus.complete


def test_a_glob_looks_no_deeper_than_it_must(music: Path) -> None:
    corpus = open_corpus(f"{music}/*/*.wav")
    assert listed(corpus) == {"rock/1.wav"}
    assert corpus.passed_over["filtered out"] == 3  # rock/live/3.mp3 is not seen
    assert not open_corpus(f"{music}/*.wav").selection.descends("rock")
    assert open_corpus(f"{music}/**/x/*.wav").selection.descends("a/b/c/d")


def test_a_folder_with_a_glob_s_characters(tmp_path: Path) -> None:
    write(tmp_path / "a[1]*" / "x.wav")
    write(tmp_path / "a1" / "y.wav")
    assert listed(open_corpus(str(tmp_path / "a[1]*"))) == {"x.wav"}


def test_a_folder_called_like_a_list(tmp_path: Path) -> None:
    write(tmp_path / "songs.list" / "x.wav")
    assert listed(open_corpus(str(tmp_path / "songs.list"))) == {"x.wav"}


@pytest.mark.parametrize("pattern", ["nothing-*.wav", "[z-a].wav", "nowhere/*.wav"])
def test_globs_that_find_nothing(music: Path, pattern: str) -> None:
    with pytest.raises((CorpusError, UsageError), match=r"wav|folder"):
        listed(open_corpus(f"{music}/{pattern}"))


def test_links_are_followed_but_never_in_circles(music: Path) -> None:
    (music / "rock" / "again").symlink_to(music)
    (music / "self").symlink_to("self")
    (music / "self.wav").symlink_to("self.wav")
    (music / "other").symlink_to("jazz")
    (music / "link.wav").symlink_to("top.wav")
    assert listed(open_corpus(str(music))) == ALL | {"other/4.ogg", "link.wav"}


def test_a_link_to_nothing_is_a_file_that_cannot_be_read(music: Path) -> None:
    (music / "gone.wav").symlink_to("nowhere.wav")
    (music / "below.wav").symlink_to("top.wav/x")
    (music / ".hidden").symlink_to("nowhere")
    corpus = open_corpus(str(music), exclude=["rock/*"])
    [page] = corpus.pages()
    sizes = dict(zip(page["path"].to_pylist(), page["size_bytes"].to_pylist(), strict=True))
    assert sizes == {"top.wav": 1, "jazz/4.ogg": 1, "gone.wav": None, "below.wav": None}
    assert corpus.passed_over["hidden"] == 3


@pytest.mark.parametrize("name", ["rock/Vol. 1", "rock/a[b]c"])
def test_a_link_to_what_may_have_been_a_folder(music: Path, name: str) -> None:
    (music / name).symlink_to("/nowhere/share")
    with pytest.raises(CorpusError, match=r"link to nothing.*--exclude '") as caught:
        listed(open_corpus(str(music)))
    assert str(music / name) in str(caught.value)
    [_, remedy, _] = str(caught.value).split("'")
    assert listed(open_corpus(str(music), exclude=[remedy])) == ALL
    assert listed(open_corpus(f"{music}/*.wav")) == {"top.wav"}  # a glob that goes no deeper


def test_pipes_and_sockets_are_no_files(music: Path) -> None:
    os.mkfifo(music / "pipe.wav")
    os.mkfifo(music / "rock" / "pipe.wav")
    assert listed(open_corpus(str(music))) == ALL


def test_an_empty_corpus_says_what_was_passed_over(tmp_path: Path) -> None:
    for name in ("cover.jpg", "a.txt", "b.TXT", ".hidden"):
        write(tmp_path / name)
    with pytest.raises(CorpusError, match=r"no audio .*passed over: 2 \.txt, 1 \.jpg, 1 hidden"):
        listed(open_corpus(str(tmp_path)))


def test_what_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"there is no folder .*nowhere"):
        open_corpus(str(tmp_path / "nowhere"))
    with pytest.raises(CorpusError, match=r"one file.*featurelib show"):
        open_corpus(str(write(tmp_path / "song.wav")))
    with pytest.raises(CorpusError, match=r"cannot find .*nowhere.csv"):
        open_corpus(str(tmp_path / "nowhere.csv"))


# lists


def test_a_text_list(music: Path) -> None:
    text = f"rock/1.wav\r\n\n./jazz/../top.wav\n{music}/jazz/4.ogg\nfile://{music}/rock/2.FLAC\n"
    corpus = open_corpus(str(write(music / "list.txt", text)))
    assert listed(corpus) == {"rock/1.wav", "top.wav", "jazz/4.ogg", "rock/2.FLAC"}
    assert corpus.root == str(music)
    assert not corpus.complete


def test_a_list_of_files_elsewhere(music: Path, tmp_path: Path) -> None:
    text = f"{music}/rock/1.wav\nfile://{music}/top.wav\n../music/jazz/4.ogg\n"
    corpus = open_corpus(str(write(tmp_path / "lists" / "list.txt", text)))
    assert listed(corpus) == {f"{music}/{name}" for name in ("rock/1.wav", "top.wav", "jazz/4.ogg")}
    entries = corpus.store.stat(sorted(listed(corpus)))
    assert [entry.size for entry in entries if entry] == [1, 1, 1]
    assert corpus.store.fetch(f"{music}/rock/1.wav").size == 1


def test_names_in_a_text_list_that_are_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xe9.wav")).write_bytes(b"x")
    (tmp_path / "list.txt").write_bytes(b"\xe9.wav\n#1 a%20b=.wav\n")
    corpus = open_corpus(str(tmp_path / "list.txt"))
    assert listed(corpus) == {r"\xe9.wav", "#1 a%20b=.wav"}
    [there, missing] = corpus.store.stat([r"\xe9.wav", "#1 a%20b=.wav"])
    assert there is not None
    assert missing is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "rock/1.wav\ntop.wav\n"),
        ("list.csv", "path\nrock/1.wav\ntop.wav\n"),
        ("list.tsv", '"path"\t"year"\nrock/1.wav\t1\ntop.wav\t2\n'),
    ],
)
def test_a_byte_order_mark_is_skipped(music: Path, name: str, text: str) -> None:
    (music / name).write_text(text, encoding="utf-8-sig")
    corpus = open_corpus(str(music / name))
    assert listed(corpus) == {"rock/1.wav", "top.wav"}
    assert set(corpus.carried.names) <= {"year"}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_table_of_files(music: Path, suffix: str) -> None:
    rows = pa.table(
        {
            "track": ["01", "2"],
            "file": ["rock/1.wav", "jazz/4.ogg"],
            "label": ["rock", None],
            "year": ["1999", ""] if suffix != ".parquet" else pa.array([1999, None], pa.int16()),
        }
    )
    path = music / f"list{suffix}"
    if suffix == ".parquet":
        pq.write_table(rows, path)
    else:
        rows.to_pandas().to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    corpus = open_corpus(str(path))
    assert corpus.has_labels
    assert corpus.carried.names == ["track", "year"]
    [page] = corpus.pages()
    assert page["path"].to_pylist() == ["rock/1.wav", "jazz/4.ogg"]
    assert page["label"].to_pylist() == ["rock", None]
    assert page["track"].to_pylist() == ["01", "2"]  # of a CSV no type is guessed
    assert page["year"].to_pylist() == ([1999, None] if suffix == ".parquet" else ["1999", None])


def test_paths_as_bytes_in_parquet(tmp_path: Path) -> None:
    names = pa.array([b"\xe9.wav", b"a.wav", rb"\xe9.wav"], pa.binary())
    pq.write_table(pa.table({"path": names}), tmp_path / "list.parquet")
    found = listed(open_corpus(str(tmp_path / "list.parquet")))
    assert found == {r"\xe9.wav", "a.wav", r"\\xe9.wav"}


def test_a_list_is_filtered_and_limited(music: Path) -> None:
    path = write(music / "list.txt", "".join(f"{name}\n" for name in sorted(ALL)))
    corpus = open_corpus(str(path), exclude=["*.mp3"], limit=2)
    assert len(listed(corpus)) == 2
    assert corpus.passed_over["filtered out"] == 1


def test_what_a_list_names_need_not_exist(music: Path) -> None:
    corpus = open_corpus(str(write(music / "list.txt", "rock/1.wav\nrock/none.wav\ntop.wav/x\n")))
    [page] = corpus.pages()
    assert page["size_bytes"].to_pylist() == [1, None, None]


def test_an_empty_list(music: Path) -> None:
    with pytest.raises(CorpusError, match=r"no audio files in .*list.txt"):
        listed(open_corpus(str(write(music / "list.txt", "\n"))))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,x\na,b,c\n", r"list.csv cannot be read"),
        ("name,x\na,b\n", r"list.csv has no column of paths: it has name, x"),
        ("path,x,x\na,b,c\n", r"names a column twice"),
        ("path,x\n,b\n", r"the path in row 1 is empty"),
        ("path,rmse\na,1\n", r"'rmse'.*rename or drop it"),
        ("path,by_label\na,1\n", r"'by_label'.*rename or drop it"),
        ("path,By_Year\na,1\n", r"'By_Year'.*rename or drop it"),
        ("path,RMSE\na,1\n", r"'RMSE'.*\(as 'rmse'; readers ignore case\): rename or drop it"),
        ("path,year,YEAR\na,1,2\n", r"'YEAR'.*\(as 'year'; readers ignore case\)"),
        ("", r"list.csv cannot be read: Empty CSV file"),
    ],
)
def test_malformed_lists(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_corpus(str(write(tmp_path / "list.csv", text)), taken=["rmse"])


def test_what_only_looks_like_parquet(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"list.parquet cannot be read"):
        open_corpus(str(write(tmp_path / "list.parquet", "hello")))


# where things are


@pytest.mark.parametrize(
    ("path", "root", "stored"),
    [
        ("a/b.wav", "/music", "a/b.wav"),
        ("/music/a.wav", "/music", "a.wav"),
        ("/music2/a.wav", "/music", "/music2/a.wav"),
        ("../x.wav", "/music", "/x.wav"),
        ("file:///music/a.wav", "/music", "a.wav"),
        ("/a.wav", "/", "a.wav"),
        ("s3://bucket/a.wav", "/music", "s3://bucket/a.wav"),
        ("s3://bucket/music/a.wav", "s3://bucket/music", "a.wav"),
        ("a.wav", "s3://bucket/music", "a.wav"),
        ("s3://bucket/file:///a.wav", "s3://bucket", "s3://bucket/file:///a.wav"),
        ("http://host/c/http://x/a.wav", "http://host/c", "http://host/c/http://x/a.wav"),
        ("s3://bucket/music2/a.wav", "s3://bucket/music", "s3://bucket/music2/a.wav"),
    ],
)
def test_relative_paths(path: str, root: str, stored: str) -> None:
    assert relative_path(path, root) == stored


PIECES = st.sampled_from(
    ["a", "b.wav", ".", "..", "/", "/", "//", "\n", r"\\", r"\xff", "x://", "é"]
)


@given(
    st.lists(st.lists(PIECES, min_size=1).map("".join)), st.sampled_from(["/a", "/", "s3://a/b"])
)
def test_columns_of_paths_are_made_relative_as_each_path_is(paths: list[str], root: str) -> None:
    expected = [relative_path(path, root) for path in paths]
    column = pa.chunked_array([paths], pa.string())
    assert relative_paths(column, [root]).to_pylist() == expected


def test_table_and_corpus_are_apart(music: Path, tmp_path: Path) -> None:
    corpus = open_corpus(str(music))
    (tmp_path / "link").symlink_to(music)
    for table in (music, music / "table", tmp_path / "link" / "table"):
        with pytest.raises(UsageError, match="would be inside the corpus"):
            check_apart(corpus, str(table))
    for table in (tmp_path, Path("/")):
        with pytest.raises(UsageError, match="is inside the table"):
            check_apart(corpus, str(table))
    check_apart(corpus, str(tmp_path / "music2"))
    check_apart(corpus, f"s3://bucket{music}")


def test_a_table_may_be_beside_a_list(music: Path) -> None:
    corpus = open_corpus(str(write(music / "list.txt", "top.wav\n")))
    check_apart(corpus, str(music / "table"))
    with pytest.raises(UsageError, match="is inside the table"):
        check_apart(corpus, str(music))
