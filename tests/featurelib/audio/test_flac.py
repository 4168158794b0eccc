"""FLAC frame headers: checksums, coded numbers and offsets."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib.audio import flac
from tests.featurelib.support.encoders import made, on_grid
from tests.featurelib.support.listening import listen
from tests.featurelib.support.signals import encode, noise
from tests.featurelib.support.surgery import id3v2, packets, with_flac_total

SR = 44_100


def reader(data: bytes):
    return lambda place, n: data[place : place + n]


def slow_crc8(data: bytes) -> int:
    """Remainder of a division by x^8 + x^2 + x + 1, bit by bit."""
    crc = 0
    for byte in data:
        for bit in range(7, -1, -1):
            high = crc >> 7 ^ byte >> bit & 1
            crc = (crc << 1 & 0xFF) ^ (0x07 if high else 0)
    return crc


def coded(number: int) -> bytes:
    """A number in UTF-8 coding, extended to 36 bits."""
    if number < 0x80:
        return bytes([number])
    n = next(n for n in range(2, 8) if number < 1 << 5 * n + 1)
    tail = [0x80 | number >> 6 * i & 0x3F for i in reversed(range(n - 1))]
    return bytes([(0xFF00 >> n & 0xFF) | number >> 6 * (n - 1), *tail])


@given(st.binary(max_size=40))
def test_the_checksum_is_that_of_a_slow_one(data):
    assert flac._crc8(data) == slow_crc8(data)


@given(st.integers(0, 2**36 - 1), st.binary(max_size=3))
def test_coded_numbers_come_back(number, behind):
    data = coded(number)
    assert flac._number(data + behind) == (number, len(data))
    if number <= 0x10FFFF and not 0xD800 <= number < 0xE000:
        assert data == chr(number).encode()
    if len(data) > 1:
        assert flac._number(data[:-1]) == (None, 0)


@pytest.mark.parametrize("first", [0x80, 0xBF, 0xFF])
def test_bytes_that_begin_no_number(first):
    assert flac._number(bytes([first] + [0x80] * 8)) == (None, 0)


def stream_info(block: int = 4096, sr: int = SR) -> flac.StreamInfo:
    return flac.StreamInfo(block, 0, sr, 2, 16, 0, 0)


#: Numbers of samples that have a code in the third byte of a header, and that code.
BLOCKS = [(192, 1), (576, 2), (4608, 5), (256, 8), (4096, 12), (32_768, 15)]
FRAME_RATES = {88_200: 1, 8_000: 4, 44_100: 9, 48_000: 10, 96_000: 11}


def header(
    number: int, *, n_samples: int, sr: int, channels: int, depth: int, variable: bool
) -> bytes:
    codes = dict(BLOCKS)
    block_code = codes.get(n_samples, 7)
    block = b"" if block_code != 7 else (n_samples - 1).to_bytes(2, "big")
    rate_code = FRAME_RATES.get(sr, 12 if sr % 1000 == 0 and sr < 256_000 else 13)
    rate = {12: bytes([sr // 1000 % 256]), 13: (sr % 65_536).to_bytes(2, "big")}.get(rate_code, b"")
    depth_code = {8: 1, 12: 2, 16: 4, 20: 5, 24: 6}[depth]
    head = bytes([0xFF, 0xF9 if variable else 0xF8, block_code << 4 | rate_code])
    head += bytes([(channels - 1) << 4 | depth_code << 1]) + coded(number) + block + rate
    return head + bytes([slow_crc8(head)])


@given(
    st.integers(0, 2**31 - 1),
    st.sampled_from([n for n, _ in BLOCKS]) | st.integers(1, 65_535),
    st.sampled_from([*FRAME_RATES, 11_000, 11_025, 37_800]),
    st.integers(1, 8),
    st.sampled_from([8, 12, 16, 20, 24]),
    st.booleans(),
)
def test_headers_come_back(number, n_samples, sr, channels, depth, variable):
    data = header(
        number, n_samples=n_samples, sr=sr, channels=channels, depth=depth, variable=variable
    )
    info = stream_info()
    found = flac._header(b"junk" + data + b"rest", 4, 1000, info)
    first = number if variable else number * info.block
    assert found == flac.FrameHeader(1004, first, n_samples, sr, channels, depth)
    assert found.end_sample == first + n_samples
    for place in (3, len(data) - 1):  # a wrong byte is noticed
        wrong = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
        assert flac._header(wrong.ljust(20, b"\0"), 0, 0, info) is None


@functools.cache
def healthy(seconds: float = 1.5) -> bytes:
    y = (noise(seconds, sr=SR) * 2**15).astype(np.int16)
    return encode(y, SR, fmt="FLAC", subtype="PCM_16")


def test_what_a_file_says_of_itself():
    data = healthy()
    info = flac.stream_info(reader(id3v2() + data), len(id3v2()), len(data) + 110)
    assert info is not None
    assert (info.sr, info.channels, info.depth, info.n_samples) == (SR, 1, 16, 66_150)
    assert (info.block, info.audio) == (4096, len(id3v2()) + packets(data)[0][0])
    large = flac.stream_info(reader(with_flac_total(data, 2**36 - 1)), 0, len(data))
    assert large is not None
    assert large.n_samples == 2**36 - 1
    assert flac.stream_info(reader(b"fLaC" + bytes(100)), 0, 104) is None
    assert flac.stream_info(reader(data[:30]), 0, 30) is None


def test_first_and_last_frame_are_where_ffmpeg_finds_them():
    data = healthy()
    frames = packets(data)
    info = flac.stream_info(reader(data), 0, len(data))
    assert info is not None
    first = flac.first_header(reader(data), info)
    last = flac.last_header(reader(data), info.audio, len(data), info)
    assert first is not None
    assert last is not None
    assert (first.place, first.first_sample) == (frames[0][0], 0)
    assert (last.place, last.first_sample) == (frames[-1][0], 4096 * (len(frames) - 1))
    assert last.end_sample == 66_150
    assert last.fits(info)
    before = flac.last_header(reader(data), info.audio, last.place, info)
    assert before is not None
    assert before.place == frames[-2][0]
    far = data + bytes(300_000)
    assert flac.last_header(reader(far), info.audio, len(far), info) == last
    assert flac.last_header(reader(data), info.audio, info.audio, info) is None


@pytest.mark.parametrize("n_bytes", [0, 10, 2**20 - 4, 2**20 + 5])
def test_the_next_file_is_found_where_it_begins(n_bytes):
    data = bytes(n_bytes) + healthy(0.1)
    assert flac.next_file(reader(data), 0, len(data)) == n_bytes
    assert flac.next_file(reader(data), n_bytes + 1, len(data)) is None


def test_frames_without_a_header_are_found():
    data = healthy()
    place = packets(data)[3][0]
    behind = b"junk\xff\xf8" + data[place:]
    assert flac.find_frames(reader(behind), 0, len(behind)) == 6
    assert flac.find_frames(reader(bytes(1000)), 0, 1000) is None


@given(st.integers(0, 2**36 - 1), st.binary(min_size=5, max_size=5))
def test_the_total_is_put_into_its_36_bits(total, old):
    new = flac.with_total(total, old)
    assert int.from_bytes(new, "big") & (1 << 36) - 1 == total
    assert new[0] >> 4 == old[0] >> 4
    place = flac.total_place(0)
    data = healthy()
    corrected = data[:place] + flac.with_total(total, data[place : place + 5]) + data[place + 5 :]
    assert corrected == with_flac_total(data, total)


# --- missing frames, which libFLAC replaces by zeros or skips without an error


def frame_places(data: bytes) -> list[int]:
    """Offsets of the frames of a file; soundfile's encoder has a constant block size."""
    info = flac.stream_info(reader(data), 0, len(data))
    assert info is not None
    found = (flac._header(data, i, 0, info) for i in range(info.audio, len(data) - 16))
    return [header.place for header in found if header is not None and header.fits(info)]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("n_cut", [1, 3, 6, 20])
def test_frames_that_were_cut_out_are_left_out_and_said(n_cut, channels):
    y = np.stack([noise(4.0, sr=44_100, seed=i) for i in range(channels)], axis=1)
    data = made("flac", y)
    places = frame_places(data)
    first = 7
    cut = data[: places[first]] + data[places[first + n_cut] :]
    right = np.delete(on_grid(y), slice(first * 4096, (first + n_cut) * 4096), axis=0)
    heard = listen(cut)
    np.testing.assert_array_equal(heard.samples, right)
    assert (heard.facts.decoding, heard.facts.decoder) == ("damaged", "ffmpeg")
    assert heard.facts.lost_s == pytest.approx(n_cut * 4096 / 44_100)
    assert listen(cut, duration=first * 4096 / 44_100).facts.decoding == "whole"
    until = (first + n_cut + 5) * 4096 / 44_100
    assert listen(cut, duration=until).facts.decoding == "damaged"


def test_silence_that_was_recorded_is_whole():
    y = noise(4.0, sr=44_100)
    y[30_000:90_000] = 0
    y[-20_000:] = 0
    heard = listen(made("flac", y))
    assert (heard.facts.decoding, heard.facts.decoder) == ("whole", "dr_flac")
    np.testing.assert_array_equal(heard.samples[:, 0], on_grid(y))
