"""The libsndfile decoder: errors and positions."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import soundfile

from featurelib.audio.libsndfile import LibsndfileDecoder
from tests.featurelib.support.signals import chord, encode


def flac(sr: int) -> tuple[bytes, np.ndarray]:
    y = (chord(1.3, sr=sr) * 2**15).astype(np.int16)
    return encode(y, sr, fmt="FLAC"), y / np.float32(2**15)


@pytest.mark.parametrize("block", [1_000, 10_000, 20_799, 20_800, 20_801, 30_000])
@pytest.mark.parametrize("sr", [16_000, 44_100])
def test_no_samples_are_made_of_another_file_behind_it(block, sr):
    data, y = flac(16_000)
    data += flac(sr)[0]
    decoder = LibsndfileDecoder(io.BytesIO(data), len(data))
    parts = []
    for _ in range(50):
        part = np.empty((block, 1), np.float32)
        n, _ = decoder.read(part)
        parts.append(part[:n, 0])
    decoder.close()
    np.testing.assert_array_equal(np.concatenate(parts), y)


def test_formats_whose_integers_have_fewer_bits():
    file = io.BytesIO()
    soundfile.write(file, chord(0.2, sr=44_100)[:5_000], 44_100, "PCM_16", format="SDS")
    decoder = LibsndfileDecoder(io.BytesIO(file.getvalue()), len(file.getvalue()))
    y = np.empty((5_000, 1), np.float32)
    assert decoder.read(y) == (5_000, None)
    decoder.close()
    expected, _ = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32", always_2d=True)
    np.testing.assert_array_equal(y, expected[:5_000])


@pytest.mark.parametrize("fmt", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF"])
@pytest.mark.parametrize(("subtype", "kind"), [("PCM_16", np.int16), ("PCM_32", np.int32)])
@pytest.mark.parametrize("channels", [1, 3])
def test_integer_samples_are_those_that_libsndfile_converts(fmt, subtype, kind, channels):
    limits = np.iinfo(kind)
    y = np.random.default_rng(0).integers(limits.min, limits.max, (5_001, channels), kind)
    y[:2] = [[limits.min], [limits.max]]
    file = io.BytesIO()
    soundfile.write(file, y, 44_100, subtype=subtype, format=fmt)
    for size in (len(file.getvalue()), len(file.getvalue()) - 1):  # the last sample is cut
        data = file.getvalue()[:size]
        decoder = LibsndfileDecoder(io.BytesIO(data), size)
        parts = []
        for _ in range(8):
            part = np.empty((1_000, channels), np.float32)
            n, error = decoder.read(part)
            assert error is None
            parts.append(part[:n])
        decoder.close()
        expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
        np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_a_failed_read_of_integers_is_an_error(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, chord(3, sr=44_100), 44_100)
    fd = os.open(path, os.O_RDONLY)
    decoder = LibsndfileDecoder(fd, path.stat().st_size)
    part = np.empty((1_000, 1), np.float32)
    assert decoder.read(part) == (1_000, None)
    os.close(fd)  # from here on the system refuses to read
    n, error = decoder.read(part)
    assert n == 0
    assert error
    decoder.close()
