"""FFmpeg opens no other file and no address that a file names."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from featurelib import AudioError
from featurelib.audio import pyav
from featurelib.audio.libsndfile import RefusedError
from featurelib.audio.pyav import FFmpegDecoder
from tests.featurelib.support.bait import (
    TEXTS,
    Bait,
    alias,
    atom,
    linked_matroska,
    mov_of,
    text_of,
)
from tests.featurelib.support.encoders import encode_by_ffmpeg
from tests.featurelib.support.mutants import outcome
from tests.featurelib.support.reading import LIGHT, row
from tests.featurelib.support.signals import sine
from tests.support.quick import slow_but_every


def assert_refused(data: bytes, path: Path, bait: Bait) -> None:
    path.write_bytes(data)
    for source in (data, path, io.BytesIO(data), f"file://{path}"):
        with pytest.raises(AudioError) as caught:
            row(source)
        assert caught.value.kind == "undecodable"
        assert not bait.was_taken()
    for container in pyav.CONTAINERS:  # some formats accept any content
        with contextlib.suppress(RefusedError):
            FFmpegDecoder(io.BytesIO(data), container).close()
    assert not bait.was_taken()


def test_the_watch_and_the_server_see_who_comes(bait):
    bait.path.read_bytes()
    assert bait.watch.was_opened()
    assert not bait.was_taken()
    with av.open(bait.url):
        pass
    assert bait.server.requests


@pytest.mark.parametrize("name", slow_but_every(4, list(TEXTS)))
@pytest.mark.parametrize("where", ["path", "file", "http"])
def test_playlists_open_nothing(name, where, bait, tmp_path):
    place = {"path": str(bait.path), "file": f"file:{bait.path}", "http": bait.url}[where]
    assert_refused(text_of(name, place, bait), tmp_path / name, bait)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.m3u8", {}),
        ("key.m3u8", {}),
        ("a.ffconcat", {"safe": "0"}),
    ],
)
def test_such_playlists_would_be_followed(name, options, bait, tmp_path):
    path = tmp_path / name
    path.write_bytes(text_of(name, str(bait.path), bait))
    with contextlib.suppress(av.error.FFmpegError):
        av.open(str(path), options=options).close()
    assert bait.watch.was_opened()


def movie_elsewhere(url: str) -> bytes:
    reference = atom(b"rdrf", bytes(4), b"url ", url.encode())
    movie = atom(b"moov", atom(b"rmra", atom(b"rmda", reference)))
    return atom(b"ftyp", b"qt  ", bytes(4), b"qt  ") + movie


REFERENCES: dict[str, Callable[[Path, str], bytes]] = {
    "alias": lambda path, url: mov_of(alias(path)),
    "url of a file": lambda path, url: mov_of(
        bytes(4) + struct.pack(">I", 1) + atom(b"url ", bytes(4), os.fsencode(path), b"\0")
    ),
    "url": lambda path, url: mov_of(
        bytes(4) + struct.pack(">I", 1) + atom(b"url ", bytes(4), url.encode(), b"\0")
    ),
    "movie that refers to another": lambda path, url: movie_elsewhere(url),
    "linked Matroska": lambda path, url: linked_matroska(str(path)),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_references_in_containers_open_nothing(name, bait, tmp_path):
    data = REFERENCES[name](bait.path, bait.url)
    path = tmp_path / "a.mov"
    path.write_bytes(data)
    expected = row(encode_by_ffmpeg(sine(0.5), 22_050, "mov", "pcm_s16le", "s16"))["audio_hash"]
    for source in (data, path):
        found = outcome(source, LIGHT)  # at most the samples that are in the file itself
        assert found.get("error", "undecodable") == "undecodable"
        assert found.get("audio_hash", expected) == expected
        assert not bait.was_taken()


def test_such_a_reference_would_be_followed(bait, tmp_path):
    path = tmp_path / "a.mov"
    path.write_bytes(mov_of(alias(bait.path)))
    options = {"enable_drefs": "1", "use_absolute_path": "1"}
    av.open(str(path), options=options).close()
    assert bait.watch.was_opened()


@pytest.mark.parametrize(
    "name", ["subfile,,start,0,end,0,,:{}", "concat:{}|{}", "data:audio/mpeg;base64,AA", "file:{}"]
)
def test_names_are_names_of_files(name, bait):
    with pytest.raises(FileNotFoundError):
        row(name.format(bait.path, bait.path))
    assert not bait.was_taken()
