"""Vectors in compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from featurelib.kernels import lanes, vector
from featurelib.kernels.vector import LANES, load, log, spread, store


@njit
def logarithms(x, out):
    for i in range(0, x.size, LANES):
        store(out, i, log(load(x, i)))


def test_logarithm_is_a_float32s():
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(-87, 88, 100_000)).astype(np.float32)
    x[:4] = 1.0, np.finfo(np.float32).tiny, np.finfo(np.float32).max, np.float32(1e-10)
    out = np.empty_like(x)
    logarithms(x, out)
    expected = np.log(np.float64(x))
    np.testing.assert_allclose(out, expected, rtol=2.5e-7, atol=1e-7)
    assert out[0] == 0.0


@njit
def arithmetic(a, b, out):
    x, y = load(a, 0), load(b, 0)
    store(out, 0, x + y)
    store(out, LANES, x - y)
    store(out, 2 * LANES, x * y)
    store(out, 3 * LANES, x / y)
    store(out, 4 * LANES, vector.maximum(x, y))
    store(out, 5 * LANES, vector.minimum(x, y))
    store(out, 6 * LANES, vector.shifted(x, y))
    store(out, 7 * LANES, vector.select(vector.less(x, y), x, spread(a, 3)))
    return vector.bits(vector.less(x, y)), vector.bits(vector.at_least(x, y))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_are_numpys_elements(dtype):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, LANES)).astype(dtype)
    b[2] = a[2]
    out = np.empty((8, LANES), dtype)
    below, not_below = arithmetic(a, b, out)
    shifted = np.concatenate((a[-1:], b[:-1]))
    chosen = np.where(a < b, a, a[3])
    expected = [a + b, a - b, a * b, a / b, np.maximum(a, b), np.minimum(a, b), shifted, chosen]
    np.testing.assert_array_equal(out, expected)
    assert below == sum(1 << lane for lane in range(LANES) if a[lane] < b[lane])
    assert below + not_below == (1 << LANES) - 1


@njit
def loaded(x, out):
    store(out, 0, load(x, 0))


@njit
def first_everywhere(x, out):
    store(out, 0, spread(x, 0))


@pytest.mark.parametrize(
    "x",
    [
        np.arange(2.0 * LANES)[::2],
        np.ones((LANES, LANES)).T,
        np.ones((LANES, LANES))[:, 1:],
        np.broadcast_to(np.float64(1), LANES),
        np.asfortranarray(np.ones((LANES, LANES))),
    ],
    ids=["strided", "transposed", "columns", "broadcast", "Fortran order"],
)
def test_arrays_that_are_not_c_contiguous_are_refused(x):
    out = np.zeros(LANES)
    for kernel in (loaded, first_everywhere):
        with pytest.raises(TypingError, match="need a C-contiguous array"):
            kernel(x, out)
        kernel(np.ascontiguousarray(x), out)
    if x.flags.writeable:
        with pytest.raises(TypingError, match="need a C-contiguous array"):
            loaded(np.ones(LANES), x)


def test_arrays_of_other_elements_are_refused():
    for x in (np.ones(LANES, np.int32), np.ones(LANES, np.complex64)):
        with pytest.raises(TypingError, match="array of float32 or float64, not array"):
            loaded(x, np.zeros(LANES))


def test_nothing_is_stored_in_what_is_to_be_read_only():
    out = np.zeros(LANES)
    out.flags.writeable = False
    with pytest.raises(TypingError, match="read-only"):
        loaded(np.ones(LANES), out)
    assert not out.any()


def test_aligned_memory():
    for n in (1, 3, 1000):
        x = lanes.aligned((n, LANES), np.float32)
        assert x.ctypes.data % 64 == 0
        assert (x.shape, x.dtype) == ((n, LANES), np.float32)
