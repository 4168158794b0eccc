from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib.spec import STATISTICS
from featurelib.statistics import CHUNK, CellSeries, Moments, RowSeries


def expected(x: np.ndarray, name: str) -> np.ndarray:
    function = getattr(scipy.stats if name in ("skew", "kurtosis") else np, name)
    return function(x, axis=0)


@pytest.mark.parametrize("name", STATISTICS)
@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(lambda x: sum(x) > 4),
    seed=st.integers(0, 2**32 - 1),
    offset=st.sampled_from([0.0, 3.0, -1e4]),
)
def test_pieces_give_the_statistics_of_the_whole(name, lengths, seed, offset):
    x = offset + np.random.default_rng(seed).gamma(2.0, size=(sum(lengths), 3))
    moments = Moments(3)
    for part in np.split(x, np.cumsum(lengths)[:-1]):
        moments.update(part)
    np.testing.assert_allclose(moments.statistic(name), expected(x, name), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", STATISTICS)
def test_rows_are_condensed_chunk_by_chunk(name):
    x = np.random.default_rng(0).gamma(1.0, size=(2 * CHUNK + 77, 2))
    for step in (1000, CHUNK - 1, len(x)):
        series = RowSeries(2)
        for start in range(0, len(x), step):
            series.append(x[start : start + step])
        np.testing.assert_allclose(series.statistic(name), expected(x, name), rtol=1e-9)
        # Asking does not change the answer.
        np.testing.assert_allclose(series.statistic(name), expected(x, name), rtol=1e-9)


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cells_count_alike_wherever_they_are(name, dtype):
    x = np.random.default_rng(0).gamma(1.0, size=(50, 7)).astype(dtype)
    series = CellSeries()
    for part in np.split(x, [3, 3, 20]):
        series.append(part)
    value = expected(x.astype(np.float64).ravel(), name)
    np.testing.assert_allclose(series.statistic(name), [value], rtol=1e-9)


@pytest.mark.parametrize("make", [lambda: RowSeries(1), CellSeries], ids=["rows", "cells"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e5, 1 / 3])
def test_a_constant_has_no_spread_and_finite_shape(make, value):
    series = make()
    for n in (3, 1, 7, 50_000):
        series.append(np.full((n, 1), value))
    assert series.statistic("skew") == series.statistic("kurtosis") == 0.0
    assert series.statistic("std") <= 1e-12 * abs(value)


def test_no_values_give_zeros():
    for series in (RowSeries(2), CellSeries()):
        series.append(np.empty((0, 2)))
        for name in STATISTICS:
            assert not series.statistic(name).any()


def test_a_small_spread_on_a_large_offset_is_not_lost():
    x = 1e6 + np.random.default_rng(0).standard_normal((10_000, 1))
    series = RowSeries(1)
    for part in np.array_split(x, 7):
        series.append(part)
    np.testing.assert_allclose(series.statistic("std"), x.std(), rtol=1e-9)
