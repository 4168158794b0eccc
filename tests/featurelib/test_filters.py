"""Filter banks and tables against librosa's."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib import filters
from featurelib.transforms.stft import WINDOWS

AXES = st.tuples(
    st.sampled_from([1_000, 8_000, 11_025, 22_050, 44_100, 48_000, 192_000]),
    st.sampled_from([16, 64, 200, 512, 2048, 4096]),
)


@pytest.mark.parametrize("n_fft", [16, 200, 2048])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_are_bit_by_bit_librosas(name, n_fft):
    expected = librosa.filters.get_window(name, n_fft, fftbins=True)
    np.testing.assert_array_equal(filters.window(name, n_fft), expected)


@given(AXES, st.integers(1, 200), st.floats(0, 400), st.none() | st.floats(450, 1e5))
@pytest.mark.filterwarnings("ignore:Empty filters")
def test_mel_filters_equal_librosas(axis, n_mels, fmin, fmax):
    sr, n_fft = axis
    bank = filters.mel(sr, n_fft, n_mels, fmin, fmax)
    expected = librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    np.testing.assert_allclose(bank.weights, expected, rtol=2e-6, atol=1e-6 * expected.max())
    for start, stop, weights in zip(*bank, strict=True):
        assert not weights[:start].any()
        assert not weights[stop:].any()


@given(AXES, st.integers(1, 40), st.integers(-50, 49))
def test_chroma_filters_equal_librosas(axis, n_chroma, hundredths):
    sr, n_fft = axis
    tuning = hundredths / 100
    bank = filters.chroma(sr, n_fft, n_chroma, tuning)
    expected = librosa.filters.chroma(sr=sr, n_fft=n_fft, n_chroma=n_chroma, tuning=tuning)
    np.testing.assert_allclose(bank, expected, rtol=1e-5, atol=1e-7)
