"""Operators of statistics, against NumPy and SciPy on whole series."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from featurelib import AudioError, Feature, spill, statistics
from featurelib.graph import Block
from featurelib.statistics import (
    CHUNK,
    STATISTICS,
    Moments,
    PooledMoments,
    Quantiles,
    QuantilesOperator,
    RowMoments,
    Series,
    is_statistic,
    meaning,
    quantile_of,
    statistic_node,
)
from tests.featurelib.support.oracle import statistic as oracle_statistic

MOMENTS = ("mean", "std", "var", "min", "max", "skew", "kurtosis")
QUANTILES = ("median", "q00", "q05", "q25", "q2_5", "q99_99")


@dataclass(frozen=True, kw_only=True)
class Rows(Feature):
    """Feature with two rows; the tests only use its width."""

    family: ClassVar[str] = "rows"
    has_rows: ClassVar[bool] = True  # type: ignore[misc]
    width: ClassVar[int] = 2  # type: ignore[misc]


@dataclass(frozen=True, kw_only=True)
class One(Feature):
    """Feature with one row."""

    family: ClassVar[str] = "one"


def expected(x: np.ndarray, name: str) -> np.ndarray:
    function = getattr(scipy.stats if name in ("skew", "kurtosis") else np, name)
    return function(x, axis=0)


def push(operator, x):
    assert list(operator.push(Block(x, len(x)), 0)) == []


@pytest.mark.parametrize("name", MOMENTS)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(lambda x: sum(x) > 4),
    seed=st.integers(0, 2**32 - 1),
    offset=st.sampled_from([0.0, 3.0, -1e4]),
)
def test_pieces_give_the_statistics_of_the_whole(name, lengths, seed, offset):
    x = offset + np.random.default_rng(seed).gamma(2.0, size=(sum(lengths), 3))
    rows, cells = RowMoments(3), PooledMoments()
    for part in np.split(x, np.cumsum(lengths)[:-1]):
        for operator in (rows, cells):
            push(operator, part)
        rows.finish()  # each part is reduced to moments separately
    np.testing.assert_allclose(rows.statistic(name), expected(x, name), rtol=1e-6, atol=1e-9)
    whole = expected(x.ravel(), name)
    np.testing.assert_allclose(cells.statistic(name), [whole], rtol=1e-6, atol=1e-9)


@st.composite
def series_in_blocks(draw):
    """Frames of two rows in steps, so that ties and constants occur, and where to cut them."""
    n_frames = draw(st.sampled_from([1, 2, 3]) | st.integers(4, 200))
    n_steps = draw(st.sampled_from([1, 2, 100]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = draw(st.sampled_from([0, -3, 1000])) + rng.integers(0, n_steps, (n_frames, 2))
    x = steps * 2.0 ** draw(st.integers(-20, 20))
    cuts = draw(st.lists(st.integers(0, n_frames), max_size=8))
    return x.astype(draw(st.sampled_from([np.float32, np.float64]))), sorted(cuts)


@given(series_in_blocks(), st.sampled_from([*MOMENTS, *QUANTILES]), st.booleans())
def test_every_statistic_in_blocks_is_that_of_the_whole(drawn, name, pooled):
    x, cuts = drawn
    operator = statistic_node(name, Rows(), pooled=pooled).operator(22_050)
    for part in np.split(x, cuts):
        push(operator, part)
    operator.finish()
    populations = [x] if pooled else x.T
    whole = [oracle_statistic(values, name) for values in populations]
    # Of a constant, variance and deviation are rounding errors.
    absolute = 1e-9 if name in ("skew", "kurtosis") else 1e-12 * np.abs(x).max()
    absolute *= np.abs(x).max() if name == "var" else 1.0
    np.testing.assert_allclose(operator.statistic(name), whole, rtol=1e-9, atol=absolute)


@pytest.mark.parametrize("pooled", [False, True])
def test_a_single_frame_has_no_spread(pooled):
    x = np.array([[0.1, 0.1]])
    for name in (*MOMENTS, *QUANTILES):
        operator = statistic_node(name, Rows(), pooled=pooled).operator(22_050)
        push(operator, x.astype(np.float32))
        operator.finish()
        spread = name in ("std", "var", "skew", "kurtosis")
        expected = 0.0 if spread else float(np.float32(0.1))
        assert operator.statistic(name).tolist() == [expected] * (1 if pooled else 2)


@pytest.mark.parametrize("name", MOMENTS)
def test_rows_are_condensed_chunk_by_chunk(name):
    x = np.random.default_rng(0).gamma(1.0, size=(2 * CHUNK + 77, 2))
    for step in (1000, CHUNK - 1, len(x)):
        series = RowMoments(2)
        for start in range(0, len(x), step):
            push(series, x[start : start + step])
        series.finish()
        np.testing.assert_allclose(series.statistic(name), expected(x, name), rtol=1e-9)
        # A second call gives the same result.
        np.testing.assert_allclose(series.statistic(name), expected(x, name), rtol=1e-9)


@pytest.mark.parametrize("name", MOMENTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cells_count_alike_wherever_they_are(name, dtype):
    x = np.random.default_rng(0).gamma(1.0, size=(50, 7)).astype(dtype)
    series = PooledMoments()
    for part in np.split(x, [3, 3, 20]):
        push(series, part)
    series.finish()
    value = expected(x.astype(np.float64).ravel(), name)
    np.testing.assert_allclose(series.statistic(name), [value], rtol=1e-9)


@pytest.mark.parametrize("make", [lambda: RowMoments(1), PooledMoments], ids=["rows", "cells"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e5, 1 / 3])
def test_a_constant_has_no_spread_and_finite_shape(make, value):
    series = make()
    for n in (3, 1, 7, 50_000):
        push(series, np.full((n, 1), value))
    series.finish()
    assert series.statistic("skew") == series.statistic("kurtosis") == 0.0
    assert series.statistic("std") <= 1e-12 * abs(value)


def test_no_values_give_zeros():
    for series in (RowMoments(2), PooledMoments()):
        push(series, np.empty((0, 2)))
        series.finish()
        for name in MOMENTS:
            assert not series.statistic(name).any()
    quantiles = QuantilesOperator(2)
    push(quantiles, np.empty((0, 2), np.float32))
    quantiles.finish()
    for name in QUANTILES:
        np.testing.assert_array_equal(quantiles.statistic(name), [0.0, 0.0])


def test_a_small_spread_on_a_large_offset_is_not_lost():
    x = 1e6 + np.random.default_rng(0).standard_normal((10_000, 1))
    series = RowMoments(1)
    for part in np.array_split(x, 7):
        push(series, part)
    series.finish()
    np.testing.assert_allclose(series.statistic("std"), x.std(), rtol=1e-9)


# --- quantiles

#: Values with ties, both zeros, and the ends of the range.
VALUES = st.one_of(
    st.floats(-(2.0**100), 2.0**100, width=32),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0**-149, -(2.0**-149), 3.0]),
)


def quantiles_of(x: np.ndarray, cuts: list[int]) -> QuantilesOperator:
    operator = QuantilesOperator(x.shape[1])
    for part in np.split(x, sorted(cuts)):
        push(operator, part)
    operator.finish()
    return operator


@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(
            st.lists(VALUES, min_size=width, max_size=width), min_size=1, max_size=40
        )
    ),
    st.lists(st.integers(0, 40), max_size=3),
    st.sampled_from(QUANTILES) | st.integers(0, 99).map("q{:02}".format),
)
def test_quantiles_are_numpys_in_memory_and_beyond(values, cuts, name):
    x = np.array(values, np.float32)
    # In float64, because differences of extreme float32 values would overflow.
    whole = np.array([oracle_statistic(column, name) for column in x.T])
    in_memory = quantiles_of(x, cuts).statistic(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "MEMORY_BYTES", 8 * x.shape[1])
        operator = quantiles_of(x, cuts)
    assert operator._values.is_in_memory == (len(x) <= 2)
    np.testing.assert_array_equal(operator.statistic(name), in_memory)
    # The rounding error of an interpolated quantile depends on the larger value.
    largest = np.abs(x).max(axis=0).astype(np.float64)
    assert (np.abs(in_memory - whole) <= 1e-12 * largest).all()


@pytest.mark.parametrize("memory_bytes", [10**6, 64])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 1000])
def test_medians_and_extremes_of_few_frames(n, memory_bytes, monkeypatch):
    monkeypatch.setattr(spill, "MEMORY_BYTES", memory_bytes)
    x = np.random.default_rng(n).standard_normal((n, 2)).astype(np.float32)
    operator = quantiles_of(x, [])
    exact = x.astype(np.float64)
    np.testing.assert_array_equal(operator.statistic("median"), np.median(exact, axis=0))
    np.testing.assert_array_equal(operator.statistic("q00"), exact.min(axis=0))


def test_pooled_quantiles_are_of_all_cells():
    x = np.random.default_rng(0).standard_normal((101, 2)).astype(np.float32)
    operator = Quantiles(of=Rows(), pooled=True).operator(22_050)
    push(operator, x)
    operator.finish()
    for name in QUANTILES:
        np.testing.assert_allclose(operator.statistic(name), [oracle_statistic(x, name)], 1e-12)


@pytest.mark.parametrize(
    ("name", "share"),
    [("median", 0.5), ("q05", 0.05), ("q5", 0.05), ("q2_5", 0.025), ("q99_999", 0.99999)],
)
def test_names_of_quantiles_are_percentages(name, share):
    assert is_statistic(name)
    assert quantile_of(name) == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("name", ["q", "q100", "q-5", "q2.5", "q2_", "Q25", "mode", "", "q25 "])
def test_other_names_are_no_statistics(name):
    assert not is_statistic(name)


def test_every_statistic_has_a_meaning_and_a_node():
    for name in (*STATISTICS, *QUANTILES):
        assert re.fullmatch(r"[^\n]{3,}", meaning(name))
        assert statistic_node(name, Rows(), pooled=False).operator(22_050) is not None
    assert "0.025" in meaning("q2_5")


def test_statistics_of_one_kind_share_one_node():
    def node(name, **parameters):
        return statistic_node(name, Rows(), **{"pooled": False, **parameters})

    assert node("mean") == node("kurtosis") == Moments(of=Rows())
    assert node("q05") == node("median") != node("mean")
    assert node("mean", pooled=True) != node("mean")


# --- series


@pytest.mark.parametrize(("feature", "shape"), [(One(), (30,)), (Rows(), (30, 2))])
def test_series_are_the_frames_as_they_came(feature, shape):
    x = np.random.default_rng(0).standard_normal((30, feature.width))
    operator = Series(of=feature).operator(22_050)
    for part in np.split(x, [0, 7, 8]):
        part = part.copy()
        push(operator, part)
        part[:] = np.nan  # the caller may reuse the memory
    operator.finish()
    np.testing.assert_array_equal(operator.series(), x.astype(np.float32).reshape(shape))


@pytest.mark.parametrize(("feature", "shape"), [(One(), (0,)), (Rows(), (0, 2))])
def test_series_of_no_frames_are_empty(feature, shape):
    operator = Series(of=feature).operator(22_050)
    operator.finish()
    assert operator.series().shape == shape


def test_series_that_no_row_could_hold_are_refused_on_the_way(monkeypatch):
    monkeypatch.setattr(statistics, "MAX_SERIES_BYTES", 2**20)
    operator = Series(of=Rows()).operator(22_050)
    for _ in range(2):
        push(operator, np.zeros((2**16, 2)))
    with pytest.raises(AudioError, match=r"1 MB.*segments") as caught:
        push(operator, np.zeros((2**15, 2)))  # more than the slack between series
    assert caught.value.kind == "too_long"
