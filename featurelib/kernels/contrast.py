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

#: Bins that are sorted at once, in registers.
_RUN = 8


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
    # Of every lane, best first: whole runs, of which `take` values count.
    most = 0
    for take in takes:
        most = max(most, -(-take // _RUN) * _RUN)
    high, low = np.empty(most * LANES, np.float32), np.empty(most * LANES, np.float32)
    run, rest = np.empty(_RUN * LANES, np.float32), np.empty(_RUN * LANES, np.float32)
    means = np.empty((2, LANES))
    lowest, highest = splat(np.float32(-np.inf)), splat(np.float32(np.inf))
    for batch in range(n_batches):
        for band in range(n_bands):
            take = takes[band]
            for place in range(0, -(-take // _RUN) * _RUN * LANES, LANES):
                store(high, place, lowest)
                store(low, place, highest)
            worst = (take - 1) * LANES
            # First what does not fill a run, then whole runs.
            start = batch * n_bins + starts[band]
            n_first = (stops[band] - starts[band]) % _RUN
            if n_first:
                _sort_some(S, start * LANES, n_first, lowest, run)
                _keep_highest(high, worst, run, rest)
                _sort_some(S, start * LANES, n_first, highest, run)
                _keep_lowest(low, worst, run, rest)
            for k in range(start + n_first, batch * n_bins + stops[band], _RUN):
                _sort(S, k * LANES, run)
                if bits(less(load(high, worst), load(run, 7 * LANES))):
                    _keep_highest(high, worst, run, rest)
                if bits(less(load(run, 0), load(low, worst))):
                    _keep_lowest(low, worst, run, rest)
            store(means, 0, _mean(high, take))
            store(means, LANES, _mean(low, take))
            for lane in range(LANES):
                out[batch * LANES + lane, 0, band] = means[0, lane]
                out[batch * LANES + lane, 1, band] = means[1, lane]
    return out


@njit(nogil=True, forceinline=True)
def _loaded(x: Any, p: Any) -> Any:
    return (
        load(x, p),
        load(x, p + LANES),
        load(x, p + 2 * LANES),
        load(x, p + 3 * LANES),
        load(x, p + 4 * LANES),
        load(x, p + 5 * LANES),
        load(x, p + 6 * LANES),
        load(x, p + 7 * LANES),
    )


@njit(nogil=True, forceinline=True)
def _store(x: Any, p: Any, v: Any) -> None:
    store(x, p, v[0])
    store(x, p + LANES, v[1])
    store(x, p + 2 * LANES, v[2])
    store(x, p + 3 * LANES, v[3])
    store(x, p + 4 * LANES, v[4])
    store(x, p + 5 * LANES, v[5])
    store(x, p + 6 * LANES, v[6])
    store(x, p + 7 * LANES, v[7])


@njit(nogil=True, forceinline=True)
def _exchanged(a: Any, b: Any) -> Any:
    return minimum(a, b), maximum(a, b)


@njit(nogil=True)
def _sort(S: Any, p: Any, out: Any) -> None:
    """Sort a run from least to greatest: the network of 19 exchanges."""
    a, b, c, d, e, f, g, h = _loaded(S, p)
    a, c = _exchanged(a, c)
    b, d = _exchanged(b, d)
    e, g = _exchanged(e, g)
    f, h = _exchanged(f, h)
    a, e = _exchanged(a, e)
    b, f = _exchanged(b, f)
    c, g = _exchanged(c, g)
    d, h = _exchanged(d, h)
    a, b = _exchanged(a, b)
    c, d = _exchanged(c, d)
    e, f = _exchanged(e, f)
    g, h = _exchanged(g, h)
    c, e = _exchanged(c, e)
    d, f = _exchanged(d, f)
    b, e = _exchanged(b, e)
    d, g = _exchanged(d, g)
    b, c = _exchanged(b, c)
    d, e = _exchanged(d, e)
    f, g = _exchanged(f, g)
    _store(out, 0, (a, b, c, d, e, f, g, h))


@njit(nogil=True)
def _sort_some(S: Any, p: Any, n: Any, other: Any, out: Any) -> None:
    """Sort fewer values than a run has; the others are `other`."""
    for i in range(0, n * LANES, LANES):
        store(out, i, load(S, p + i))
    for i in range(n * LANES, _RUN * LANES, LANES):
        store(out, i, other)
    _sort(out, 0, out)


@njit(nogil=True, forceinline=True)
def _ordered(v: Any) -> Any:
    """Sort a bitonic run from least to greatest."""
    a, b, c, d, e, f, g, h = v
    a, e = _exchanged(a, e)
    b, f = _exchanged(b, f)
    c, g = _exchanged(c, g)
    d, h = _exchanged(d, h)
    a, c = _exchanged(a, c)
    b, d = _exchanged(b, d)
    e, g = _exchanged(e, g)
    f, h = _exchanged(f, h)
    a, b = _exchanged(a, b)
    c, d = _exchanged(c, d)
    e, f = _exchanged(e, f)
    g, h = _exchanged(g, h)
    return a, b, c, d, e, f, g, h


@njit(nogil=True, forceinline=True)
def _reversed(v: Any) -> Any:
    return v[7], v[6], v[5], v[4], v[3], v[2], v[1], v[0]


@njit(nogil=True, forceinline=True)
def _lower(v: Any, w: Any) -> Any:
    return (
        minimum(v[0], w[0]),
        minimum(v[1], w[1]),
        minimum(v[2], w[2]),
        minimum(v[3], w[3]),
        minimum(v[4], w[4]),
        minimum(v[5], w[5]),
        minimum(v[6], w[6]),
        minimum(v[7], w[7]),
    )


@njit(nogil=True, forceinline=True)
def _upper(v: Any, w: Any) -> Any:
    return (
        maximum(v[0], w[0]),
        maximum(v[1], w[1]),
        maximum(v[2], w[2]),
        maximum(v[3], w[3]),
        maximum(v[4], w[4]),
        maximum(v[5], w[5]),
        maximum(v[6], w[6]),
        maximum(v[7], w[7]),
    )


@njit(nogil=True)
def _keep_highest(ranked: Any, worst: Any, run: Any, rest: Any) -> None:
    """Merge a sorted run into the ranked values, highest first (bitonic merges)."""
    here = _loaded(run, 0)
    for p in range(0, worst + LANES, _RUN * LANES):
        kept = _loaded(ranked, p)
        _store(ranked, p, _reversed(_ordered(_upper(kept, here))))
        if p + _RUN * LANES > worst:
            return
        _store(rest, 0, _ordered(_lower(kept, here)))
        if not bits(less(load(ranked, worst), load(rest, 7 * LANES))):
            return
        here = _loaded(rest, 0)


@njit(nogil=True)
def _keep_lowest(ranked: Any, worst: Any, run: Any, rest: Any) -> None:
    """Merge a sorted run into the ranked values, lowest first."""
    here = _loaded(run, 0)
    for p in range(0, worst + LANES, _RUN * LANES):
        kept = _reversed(_loaded(ranked, p))
        _store(ranked, p, _ordered(_lower(kept, here)))
        if p + _RUN * LANES > worst:
            return
        _store(rest, 0, _ordered(_upper(kept, here)))
        if not bits(less(load(rest, 0), load(ranked, worst))):
            return
        here = _loaded(rest, 0)


@njit(nogil=True, forceinline=True)
def _mean(ranked: Any, take: Any) -> Any:
    total = splat(0.0)
    for place in range(0, take * LANES, LANES):
        total = total + to_float64(load(ranked, place))
    return total / splat(np.float64(take))
