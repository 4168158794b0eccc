"""Kernels of moments."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurelib.kernels import moments, reference
from tests.featurelib.kernels.drawn import SUM64, filled, quickly, series


def assert_same_moments(found, expected, x):
    """Sums of powers, to their rounding: a share of the sum of absolute powers."""
    np.testing.assert_array_equal(found[4:], expected[4:])
    scale = np.abs(x.astype(np.float64)).max() + 1e-300
    for row, power in zip(range(4), (1, 2, 3, 4), strict=True):
        n = 1 if row == 0 else x.size
        atol = 1e-13 * n * scale**power
        np.testing.assert_allclose(found[row], expected[row], rtol=SUM64, atol=atol)


@quickly
@given(series())
def test_moments(x):
    for name, n in (("central_moments", x.shape[1]), ("cell_moments", 1)):
        found, expected = filled(
            (6, n),
            np.float64,
            lambda out, name=name: getattr(moments, name)(x, out),
            lambda out, name=name: getattr(reference, name)(x, out),
        )
        assert_same_moments(found, expected, x)


@quickly
@given(series(), st.data())
def test_moments_combine_to_those_of_all(x, data):
    if len(x) < 2:
        return
    cut = data.draw(st.integers(1, len(x) - 1))
    first, second, whole = filled(
        (6, x.shape[1]),
        np.float64,
        lambda out: reference.central_moments(x[:cut], out),
        lambda out: reference.central_moments(x[cut:], out),
        lambda out: reference.central_moments(x, out),
    )
    for kernels in (moments, reference):
        found = first.copy()
        kernels.combine(found, cut, second, len(x) - cut)
        assert_same_moments(found, whole, x)
