"""State of frames, in memory and beyond, and what is told from it."""

from __future__ import annotations

import errno
import gc

import numpy as np
import pytest
from featurelib.descriptors import chroma
from featurelib.store import FrameStore
from featurelib.tuning import _median_height, estimate_tuning
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib import store as store_module
from featurelib.extraction import extract_signal_columns
from featurelib.presets import spec_from_settings
from tests.audio_files import open_below
from tests.featurelib.signals import SR, chord, noise


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 7), st.integers(1, 2000))
def test_rows_come_back_in_their_order(lengths, width, memory_bytes):
    store = FrameStore(width, memory_bytes)
    rows = np.arange(sum(lengths) * width, dtype=np.float32).reshape(-1, width)
    start = 0
    for length in lengths:
        part = rows[start : start + length].copy()
        store.append(part)
        part[:] = np.nan  # it is the store's no more
        start += length
    for _ in range(2):
        chunks = list(store.chunks())
        assert all(0 < len(chunk) <= max(memory_bytes // (4 * width), 1) for chunk in chunks)
        found = np.concatenate(chunks) if chunks else np.empty((0, width))
        np.testing.assert_array_equal(found, rows)


def test_memory_is_bounded_and_the_file_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module.tempfile, "tempdir", str(tmp_path))
    store = FrameStore(100, memory_bytes=40_000)
    for _ in range(50):
        store.append(np.ones((100, 100), np.float32))
    assert store._rows.nbytes <= 40_000
    assert list(tmp_path.iterdir()) == []
    assert len(open_below(tmp_path)) == 1
    del store
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

    monkeypatch.setattr(store_module.tempfile, "TemporaryFile", lambda **_: Full())
    store = FrameStore(10, memory_bytes=400)
    with pytest.raises(OSError, match=r"No space left.*TMPDIR") as caught:
        store.append(np.ones((100, 10), np.float32))
    assert caught.value.errno == errno.ENOSPC


@settings(deadline=None)
@given(
    st.lists(st.floats(2.0**-100, 2.0**100, width=32) | st.just(1.0), min_size=1, max_size=50),
    st.integers(8, 200),
)
def test_median_of_what_is_in_pieces_is_numpys(heights, memory_bytes):
    peaks = FrameStore(2, memory_bytes)
    heights = np.array(heights, np.float32)
    peaks.append(np.stack((np.ones_like(heights), heights), axis=1))
    assert _median_height(peaks, len(heights)) == np.median(heights)


def test_tuning_is_the_same_from_pieces():
    rng = np.random.default_rng(0)
    peaks = np.stack((rng.uniform(150, 4000, 5000), rng.gamma(1.0, size=5000)), axis=1)
    tunings = []
    for memory_bytes in (10**6, 1000):
        store = FrameStore(2, memory_bytes)
        store.append(peaks.astype(np.float32))
        tunings.append(estimate_tuning(store, 12))
    assert tunings[0] == tunings[1]


@pytest.mark.parametrize("changes", [{}, {"n_chroma": 3}, {"n_fft": 4096, "hop_length": 1024}])
def test_long_signals_give_the_same_values_from_condensed_and_spilled_state(monkeypatch, changes):
    spec = spec_from_settings({"preset": "genre-v1", "hop_length": 256, **changes})
    y = np.concatenate((chord(4.0, detune=0.2), noise(2.0, level=1e-3), chord(3.0, detune=0.2)))
    whole = extract_signal_columns(y, SR, spec)
    monkeypatch.setattr(chroma, "_WHOLE_BYTES", 64 * 1025 * 4)
    monkeypatch.setattr(store_module, "MEMORY_BYTES", 20_000)
    monkeypatch.setattr(FrameStore.__init__, "__defaults__", (20_000,))
    pieces = extract_signal_columns(y, SR, spec)
    for name, (value,) in whole.items():
        if isinstance(value, float):
            assert pieces[name][0] == pytest.approx(value, rel=1e-6, abs=1e-9), name
