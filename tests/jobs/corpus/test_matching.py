"""Paths in lists and label files that are written in another form than on the disk."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jobs.corpus.corpus import relative_path
from jobs.corpus.discovery import open_corpus
from jobs.corpus.labels import LabelFile
from jobs.corpus.matching import match_forms
from jobs.corpus.partitioned_rows import PartitionedRows
from jobs.errors import UsageError
from jobs.storage.names import other_forms, slashed
from jobs.table.changes import Change
from tests.support.light import errors, labels, plan, run, write
from tests.support.tables import write_labels


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


FILES = [
    nfd("Beyoncé/Halo é.wav"),
    nfc("Édith/né.wav"),
    nfc("Édith") + nfd("/mère.wav"),
    "rock/live/a.wav",
    "plain.wav",
]
WRITTEN = {
    nfc("Beyoncé/Halo é.wav"): FILES[0],
    nfd("Édith/né.wav"): FILES[1],
    nfc("Édith/mère.wav"): FILES[2],
    r"rock\live/a.wav": FILES[3],
    "./plain.wav": FILES[4],
}
"""Path in a list or label file, and the file that it is."""


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for name in FILES:
        write(tmp_path / nfd("Musiqué") / name)
    return tmp_path / nfd("Musiqué")


def test_label_files(music: Path, tmp_path: Path) -> None:
    file = write_labels(tmp_path / "labels.csv", {path: path for path in WRITTEN})
    report = run(music, tmp_path / "t", labels=str(file), buckets=3)
    assert labels(tmp_path / "t") == {name: path for path, name in WRITTEN.items()}
    [note] = report.notes
    assert f"4 paths in {file} " in note
    assert "another form" in note
    again = run(music, tmp_path / "t", labels=str(file))
    assert again.counts == {Change.UNCHANGED: len(FILES)}
    assert plan(music, tmp_path / "t", labels=str(file)).notes == report.notes


def test_full_and_relative_paths_in_one_file(music: Path, tmp_path: Path) -> None:
    paths = list(WRITTEN)
    mixed = [
        nfc(f"{music}/{paths[0]}"),
        paths[1],
        f"{music}/{paths[3]}",
        f"file://{music}/plain.wav",
    ]
    file = write_labels(tmp_path / "labels.csv", {path: str(i) for i, path in enumerate(mixed)})
    run(music, tmp_path / "t", labels=str(file))
    assert labels(tmp_path / "t") == {
        FILES[0]: "0",
        FILES[1]: "1",
        FILES[2]: None,
        FILES[3]: "2",
        FILES[4]: "3",
    }


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_lists(music: Path, tmp_path: Path, name: str) -> None:
    header = ["path"] if name.endswith(".csv") else []
    file = write(music / name, "\n".join([*header, *WRITTEN, "gone é.wav"]))
    report = run(file, tmp_path / "t")
    assert set(labels(tmp_path / "t")) == set(FILES)
    assert errors(tmp_path / "t") == {"gone é.wav": "vanished"}
    [note] = report.notes
    assert f"4 paths in {file} " in note
    assert run(file, tmp_path / "t").counts == {Change.UNCHANGED: len(FILES), Change.RETRY: 1}


def test_a_plain_list_in_another_encoding(tmp_path: Path) -> None:
    """Its bytes may be part of names, so it is read; the run reports paths without a file."""
    names = ["é.wav", os.fsdecode(b"\xfc.wav"), "plain.wav"]
    for name in names:
        write(tmp_path / name)
    (tmp_path / "list.txt").write_bytes(b"\xe9.wav\n\xfc.wav\nplain.wav\n")
    report = run(tmp_path / "list.txt", tmp_path / "t")
    assert set(labels(tmp_path / "t")) == {r"\xfc.wav", "plain.wav"}
    [note] = report.notes
    assert note.startswith(f"1 paths in {tmp_path}/list.txt are not UTF-8 and name no file")


def test_a_name_with_backslashes_is_no_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which URLs a list may name was checked without them."""
    corpus = open_corpus(str(write(tmp_path / "list.txt", "git:\\\\music\\a.wav\n")))
    monkeypatch.setattr("jobs.storage.listed.open_store", lambda *_: pytest.fail("a URL is opened"))
    [page] = corpus.pages()
    assert page["size_bytes"].to_pylist() == [None]


def test_a_path_as_it_is_comes_first(tmp_path: Path) -> None:
    """Names of two files that are forms of each other stay two."""
    music = tmp_path / "music"
    names = [nfc("é.wav"), nfd("é.wav"), "a\\b.wav", "a/b.wav"]
    for name in names:
        write(music / name)
    file = write_labels(tmp_path / "labels.csv", {nfd("é.wav"): "d", "a\\b.wav": "back"})
    report = run(music, tmp_path / "t", labels=str(file))
    assert labels(tmp_path / "t") == {
        nfc("é.wav"): None,
        nfd("é.wav"): "d",
        "a\\\\b.wav": "back",
        "a/b.wav": None,
    }
    assert not any("another form" in note for note in report.notes)
    run(write(music / "list.txt", "\n".join(names)), tmp_path / "t2")
    assert len(labels(tmp_path / "t2")) == 4


def test_two_labels_for_one_file(tmp_path: Path) -> None:
    mixed = nfc("é") + nfd("é")
    write(tmp_path / "music" / f"{mixed}.wav")
    file = write_labels(
        tmp_path / "labels.csv", {nfc(f"{mixed}.wav"): "c", nfd(f"{mixed}.wav"): "d"}
    )
    with pytest.raises(UsageError, match=r"has the path '.*' twice, as '.*' and as '.*': keep one"):
        run(tmp_path / "music", tmp_path / "t", labels=str(file))


def test_a_label_for_either_of_two_files_is_for_none(tmp_path: Path) -> None:
    mixed = nfc("é") + nfd("é")
    for name in (nfc(mixed), nfd(mixed), "x"):
        write(tmp_path / "music" / f"{name}.wav")
    file = write_labels(tmp_path / "labels.csv", {f"{mixed}.wav": "e", "x.wav": "x"})
    run(tmp_path / "music", tmp_path / "t", labels=str(file))
    assert set(labels(tmp_path / "t").values()) == {None, "x"}
    run(write(tmp_path / "music" / "list.txt", f"{mixed}.wav\nx.wav\n"), tmp_path / "t2")
    assert errors(tmp_path / "t2") == {f"{mixed}.wav": "vanished"}


TEXT = st.text(st.sampled_from("aé\u0301eö/ \\"), min_size=1, max_size=8)


@given(st.sets(TEXT.map(nfc), min_size=1, max_size=6), st.integers(1, 3))
def test_whole_corpora_in_the_other_form(names: set[str], n_buckets: int) -> None:
    stored = sorted({name.replace("\\", "\\\\") for name in names if "/" not in name})
    # read as folders, some of these are one path (a and a\\), which a label file may not have twice
    assume(len({relative_path(slashed(path), "/root") for path in stored}) == len(stored))
    listed = PartitionedRows(pa.schema([("path", pa.string())]))
    listed.add(pa.table({"path": pa.array([nfd(path) for path in stored], pa.string())}))
    rows = pa.table({"path": pa.array(stored, pa.string()), "label": pa.array(stored, pa.string())})
    found = LabelFile(rows, pa.schema([]), "f")
    listed.set_buckets(n_buckets)
    found.set_buckets(n_buckets)
    match_forms(found, listed, "/root", n_buckets)
    labelled = [row for bucket in range(n_buckets) for row in found.bucket(bucket).to_pylist()]
    label_of = {row["path"]: row["label"] for row in labelled}
    assert {path: label_of.get(nfd(path)) for path in stored} == {path: path for path in stored}


def test_other_forms() -> None:
    assert other_forms("rock/a.wav") == []
    assert other_forms(r"rock\\a.wav") == ["rock/a.wav"]
    assert set(other_forms(nfc("é/ü"))) == {nfd("é/ü"), nfd("é") + "/ü", "é/" + nfd("ü")}
    assert other_forms(r"\xe9.wav") == []
