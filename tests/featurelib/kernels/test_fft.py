"""The Fourier transform that is made of vectors, and the one of other lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib.kernels import fft, reference
from featurelib.kernels.lanes import LANES, aligned

POWERS_OF_TWO = st.integers(4, 13).map(lambda n: 1 << n)


def magnitudes(kernels, y, window, hop_length, n_frames):
    out = aligned((-(-n_frames // LANES), 1 + len(window) // 2, LANES), np.float32)
    out[:] = np.nan
    kernels.transform(window, hop_length)(y, out)
    return out


@settings(deadline=None, max_examples=60)
@given(
    n_fft=POWERS_OF_TWO | st.integers(8, 600).map(lambda n: 2 * n),
    n_frames=st.integers(1, 20),
    share=st.floats(0.01, 1.0),
    missing=st.integers(0, 100),
    seed=st.integers(0, 1000),
)
def test_magnitudes_are_bit_by_bit_numpys(n_fft, n_frames, share, missing, seed):
    hop_length = max(1, round(share * n_fft))
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((n_frames - 1) * hop_length + n_fft).astype(np.float32)
    window = rng.random(n_fft)
    given_samples = y[: len(y) - min(missing, n_fft)]
    out = magnitudes(fft, given_samples, window, hop_length, n_frames)
    assert np.isfinite(out).all()
    y[len(given_samples) :] = 0  # what is not there counts as zeros
    frames = np.lib.stride_tricks.sliding_window_view(y, n_fft)[::hop_length] * window
    expected = np.abs(np.fft.rfft(frames, axis=1).astype(np.complex64))
    assert_almost_bit_equal(reference.rows(out)[:n_frames], expected)
    assert_almost_bit_equal(out, magnitudes(reference, given_samples, window, hop_length, n_frames))


def assert_almost_bit_equal(found, expected):
    # Two transforms in float64 round apart once in a hundred million times.
    np.testing.assert_allclose(found, expected, rtol=3e-7, atol=1e-12 * expected.max())
    assert np.mean(found != expected) < 1e-3


@pytest.mark.parametrize("scale", [1e-30, 1e12, 0.0])
def test_tiny_and_huge_samples_keep_their_magnitudes(scale):
    samples = (scale * np.random.default_rng(0).standard_normal(64)).astype(np.float32)
    out = magnitudes(fft, samples, np.ones(64), 64, 1)
    expected = np.abs(np.fft.rfft(np.float64(samples)).astype(np.complex64))
    np.testing.assert_allclose(out[0, :, 0], expected, rtol=3e-7)
