"""Kernels of quantiles."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurelib.kernels import quantiles, reference
from tests.featurelib.kernels.drawn import quickly, series


@quickly
@given(series(), st.data())
def test_quantiles_by_digits(x, data):
    x = np.round(x.astype(np.float32), 1)
    words = np.ascontiguousarray(x).view(np.uint32)
    n, m = x.shape
    rank = data.draw(st.integers(0, n - 1))
    results = []
    for kernels in (quantiles, reference):
        prefixes, ranks = np.zeros(m, np.int64), np.full(m, rank)
        known = 0
        for width in (11, 11, 10):
            counts = np.zeros((m, 1 << width), np.int64)
            kernels.count_digits(words, prefixes, known, width, counts)
            kernels.take_digits(counts, ranks, prefixes, width)
            known += width
        n_up_to, above = np.zeros(m, np.int64), np.full(m, 1 << 32)
        kernels.least_above(words, prefixes, n_up_to, above)
        results.append((prefixes, ranks, n_up_to, above))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)
    bits = results[0][0]
    values = np.where(bits >> 31, bits & 0x7FFFFFFF, ~bits & 0xFFFFFFFF).astype(np.uint32)
    np.testing.assert_array_equal(values.view(np.float32), np.sort(x, axis=0)[rank])
