"""Filter banks and tables against librosa's."""

from __future__ import annotations

import librosa
import librosa.core.constantq as constantq
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib import filters
from featurelib.transforms.stft import WINDOWS

AXES = st.tuples(
    st.sampled_from([1_000, 8_000, 11_025, 22_050, 44_100, 48_000, 192_000]),
    st.sampled_from([16, 64, 200, 512, 2048, 4096]),
)


@pytest.mark.parametrize("fftbins", [True, False], ids=["periodic", "symmetric"])
@pytest.mark.parametrize("n_fft", [16, 200, 2048])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_are_bit_by_bit_librosas(name, n_fft, fftbins):
    for length in (n_fft, n_fft - 1, n_fft // 2 - 1):
        window = librosa.filters.get_window(name, length, fftbins=fftbins)
        expected = librosa.util.pad_center(window, size=n_fft)
        np.testing.assert_array_equal(filters.window(name, n_fft, length, fftbins), expected)
    expected = librosa.filters.get_window(name, n_fft)
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


@given(st.integers(8_500, 192_000), st.sampled_from([12, 36]), st.integers(-50, 49))
@settings(max_examples=20, deadline=None)
def test_constant_q_filters_equal_librosas(sr, bins_per_octave, hundredths):
    fmin = librosa.note_to_hz("C6") * 2.0 ** (hundredths / 100 / bins_per_octave)
    freqs = fmin * 2.0 ** (np.arange(bins_per_octave) / bins_per_octave)
    alpha = librosa.filters._relative_bandwidth(freqs=freqs)
    lengths, cutoff = librosa.filters.wavelet_lengths(
        freqs=freqs, sr=sr, window="hann", filter_scale=1, gamma=0, alpha=alpha
    )
    assert filters.constant_q_cutoff(freqs[-1], bins_per_octave) == pytest.approx(cutoff)
    spectra, n_fft, _ = vars(constantq)["__vqt_filter_fft"](
        sr, freqs, 1, 1, 0.01, window="hann", gamma=0, alpha=alpha
    )
    expected = np.fft.fft(spectra.toarray(), n_fft) / np.sqrt(lengths)[:, None]
    weights = filters.constant_q(fmin / sr, bins_per_octave)
    found = np.concatenate([one[:, :12].T + 1j * one[:, 12:].T for one in weights])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
