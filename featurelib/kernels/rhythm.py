"""Kernels of onsets and tempo."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from featurelib.kernels.cache import kernel
from featurelib.kernels.vector import (
    LANES,
    less,
    load,
    maximum,
    muladd,
    select,
    splat,
    store,
)

#: Powers of frames that are added up together lie within this factor. Sums over some frames
#: are differences of sums over all of them, so they are as exact as the largest share allows.
_POWER_RANGE = 1e4


@njit(nogil=True, forceinline=True)
def _rise(levels: Any, before: Any, t: Any, m: Any) -> Any:
    last = levels[t - 1, m] if t > 0 else before[m]
    return max(levels[t, m] - last, np.float32(0))


@kernel(fastmath={"reassoc", "contract", "nsz"})
def mean_rises(levels: np.ndarray, before: np.ndarray, out: np.ndarray) -> None:
    """Fill `out`, one value a frame, with the mean rise of the bands since the frame before.

    Parameters
    ----------
    levels : np.ndarray [shape=(n_frames, n_bands), dtype=float32]
        Levels of the bands. Where they fall, the rise is 0.
    before : np.ndarray [shape=(n_bands,), dtype=float32]
        Levels of the frame before the first one.
    out : np.ndarray [shape=(n_frames,), dtype=float32]
    """
    for t in range(levels.shape[0]):
        last = before if t == 0 else levels[t - 1]
        total = 0.0
        for m in range(levels.shape[1]):
            total += np.float64(max(levels[t, m] - last[m], np.float32(0)))
        out[t] = total / levels.shape[1]


@kernel()
def median_rises(levels: np.ndarray, before: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` as `mean_rises` does, with the median of the bands.

    Numbers that are not negative are ordered as their bits are. So the bits of the upper one
    of the two middle values are found by bisection, for a frame in each lane.
    """
    n_frames, n_bands = levels.shape
    rank = n_bands // 2
    rises, tried = np.empty((n_bands, LANES), np.float32), np.empty((1, LANES), np.float32)
    low, high = np.empty(LANES, np.int32), np.empty(LANES, np.int32)
    counts, next_lower = np.empty((1, LANES), np.float32), np.empty((1, LANES), np.float32)
    bits = tried.view(np.int32)
    zero = splat(np.float32(0))
    for start in range(0, n_frames, LANES):
        for lane in range(LANES):
            t = min(start + lane, n_frames - 1)
            for m in range(n_bands):
                rises[m, lane] = _rise(levels, before, t, m)
        largest = zero
        for m in range(n_bands):
            largest = maximum(load(rises, m * LANES), largest)
        store(tried, 0, largest)
        for lane in range(LANES):
            low[lane], high[lane] = 0, bits[0, lane] + 1
        width = 1
        while width > 0:
            for lane in range(LANES):
                bits[0, lane] = low[lane] + (high[lane] - low[lane]) // 2
            _count_below(rises, tried, counts)
            width = 0
            for lane in range(LANES):
                if counts[0, lane] <= rank:
                    low[lane] = bits[0, lane]
                else:
                    high[lane] = bits[0, lane]
                width = max(width, high[lane] - low[lane] - 1)
        for lane in range(LANES):
            bits[0, lane] = low[lane]
        _count_below(rises, tried, counts)
        upper, below = load(tried, 0), zero
        for m in range(n_bands):
            value = load(rises, m * LANES)
            below = maximum(select(less(value, upper), value, zero), below)
        store(next_lower, 0, below)
        for lane in range(min(LANES, n_frames - start)):
            middle = tried[0, lane]
            if n_bands % 2 == 0:
                is_single = counts[0, lane] == rank
                lower = next_lower[0, lane] if is_single else middle
                middle = (lower + middle) / np.float32(2)
            out[start + lane] = middle


@njit(nogil=True, forceinline=True)
def _count_below(x: Any, limits: Any, counts: Any) -> None:
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    limit = load(limits, 0)
    a, b = zero, zero
    pairs = x.shape[0] // 2 * 2
    for m in range(0, pairs, 2):
        a = a + select(less(load(x, m * LANES), limit), one, zero)
        b = b + select(less(load(x, (m + 1) * LANES), limit), one, zero)
    if pairs < x.shape[0]:
        a = a + select(less(load(x, pairs * LANES), limit), one, zero)
    store(counts, 0, a + b)


@kernel()
def add_autocorrelations(y: np.ndarray, n_frames: int, sums: np.ndarray) -> None:
    """Add up the autocorrelations of frames, each divided by its power.

    Frame f is y[f : f + n] times a periodic Hann window. Its product with itself, shifted by a
    lag, is a product of samples times a product of two windows. The latter is a sum of sines
    and cosines of at most twice the window's frequency. So at each sample and lag, the sum over
    frames is a combination of five sums of shares, which are differences of running sums.

    Parameters
    ----------
    y : np.ndarray [shape=(n_frames + n - 1,), dtype=float32]
        Samples.
    n_frames : int
        Number of frames, one sample apart.
    sums : np.ndarray [shape=(n,), dtype=float64]
        To sums[lag] is added the sum over frames of their autocorrelation divided by that at
        lag 0. Silent frames add nothing.
    """
    n = sums.shape[0]
    n_samples = n_frames - 1 + n
    cosines, sines = np.empty(2 * n + LANES), np.empty(2 * n + LANES)
    for i in range(cosines.shape[0]):
        angle = 2 * np.pi * (i % n) / n
        cosines[i], sines[i] = np.cos(angle), np.sin(angle)
    x = np.zeros(n_samples + LANES)
    for t in range(n_samples):
        x[t] = y[t]
    powers = np.zeros(n_frames + LANES)
    for i in range(n):
        square = splat((0.5 - 0.5 * cosines[i]) ** 2)
        for f in range(0, n_frames, LANES):
            value = load(x, i + f)
            store(powers, f, muladd(square, value * value, load(powers, f)))
    running = np.zeros((5, n_samples + n + 1 + LANES))
    totals = np.zeros(n + LANES)
    below = np.inf
    while True:
        top = 0.0
        for f in range(n_frames):
            if top < powers[f] < below:
                top = powers[f]
        if top == 0:
            break
        _running_sums(powers, n_frames, top, top / _POWER_RANGE, cosines, sines, running)
        _add_products(x, n, n_samples, cosines, sines, running, totals)
        below = top / _POWER_RANGE
    for lag in range(n):
        sums[lag] += totals[lag]


@njit(nogil=True)
def _running_sums(
    powers: Any, n_frames: Any, top: Any, bottom: Any, cosines: Any, sines: Any, running: Any
) -> None:
    """Fill `running`, after n + 1 zeros, with sums of 1 / power times 1, cos, sin, cos, sin."""
    n = (cosines.shape[0] - LANES) // 2
    a = b = c = d = e = 0.0
    for t in range(running.shape[1] - LANES - n - 1):
        if t < n_frames and bottom <= powers[t] <= top:
            share = 1 / powers[t]
            i, k = t % n, 2 * t % n
            a += share
            b += share * cosines[i]
            c += share * sines[i]
            d += share * cosines[k]
            e += share * sines[k]
        j = n + 1 + t
        running[0, j], running[1, j], running[2, j] = a, b, c
        running[3, j], running[4, j] = d, e


@njit(nogil=True)
def _add_products(
    x: Any, n: Any, n_samples: Any, cosines: Any, sines: Any, running: Any, totals: Any
) -> None:
    """Add, for each lag, products of samples times the sum of the windows' products over frames.

    With angles u and v of the sample's place and of the lag, four times the product of two
    windows in frame f at angle w is::

        1 + cos(v) / 2 - (cos(u) + cos(u + v)) cos(w) - (sin(u) + sin(u + v)) sin(w)
            + (cos(2u + v) cos(2w) + sin(2u + v) sin(2w)) / 2
    """
    width = running.shape[1]
    one, half = splat(1.0), splat(0.5)
    for t in range(n_samples):
        j = n + t  # without frame t: its window is zero here, which a rounded sum is not
        if x[t] == 0 or running[0, j] == running[0, t + 1]:  # many onset strengths are 0
            continue
        i, k = t % n, 2 * t % n
        cosine, sine = splat(cosines[i]), splat(sines[i])
        a, b, c = splat(running[0, j]), splat(running[1, j]), splat(running[2, j])
        d, e = splat(running[3, j]), splat(running[4, j])
        quarter = splat(0.25 * x[t])
        for lag in range(0, min(n, n_samples - t), LANES):
            p = t + 1 + lag  # frames before it have ended
            twice = load(cosines, k + lag) * (d - load(running, 3 * width + p))
            twice = muladd(load(sines, k + lag), e - load(running, 4 * width + p), twice)
            both = muladd(half, load(cosines, lag), one) * (a - load(running, p))
            both = muladd(cosine + load(cosines, i + lag), load(running, width + p) - b, both)
            both = muladd(sine + load(sines, i + lag), load(running, 2 * width + p) - c, both)
            both = muladd(half, twice, both)
            product = quarter * load(x, t + lag)
            store(totals, lag, muladd(product, both, load(totals, lag)))
