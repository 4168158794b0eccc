"""Lists of files that are elsewhere, and lists that are elsewhere themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest

from jobs.corpus.discovery import open_corpus
from jobs.corpus.listing import open_label_file
from jobs.errors import UsageError
from jobs.storage.listed import ListedStore
from jobs.storage.opening import open_store
from tests.jobs.storage.web import Web, listed
from tests.support.light import features, run, write


@pytest.mark.parametrize(
    "line",
    [
        "/etc/a.wav",
        "file:///etc/a.wav",
        "FILE:///etc/a.wav",
        "local:///etc/a.wav",
        "simplecache::file:///etc/a.wav",
        "zip://a.wav::/etc/a.zip",
        "asynclocal:///etc/a.wav",
        "git:///etc:a.wav",
    ],
)
def test_a_list_from_elsewhere_names_no_local_file(memory: str, line: str) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file(f"{memory}/list.txt", f"a.wav\n{memory}/b.wav\n{line}\n".encode())
    with pytest.raises(UsageError, match=r"list.txt names .*(no file of this machine|chained)"):
        open_corpus(f"{memory}/list.txt")


def test_a_list_from_elsewhere_names_what_is_elsewhere(memory: str, web: Web) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file(f"{memory}/a.wav", b"1")
    lines = ["a.wav", f"{memory}/../x.wav", f"{web.url}/rock/0%20ü.wav"]
    fs.pipe_file(f"{memory}/list.txt", "\n".join(lines).encode())
    assert len(listed(open_corpus(f"{memory}/list.txt"))) == 3


def test_a_local_list_may_name_anything(memory: str, tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe_file(f"{memory}/a.wav", b"1")
    for name in ("b.wav", "c.wav", "d.wav"):
        write(tmp_path / "music" / name)
    lines = [f"{memory}/a.wav", f"{tmp_path}/music/b.wav", f"FILE://{tmp_path}/music/c.wav"]
    file = write(tmp_path / "list.txt", "\n".join([*lines, f"local://{tmp_path}/music/d.wav"]))
    run(file, tmp_path / "t")
    names = ["music/b.wav", "music/c.wav", "music/d.wav"]
    assert features(tmp_path / "t")["path"].to_pylist() == sorted([f"{memory}/a.wav", *names])


def test_a_password_in_a_listed_url_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "list.txt", "http://user:secret@h/a.wav\n")
    with pytest.raises(UsageError, match=r"user or password for http://h/a.wav") as caught:
        open_corpus(str(file))
    assert "secret" not in str(caught.value)


def test_options_go_to_one_protocol_only(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, Any]] = []

    def recorded(location: str, options: Any = None, **others: Any) -> Any:
        given.append((location, options or {}))
        return open_store(location, **others)

    monkeypatch.setattr("jobs.storage.listed.open_store", recorded)
    options = {"token": "secret"}
    there = ListedStore(open_store(memory), options)
    there.stat(["memory://x/a.wav", f"{tmp_path.as_uri()}/a.wav", "a.wav"])
    assert given == [("memory://x", options), ("file://", {})]
    given.clear()
    here = ListedStore(open_store(str(tmp_path)), options)
    here.stat(["memory://x/a.wav"])
    assert given == [("memory://x", options)]
    text = f"{memory}/a.wav\nhttp://127.0.0.1:1/a.wav\n"
    file = write(tmp_path / "list.txt", text)
    with pytest.raises(UsageError, match="URLs of http and memory, and the storage options"):
        open_corpus(str(file), options=options)


def test_labels_elsewhere_get_no_options_of_the_corpus(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.filesystem("memory").pipe_file(f"{memory}/labels.csv", b"path,label\na.wav,rock\n")
    given = []

    def recorded(location: str, options: Any) -> Any:
        given.append(options)
        return open_store(location)

    monkeypatch.setattr("jobs.corpus.listing.open_store", recorded)
    for root in ("s3://bucket", "/music", "memory://x"):
        open_label_file(f"{memory}/labels.csv", [root], options={"key": "secret"}, taken=[])
    assert given == [{}, {"key": "secret"}, {"key": "secret"}]
