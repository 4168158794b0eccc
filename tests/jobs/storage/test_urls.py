"""Corpora at URLs that are neither local nor S3: what is opened, what is refused, what fails."""

from __future__ import annotations

import functools
import http.server
import threading
import uuid
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jobs.corpus.corpus import Corpus
from jobs.corpus.discovery import check_apart, open_corpus
from jobs.corpus.listing import open_label_file
from jobs.errors import CorpusError, StorageError, UsageError
from jobs.storage.fsspec import GenericStore
from jobs.storage.listed import ListedStore
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
from tests.support.audio_files import write_tone
from tests.support.light import errors, features, invoke, labels, run, write
from tests.support.moments import at


class Web:
    """A local HTTP server of one folder, with failures on request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fault = ""
        self.headers_seen: list[dict[str, str]] = []
        web = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def do_HEAD(self) -> None:
                web.headers_seen.append(dict(self.headers))
                if self.fault():
                    return
                super().do_HEAD()

            def do_GET(self) -> None:
                if self.fault():
                    return
                super().do_GET()

            def fault(self) -> bool:
                if web.fault == "hangs up":
                    self.close_connection = True
                    return True
                if web.fault.isdigit():
                    self.send_error(int(web.fault))
                    return True
                return False

            def send_header(self, keyword: str, value: str) -> None:
                if not (web.fault == "no validators" and keyword == "Last-Modified"):
                    super().send_header(keyword, value)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    impatient = functools.partial(with_retries, attempts=2, max_wait_s=0.01)
    monkeypatch.setattr("jobs.storage.fsspec.with_retries", impatient)
    for i in range(3):
        write(tmp_path / "served" / "rock" / f"{i} ü.wav", "x" * (i + 1))
    server = Web(tmp_path / "served")
    yield server
    server.close()


@pytest.fixture
def memory() -> Iterator[str]:
    root = f"memory://{uuid.uuid4().hex}"
    yield root
    fs = fsspec.filesystem("memory")
    if fs.exists(root):
        fs.rm(root, recursive=True)


def listed(corpus: Corpus) -> list[str]:
    return sorted(path for page in corpus.pages() for path in page["path"].to_pylist())


# http


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
    options = ["--preset", "tutorial-v1", "--quiet", "--workers", "1"]
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


# any other


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


# versions


class Told(MemoryFileSystem):
    """A file system that returns prepared information about its files."""

    cachable = False
    says: dict[str, Any] = {}  # noqa: RUF012

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return self._say(super().info(path, **kwargs))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list:
        return [self._say(info) for info in super().ls(path, detail=True, **kwargs)]

    def _say(self, info: dict[str, Any]) -> dict[str, Any]:
        kept = {key: info[key] for key in ("name", "size", "type")}
        return kept | (self.says if info["type"] == "file" else {})


@pytest.fixture
def told(memory: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[GenericStore]:
    monkeypatch.setattr("fsspec.get_filesystem_class", lambda protocol: Told)
    store = open_store(memory)
    assert isinstance(store, GenericStore)
    store.replace("a.wav", b"1")
    yield store
    monkeypatch.setattr(Told, "says", {})


@pytest.mark.parametrize(
    "key", ["modify", "modificationTime", "Last-Modified", "last_modified", "mtime", "ETag"]
)
def test_every_kind_of_version(
    told: GenericStore, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = set()
    for value in ("1", "2", 3, 0):
        monkeypatch.setattr(Told, "says", {key: value})
        [[entry]] = told.scan()
        assert told.stat(["a.wav"]) == [entry]
        fetched = told.fetch("a.wav")
        assert fetched.version == entry.version
        assert fetched.is_unchanged()
        versions.add(entry.version)
    assert len(versions) == 4


def test_a_tag_is_the_same_whatever_else_is_said(
    told: GenericStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Told, "says", {"etag": "1"})
    first = told.stat(["a.wav"])
    monkeypatch.setattr(Told, "says", {"etag": "1", "last_modified": "2", "created": "3"})
    assert told.stat(["a.wav"]) == first


def test_neither_time_nor_tag(told: GenericStore) -> None:
    with pytest.raises(StorageError, match="neither times nor tags"):
        list(told.scan())
    corpus = open_corpus(told.address)
    with pytest.raises(CorpusError, match=r"cannot list memory://.*neither times nor tags"):
        listed(corpus)
    [entry] = told.stat(["a.wav"])
    assert entry is not None
    assert told.fetch("a.wav").version != entry.version
    assert told.fetch("a.wav").version == told.fetch("a.wav").version


# lists


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
        open_label_file(f"{memory}/labels.csv", root, options={"key": "secret"}, taken=[])
    assert given == [{}, {"key": "secret"}, {"key": "secret"}]
