"""Polynomials that fit spectra are librosa's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib import extract_signal_columns, filters, spec_from_settings
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import SIGNALS, SR


@pytest.mark.parametrize("order", [0, 1, 2, 8])
@pytest.mark.parametrize("name", SIGNALS)
def test_columns_equal_librosa(name: str, order: int) -> None:
    entry = {"family": "poly_features", "order": order, "statistics": ["mean", "std", "median"]}
    y, spec = SIGNALS[name], spec_from_settings({"features": [entry]})
    oracle.assert_close(extract_signal_columns(y, SR, spec), oracle.columns(y, spec))


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([1_000, 8_000, 44_100, 192_000]),
    st.sampled_from([16, 200, 2048]),
    st.integers(0, 8),
    st.integers(0, 2**32 - 1),
)
def test_the_fit_is_numpys(sr: int, n_fft: int, order: int, seed: int) -> None:
    spectrum = np.random.default_rng(seed).gamma(0.5, size=1 + n_fft // 2)
    found = filters.polynomial_fit(sr, n_fft, order) @ spectrum
    expected = np.polyfit(np.fft.rfftfreq(n_fft, 1 / sr), spectrum, order)
    scales = (sr / 2.0) ** np.arange(order, -1, -1)  # to coefficients of similar size
    largest = np.abs(expected * scales).max()
    np.testing.assert_allclose(found * scales, expected * scales, rtol=0, atol=1e-8 * largest)
