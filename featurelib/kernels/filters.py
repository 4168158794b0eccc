"""Kernels that apply filter banks to power spectra."""

from __future__ import annotations

import numpy as np
from numba import njit

from featurelib.simd import LANES, load, log, maximum, muladd, splat, store

_DB_PER_NEPER = np.float32(10.0 / np.log(10.0))

#: Filters whose sums are kept in registers at once.
GROUP = 4

#: Bins that are summed up in float32 before their sum is added to the others'.
_PART = 128


@njit(cache=True, nogil=True)
def band_levels(
    S: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    weights: np.ndarray,
    floor: np.float32,
    n_frames: int,
) -> np.ndarray:
    """Power of each frame in filters that are zero outside [start, stop), in dB.

    Powers are of at least `floor`. Returns (frames, filters), float32.
    """
    n_bins, n_filters = S.shape[1], starts.shape[0]
    out = np.empty((n_frames, n_filters), np.float32)
    levels = np.empty((n_filters, LANES), np.float32)
    for batch in range(S.shape[0]):
        for m in range(n_filters):
            total = splat(np.float32(0))
            for k in range(starts[m], stops[m]):
                s = load(S, (batch * n_bins + k) * LANES)
                total = muladd(s * s, splat(weights[m, k]), total)
            level = log(maximum(total, splat(floor))) * splat(_DB_PER_NEPER)
            store(levels, m * LANES, level)
        for t in range(batch * LANES, min((batch + 1) * LANES, n_frames)):
            for m in range(n_filters):
                out[t, m] = levels[m, t - batch * LANES]
    return out


@njit(cache=True, nogil=True)
def filtered(S: np.ndarray, bank: np.ndarray, n_filters: int, n_frames: int) -> np.ndarray:
    """Power of each frame through a dense bank of filters.

    Parameters
    ----------
    S : np.ndarray [shape=(batches, bins, LANES), dtype=float32]
        Magnitudes.
    bank : np.ndarray [shape=(groups, bins, GROUP), dtype=float32]
        The filters in groups, the last one filled up with zeros.
    n_filters, n_frames : int
        Size of the result.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_filters), dtype=float32]
    """
    n_bins = S.shape[1]
    out = np.empty((n_frames, n_filters), np.float32)
    sums = np.empty((GROUP, LANES), np.float32)
    zero = splat(np.float32(0))
    for batch in range(S.shape[0]):
        for group in range(bank.shape[0]):
            a, b, c, d = zero, zero, zero, zero
            for part in range(0, n_bins, _PART):
                w, x, y, z = zero, zero, zero, zero
                for k in range(part, min(part + _PART, n_bins)):
                    s = load(S, (batch * n_bins + k) * LANES)
                    power = s * s
                    w = muladd(power, splat(bank[group, k, 0]), w)
                    x = muladd(power, splat(bank[group, k, 1]), x)
                    y = muladd(power, splat(bank[group, k, 2]), y)
                    z = muladd(power, splat(bank[group, k, 3]), z)
                a, b, c, d = a + w, b + x, c + y, d + z
            store(sums, 0, a)
            store(sums, LANES, b)
            store(sums, 2 * LANES, c)
            store(sums, 3 * LANES, d)
            first = group * GROUP
            for t in range(batch * LANES, min((batch + 1) * LANES, n_frames)):
                for f in range(first, min(first + GROUP, n_filters)):
                    out[t, f] = sums[f - first, t - batch * LANES]
    return out
