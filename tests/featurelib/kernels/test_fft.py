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


N_FFTS = POWERS_OF_TWO | st.integers(8, 600).map(lambda n: 2 * n)


def complex_spectra(kernels, y, window, hop_length, n_frames):
    out = aligned((-(-n_frames // LANES), 2, 1 + len(window) // 2, LANES), np.float32)
    out[:] = np.nan
    kernels.complex_transform(window, hop_length)(y, out)
    return out


@settings(deadline=None, max_examples=60)
@given(
    n_fft=N_FFTS,
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


@settings(deadline=None, max_examples=40)
@given(
    n_fft=N_FFTS,
    n_frames=st.integers(1, 20),
    share=st.floats(0.01, 1.0),
    seed=st.integers(0, 1000),
)
def test_complex_spectra_are_numpys_and_have_the_magnitudes(n_fft, n_frames, share, seed):
    hop_length = max(1, round(share * n_fft))
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((n_frames - 1) * hop_length + n_fft).astype(np.float32)
    window = rng.random(n_fft)
    out = complex_spectra(fft, y, window, hop_length, n_frames)
    assert np.isfinite(out).all()
    frames = np.lib.stride_tricks.sliding_window_view(y, n_fft)[::hop_length] * window
    expected = np.fft.rfft(frames, axis=1).astype(np.complex64)
    for part, wanted in ((out[:, 0], expected.real), (out[:, 1], expected.imag)):
        assert_almost_bit_equal(reference.rows(part)[:n_frames], wanted)
    assert_almost_bit_equal(out, complex_spectra(reference, y, window, hop_length, n_frames))
    S = magnitudes(fft, y, window, hop_length, n_frames)
    np.testing.assert_array_equal(np.abs(out[:, 0] + 1j * out[:, 1]), S)


@settings(deadline=None, max_examples=40)
@given(n_fft=N_FFTS, n_batches=st.integers(1, 3), seed=st.integers(0, 1000))
def test_the_inverse_gives_the_samples_back(n_fft, n_batches, seed):
    y = np.random.default_rng(seed).standard_normal(n_batches * LANES * n_fft).astype(np.float32)
    D = complex_spectra(fft, y, np.ones(n_fft), n_fft, n_batches * LANES)
    out, expected = (aligned((n_batches, n_fft, LANES), np.float32) for _ in range(2))
    fft.inverse_transform(n_fft)(D, out)
    reference.inverse_transform(n_fft)(D, expected)
    frames = y.reshape(n_batches, LANES, n_fft).transpose(0, 2, 1)
    # float32 rounds at each of the passes
    np.testing.assert_allclose(out, frames, rtol=0, atol=3e-6)
    np.testing.assert_allclose(out, expected, rtol=0, atol=3e-6)


def test_the_inverse_ignores_what_no_real_signal_has():
    D = np.random.default_rng(0).standard_normal((1, 2, 33, LANES)).astype(np.float32)
    out, expected = (aligned((1, 64, LANES), np.float32) for _ in range(2))
    fft.inverse_transform(64)(D, out)
    D[:, 1, [0, -1]] = 0
    reference.inverse_transform(64)(D, expected)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    n_fft=N_FFTS,
    share=st.floats(0.01, 1.0),
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_frames_add_up_wherever_they_are_divided(n_fft, share, sizes, seed):
    hop_length = max(1, round(share * n_fft))
    rng = np.random.default_rng(seed)
    window = rng.random(n_fft)
    parts = [rng.standard_normal((n, 2, 1 + n_fft // 2, LANES)).astype(np.float32) for n in sizes]
    n_frames = sum(sizes) * LANES
    expected = np.zeros((n_frames - 1) * hop_length + n_fft)
    D = np.concatenate(parts)
    frames = np.fft.irfft(reference.rows(D[:, 0]) + 1j * reference.rows(D[:, 1]), axis=1)
    for t, frame in enumerate(frames):
        expected[t * hop_length :][:n_fft] += frame * window
    for kernels in (fft, reference):
        add = kernels.overlap_add_transform(window, hop_length)
        outs = [np.empty((len(part) * LANES, hop_length), np.float32) for part in parts]
        for part, out in zip(parts, outs, strict=True):
            add(part, out)
        found = np.concatenate(outs).reshape(-1)
        np.testing.assert_allclose(found, expected[: len(found)], rtol=0, atol=2e-5)
