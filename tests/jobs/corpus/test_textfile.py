"""Lists and label files in the encodings and with the separators that people have."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from jobs.corpus.labels import read_rows
from jobs.errors import UsageError

ROWS = {"path": ["a, b;c.wav", "é|\t.wav"], "label": ["x;y", "z,z"], "n": ["01", "2"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be-sig"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["list.csv", "list.TSV"])
def test_separators_and_encodings(encoding: str, separator: str, name: str) -> None:
    text = pd.DataFrame(ROWS).to_csv(index=False, sep=separator, lineterminator="\r\n")
    mark = encoding == "utf-16-be-sig"
    data = ("\ufeff" * mark + text).encode(encoding.removesuffix("-sig") if mark else encoding)
    assert read_rows(data, name).to_pydict() == ROWS


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("path", {"path": []}),
        ("path\n", {"path": []}),
        ("path;label", {"path": [], "label": []}),
        ("path\na.wav\n", {"path": ["a.wav"]}),
        ("path\na;b|c.wav\n", {"path": ["a;b|c.wav"]}),
        ('path\n"a, b.wav"\n', {"path": ["a, b.wav"]}),
        ('"path"\n"say ""a"".wav"', {"path": ['say "a".wav']}),
        ("path;score\na.wav;0,5\n", {"path": ["a.wav"], "score": ["0,5"]}),
        ('"x,y";path\n1;a,b.wav\n', {"path": ["a,b.wav"], "x,y": ["1"]}),
        ('path,"x;y;z"\na.wav,1\n', {"path": ["a.wav"], "x;y;z": ["1"]}),
        ("sep=;\r\npath;n\r\na.wav;1\r\n", {"path": ["a.wav"], "n": ["1"]}),
        ("\n\npath,n\na.wav,01\n", {"path": ["a.wav"], "n": ["01"]}),
        ("label|file\nx|a.wav\n", {"path": ["a.wav"], "label": ["x"]}),
    ],
)
def test_headers(text: str, rows: dict[str, list[str]]) -> None:
    assert read_rows(text.encode(), "list.csv").to_pydict() == rows


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"path\na, b.wav\n", r"Expected 1 columns, got 2.*separator ','.*needs quotes"),
        (b"path;n\na;b;c\n", r"Expected 2 columns, got 3.*separator ';'.*needs quotes"),
        (b"name;n\na;b\n", r"no column of paths: it has name, n"),
        ("path,n\na,ok\né,\n".encode("cp1252"), r"not UTF-8: line 3 has the byte 0xe9.*'é'.*iconv"),
        ("path,é\n".encode("cp1252"), r"not UTF-8: line 1 has the byte 0xe9.*Windows-1252"),
        ("path\na\n".encode("utf-16-le"), r"looks like UTF-16.*save it as UTF-8"),
        ("path\na\n".encode("utf-16-be"), r"looks like UTF-16.*save it as UTF-8"),
        ("path\na\n".encode("utf-16")[:-1], r"cannot be read: 'utf-16-le' codec.*truncated"),
        (rb"path" + b"\n" + rb"C:\music\a.wav", r"C:\\music\\a.wav, a path of a Windows machine"),
        (rb"path" + b"\n" + rb"\\nas\music\a.wav", r"Windows machine: write paths relative"),
    ],
)
def test_what_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=rf"list.csv.*{message}"):
        read_rows(data, "list.csv")


def test_plain_lists() -> None:
    names = ["a,b;c|d.wav", "path", " x\t.wav", "é.wav"]
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        data = "\r\n".join([*names, ""]).encode(encoding)
        assert read_rows(data, "list.txt").to_pydict() == {"path": names}
    # bytes of names that are no text
    assert read_rows(b"\xe9,1.wav\n\xff.wav", "list.txt")["path"].to_pylist() == [
        r"\xe9,1.wav",
        r"\xff.wav",
    ]
    with pytest.raises(UsageError, match=r"looks like UTF-16"):
        read_rows("a.wav\n".encode("utf-16-le"), "list.txt")
    with pytest.raises(UsageError, match=r"names d:\\a.wav, a path of a Windows machine"):
        read_rows(b"a.wav\nd:\\a.wav\n", "list.txt")


def test_columns_without_a_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["a.wav", "b.wav"], "label": ["x", "y"]}, index=[5, 3])
    frame.to_csv(tmp_path / "once.csv")
    pd.read_csv(tmp_path / "once.csv").to_csv(tmp_path / "twice.csv")
    frame.to_parquet(tmp_path / "index.parquet")
    (tmp_path / "excel.csv").write_text("path,label,,\na.wav,x,,\nb.wav,y,,\n")
    for name, n in (("once.csv", 1), ("twice.csv", 2), ("index.parquet", 1), ("excel.csv", 2)):
        notes: list[str] = []
        rows = read_rows((tmp_path / name).read_bytes(), name, notes)
        assert rows.to_pydict() == {"path": ["a.wav", "b.wav"], "label": ["x", "y"]}
        [note] = notes
        assert f"{name}: {n} column" in note
    assert rows.schema.field("label").type == pa.string()
