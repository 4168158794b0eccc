"""Columns of signals of any length, whatever the blocks in which they arrive."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib.graph import Block, Signal
from featurelib.plot.reduction import ColumnsOperator, Loudest

UFUNCS = {"max": np.max, "min": np.min, "mean": np.mean}


def blocks(n: int, cuts: list[int]) -> list[tuple[int, int]]:
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    return list(itertools.pairwise(edges))  # some are empty


@given(
    n=st.integers(1, 300),
    most=st.sampled_from([2, 4, 10]),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    how=st.sampled_from(sorted(UFUNCS)),
)
def test_columns_are_the_extremes_or_means_of_their_frames(n, most, cuts, how):
    x = np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32)
    operator = ColumnsOperator(how, most)
    for start, stop in blocks(n, cuts):
        operator.push(Block(x[start:stop], stop - start), 0)
    found = operator.result()

    per = 1
    while per * most < n:
        per *= 2
    expected = [UFUNCS[how](x[i : i + per].astype(float), axis=0) for i in range(0, n, per)]
    assert found.per_column == per
    assert found.n_frames == n
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    assert found.edges().tolist() == [*range(0, n, per), n]


def test_frames_that_all_fit_stay_as_they_are():
    x = np.random.default_rng(0).standard_normal((10, 2)).astype(np.float32)
    for how in UFUNCS:
        operator = ColumnsOperator(how, 10)
        operator.push(Block(x, 10), 0)
        assert np.array_equal(operator.result().values, x)
        assert operator.result().centers().tolist() == list(range(10))


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_loudest_stretch_is_found_in_any_blocks(step):
    y = 0.1 * np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    y[620:640] = 0.9
    operator = Loudest(signal=Signal(), length=20).operator(22_050)
    for start in range(0, len(y), step):
        part = y[start : start + step].copy()
        operator.push(Block(part, len(part)), 0)
        part[:] = 0  # the memory of a signal's blocks is reused
    found = operator.result()
    assert found.start == 620
    assert np.array_equal(found.y, y[620:640])


def test_a_signal_shorter_than_a_stretch_is_the_stretch():
    operator = Loudest(length=20).operator(22_050)
    operator.push(Block(np.ones(5, np.float32), 5), 0)
    assert operator.result().y.tolist() == [1] * 5
