"""Filter banks against librosa's, what is interpolated between them, and their kernels."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.fft import dct

from featurelib import filters
from featurelib.kernels.filters import cepstra, filtered, relative_to_strongest
from featurelib.simd import LANES
from featurelib.transforms.stft import WINDOWS

AXES = st.tuples(
    st.sampled_from([1_000, 8_000, 11_025, 22_050, 44_100, 48_000, 192_000]),
    st.sampled_from([16, 64, 200, 512, 2048, 4096]),
)

SEEDS = st.integers(0, 1000)


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


def ungrouped(bank: np.ndarray, n: int) -> np.ndarray:
    """Filters (n, bins) from the groups that the kernel takes."""
    return bank.transpose(0, 2, 1).reshape(-1, bank.shape[1])[:n]


@given(AXES, st.integers(1, 40), st.integers(-50, 49))
def test_chroma_filters_equal_librosas(axis, n_chroma, hundredths):
    sr, n_fft = axis
    tuning = hundredths / 100
    bank = ungrouped(filters.chroma(sr, n_fft, n_chroma, tuning), n_chroma)
    expected = librosa.filters.chroma(sr=sr, n_fft=n_fft, n_chroma=n_chroma, tuning=tuning)
    np.testing.assert_allclose(bank, expected, rtol=1e-5, atol=1e-7)


@given(AXES, st.sampled_from([12, 24]) | st.integers(1, 60), st.integers(-50, 49), SEEDS)
def test_condensed_spectra_give_the_chroma_of_any_tuning(axis, n_chroma, hundredths, seed):
    sr, n_fft = axis
    rng = np.random.default_rng(seed)
    # Every bin alone, and some noise: what holds for each holds for their sums.
    n_bins = 1 + n_fft // 2
    S = np.concatenate((np.eye(n_bins), rng.gamma(0.1, size=(7, n_bins)))).astype(np.float32)
    lanes = np.zeros((-(-len(S) // LANES), n_bins, LANES), np.float32)
    for t, row in enumerate(S):
        lanes[t // LANES, :, t % LANES] = row
    n = filters.n_condensed(n_fft, n_chroma)
    bank = filters.condensing_bank(sr, n_fft, n_chroma)
    if bank is None:
        assert n == n_bins
        condensed = np.square(S).astype(np.float64)
    else:
        assert n < n_bins
        condensed = filtered(lanes, bank, n, len(S)).astype(np.float64)
    found = condensed @ filters.condensed_chroma(sr, n_fft, n_chroma, hundredths / 100)
    chroma = librosa.filters.chroma(
        sr=sr, n_fft=n_fft, n_chroma=n_chroma, tuning=hundredths / 100, dtype=np.float64
    )
    expected = np.float64(S) ** 2 @ chroma.T
    scale = expected.max(axis=1, keepdims=True)
    assert (np.abs(found - expected) <= 5e-7 * scale).all()


@given(
    n_frames=st.integers(1, 40),
    n_mels=st.integers(1, 64),
    share=st.floats(0, 1),
    floor=st.floats(-100, 0, width=32),
    seed=st.integers(0, 2**32 - 1),
)
def test_cepstra_are_cosine_transforms_of_limited_levels(n_frames, n_mels, share, floor, seed):
    n_mfcc = max(round(share * n_mels), 1)
    levels = np.random.default_rng(seed).uniform(-120, 20, (n_frames, n_mels)).astype(np.float32)
    limited = np.maximum(levels, np.float32(floor))
    found = cepstra(limited, filters.dct(n_mels, n_mfcc))
    expected = dct(limited.astype(np.float64), axis=1, norm="ortho")[:, :n_mfcc]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_a_flat_spectrum_has_one_coefficient_exactly():
    found = cepstra(np.full((3, 128), -63.2, np.float32), filters.dct(128, 20))
    assert (found[:, 0] < 0).all()
    assert (found[:, 1:] == 0).all()


def test_rows_are_relative_to_their_strongest_but_for_silence():
    x = np.array([[1.0, 4.0, 2.0], [0.0, 0.0, 0.0], [1e-40, 0.0, 1e-39]], np.float32)
    found = relative_to_strongest(x)
    np.testing.assert_array_equal(found, [x[0] / 4, x[1], x[2]])
    assert found.dtype == np.float32
