"""Kernels of statistics."""

from __future__ import annotations

import numpy as np

from featurelib.kernels.cache import kernel
from featurelib.kernels.vector import (
    LANES,
    load,
    maximum,
    minimum,
    muladd,
    splat,
    store,
    to_float64,
)


@kernel(fastmath={"reassoc", "contract", "nsz"})
def central_moments(x: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` with the moments of each column of `x`.

    Parameters
    ----------
    x : np.ndarray [shape=(n_values, n)]
        The values.
    out : np.ndarray [shape=(6, n), dtype=float64]
        Rows of mean, sums of 2nd to 4th powers of the deviations, minimum and maximum.
    """
    n_rows, n = x.shape
    for k in range(n):
        out[0, k] = out[1, k] = out[2, k] = out[3, k] = 0.0
        out[4, k], out[5, k] = np.inf, -np.inf
    for t in range(n_rows):
        for k in range(n):
            out[0, k] += np.float64(x[t, k])
    for k in range(n):
        out[0, k] /= n_rows
    for t in range(n_rows):
        for k in range(n):
            value = np.float64(x[t, k])
            deviation = value - out[0, k]
            square = deviation * deviation
            out[1, k] += square
            out[2, k] += square * deviation
            out[3, k] += square * square
            out[4, k] = min(out[4, k], value)
            out[5, k] = max(out[5, k], value)


@kernel()
def cell_moments(x: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` as `central_moments` does, with all values of an array as one column."""
    whole = x.size // LANES * LANES
    rest = x.reshape(-1)[whole:]
    zero = splat(0.0)
    a, b = zero, zero
    pairs = whole // (2 * LANES) * 2 * LANES
    for i in range(0, pairs, 2 * LANES):
        a = a + to_float64(load(x, i))
        b = b + to_float64(load(x, i + LANES))
    if pairs < whole:
        a = a + to_float64(load(x, pairs))
    lanes = np.empty((6, LANES))
    store(lanes, 0, a + b)
    mean = 0.0
    for lane in range(LANES):
        mean += lanes[0, lane]
    for value in rest:
        mean += np.float64(value)
    mean /= x.size
    low, high = splat(np.float64(np.inf)), splat(np.float64(-np.inf))
    m2, m3, m4 = zero, zero, zero
    for i in range(0, whole, LANES):
        value = to_float64(load(x, i))
        deviation = value - splat(mean)
        square = deviation * deviation
        m2 = m2 + square
        m3 = muladd(square, deviation, m3)
        m4 = muladd(square, square, m4)
        low, high = minimum(value, low), maximum(value, high)
    store(lanes, LANES, m2)
    store(lanes, 2 * LANES, m3)
    store(lanes, 3 * LANES, m4)
    store(lanes, 4 * LANES, low)
    store(lanes, 5 * LANES, high)
    out[0, 0] = mean
    for i in range(1, 4):
        out[i, 0] = 0.0
        for lane in range(LANES):
            out[i, 0] += lanes[i, lane]
    out[4, 0], out[5, 0] = np.inf, -np.inf
    for lane in range(LANES):
        out[4, 0] = min(out[4, 0], lanes[4, lane])
        out[5, 0] = max(out[5, 0], lanes[5, lane])
    for value in rest:
        deviation_1 = np.float64(value) - mean
        out[1, 0] += deviation_1**2
        out[2, 0] += deviation_1**3
        out[3, 0] += deviation_1**4
        out[4, 0] = min(out[4, 0], np.float64(value))
        out[5, 0] = max(out[5, 0], np.float64(value))


@kernel()
def combine(a: np.ndarray, count_a: int, b: np.ndarray, count_b: int) -> None:
    """Add to moments, as `central_moments` gives them, those of further values.

    Pairwise combination of central moments (Chan et al. 1983, Pébay 2008).
    """
    n_a, n_b = np.float64(count_a), np.float64(count_b)  # their products are large
    n = n_a + n_b
    for k in range(a.shape[1]):
        d = b[0, k] - a[0, k]
        dn = d / n
        a[3, k] += (
            b[3, k]
            + d * dn**3 * n_a * n_b * (n_a * n_a - n_a * n_b + n_b * n_b)
            + 6 * dn**2 * (n_a * n_a * b[1, k] + n_b * n_b * a[1, k])
            + 4 * dn * (n_a * b[2, k] - n_b * a[2, k])
        )
        a[2, k] += (
            b[2, k] + d * dn**2 * n_a * n_b * (n_a - n_b) + 3 * dn * (n_a * b[1, k] - n_b * a[1, k])
        )
        a[1, k] += b[1, k] + d * dn * n_a * n_b
        a[0, k] += dn * n_b
        a[4, k] = min(a[4, k], b[4, k])
        a[5, k] = max(a[5, k], b[5, k])
