"""Spill buffers, in memory and in temporary files."""

from __future__ import annotations

import errno
import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib import extract_signal_columns, get_spec, spec_from_settings, spill
from featurelib.features import chroma_stft
from featurelib.spill import SpillBuffer
from featurelib.transforms.tuning import _median_height, estimate_tuning
from tests.featurelib.support.signals import SR, chord, noise
from tests.support.audio_files import open_below


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 7), st.integers(1, 2000))
def test_rows_come_back_in_their_order(lengths, width, memory_bytes):
    buffer = SpillBuffer(width, memory_bytes)
    rows = np.arange(sum(lengths) * width, dtype=np.float32).reshape(-1, width)
    start = 0
    for length in lengths:
        part = rows[start : start + length].copy()
        buffer.append(part)
        part[:] = np.nan  # the buffer must have copied it
        start += length
    assert len(buffer) == len(rows)
    for _ in range(2):
        chunks = list(buffer.chunks())
        assert all(0 < len(chunk) <= max(memory_bytes // (4 * width), 1) for chunk in chunks)
        found = np.concatenate(chunks) if chunks else np.empty((0, width))
        np.testing.assert_array_equal(found, rows)
    assert buffer.is_in_memory == (len(rows) <= max(memory_bytes // (4 * width), 1))


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 2000))
def test_a_reader_gives_rows_in_any_portions(portions, memory_bytes):
    rows = np.random.default_rng(0).standard_normal((sum(portions), 3))
    buffer = SpillBuffer(3, memory_bytes, dtype=np.float64)
    buffer.append(rows)
    read = buffer.reader()
    start = 0
    for n in portions:
        np.testing.assert_array_equal(read(n), rows[start : start + n])
        start += n


def test_memory_is_bounded_and_the_file_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(spill.tempfile, "tempdir", str(tmp_path))
    buffer = SpillBuffer(100, memory_bytes=40_000)
    for _ in range(50):
        buffer.append(np.ones((100, 100), np.float32))
    assert buffer._rows.nbytes <= 40_000
    assert list(tmp_path.iterdir()) == []
    assert len(open_below(tmp_path)) == 1
    del buffer
    gc.collect()
    assert open_below(tmp_path) == []


def test_no_room_for_the_file_says_where_and_what_to_do(monkeypatch):
    class Full:
        def seek(self, *place):
            return 0

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(spill.tempfile, "TemporaryFile", lambda **_: Full())
    buffer = SpillBuffer(10, memory_bytes=400)
    with pytest.raises(OSError, match=r"No space left.*TMPDIR") as caught:
        buffer.append(np.ones((100, 10), np.float32))
    assert caught.value.errno == errno.ENOSPC


@given(
    st.lists(st.floats(2.0**-100, 2.0**100, width=32) | st.just(1.0), min_size=1, max_size=50),
    st.integers(8, 200),
)
def test_median_of_what_is_in_pieces_is_numpys(heights, memory_bytes):
    peaks = SpillBuffer(2, memory_bytes)
    heights = np.array(heights, np.float32)
    peaks.append(np.stack((np.ones_like(heights), heights), axis=1))
    assert _median_height(peaks) == np.median(heights)


def test_tuning_is_the_same_from_pieces():
    rng = np.random.default_rng(0)
    peaks = np.stack((rng.uniform(150, 4000, 5000), rng.gamma(1.0, size=5000)), axis=1)
    tunings = []
    for memory_bytes in (10**6, 1000):
        buffer = SpillBuffer(2, memory_bytes)
        buffer.append(peaks.astype(np.float32))
        tunings.append(estimate_tuning(buffer, 12))
    assert tunings[0] == tunings[1]


@pytest.mark.parametrize("defaults", [{}, {"n_chroma": 3}, {"n_fft": 4096, "hop_length": 1024}])
def test_long_signals_give_the_same_values_from_spilled_state(monkeypatch, defaults):
    features = [entry.name for entry in get_spec("genre-v1").features]
    features += ["tuning", {"family": "delta", "of": "mfcc", "statistics": ["mean", "q25"]}]
    defaults = {"hop_length": 256, "statistics": ["mean", "std", "median"], **defaults}
    spec = spec_from_settings({"features": features, "duration": 60.0, "defaults": defaults})
    y = np.concatenate((chord(4.0, detune=0.2), noise(2.0, level=1e-3), chord(3.0, detune=0.2)))
    whole = extract_signal_columns(y, SR, spec)
    monkeypatch.setattr(chroma_stft, "_WHOLE_BYTES", 64 * 1025 * 4)
    monkeypatch.setattr(spill, "MEMORY_BYTES", 20_000)
    pieces = extract_signal_columns(y, SR, spec)
    for name, (value,) in whole.items():
        if isinstance(value, float):
            assert pieces[name][0] == pytest.approx(value, rel=1e-6, abs=1e-9), name
