"""The Fourier transform that is made of vectors."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib.kernels.fft import fft_tables, magnitudes
from featurelib.kernels.lanes import LANES, aligned


@settings(deadline=None, max_examples=40)
@given(
    log2_n_fft=st.integers(4, 13),
    n_frames=st.integers(1, 20),
    share=st.floats(0.01, 1.0),
    missing=st.integers(0, 100),
    seed=st.integers(0, 1000),
)
def test_magnitudes_are_bit_by_bit_numpys(log2_n_fft, n_frames, share, missing, seed):
    n_fft = 1 << log2_n_fft
    hop_length = max(1, round(share * n_fft))
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((n_frames - 1) * hop_length + n_fft).astype(np.float32)
    window = rng.random(n_fft)
    n_batches = -(-n_frames // LANES)
    out = np.full((n_batches, 1 + n_fft // 2, LANES), np.nan, np.float32)
    scratch = aligned((2, n_fft // 2, LANES), np.float64)
    given_samples = y[: len(y) - min(missing, n_fft)]
    magnitudes(given_samples, window, hop_length, *fft_tables(n_fft), scratch, out)
    y[len(given_samples) :] = 0  # what is not there counts as zeros
    frames = np.lib.stride_tricks.sliding_window_view(y, n_fft)[::hop_length] * window
    expected = np.abs(np.fft.rfft(frames, axis=1).astype(np.complex64))
    found = out.transpose(0, 2, 1).reshape(-1, out.shape[1])[:n_frames]
    # Two transforms in float64 round apart once in a hundred million times.
    np.testing.assert_allclose(found, expected, rtol=3e-7, atol=1e-12 * expected.max())
    assert np.mean(found != expected) < 1e-3
    assert np.isfinite(out).all()


def test_tiny_and_huge_samples_keep_their_magnitudes():
    n_fft = 64
    y = np.random.default_rng(0).standard_normal(n_fft)
    out = np.empty((1, 33, LANES), np.float32)
    scratch = aligned((2, 32, LANES), np.float64)
    for scale in (1e-30, 1e12, 0.0):
        samples = (scale * y).astype(np.float32)
        magnitudes(samples, np.ones(n_fft), n_fft, *fft_tables(n_fft), scratch, out)
        expected = np.abs(np.fft.rfft(np.float64(samples)).astype(np.complex64))
        np.testing.assert_allclose(out[0, :, 0], expected, rtol=3e-7)
