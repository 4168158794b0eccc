"""Kernels that apply filters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib.kernels import filters, reference
from tests.featurelib.kernels.drawn import AMIN, SEEDS, SUM32, SUM64, filled, quickly, spectra


@st.composite
def banks(draw, n_bins):
    """A bank of sparse filters."""
    bounds = st.lists(st.integers(0, n_bins), min_size=2, max_size=2).map(sorted)
    starts, stops = np.array(draw(st.lists(bounds, min_size=1, max_size=9))).T.copy()
    weights = np.random.default_rng(draw(SEEDS)).random((len(starts), n_bins)).astype(np.float32)
    bins = np.arange(n_bins)
    weights *= (starts[:, None] <= bins) & (bins < stops[:, None])
    return starts, stops, weights


@quickly
@given(spectra(), st.data())
def test_band_levels(drawn, data):
    S, n_frames = drawn
    bank = data.draw(banks(S.shape[1]))
    found = filters.band_levels(S, *bank, AMIN, n_frames)
    expected = reference.band_levels(S, *bank, AMIN, n_frames)
    assert found.dtype == expected.dtype == np.float32
    # In dB: 4.3 times the relative difference of power, and the logarithm's rounding.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=4.4 * SUM32)


@quickly
@given(spectra(), st.data())
def test_band_powers(drawn, data):
    S, n_frames = drawn
    bank = data.draw(banks(S.shape[1]))
    found, expected = filled(
        (n_frames, len(bank[0])),
        np.float32,
        lambda out: filters.band_powers(S, *bank, out),
        lambda out: reference.band_powers(S, *bank, out),
    )
    np.testing.assert_allclose(found, expected, rtol=SUM32, atol=1e-40)


@quickly
@given(spectra(), st.integers(1, 9), SEEDS)
def test_projections(drawn, n, seed):
    S, n_frames = drawn
    matrix = np.random.default_rng(seed).standard_normal((n, S.shape[1]))
    found, expected = filled(
        (n_frames, n),
        np.float64,
        lambda out: filters.projections(S, matrix, out),
        lambda out: reference.projections(S, matrix, out),
    )
    # The terms may cancel, so rounding is that of the largest one.
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=SUM64 * S.max(initial=1e-9) * S.shape[1]
    )


@quickly
@given(
    n_frames=st.integers(1, 40),
    n_mels=st.integers(1, 64),
    share=st.floats(0, 1),
    seed=SEEDS,
)
def test_cepstra(n_frames, n_mels, share, seed):
    rng = np.random.default_rng(seed)
    levels = rng.uniform(-120, 20, (n_frames, n_mels)).astype(np.float32)
    dct = rng.uniform(-1, 1, (n_mels, max(round(share * n_mels), 1)))
    found, expected = filters.cepstra(levels, dct), reference.cepstra(levels, dct)
    np.testing.assert_allclose(found, expected, rtol=SUM64, atol=100 * SUM64)


@pytest.mark.parametrize("kernels", [filters, reference], ids=["compiled", "reference"])
def test_a_flat_spectrum_has_one_coefficient_exactly(kernels):
    n = np.arange(128)
    dct = np.cos(np.pi / 128 * np.outer(n + 0.5, np.arange(20)))
    found = kernels.cepstra(np.full((3, 128), -63.2, np.float32), dct)
    assert (found[:, 0] < 0).all()
    assert (found[:, 1:] == 0).all()


@quickly
@given(spectra(), st.integers(1, 26), SEEDS)
def test_filtered(drawn, n_filters, seed):
    S, n_frames = drawn
    bank = np.random.default_rng(seed).random((n_filters, S.shape[1])).astype(np.float32)
    found = filters.filtered(S, bank, n_frames)
    expected = reference.filtered(S, bank, n_frames)
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=SUM32, atol=1e-40)


@pytest.mark.parametrize("kernels", [filters, reference], ids=["compiled", "reference"])
def test_rows_are_relative_to_their_strongest_but_for_silence(kernels):
    x = np.array([[1.0, 4.0, 2.0], [0.0, 0.0, 0.0], [1e-40, 0.0, 1e-39]], np.float32)
    found = kernels.relative_to_strongest(x)
    np.testing.assert_array_equal(found, [x[0] / 4, x[1], x[2]])
    assert found.dtype == np.float32
