"""The speech spectrogram is that of the tutorials, and of SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from featurelib import AudioError, SpecError, extract_columns, extract_signal_columns
from featurelib import spec_from_settings as spec_of
from tests.featurelib.support.signals import chord, clicks, encode, noise, sweep

SR = 16_000

SIGNALS = {
    "chord": chord(sr=SR),
    "noise": noise(sr=SR),
    "clicks": clicks(sr=SR),
    "sweep": sweep(sr=SR),
    "faint": noise(sr=SR, level=1e-7),
    "constant": np.full(SR, 0.25, np.float32),
    "silence": np.zeros(SR, np.float32),
    "one frame": noise(0.02, sr=SR),
}


def tutorial(y: np.ndarray, sr: int, window_ms: int, step_ms: int, max_freq: float) -> np.ndarray:
    """The tutorials' formula, shape (frames, bins)."""
    n_fft, hop_length = int(0.001 * window_ms * sr), int(0.001 * step_ms * sr)
    window = np.hanning(n_fft)
    frames = sliding_window_view(y.astype(np.float64), n_fft)[::hop_length]
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    scale = np.sum(window**2) * sr
    power[:, 1:-1] *= 2.0 / scale
    power[:, [0, -1]] /= scale
    frequencies = sr / n_fft * np.arange(power.shape[1])
    return np.log(power[:, frequencies <= max_freq] + 1e-14)


def series(y: np.ndarray, sr: int = SR, **parameters: Any) -> np.ndarray:
    entry = {"family": "log_spectrogram", "statistics": ["series"], **parameters}
    spec = spec_of({"sr": sr, "features": [entry]})
    return extract_signal_columns(y, sr, spec)["log_spectrogram_series"][0]


def assert_frames_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    rms = np.sqrt(np.mean(expected**2))
    assert (np.abs(found - expected) <= 1e-4 * np.abs(expected) + 1e-6 * rms).all()


@pytest.mark.parametrize("name", SIGNALS)
def test_the_preset_is_the_tutorials_spectrogram(name: str) -> None:
    y = SIGNALS[name]
    [found] = extract_columns(encode(y, SR), "log-spectrogram-v1")["log_spectrogram_series"]
    assert found.shape[1] == 161
    assert_frames_close(found, tutorial(y, SR, 20, 10, SR / 2))


@pytest.mark.parametrize("name", SIGNALS)
def test_it_is_the_logarithm_of_scipys_spectrogram(name: str) -> None:
    y = SIGNALS[name]
    _, _, density = scipy.signal.spectrogram(
        y.astype(np.float64), SR, np.hanning(320), noverlap=160, detrend=False, scaling="density"
    )
    assert_frames_close(series(y), np.log(density.T + 1e-14))


@pytest.mark.parametrize(("sr", "max_freq"), [(16_000, 4000.0), (8_000, 4000.0), (44_100, 8_100.0)])
def test_bins_up_to_a_frequency_are_kept(sr: int, max_freq: float) -> None:
    y, n_fft = noise(sr=sr), sr // 50
    n_bins = int(max_freq * n_fft / sr) + 1
    found = series(y, sr, n_fft=n_fft, hop_length=sr // 100, n_bins=n_bins)
    assert_frames_close(found, tutorial(y, sr, 20, 10, max_freq))


@settings(deadline=None, max_examples=20)
@given(st.integers(320, 2000))
def test_samples_that_fill_no_window_are_left_out(length: int) -> None:
    y = SIGNALS["noise"][:length]
    assert len(series(y)) == 1 + (length - 320) // 160
    assert_frames_close(series(y), tutorial(y, SR, 20, 10, SR / 2))


def test_silence_has_the_logarithm_of_the_constant() -> None:
    assert series(SIGNALS["silence"]) == pytest.approx(np.log(1e-14), rel=1e-6)


def test_less_than_a_window_is_too_short() -> None:
    with pytest.raises(AudioError, match="one frame of 320 samples") as caught:
        series(SIGNALS["noise"][:319])
    assert caught.value.kind == "too_short"


def test_more_bins_than_there_are_are_refused() -> None:
    with pytest.raises(SpecError, match=r"n_bins=162 must be at most 161"):
        spec_of({"features": [{"family": "log_spectrogram", "n_bins": 162}]})
