"""Hostile files: slow, large in memory, or decoded without end."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from featurelib import AudioError
from featurelib.audio import MoreAudioError, flac, mpeg, open_audio
from tests.featurelib.support.bait import element, mka
from tests.featurelib.support.encoders import FORMATS, made
from tests.featurelib.support.reading import row
from tests.featurelib.support.signals import noise
from tests.support.quick import slow_but_every


def with_total(data: bytes, n_samples: int) -> bytes:
    """A FLAC file whose header claims a wrong number of samples."""
    place = flac.total_place(0)
    return data[:place] + flac.with_total(n_samples, data[place : place + 5]) + data[place + 5 :]


def n_passes(data: bytes) -> int:
    """Number of decoding attempts until the whole file is decoded."""
    with open_audio(data) as file:
        for n in range(1, 100):
            try:
                for _ in file.blocks():
                    pass
            except MoreAudioError:
                continue
            return n
    pytest.fail("decoded 99 times")


def test_joined_flac_files_with_wrong_totals_are_decoded_a_few_times_only():
    seconds = 0.3
    whole = made("flac", noise(seconds, sr=44_100))
    short = with_total(whole, 1000)
    for parts in ([whole, short], [short, whole, short, short], [whole, *[short] * 20]):
        data = b"".join(parts)
        facts = row(data)
        assert facts["n_streams"] == len(parts)
        assert facts["duration_s"] == pytest.approx(len(parts) * seconds)
        assert facts["decoding"] == "whole"
        assert n_passes(data) <= 3  # by dr_flac and twice by libsndfile


def test_places_that_no_file_system_has_are_the_contents_fault(tmp_path):
    data = bytearray(made("wma", noise(0.5, sr=44_100)))
    data[30 + 16 : 30 + 24] = (2**62 + 2**61).to_bytes(8, "little")  # size of the first object
    path = tmp_path / "a.wma"
    path.write_bytes(data)
    messages = set()
    for source in (bytes(data), path, f"file://{path}"):
        with pytest.raises(AudioError) as caught:
            row(source)
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_padding_between_a_tag_and_a_wav_costs_no_samples(tmp_path):
    data = made("wav_float", noise(0.5, sr=44_100))
    tagged = b"ID3\4\0\0\0\0\0\0" + bytes(2) + data
    path = tmp_path / "a.wav"
    path.write_bytes(tagged)
    expected = row(data)
    for source in (tagged, path):
        assert row(source)["audio_hash"] == expected["audio_hash"]


@pytest.mark.parametrize("behind", [b"", b"\xf1junk" * 1000])
@pytest.mark.parametrize("name", ["wav16", "rf64", "w64", "aiff", "caf", "caf_alac"])
def test_what_lies_behind_the_samples_is_not_taken_for_samples(name, behind):
    data = made(name, noise(0.5, sr=44_100))
    found = row(data + (behind or data))
    assert found["audio_hash"] == row(data)["audio_hash"]
    assert found["decoding"] == "cut"


#: Most bytes read, as a multiple of a file's size, if frames or joined files are tiny.
MOST_READS = 1500


class Counting(io.BytesIO):
    """File that counts the bytes that are read."""

    n_bytes = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.n_bytes += len(data)
        return data


def filled(unit: bytes, n_bytes: int = 500_000) -> bytes:
    return unit * (n_bytes // len(unit))


def mpeg_frames(second: int, third: int, n: int) -> bytes:
    """Empty MPEG frames."""
    header = bytes((0xFF, 0xF3, second, third))
    return (header + bytes(mpeg.frame_length(header) - 4)) * n


def hostile() -> dict[str, bytes]:
    y = noise(0.3, sr=44_100)
    one_frame = made("flac", y[:1])
    return {
        "MPEG headers": filled(b"\xff\xfb\x90\x00"),
        "MPEG headers behind an MP3": made("mp3", y) + filled(b"\xff\xfb\x90\x00"),
        "MPEG frames with junk": filled(mpeg_frames(0x18, 0xC0, 3) + b"j"),
        "MPEG frames, two kinds": filled(mpeg_frames(0x18, 0xC0, 3) + mpeg_frames(0x18, 0, 3)),
        "ADTS headers": filled(b"\xff\xf1\x50\x80\x00\xff\xfc"),
        "Ogg marks": filled(b"OggS\0\2"),
        "Ogg marks behind an Ogg": made("ogg_vorbis", y) + filled(b"OggS"),
        "Ogg pages in pages": made("ogg_vorbis", y) + filled(b"OggS" + bytes(22) + b"\xff" * 6),
        "Ogg files": made("ogg_vorbis", y[:500]) * 1100,
        "FLAC marks": filled(b"fLaC\0\0\0\x22"),
        "FLAC marks behind a FLAC": made("flac", y) + filled(b"fLaC\0\0\0\x22"),
        "FLAC files": filled(one_frame, 1100 * len(one_frame)),
        "RIFF marks": b"junk" + filled(b"RIFF\0\0\0\0WAVE"),
        "RIFF chunks": b"RIFF\xff\xff\xff\x00WAVE" + filled(b"abcd\0\0\0\0"),
        "AIFF marks": filled(b"FORM\0\0\0\0AIFF"),
        "chunks behind a WAV": made("wav16", y) + filled(b"abcd\0\0\0\0"),
        "tags behind a WAV": made("wav16", y) + filled(b"APETAGEX" + bytes(24)),
        "lyrics behind an MP3": made("mp3", y) + filled(b"LYRICSBEGINLYRICSEND", 100_000),
    }


@pytest.mark.parametrize("name", slow_but_every(4, list(hostile())))
def test_files_are_not_read_over_and_over(name, capfd):
    data = hostile()[name]
    file = Counting(data)
    with contextlib.suppress(AudioError):
        row(file)
    assert file.n_bytes < MOST_READS * len(data)


def test_a_local_file_of_many_broken_streams_is_not_read_again_for_each(tmp_path, monkeypatch):
    whole = made("flac", noise(0.3, sr=44_100))
    data = (whole[:-500] + bytes(500)) * 40  # each ends with a frame that cannot be decoded
    path = tmp_path / "a.flac"
    path.write_bytes(data)
    n_bytes = []
    pread = os.pread

    def counting(fd, n, offset):
        n_bytes.append(len(found := pread(fd, n, offset)))
        return found

    monkeypatch.setattr(os, "pread", counting)
    assert row(path)["n_streams"] == 40
    assert sum(n_bytes) < 20 * len(data)


# --- memory


_CHILD = """
import sys
from featurelib import AudioError
from tests.support.memory import peak_bytes
from tests.featurelib.support.reading import row
try:
    print(row(sys.argv[1])["decoding"])
except AudioError as error:
    print(error.kind)
print(peak_bytes() // 2**20)
"""


_CHILD_OF_MANY = """
import contextlib, sys
from featurelib import AudioError
from tests.support.memory import peak_bytes
from tests.featurelib.support.reading import row
for path in sys.argv[1:]:
    with contextlib.suppress(AudioError):
        row(path)
print(peak_bytes() // 2**20)
"""


def peak_of(data: bytes, path: Path) -> tuple[str, int]:
    """Outcome of a file, and the peak memory [MB] of a process that extracts it."""
    path.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outcome, peak = done.stdout.split()
    return outcome, int(peak)


def ape(frame_samples: int) -> bytes:
    """Monkey's Audio file whose header claims a frame length in samples."""
    head = b"MAC " + struct.pack("<HH", 3990, 0)
    sizes = struct.pack("<7I", 52, 24, 4, 44, 0, 1000, 0)
    form = struct.pack("<HHIIIHHI", 2000, 0, frame_samples, frame_samples, 1, 16, 2, 44_100)
    return head + sizes + bytes(16) + form + bytes(4 + 44 + 1000)


def tiny_blocks(n: int) -> bytes:
    """Matroska file of one-byte blocks, with a codec that cannot decode any of them."""
    codec = (element("d7", b"\1"), element("73c5", b"\1"), element("83", b"\2"))
    tracks = element("1654ae6b", element("ae", *codec, element("86", b"A_AC3")))
    info = element("1549a966", element("2ad7b1", b"\x0f\x42\x40"))
    return mka(
        info, tracks, element("1f43b675", element("e7", b"\0"), b"\xa3\x85\x81\0\0\x80x" * n)
    )


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: ape(2**24),
        lambda: ape(2**32 - 1),
        lambda: tiny_blocks(2_500_000),
        lambda: filled(b"\xff\xf1\x50\x80\x00\xff\xfc", 20_000_000),
    ],
    ids=["ape", "ape, all ones", "matroska", "adts"],
)
def test_memory_follows_neither_headers_nor_the_number_of_packets(make, tmp_path):
    outcome, peak_mb = peak_of(make(), tmp_path / "a")
    assert outcome == "undecodable"
    assert peak_mb < 1000


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_lengths_in_headers_are_not_believed(name, tmp_path):
    """Set each four bytes of the first hundred to the maximum; one process per format."""
    y = np.stack([noise(0.3, sr=44_100)] * 2, axis=1)
    data = made(name, y)
    lines = []
    for place in range(0, 100, 2):
        for value in (b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff"):
            path = tmp_path / f"{place}-{value.hex()}"
            path.write_bytes(data[:place] + value + data[place + 4 :])
            lines.append(str(path))
    done = subprocess.run(
        [sys.executable, "-c", _CHILD_OF_MANY, *lines],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) < 1000
