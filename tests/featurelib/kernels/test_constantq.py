"""Kernels of the constant-Q transform."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurelib.kernels import constantq, reference
from tests.featurelib.kernels.drawn import SEEDS, SUM32, quickly


@quickly
@given(
    n_frames=st.integers(1, 13),
    hop_length=st.integers(1, 100),
    length=st.integers(1, 80),
    n_groups=st.integers(1, 3),
    n_more=st.integers(0, 5),
    seed=SEEDS,
)
def test_responses(n_frames, hop_length, length, n_groups, n_more, seed):
    rng = np.random.default_rng(seed)
    y = rng.uniform(-1, 1, (n_frames - 1) * hop_length + length).astype(np.float32)
    y *= np.float32(10.0 ** rng.integers(-30, 3))
    weights = rng.uniform(-1, 1, (n_groups, length, 24)).astype(np.float32)
    outs = []
    for kernel in (constantq.responses, reference.responses):
        whole = np.full((n_frames, 12 * n_groups + n_more), np.nan, np.float32)
        kernel(y, hop_length, weights, whole[:, n_more:])
        assert np.isnan(whole[:, :n_more]).all()
        outs.append(whole[:, n_more:])
    scale = np.abs(y).max() * length
    np.testing.assert_allclose(*outs, rtol=SUM32, atol=SUM32 * scale)


@quickly
@given(st.integers(0, 100), st.floats(1e-3, 1e3), SEEDS)
def test_scale_is_bit_by_bit_equal(n, factor, seed):
    y = np.random.default_rng(seed).uniform(-1, 1, n).astype(np.float32)
    other = y.copy()
    constantq.scale(y, factor)
    reference.scale(other, factor)
    np.testing.assert_array_equal(y, other)
