"""What can be opened as a file's contents, and how that fails."""

from __future__ import annotations

import errno
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest

from featurelib import AudioError, ParameterError, extract_columns
from tests.featurelib.support.reading import row
from tests.featurelib.support.signals import chord, encode, noise, sine
from tests.support.audio_files import open_below


class Unseekable(io.RawIOBase):
    """Stream of bytes that cannot seek, like a pipe."""

    def __init__(self, data):
        super().__init__()
        self._file = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._file.readinto(buffer)


class BytesPath:
    """Path-like object whose path is bytes."""

    def __init__(self, path):
        self._path = path

    def __fspath__(self):
        return os.fsencode(self._path)


def test_every_kind_of_source_gives_the_same_row(tmp_path):
    data = encode(chord(), fmt="FLAC")
    path = tmp_path / "a b=c%#.flac"
    path.write_bytes(data)
    fsspec.filesystem("memory").pipe_file("/corpus/x.flac", data)
    moved = io.BytesIO(data)
    moved.seek(100)
    expected = row(data)
    for source in (
        path,
        str(path),
        BytesPath(path),
        bytearray(data),
        memoryview(data),
        io.BytesIO(data),
        moved,
        Unseekable(data),
        "memory://corpus/x.flac",
        f"file://{tmp_path}/a b=c%#.flac",
    ):
        assert row(source) == expected
    with path.open("rb") as file:
        assert row(file) == expected
        assert not file.closed


def test_names_that_are_not_utf8(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9\n.wav"
    try:
        Path(os.fsdecode(path)).write_bytes(encode(sine()))
    except OSError:
        pytest.skip("this file system has no such names")
    assert row(os.fsdecode(path))["duration_s"] == 2.0
    assert row(BytesPath(path))["duration_s"] == 2.0


def test_the_name_says_nothing_about_the_format(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(encode(sine(), fmt="FLAC"))
    assert row(path)["format"] == "FLAC"
    with path.open("rb") as file:  # has a name, too
        assert row(file)["format"] == "FLAC"
    path.write_bytes(b"not audio at all, and 16 bit samples neither")
    for source in (path, path.open("rb")):
        with pytest.raises(AudioError) as caught:
            row(source)
        assert caught.value.kind == "undecodable"


def test_what_is_no_source_is_refused():
    for source in (None, 3, 1.5, np.zeros(10)):
        with pytest.raises(ParameterError, match="path"):
            row(source)


def test_sources_that_cannot_be_opened_are_os_errors(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(FileNotFoundError):
        row(tmp_path / "missing.wav")
    with pytest.raises(FileNotFoundError):
        row("memory://corpus/missing.wav")
    for source in (tmp_path, fifo, "/dev/zero", "nonsense://x/y.wav"):
        with pytest.raises(OSError, match=r"regular|nonsense"):
            row(source)


@pytest.mark.parametrize("name", ["a\0b.wav", "\ud800.wav"])
def test_names_that_no_file_can_have_are_os_errors(name):
    with pytest.raises(OSError, match="no file can have this name"):
        extract_columns(name)


def test_files_opened_as_text_are_refused(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(encode(sine()))
    with open(path, encoding="latin-1") as text, pytest.raises(ParameterError, match="'rb'"):
        extract_columns(text)


class Minimal:
    """Stream that has no method but read."""

    def __init__(self, data: bytes, error: Exception | None = None) -> None:
        self._stream = io.BytesIO(data)
        self._error = error

    def read(self, n: int) -> bytes | str:
        if self._error is not None:
            raise self._error
        return self._stream.read(n)


def test_what_can_only_be_read_is_taken_and_its_errors_are_os_errors():
    data = encode(sine())
    assert extract_columns(Minimal(data)) == extract_columns(data)
    with pytest.raises(OSError, match=r"reading failed: KeyError"):
        extract_columns(Minimal(data, KeyError("chunk")))
    with pytest.raises(ParameterError, match="'rb'"):
        extract_columns(io.StringIO("text"))


def test_urls_of_a_server_that_gives_neither_length_nor_ranges():
    data = encode(sine())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            row = extract_columns(f"http://127.0.0.1:{server.server_port}/a.wav")
        finally:
            server.shutdown()
    assert row == extract_columns(data)


def test_a_source_that_hangs_when_it_is_opened_hangs_no_other():
    inside, leave = threading.Event(), threading.Event()

    class Hanging(io.BytesIO):
        def read(self, n: int | None = -1) -> bytes:
            if n:
                inside.set()
                leave.wait(60)
            return super().read(n)

    data = encode(sine())
    with ThreadPoolExecutor(2) as pool:
        hanging = pool.submit(extract_columns, Hanging(data))
        try:
            assert inside.wait(60)
            row = pool.submit(extract_columns, data).result(60)
            assert not hanging.done()
        finally:
            leave.set()
        assert row == hanging.result(60)


class Failing(io.BytesIO):
    """File whose reads fail after a position, or whose seeks fail."""

    def __init__(self, data, *, at, error):
        super().__init__(data)
        self.at, self.error = at, error

    def read(self, size=-1):
        if self.tell() + max(size, 0) > self.at:
            raise self.error
        return super().read(size)


@pytest.mark.parametrize("fmt", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("at", [0, 10, 4000, 20_000])
def test_a_read_that_fails_is_an_os_error_and_not_the_contents(fmt, at, capfd):
    data = encode(noise(9.0), fmt=fmt)
    assert len(data) > 40_000
    with pytest.raises(TimeoutError, match="gone"):
        row(Failing(data, at=at, error=TimeoutError("gone")))
    with pytest.raises(OSError, match=r"KeyError: 'lost'"):
        row(Failing(data, at=at, error=KeyError("lost")))
    assert "Traceback" not in capfd.readouterr().err


def test_a_local_read_error_is_told_from_broken_content(tmp_path, monkeypatch):
    path = tmp_path / "a.flac"
    path.write_bytes(b"fLaC" + bytes(1000))
    with pytest.raises(AudioError):
        row(path)

    def failing(*_):
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(OSError, match="disk"):
        row(path)


def test_files_are_closed_after_success_and_failure(tmp_path):
    good, bad = tmp_path / "a.wav", tmp_path / "b.wav"
    good.write_bytes(encode(sine()))
    bad.write_bytes(b"RIFF" + bytes(100))
    for _ in range(5):
        row(good)
        with pytest.raises(AudioError):
            row(bad)
        with pytest.raises(OSError, match="regular"):
            row(tmp_path)
    assert open_below(tmp_path) == []
