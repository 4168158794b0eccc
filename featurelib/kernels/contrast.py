"""Kernel of spectral contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from featurelib.kernels.cache import kernel
from featurelib.kernels.vector import (
    LANES,
    bits,
    less,
    load,
    maximum,
    minimum,
    splat,
    store,
    to_float64,
)


@kernel()
def band_extremes(
    S: np.ndarray, starts: np.ndarray, stops: np.ndarray, takes: np.ndarray
) -> np.ndarray:
    """Means of the largest and of the smallest magnitudes in each band of each frame.

    Returns (frames, 2, bands): peaks, then valleys; `takes` says how many make the mean.
    """
    n_batches, n_bins, _ = S.shape
    n_bands = starts.shape[0]
    out = np.empty((n_batches * LANES, 2, n_bands), np.float32)
    # Of every lane, best first.
    most = 0
    for take in takes:
        most = max(most, take)
    high, low = np.empty(most * LANES, np.float32), np.empty(most * LANES, np.float32)
    means = np.empty((2, LANES))
    for batch in range(n_batches):
        for band in range(n_bands):
            take = takes[band]
            for place in range(take * LANES):
                high[place], low[place] = -np.inf, np.inf
            worst = (take - 1) * LANES
            least_high, most_low = load(high, worst), load(low, worst)
            for k in range(starts[band], stops[band]):
                s = load(S, (batch * n_bins + k) * LANES)
                if bits(less(least_high, s)):
                    _insert_high(high, take, s)
                    least_high = load(high, worst)
                if bits(less(s, most_low)):
                    _insert_low(low, take, s)
                    most_low = load(low, worst)
            store(means, 0, _mean(high, take))
            store(means, LANES, _mean(low, take))
            for lane in range(LANES):
                out[batch * LANES + lane, 0, band] = means[0, lane]
                out[batch * LANES + lane, 1, band] = means[1, lane]
    return out


@njit(nogil=True, forceinline=True)
def _insert_high(ranked: Any, take: Any, s: Any) -> None:
    for place in range(0, take * LANES, LANES):
        here = load(ranked, place)
        store(ranked, place, maximum(here, s))
        s = minimum(here, s)


@njit(nogil=True, forceinline=True)
def _insert_low(ranked: Any, take: Any, s: Any) -> None:
    for place in range(0, take * LANES, LANES):
        here = load(ranked, place)
        store(ranked, place, minimum(here, s))
        s = maximum(here, s)


@njit(nogil=True, forceinline=True)
def _mean(ranked: Any, take: Any) -> Any:
    total = splat(0.0)
    for place in range(0, take * LANES, LANES):
        total = total + to_float64(load(ranked, place))
    return total / splat(np.float64(take))
