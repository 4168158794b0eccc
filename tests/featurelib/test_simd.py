"""Vectors in compiled code, and the Fourier transform that is made of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from featurelib import simd
from featurelib.kernels.spectrum import fft_tables, magnitudes
from featurelib.simd import LANES, load, log, store


@njit
def logarithms(x, out):
    for i in range(0, x.size, LANES):
        store(out, i, log(load(x, i)))


def test_logarithm_is_a_float32s():
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(-87, 88, 100_000)).astype(np.float32)
    x[:4] = 1.0, np.finfo(np.float32).tiny, np.finfo(np.float32).max, np.float32(1e-10)
    out = np.empty_like(x)
    logarithms(x, out)
    expected = np.log(np.float64(x))
    np.testing.assert_allclose(out, expected, rtol=2.5e-7, atol=1e-7)
    assert out[0] == 0.0


@njit
def arithmetic(a, b, out):
    x, y = load(a, 0), load(b, 0)
    store(out, 0, x + y)
    store(out, LANES, x - y)
    store(out, 2 * LANES, x * y)
    store(out, 3 * LANES, x / y)
    store(out, 4 * LANES, simd.maximum(x, y))
    store(out, 5 * LANES, simd.minimum(x, y))
    store(out, 6 * LANES, simd.shifted(x, y))
    store(out, 7 * LANES, simd.select(simd.less(x, y), x, simd.spread(a, 3)))
    return simd.bits(simd.less(x, y)), simd.bits(simd.at_least(x, y))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_are_numpys_elements(dtype):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, LANES)).astype(dtype)
    b[2] = a[2]
    out = np.empty((8, LANES), dtype)
    below, not_below = arithmetic(a, b, out)
    shifted = np.concatenate((a[-1:], b[:-1]))
    chosen = np.where(a < b, a, a[3])
    expected = [a + b, a - b, a * b, a / b, np.maximum(a, b), np.minimum(a, b), shifted, chosen]
    np.testing.assert_array_equal(out, expected)
    assert below == sum(1 << lane for lane in range(LANES) if a[lane] < b[lane])
    assert below + not_below == (1 << LANES) - 1


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
    scratch = simd.aligned((2, n_fft // 2, LANES), np.float64)
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
    scratch = simd.aligned((2, 32, LANES), np.float64)
    for scale in (1e-30, 1e12, 0.0):
        samples = (scale * y).astype(np.float32)
        magnitudes(samples, np.ones(n_fft), n_fft, *fft_tables(n_fft), scratch, out)
        expected = np.abs(np.fft.rfft(np.float64(samples)).astype(np.complex64))
        np.testing.assert_allclose(out[0, :, 0], expected, rtol=3e-7)


def test_aligned_memory():
    for n in (1, 3, 1000):
        x = simd.aligned((n, LANES), np.float32)
        assert x.ctypes.data % 64 == 0
        assert (x.shape, x.dtype) == ((n, LANES), np.float32)
