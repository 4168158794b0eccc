"""Any name that a file system allows goes through the whole job."""

from __future__ import annotations

import csv
import os
import unicodedata
from pathlib import Path

import pytest

import featurelib
from jobs.storage.names import decode_path, encode_path
from jobs.table.changes import Change
from tests.support.audio_files import write_tone
from tests.support.light import errors, features, labels, run, write

NAMES = [
    b"plain.wav",
    b" leading and trailing .wav",
    b"a=b.wav",
    b"by_label=x/c.wav",
    b"100%.wav",
    b"%41%2F.wav",
    b"#1.wav",
    b"what?.wav",
    b"star*[x].wav",
    b'it\'s "quoted".wav',
    b"two\nlines.wav",
    b"tab\tand\r.wav",
    b"back\\slash.wav",
    b"\\xe9.wav",
    b"\xe9.wav",
    b"\xff\xfe/\xc3.wav",
    "naïve ☃ 日本.wav".encode(),
    unicodedata.normalize("NFC", "é.wav").encode(),
    unicodedata.normalize("NFD", "é.wav").encode(),
    b"Plain.wav",
    b"PLAIN.WAV",
    b"-dash.wav",
    b"--limit=1.wav",
    b"-/--/x.wav",
    b"esc\x1b[31m.wav",
    b"a:b;c|d&e$(f)`g`.wav",
    b"~.wav",
    b"http:/x.wav",
    b"x" * 251 + b".wav",
    b"/".join([b"d" * 250] * 8) + b"/deep.wav",
]


def make(folder: Path, name: bytes) -> Path:
    return write(folder / os.fsdecode(name))


@pytest.mark.parametrize("how", ["none", "parent"])
def test_every_name_gets_a_row_and_keeps_it(tmp_path: Path, how: str) -> None:
    music = tmp_path / "music"
    for name in NAMES:
        make(music, name)
    run(music, tmp_path / "t", labels=how, buckets=3)
    stored = features(tmp_path / "t")["path"].to_pylist()
    assert sorted(os.fsencode(decode_path(path)) for path in stored) == sorted(NAMES)
    assert errors(tmp_path / "t") == {}
    report = run(music, tmp_path / "t", labels=how)
    assert report.counts == {Change.UNCHANGED: len(NAMES)}
    if how == "parent":
        found = labels(tmp_path / "t")
        assert found[r"\xff\xfe/\xc3.wav"] == r"\xff\xfe"
        assert found["by_label=x/c.wav"] == "by_label=x"
        assert found["-/--/x.wav"] == "--"


def test_every_name_can_fail(tmp_path: Path) -> None:
    for name in NAMES:
        write(tmp_path / "music" / os.fsdecode(name), "bad")
    run(tmp_path / "music", tmp_path / "t")
    found = errors(tmp_path / "t")
    assert {os.fsencode(decode_path(path)) for path in found} == set(NAMES)


def test_every_name_in_a_list_and_a_label_file(tmp_path: Path) -> None:
    music = tmp_path / "music"
    for name in NAMES:
        make(music, name)
    texts = [os.fsdecode(name) for name in NAMES]
    in_text = [t for t in texts if "\n" not in t and not t.endswith("\r")]
    # one name reads like the stored form of another: that has to be in stored form itself
    lines = [os.fsencode(encode_path(t) if t == r"\xe9.wav" else t) for t in in_text]
    (music / "list.txt").write_bytes(b"\n".join(lines))
    run(music / "list.txt", tmp_path / "t")
    assert set(labels(tmp_path / "t")) == {encode_path(t) for t in in_text}

    utf8 = [t for t in texts if encode_path(t) == t.replace("\\", "\\\\")]
    rows = [(encode_path(t) if t == r"\xe9.wav" else t, str(i)) for i, t in enumerate(utf8)]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("path", "label"), *rows])
    report = run(music, tmp_path / "t2", labels=str(tmp_path / "labels.csv"))
    assert report.n_files == len(NAMES)
    found = labels(tmp_path / "t2")
    assert len(utf8) == len(NAMES) - 2
    assert [found[encode_path(t)] for t in utf8] == [label for _, label in rows]


def test_every_name_in_stored_form(tmp_path: Path) -> None:
    """A path copied from a table is a stored form."""
    music = tmp_path / "music"
    for name in NAMES:
        make(music, name)
    stored = [encode_path(os.fsdecode(name)) for name in NAMES]
    with (music / "labels.csv").open("w", newline="") as file:
        rows = [(path, str(i)) for i, path in enumerate(stored)]
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("path", "label"), *rows])
    run(music, tmp_path / "t", labels=str(music / "labels.csv"))
    assert labels(tmp_path / "t") == dict(rows)
    run(music / "labels.csv", tmp_path / "t2")
    assert labels(tmp_path / "t2") == dict(rows)


@pytest.mark.parametrize("name", [b"m\xfcsic = 100%\n#", "☃ \\".encode()])
def test_corpus_and_table_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    music, table = tmp_path / os.fsdecode(name), tmp_path / os.fsdecode(b"t " + name)
    make(music, b"a b.wav")
    run(music, table)
    assert run(music, table).counts == {Change.UNCHANGED: 1}
    # PyArrow itself opens no folder whose name is not UTF-8
    assert labels(table.rename(tmp_path / "t")) == {"a b.wav": None}


def test_decoding_by_any_name(tmp_path: Path) -> None:
    """The real extractor opens the files: native libraries have views of their own on names."""
    music = tmp_path / "music"
    names = [b"\xe9\n%.wav", b"-=#.ogg", "☃\\.flac".encode(), b"two\nlines.mp3"]
    for name in names:
        write_tone(music / os.fsdecode(name), seconds=0.3)
    run(music, tmp_path / "t", extractor=featurelib.extract_rows)
    assert errors(tmp_path / "t") == {}
    rows = features(tmp_path / "t")
    assert set(rows["path"].to_pylist()) == {encode_path(os.fsdecode(name)) for name in names}
    assert set(rows["format"].to_pylist()) == {"WAV", "OGG", "FLAC", "MP3"}
