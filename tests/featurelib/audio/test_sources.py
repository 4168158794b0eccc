"""Sources: equal results for every kind of source, and views of parts."""

from __future__ import annotations

import io
import os

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib import extract_columns, spec_from_settings
from featurelib.audio.sources import ByteReader, Piece, View
from tests.featurelib.support.troubles import TROUBLES

LIGHT = spec_from_settings(
    {"features": ["rms", "zero_crossing_rate"], "defaults": {"statistics": ["mean"]}}
)

#: Trouble → a suffix of another format.
WRONGLY_NAMED = {
    "ogg with a late clock: opus": ".mp3",
    "ogg chain of codecs": ".wav",
    "vorbis page: damaged": ".flac",
    "damage in the second of two flac": ".ogg",
    "mp3 of a variable bit rate without a count": ".wav",
    "mp3 behind: half a frame": ".raw",
    "mp3 damaged by: random bytes": ".m4a",
    "packet damaged in: mka_flac": ".mp3",
    "size never updated: w64 0x0": ".mp3",
    "wav of 24 bits in four bytes: lower three": ".flac",
    "adts behind: zeros": ".wav",
    "counted mp3 joined with: id3v1": ".aiff",
}


@pytest.mark.parametrize("name", WRONGLY_NAMED)
def test_every_road_gives_the_same_row(name, tmp_path, capfd):
    data, _ = TROUBLES[name].make()
    path = tmp_path / f"a{WRONGLY_NAMED[name]}"
    path.write_bytes(data)
    fsspec.filesystem("memory").pipe_file(f"/roads/a{path.suffix}", data)
    expected = extract_columns(data, LIGHT)
    sources = [path, str(path), memoryview(data), io.BytesIO(data)]
    sources += [f"memory://roads/a{path.suffix}", f"file://{path}"]
    for source in sources:
        assert extract_columns(source, LIGHT) == expected
    fd = os.open(path, os.O_RDONLY)
    for file in (path.open("rb"), path.open("rb", buffering=0), os.fdopen(fd, "rb")):
        with file:
            assert extract_columns(file, LIGHT) == expected
    for block_samples in (1000, 77_777):
        assert extract_columns(data, LIGHT, block_samples=block_samples) == expected


# --- views

SOURCE = bytes(range(256)) * 4

STRETCH = st.tuples(st.integers(0, 1000), st.integers(0, 24)).map(lambda p: (p[0], p[0] + p[1]))
PIECES = st.lists(st.binary(max_size=9) | STRETCH, max_size=8)


def content(pieces: list[Piece]) -> bytes:
    return b"".join(p if isinstance(p, bytes) else SOURCE[p[0] : p[1]] for p in pieces)


def view_of(pieces: list[Piece]) -> View:
    return View(ByteReader(io.BytesIO(SOURCE)), pieces)


@given(PIECES, st.lists(st.tuples(st.integers(0, 250), st.integers(0, 60)), max_size=8))
def test_reads_of_a_view_are_those_of_the_pieces_joined(pieces, reads):
    view, whole = view_of(pieces), content(pieces)
    assert view.size == len(whole)
    for place, n in reads:
        assert view.at(place, n) == whole[place : place + n]
        assert view.seek(place) == view.tell() == place
        assert view.read(n) == whole[place : place + n]
    view.seek(0)
    assert view.read() == whole


@given(PIECES, st.lists(st.tuples(st.integers(-300, 300), st.sampled_from((0, 1, 2))), max_size=9))
def test_a_view_seeks_as_a_file_does(pieces, seeks):
    view, file = view_of(pieces), io.BytesIO(content(pieces))
    for offset, whence in seeks:
        place = {0: 0, 1: file.tell(), 2: view.size}[whence] + offset
        if place >= 0:
            file.seek(place)
        assert view.seek(offset, whence) == file.tell()  # a seek before the beginning has no effect
        assert view.read(5) == file.read(5)


@given(PIECES, st.integers(1, 10**12), PIECES)
def test_a_hole_has_a_size_and_no_bytes(before, hole, behind):
    view = view_of([*before, hole, *behind])
    n, whole = len(content(before)), content(before)
    assert view.size == n + hole + len(content(behind))
    assert view.at(0, n + 10) == whole
    assert view.at(n, 10) == b""
    assert view.at(n + hole, 500) == content(behind)
    view.seek(0)
    assert view.read(n + 10) == whole


def test_a_view_ends_where_its_source_does():
    view = view_of([b"ab", (1020, 1040), b"cd"])
    assert view.at(0, 100) == b"ab" + SOURCE[1020:]


def test_a_read_that_fails_in_a_view_is_the_readers():
    class Failing(io.BytesIO):
        def read(self, n: int | None = -1) -> bytes:
            raise TimeoutError("gone")

    reader = ByteReader(Failing(SOURCE))
    view = View(reader, [b"ab", (3, 9)])
    assert view.read(2) == b"ab"
    assert view.read(5) == b""
    with pytest.raises(TimeoutError, match="gone"):
        reader.check()
