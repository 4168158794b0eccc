"""The kernel of spectral contrast."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurelib.kernels import contrast, reference
from tests.featurelib.kernels.drawn import quickly, spectra


@quickly
@given(spectra(), st.data())
def test_band_extremes(drawn, data):
    S, _ = drawn
    k = S.shape[1]
    edges = data.draw(st.lists(st.integers(0, k), min_size=2, max_size=6, unique=True).map(sorted))
    starts, stops = np.array(edges[:-1]), np.array(edges[1:])
    takes = np.array([data.draw(st.integers(1, n)) for n in stops - starts])
    found = contrast.band_extremes(S, starts, stops, takes)
    expected = reference.band_extremes(S, starts, stops, takes)
    np.testing.assert_allclose(found, expected, rtol=1.2e-7)  # one unit of float32
