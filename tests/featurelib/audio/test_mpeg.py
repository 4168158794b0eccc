"""MPEG and ADTS frames: lengths by the standard, and streams between other bytes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib.audio import mpeg
from tests.featurelib.support.encoders import made
from tests.featurelib.support.signals import encode, noise
from tests.featurelib.support.surgery import (
    ape,
    id3v1,
    id3v2,
    mp3_frames,
    packets,
    with_info_count,
    without_info,
)

# ISO 11172-3, table B.1 of 2.4.2.3, and ISO 13818-3, 2.4.2.3 [kbit/s]
KBITS = {
    (1, 1): "32 64 96 128 160 192 224 256 288 320 352 384 416 448",
    (1, 2): "32 48 56 64 80 96 112 128 160 192 224 256 320 384",
    (1, 3): "32 40 48 56 64 80 96 112 128 160 192 224 256 320",
    (2, 1): "32 48 56 64 80 96 112 128 144 160 176 192 224 256",
    (2, 2): "8 16 24 32 40 48 56 64 80 96 112 128 144 160",
    (2, 3): "8 16 24 32 40 48 56 64 80 96 112 128 144 160",
}
RATES = {1: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 2.5: (11_025, 12_000, 8_000)}
VERSION_BITS = {1: 3, 2: 2, 2.5: 0}


@dataclass(frozen=True)
class Form:
    """Fields of a frame header."""

    version: float = 1
    layer: int = 3
    kbits: int = 5
    rate: int = 0
    padding: int = 0
    mode: int = 0

    @property
    def header(self) -> bytes:
        first = 0xE0 | VERSION_BITS[self.version] << 3 | (4 - self.layer) << 1 | 1
        second = (self.kbits + 1) << 4 | self.rate << 2 | self.padding << 1
        return bytes([0xFF, first, second, self.mode << 6])

    @property
    def sr(self) -> int:
        return RATES[self.version][self.rate]

    @property
    def n_samples(self) -> int:
        if self.layer == 1:
            return 384
        return 576 if self.layer == 3 and self.version != 1 else 1152

    @property
    def length(self) -> int:
        """Length of a frame: samples / 8 slots of a byte, in layer I samples / 32 of four bytes."""
        bits = int(KBITS[min(int(self.version), 2), self.layer].split()[self.kbits]) * 1000
        if self.layer == 1:
            return 4 * (self.n_samples // 32 * bits // self.sr + self.padding)
        return self.n_samples // 8 * bits // self.sr + self.padding

    def frame(self, fill: int = 0x55) -> bytes:
        return self.header.ljust(self.length, bytes([fill]))


EVERY = [
    Form(*values)
    for values in itertools.product((1, 2, 2.5), (1, 2, 3), range(14), range(3), (0, 1))
]


def reader(data: bytes):
    return lambda place, n: data[place : place + n]


def test_the_length_of_every_frame_is_the_standards():
    for form in EVERY:
        assert mpeg.frame_length(form.header) == form.length, form


def test_the_length_of_every_frame_is_what_ffmpegs_parser_finds():
    for form in EVERY[::5]:
        parser = av.CodecContext.create(f"mp{form.layer}", "r")
        sizes = [packet.size for packet in parser.parse(form.frame() * 5)]
        assert sizes
        assert set(sizes) == {mpeg.frame_length(form.header)}, form


def test_what_is_no_header_has_no_length():
    n_valid = 0
    for second, third in itertools.product(range(256), repeat=2):
        header = bytes([0xFF, second, third, 0])
        reserved = (second >> 3 & 3 == 1, second >> 1 & 3 == 0, third >> 2 & 3 == 3)
        is_valid = second >= 0xE0 and not any(reserved) and third >> 4 not in (0, 15)
        assert bool(mpeg.frame_length(header)) == is_valid
        n_valid += is_valid
    assert n_valid == len(EVERY) * 2 * 2  # with or without CRC, and the private bit
    assert mpeg.frame_length(b"\xff\xfb\x90") == mpeg.frame_length(b"\xfe\xfb\x90\x00") == 0


@pytest.mark.parametrize("channels", [1, 2])
def test_adts_frames_are_where_ffmpeg_finds_them(channels):
    data = made("adts", np.stack([noise(0.5, sr=44_100)] * channels, axis=1))
    frames = packets(data)
    assert [mpeg.adts_length(data[place:][:7]) for place, *_ in frames] == [n for _, n, _ in frames]
    (run,) = mpeg.runs(reader(data), 0, len(data))
    assert (run.n_frames, run.start, run.end) == (len(frames), 0, len(data))
    assert (run.sr, run.is_adts, run.damaged, run.cut) == (44_100, True, False, False)


# --- streams between other bytes

KINDS = [
    Form(1, 3, rate=0),
    Form(1, 3, rate=0, mode=3),
    Form(1, 3, rate=1),
    Form(2, 3, rate=0),
    Form(2.5, 3, rate=2, mode=3),
    Form(1, 2, rate=2),
    Form(1, 1, rate=0),
]

#: Bytes that do not begin a frame or a tag.
JUNK = st.binary(min_size=1, max_size=60).map(lambda b: bytes(x & 0x0F | 0x60 for x in b))


@st.composite
def streams(draw):
    """Adjacent frames of one kind, with any bit rates."""
    kind = draw(st.integers(0, len(KINDS) - 1))
    shapes = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=3, max_size=8))
    form = KINDS[kind]
    frames = [
        Form(form.version, form.layer, kbits, form.rate, padding, form.mode).frame()
        for kbits, padding in shapes
    ]
    return kind, frames


@given(st.lists(st.tuples(streams(), st.just(b"") | JUNK), min_size=1, max_size=6), JUNK)
def test_frames_with_junk_between_are_found_where_they_are(parts, front):
    data, right = front, []
    junk = b""
    for (kind, frames), behind in parts:
        if right and right[-1]["kind"] == kind:
            run = right[-1]
            run["damaged"] = run["damaged"] or bool(junk)
        else:
            run = {"kind": kind, "start": len(data), "n": 0, "damaged": False}
            right.append(run)
        data += b"".join(frames)
        run["n"] += len(frames)
        run["end"] = len(data)
        junk = behind
        data += behind
    assert mpeg.find_stream(reader(data), 0, len(data)) == len(front)
    found = mpeg.runs(reader(data), len(front), len(data))
    got = [(run.start, run.end, run.n_frames, run.damaged) for run in found]
    assert got == [(run["start"], run["end"], run["n"], run["damaged"]) for run in right]
    forms = [KINDS[run["kind"]] for run in right]
    assert [(run.sr, run.frame_samples) for run in found] == [(f.sr, f.n_samples) for f in forms]
    assert not any(run.cut for run in found)


@given(streams(), st.data())
def test_a_frame_that_is_not_whole_is_cut_and_not_counted(stream, draw):
    _, frames = stream
    n = draw.draw(st.integers(4, len(frames[-1]) - 1))
    data = b"".join(frames[:-1]) + frames[-1][:n]
    (run,) = mpeg.runs(reader(data), 0, len(data))
    assert (run.cut, run.n_frames, run.end) == (True, len(frames) - 1, len(data))


@pytest.mark.parametrize("tag", [id3v1(), id3v2(300), ape(), id3v1() + id3v2()])
def test_a_tag_between_frames_begins_another_stream(tag):
    frames = Form().frame() * 4
    data = frames + tag + frames
    found = mpeg.runs(reader(data), 0, len(data))
    places = [(0, len(frames)), (len(frames) + len(tag), len(data))]
    assert [(run.start, run.end) for run in found] == places
    assert not any(run.damaged for run in found)


def test_frames_are_followed_over_the_borders_of_what_is_read_at_once():
    form = Form(kbits=13)
    data = form.frame() * 2500
    assert len(data) > 2 * 2**20
    (run,) = mpeg.runs(reader(data), 0, len(data))
    assert (run.n_frames, run.end, run.cut, run.damaged) == (2500, len(data), False, False)
    part = data[: 2**20 + 17]
    (run,) = mpeg.runs(reader(part), 0, len(part))
    assert (run.n_frames, run.cut) == (len(part) // form.length, True)


@pytest.mark.parametrize("front", [0, 2**20 - 700, 2**20 - 1, 2**20, 2**20 + 1])
def test_a_stream_is_found_at_the_border_of_what_is_read_at_once(front):
    data = b"\x55" * front + Form().frame() * 3
    assert mpeg.find_stream(reader(data), 0, len(data)) == front
    assert mpeg.find_stream(reader(data), 0, len(data) - 417 * 2 - 1) is None


# --- Xing, Info and VBRI headers


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sr", [44_100, 32_000, 22_050, 8_000])
def test_the_count_and_the_length_of_a_file_with_a_lame_header(sr, channels):
    y = np.stack([noise(1.3, sr=sr)] * channels, axis=1)
    data = encode(y, sr, fmt="MP3")
    n_frames = len(mp3_frames(data)) - 1
    (run,) = mpeg.runs(reader(data), 0, len(data))
    assert run.info is not None
    assert (run.n_frames, run.info.n_frames, run.n_samples) == (n_frames, n_frames, len(y))
    assert data[run.info.place : run.info.place + 4] == n_frames.to_bytes(4, "big")
    raw = without_info(data)
    (run,) = mpeg.runs(reader(raw), 0, len(raw))
    assert (run.info, run.n_frames) == (None, n_frames)
    assert run.n_samples == n_frames * run.frame_samples


def test_the_count_is_what_is_said_and_the_number_what_is_there():
    data = with_info_count(encode(noise(0.5, sr=44_100), 44_100, fmt="MP3"), 7)
    (run,) = mpeg.runs(reader(data), 0, len(data))
    assert run.info is not None
    assert (run.info.n_frames, run.n_frames) == (7, len(mp3_frames(data)) - 1)


def test_a_vbri_header_says_the_count_and_cannot_be_corrected():
    frame = bytearray(Form().frame(0))
    frame[36:40], frame[50:54] = b"VBRI", (9).to_bytes(4, "big")
    data = bytes(frame) + Form().frame() * 9
    (run,) = mpeg.runs(reader(data), 0, len(data))
    assert run.info == mpeg.Info(9, None, 0, 0)
    assert run.n_frames == 9


def test_only_so_much_is_followed_as_is_wanted():
    data = Form(kbits=13).frame() * 4000
    (run,) = mpeg.runs(reader(data), 0, len(data), duration=2.0)
    assert 2.0 < run.n_frames * 1152 / 44_100 < 2.0 + 2 * 2**20 / 40_000
