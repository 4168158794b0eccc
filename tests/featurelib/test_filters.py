"""Compiled filters, against the same sums in NumPy and SciPy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct

from featurelib import banks
from featurelib.kernels.filters import cepstra, relative_to_strongest


@settings(deadline=None)
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
    found = cepstra(levels, np.float32(floor), banks.dct_matrix(n_mels, n_mfcc))
    limited = np.maximum(levels, np.float32(floor)).astype(np.float64)
    expected = dct(limited, axis=1, norm="ortho")[:, :n_mfcc]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_a_flat_spectrum_has_one_coefficient_exactly():
    found = cepstra(
        np.full((3, 128), -63.2, np.float32), np.float32(-80), banks.dct_matrix(128, 20)
    )
    assert (found[:, 0] < 0).all()
    assert (found[:, 1:] == 0).all()


def test_rows_are_relative_to_their_strongest_but_for_silence():
    x = np.array([[1.0, 4.0, 2.0], [0.0, 0.0, 0.0], [1e-40, 0.0, 1e-39]], np.float32)
    found = relative_to_strongest(x)
    np.testing.assert_array_equal(found, [x[0] / 4, x[1], x[2]])
    assert found.dtype == np.float32
