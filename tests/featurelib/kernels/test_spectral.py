"""Kernels of the shape of spectra."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurelib.kernels import reference, spectral
from featurelib.kernels.lanes import LANES
from tests.featurelib.kernels.drawn import AMIN, SEEDS, SUM64, filled, quickly, spectra, sums_of


@quickly
@given(spectra())
def test_power_sums(drawn):
    S, _ = drawn
    found, expected = filled(
        (3, len(S) * LANES),
        np.float64,
        lambda out: spectral.power_sums(S, out),
        lambda out: reference.power_sums(S, out),
    )
    np.testing.assert_allclose(found, expected, rtol=SUM64)


@quickly
@given(spectra(), st.floats(1, 50))
def test_centroids_and_bandwidths_are_bit_by_bit_equal(drawn, bin_width):
    sums = sums_of(*drawn)
    for name in ("centroids", "bandwidths"):
        found, expected = filled(
            sums.shape[1],
            np.float64,
            lambda out, name=name: getattr(spectral, name)(sums, bin_width, out),
            lambda out, name=name: getattr(reference, name)(sums, bin_width, out),
        )
        np.testing.assert_array_equal(found, expected)


@quickly
@given(spectra(), st.sampled_from([1, 3, 4, 0.5, 2.7]), st.floats(1, 50))
def test_bandwidths_of_any_order(drawn, p, bin_width):
    S, _ = drawn
    sums = sums_of(*drawn)
    whole = isinstance(p, int)
    kernel = spectral.bandwidths_of_whole_order if whole else spectral.bandwidths_of_order
    found = kernel(S, sums, p, bin_width)
    expected = reference.bandwidths_of_order(S, sums, p, bin_width)
    # All power in one bin leaves the rounding of its distance from the centroid.
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11 * S.shape[1] * bin_width)


@quickly
@given(spectra(), st.floats(0.01, 0.99))
def test_rolloff_is_bit_by_bit_equal(drawn, fraction):
    S, _ = drawn
    found, expected = filled(
        len(S) * LANES,
        np.float32,
        lambda out: spectral.rolloff_bins(S, np.float32(fraction), out),
        lambda out: reference.rolloff_bins(S, np.float32(fraction), out),
    )
    np.testing.assert_array_equal(found, expected)


@quickly
@given(spectra())
def test_log_power_and_flatness(drawn):
    S, _ = drawn
    found, expected = filled(
        S.shape,
        np.float32,
        lambda out: spectral.log_power(S, AMIN, out),
        lambda out: reference.log_power(S, AMIN, out),
    )
    np.testing.assert_allclose(found, expected, rtol=2.5e-7, atol=1e-7)
    found = spectral.flatness(S, expected, AMIN)
    np.testing.assert_allclose(found, reference.flatness(S, expected, AMIN), rtol=SUM64)


@quickly
@given(spectra(), st.floats(0, 1), SEEDS)
def test_log_density(drawn, share, seed):
    S, n_frames = drawn
    n_bins = S.shape[1]
    scales = np.random.default_rng(seed).uniform(1e-8, 1e-6, n_bins).astype(np.float32)
    found, expected = filled(
        (n_frames, max(round(share * n_bins), 1)),
        np.float32,
        lambda out: spectral.log_density(S, scales, np.float32(1e-14), out),
        lambda out: reference.log_density(S, scales, np.float32(1e-14), out),
    )
    # Fused multiplication and addition rounds once less than the reference.
    np.testing.assert_allclose(found, expected, rtol=2.5e-7, atol=4e-7)


@quickly
@given(spectra(), st.booleans())
def test_flux(drawn, is_first):
    S, n_frames = drawn
    totals = sums_of(*drawn)[0]
    before, total_before = np.zeros(S.shape[1], np.float32), 0.0
    if not is_first:
        before = reference.spectrum_of(S, n_frames - 1)
        total_before = float(before.sum(dtype=np.float64))
    found = spectral.flux(S, totals, before, total_before)
    expected = reference.flux(S, totals, before, total_before)
    np.testing.assert_allclose(found, expected, rtol=SUM64, atol=SUM64)


@quickly
@given(spectra(), st.data())
def test_one_spectrum(drawn, data):
    S, n_frames = drawn
    t = data.draw(st.integers(0, n_frames - 1))
    np.testing.assert_array_equal(spectral.spectrum_of(S, t), reference.spectrum_of(S, t))
