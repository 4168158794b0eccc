"""Kernels of samples."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurelib.kernels import reference, samples
from tests.featurelib.kernels.drawn import SEEDS, SUM64, filled, quickly


@st.composite
def frames(draw):
    """Samples around zero, the lengths of frames and hops, and how many there are."""
    frame_length, n_frames = draw(st.integers(2, 40)), draw(st.integers(1, 20))
    hop_length = draw(st.integers(1, frame_length))
    rng = np.random.default_rng(draw(SEEDS))
    y = rng.choice(
        [-1, -0.3, -2e-10, -5e-11, -0.0, 0, 0.1, 1], (n_frames - 1) * hop_length + frame_length
    )
    return y.astype(np.float32), frame_length, hop_length, n_frames


@quickly
@given(frames(), st.integers(0, 30), st.integers(0, 30))
def test_crossing_rates(framed, low, missing):
    y, frame_length, hop_length, n = framed
    low = min(low, len(y))
    arguments = (y, low, max(len(y) - missing, low), frame_length, hop_length)
    found, expected = filled(
        n,
        np.float64,
        lambda out: samples.crossing_rates(*arguments, out),
        lambda out: reference.crossing_rates(*arguments, out),
    )
    np.testing.assert_array_equal(found, expected)


@quickly
@given(frames())
def test_frame_rms(framed):
    y, frame_length, hop_length, n = framed
    found, expected = filled(
        n,
        np.float64,
        lambda out: samples.frame_rms(y, frame_length, hop_length, out),
        lambda out: reference.frame_rms(y, frame_length, hop_length, out),
    )
    np.testing.assert_allclose(found, expected, rtol=SUM64)


@quickly
@given(SEEDS, st.integers(1, 5), st.integers(1, 40), st.booleans(), st.integers(0, 40))
def test_components(seed, n_steps, hop_length, are_alike, n_missing):
    rng = np.random.default_rng(seed)
    sums = rng.standard_normal((n_steps, hop_length)).astype(np.float32)
    factors = rng.random((1 if are_alike else n_steps, hop_length)).astype(np.float32)
    y = rng.standard_normal(max(sums.size - n_missing, 0)).astype(np.float32)
    found, expected = np.empty((2, 2, len(y)), np.float32)
    samples.components(sums, factors, y, *found)
    reference.components(sums, factors, y, *expected)
    np.testing.assert_array_equal(found, expected)
