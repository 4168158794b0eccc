"""Corpora on the web."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path

import pytest

from jobs.corpus.discovery import open_corpus
from jobs.errors import CorpusError, StorageError, UsageError
from jobs.storage.opening import open_store
from jobs.table.changes import Change
from tests.jobs.storage.web import Web, listed
from tests.support.audio_files import write_tone
from tests.support.light import errors, features, invoke, labels, run, write
from tests.support.moments import at


def test_a_list_of_http_urls(web: Web, tmp_path: Path) -> None:
    urls = [f"{web.url}/rock/{i}%20%C3%BC.wav" for i in range(3)]
    gone = f"{web.url}/rock/gone.wav"
    file = write(tmp_path / "list.txt", "\n".join([*urls, gone]))
    run(file, tmp_path / "t")
    rows = features(tmp_path / "t")
    assert rows["path"].to_pylist() == urls
    assert rows["size_bytes"].to_pylist() == [1, 2, 3]
    assert errors(tmp_path / "t") == {gone: "vanished"}
    assert run(file, tmp_path / "t").counts == {Change.UNCHANGED: 3, Change.RETRY: 1}
    write(web.folder / "rock" / "1 ü.wav", "changed")
    report = run(file, tmp_path / "t")
    assert report.counts == {Change.UNCHANGED: 2, Change.CHANGED: 1, Change.RETRY: 1}
    assert features(tmp_path / "t")["size_bytes"].to_pylist() == [1, 7, 3]


def test_times_that_a_list_states_are_compared_with_the_servers(web: Web, tmp_path: Path) -> None:
    urls = [f"{web.url}/rock/{i}%20%C3%BC.wav" for i in range(3)]
    lines = ["path,size,last_modified"]
    for i, url in enumerate(urls):
        time = formatdate((web.folder / "rock" / f"{i} ü.wav").stat().st_mtime, usegmt=True)
        lines.append(f'{url},{i + 1},"{time}"')
    file = write(tmp_path / "list.csv", "\n".join(lines))
    run(file, tmp_path / "t")
    web.fault = "404"  # nothing is looked up any more
    assert run(file, tmp_path / "t").counts == {Change.UNCHANGED: 3}
    web.fault = ""
    assert run(file, tmp_path / "t", verify_list=True).counts == {Change.UNCHANGED: 3}


def test_the_command_with_a_list_of_http_urls(web: Web, tmp_path: Path) -> None:
    write_tone(web.folder / "tone.wav", seconds=0.3)
    url = f"{web.url}/tone.wav"
    file = write(tmp_path / "list.txt", f"{url}\n{web.url}/rock/0%20%C3%BC.wav\n")
    options = ["--preset", "tutorial-v1", "--quiet", "--cluster", "inline"]
    result = invoke("extract", file, "-o", tmp_path / "t", *options)
    assert result.returncode == 0, result.stderr
    assert features(tmp_path / "t")["path"].to_pylist() == [url]
    assert set(errors(tmp_path / "t").values()) == {"undecodable"}


def test_a_list_that_is_itself_on_the_web(web: Web, tmp_path: Path) -> None:
    write(web.folder / "rock" / "list.txt", f"0%20ü.wav\n{web.url}/rock/1%20ü.wav\n")
    at = web.url.replace("http://", "HTTP://user:secret@")
    corpus = open_corpus(f"{at}/rock/list.txt")
    assert corpus.root == f"{web.url}/rock"
    assert listed(corpus) == ["0%20ü.wav", "1%20ü.wav"]
    assert corpus.address == f"{at}/rock"
    assert "secret" not in repr(corpus)
    run(f"{at}/rock/list.txt", tmp_path / "t")
    assert labels(tmp_path / "t") == {"0%20ü.wav": None, "1%20ü.wav": None}
    assert any(headers.get("Authorization") for headers in web.headers_seen)
    kept = [path for path in (tmp_path / "t").rglob("*") if path.is_file()]
    assert kept
    assert not any(b"secret" in path.read_bytes() for path in kept)


def test_two_hosts_are_two_corpora(web: Web, tmp_path: Path) -> None:
    write(web.folder / "list.txt", "rock/0%20ü.wav\n")
    run(f"{web.url}/list.txt", tmp_path / "t")
    other = Web(web.folder)
    try:
        with pytest.raises(UsageError, match=f"table of the corpus {web.url}, not of {other.url}"):
            run(f"{other.url}/list.txt", tmp_path / "t")
    finally:
        other.close()


def test_a_folder_on_the_web_is_refused(web: Web) -> None:
    with pytest.raises(CorpusError, match=r"neither times nor tags.*give a list of files"):
        listed(open_corpus(f"{web.url}/rock"))
    assert open_store(f"{web.url}/rock").url == f"{web.url}/rock"


@pytest.mark.parametrize("spooled", [False, True])
def test_what_has_no_validator_is_read_by_every_run(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spooled: bool
) -> None:
    if spooled:
        monkeypatch.setattr("jobs.storage.base.SPOOL_BYTES", 0)
    web.fault = "no validators"
    url = f"{web.url}/rock/0%20ü.wav"
    file = write(tmp_path / "list.txt", f"{url}\n")
    run(file, tmp_path / "t")
    [version] = features(tmp_path / "t")["source_version"].to_pylist()
    write(web.folder / "rock" / "0 ü.wav", "y")  # of the same size
    assert run(file, tmp_path / "t").counts == {Change.CHANGED: 1}
    assert features(tmp_path / "t")["source_version"].to_pylist() != [version]
    assert errors(tmp_path / "t") == {}


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("hangs up", ConnectionError, "Server disconnected"),
        ("500", ConnectionError, "500"),
        ("403", PermissionError, "denied, 403"),
        ("418", StorageError, "418"),
        ("404", FileNotFoundError, "wav"),
        ("410", FileNotFoundError, "wav"),
    ],
)
def test_every_failure_is_an_oserror(web: Web, fault: str, kind: type, message: str) -> None:
    store = open_store(web.url)
    name = "rock/0 ü.wav"
    web.fault = fault
    for look in (store.fetch, store.read, store.open):
        with pytest.raises(kind, match=message):
            look(name)
    if kind is FileNotFoundError:
        assert store.stat([name, name]) == [None, None]
    else:
        with pytest.raises(kind, match=message):
            store.stat([name, name])
        with pytest.raises(kind, match=message):
            list(store.scan("rock"))
    for change in (lambda: store.replace(name, b""), store.check_writable):
        with pytest.raises(OSError, match=r"."):
            change()


@pytest.mark.parametrize("fault", ["hangs up", "500", "403"])
def test_failures_of_the_network_are_failures_of_the_environment(
    web: Web, tmp_path: Path, fault: str
) -> None:
    urls = [f"{web.url}/rock/{i}%20ü.wav" for i in range(2)]
    file = write(tmp_path / "list.txt", "\n".join(urls))
    web.fault = fault
    with pytest.raises(CorpusError, match=r"Server disconnected|500|denied, 403"):
        run(file, tmp_path / "t")
    web.fault = ""

    run(file, tmp_path / "t", observer=at("extract", lambda: setattr(web, "fault", fault)))
    assert errors(tmp_path / "t") == dict.fromkeys(urls, "unreadable")
    web.fault = ""
    assert run(file, tmp_path / "t").counts == {Change.RETRY: 2}
    assert errors(tmp_path / "t") == {}


def test_a_password_is_in_no_message(web: Web) -> None:
    at = web.url.replace("//", "//user:sec@ret@")
    store = open_store(f"{at}/rock")
    web.fault = "418"
    with pytest.raises(OSError, match="418") as caught:
        store.read("a.wav")
    seen: BaseException | None = caught.value
    while seen is not None:
        assert "sec" not in str(seen)
        assert "ret@" not in str(seen)
        seen = seen.__cause__
    web.fault = ""
    with pytest.raises(CorpusError) as caught_too:
        open_corpus(f"{at}/none.csv")
    assert "sec@ret" not in str(caught_too.value)
