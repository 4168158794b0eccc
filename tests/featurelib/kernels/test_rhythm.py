"""Kernels of onsets and tempo."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib.kernels import reference, rhythm

SHAPES = {
    "seed": st.integers(0, 2**32),
    "n_frames": st.integers(1, 40),
    "n_bands": st.integers(1, 140),
}


def levels(seed, n_frames, n_bands, distinct):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, distinct, (n_frames + 1, n_bands), endpoint=True) / np.float32(7)
    x = (x * 10.0 ** rng.integers(-6, 3)).astype(np.float32)
    return x[0], x[1:]


@settings(deadline=None, max_examples=100)
@given(**SHAPES, distinct=st.sampled_from([0, 1, 5, 1_000_000]))
def test_rises_are_numpys(seed, n_frames, n_bands, distinct):
    before, x = levels(seed, n_frames, n_bands, distinct)
    found, expected = np.empty((2, n_frames), np.float32)
    rhythm.median_rises(x, before, found)
    reference.median_rises(x, before, expected)
    np.testing.assert_array_equal(found, expected)
    rhythm.mean_rises(x, before, found)
    reference.mean_rises(x, before, expected)
    np.testing.assert_allclose(found, expected, rtol=2e-7)


@given(
    seed=st.integers(0, 2**32),
    n_frames=st.integers(1, 90),
    n=st.integers(2, 70),
    is_sparse=st.booleans(),
    exponents=st.lists(st.integers(-30, 15), min_size=1, max_size=3),
)
def test_autocorrelations_of_loud_and_quiet_frames_are_added_up(
    seed, n_frames, n, is_sparse, exponents
):
    rng = np.random.default_rng(seed)
    y = rng.random(n_frames + n - 1)
    if is_sparse:
        y[y < 0.7] = 0
    for part, exponent in zip(np.array_split(y, len(exponents)), exponents, strict=True):
        part *= 10.0**exponent
    y = y.astype(np.float32)
    before = rng.random(n)
    found, expected = before.copy(), before.copy()
    rhythm.add_autocorrelations(y, n_frames, found)
    reference.add_autocorrelations(y, n_frames, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-8)
    moderate = max(exponents) == min(exponents)
    if moderate and not is_sparse:
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
