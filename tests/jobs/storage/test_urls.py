"""Addresses of every kind that fsspec opens."""

from __future__ import annotations

import functools
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jobs.corpus.discovery import check_apart, open_corpus
from jobs.errors import CorpusError, UsageError
from jobs.storage.fsspec import GenericStore
from jobs.storage.opening import open_store
from jobs.storage.retry import with_retries
from jobs.storage.urls import (
    canonical_location,
    is_chained,
    is_url,
    protocol_of,
    redacted,
    split_name,
)
from jobs.table.changes import Change
from tests.jobs.storage.web import listed
from tests.support.light import labels, run, write


def test_a_corpus_in_memory(memory: str, tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    for name in ("rock/a.wav", "jazz/b.wav", "jazz/.hidden/c.wav", "cover.jpg"):
        fs.pipe_file(f"{memory}/{name}", name.encode())
    for way in (memory, f"{memory}/", memory.replace("memory", "Memory")):
        report = run(way, tmp_path / "t", labels="parent")
    assert report.counts == {Change.UNCHANGED: 2}
    assert labels(tmp_path / "t") == {"rock/a.wav": "rock", "jazz/b.wav": "jazz"}
    assert listed(open_corpus(f"{memory}/*/a.*")) == ["rock/a.wav"]
    assert listed(open_corpus(f"{memory}/jazz")) == ["b.wav"]
    with pytest.raises(CorpusError, match="is one file: give its folder"):
        listed(open_corpus(f"{memory}/rock/a.wav"))
    with pytest.raises(UsageError, match="would be inside the corpus"):
        check_apart(open_corpus(memory), f"{memory}/t")


def test_a_table_in_memory(memory: str, tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.wav")
    run(tmp_path / "music", f"{memory}/t", single_writer=True)
    report = run(tmp_path / "music", f"{memory}/t", single_writer=True)
    assert report.counts == {Change.UNCHANGED: 1}
    assert report.table == f"{memory}/t"


@pytest.mark.parametrize("scheme", ["file", "FILE", "local"])
def test_a_local_folder_by_url(tmp_path: Path, scheme: str) -> None:
    write(tmp_path / "music" / "a b.wav")
    corpus = open_corpus(f"{scheme}://{tmp_path}/music")
    assert corpus.root == str(tmp_path / "music")
    assert corpus.address == f"file://{tmp_path}/music"
    assert listed(corpus) == ["a b.wav"]


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("http://h:80/c/", "http://h:80/c"),
        ("HTTP://u:p@h/c", "http://h/c"),
        ("ftp://user:p@ss@host/dir", "ftp://host/dir"),
        ("ftp://host", "ftp://host"),
        ("http://[::1]:80/c", "http://[::1]:80/c"),
        ("abfs://container@account.net/dir", "abfs://container@account.net/dir"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
    ],
)
def test_canonical_urls(location: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec.get_filesystem_class", lambda protocol: MemoryFileSystem)
    store = open_store(location)
    assert store.url == url
    assert store.url == canonical_location(location).rstrip("/")
    if isinstance(store, GenericStore):
        assert store.address == location


def test_folders_of_an_ftp_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server takes no connection: it is asked again when something is wanted of it."""
    store = open_store("ftp://user:secret@127.0.0.1:1/music")
    assert isinstance(store, GenericStore)
    assert store.path("a b/c.wav") == "/music/a b/c.wav"
    assert store.path("") == "/music"
    monkeypatch.setattr(
        "jobs.storage.fsspec.with_retries", functools.partial(with_retries, attempts=1)
    )
    with pytest.raises(ConnectionError):
        store.stat(["a.wav"])
    with pytest.raises(CorpusError, match=r"cannot list ftp://127.0.0.1:1/music"):
        listed(open_corpus("ftp://user:secret@127.0.0.1:1/music"))


@pytest.mark.parametrize(
    "location",
    [
        "zip://*.wav::music.zip",
        "zip://a.wav::s3://bucket/music.zip",
        "simplecache::http://h/c",
        "simplecache::file:///etc",
        "zip://music.zip",
        "tar://music.tar",
    ],
)
def test_chained_urls_are_refused(location: str, tmp_path: Path) -> None:
    assert is_url(location)
    assert is_chained(location)
    with pytest.raises(UsageError, match="one file system inside another"):
        open_corpus(location)
    with pytest.raises(UsageError, match=r"list.txt names .*chained URLs"):
        open_corpus(str(write(tmp_path / "list.txt", f"a.wav\n{location}\n")))


@pytest.mark.parametrize(
    "location", ["a::b.wav", "http://[::1]/a", "s3://b/a::b/c.wav", "s3://b/a"]
)
def test_what_is_not_chained(location: str) -> None:
    assert not is_chained(location)


@pytest.mark.parametrize(
    ("location", "parts"),
    [
        ("a", (".", "a")),
        ("/a", ("/", "a")),
        ("b/a", ("b", "a")),
        ("/b/a", ("/b", "a")),
        ("s3://b/a", ("s3://b", "a")),
        ("memory://a", ("memory://", "a")),
    ],
)
def test_folders_and_names(location: str, parts: tuple[str, str]) -> None:
    assert split_name(location) == parts


def test_protocols() -> None:
    assert protocol_of("a/b") == protocol_of("FILE:///x") == protocol_of("local:///x") == "file"
    assert protocol_of("S3A://b") == "s3"
    assert redacted("a:b@c/d") == "a:b@c/d"


@pytest.mark.parametrize("location", ["nothing://x", "memory://x"])
def test_unknown_protocols_and_options(location: str) -> None:
    if location.startswith("memory"):
        assert open_store(location, {"unknown": 1}).url == location
    else:
        with pytest.raises(UsageError, match="cannot open nothing://x: Protocol not known"):
            open_store(location)
