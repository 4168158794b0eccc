"""Kernels that apply filter banks to power spectra."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from featurelib.kernels.cache import kernel
from featurelib.kernels.lanes import TINY
from featurelib.kernels.vector import (
    LANES,
    load,
    log,
    maximum,
    muladd,
    splat,
    spread,
    store,
    to_float64,
)

_DB_PER_NEPER = np.float32(10.0 / np.log(10.0))

#: Filters whose sums are kept in registers at once, as in `_added`.
_GROUP = 4

#: Bins that are summed up in float32 before their sum is added to the others'.
_PART = 128


@kernel()
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
            total = _power(S, batch * n_bins, weights, m * n_bins, starts[m], stops[m])
            level = log(maximum(total, splat(floor))) * splat(_DB_PER_NEPER)
            store(levels, m * LANES, level)
        for t in range(batch * LANES, min((batch + 1) * LANES, n_frames)):
            for m in range(n_filters):
                out[t, m] = levels[m, t - batch * LANES]
    return out


@njit(nogil=True, forceinline=True)
def _power(S: Any, batch: Any, weights: Any, row: Any, start: Any, stop: Any) -> Any:
    """Weighted sum of the squared magnitudes in bins [start, stop) of one batch."""
    total = splat(np.float32(0))
    for k in range(start, stop):
        s = load(S, (batch + k) * LANES)
        total = muladd(s * s, spread(weights, row + k), total)
    return total


@kernel()
def band_powers(
    S: np.ndarray, starts: np.ndarray, stops: np.ndarray, weights: np.ndarray, out: np.ndarray
) -> None:
    """Fill `out` with the power of each frame in filters that are zero outside [start, stop).

    Parameters
    ----------
    S : np.ndarray [shape=(batches, bins, LANES), dtype=float32]
        Magnitudes.
    starts, stops, weights : np.ndarray
        A `featurelib.filters.SparseBank`.
    out : np.ndarray [shape=(n_frames, n_filters), dtype=float32]
        The powers.
    """
    n_bins, n_filters = S.shape[1], starts.shape[0]
    powers = np.empty((n_filters, LANES), np.float32)
    for batch in range(S.shape[0]):
        for m in range(n_filters):
            total = splat(np.float32(0))
            for part in range(starts[m], stops[m], _PART):
                end = min(part + _PART, stops[m])
                total = total + _power(S, batch * n_bins, weights, m * n_bins, part, end)
            store(powers, m * LANES, total)
        for t in range(batch * LANES, min((batch + 1) * LANES, out.shape[0])):
            for m in range(n_filters):
                out[t, m] = powers[m, t - batch * LANES]


@kernel()
def projections(S: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> None:
    """Fill `out`, of shape (n_frames, n), with the products of magnitudes and a matrix.

    Parameters
    ----------
    S : np.ndarray [shape=(batches, bins, LANES), dtype=float32]
        Magnitudes.
    matrix : np.ndarray [shape=(n, bins), dtype=float64]
        One row for each number of a frame. The sums are in float64, because they may cancel.
    out : np.ndarray [shape=(n_frames, n), dtype=float64]
        The products.
    """
    n_bins = S.shape[1]
    sums = np.empty(LANES)
    for batch in range(S.shape[0]):
        first = batch * LANES
        for m in range(matrix.shape[0]):
            total = splat(0.0)
            for k in range(n_bins):
                s = to_float64(load(S, (batch * n_bins + k) * LANES))
                total = muladd(s, spread(matrix, m * n_bins + k), total)
            store(sums, 0, total)
            for t in range(first, min(first + LANES, out.shape[0])):
                out[t, m] = sums[t - first]


@kernel()
def cepstra(levels: np.ndarray, dct: np.ndarray) -> np.ndarray:
    """Cosine transforms of rows of levels.

    Parameters
    ----------
    levels : np.ndarray [shape=(n_frames, n_bands), dtype=float32]
        The levels [dB].
    dct : np.ndarray [shape=(n_bands, n_mfcc), dtype=float64]
        Columns of the orthonormal DCT-II.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_mfcc), dtype=float64]
    """
    n_frames, n_bands = levels.shape
    n_mfcc = dct.shape[1]
    last = n_mfcc - 1
    out = np.empty((n_frames, n_mfcc))
    # Only the first coefficient sees a constant; without it a flat spectrum gives zeros,
    # where the sums would leave their rounding.
    constants, above = np.empty(LANES), np.zeros((n_bands, LANES))
    sums = np.empty((_GROUP, LANES))
    zero = splat(0.0)
    for start in range(0, n_frames, LANES):
        n = min(LANES, n_frames - start)
        for i in range(n):
            constants[i] = levels[start + i, 0]
            for m in range(n_bands):
                above[m, i] = np.float64(levels[start + i, m]) - constants[i]
        for first in range(0, n_mfcc, _GROUP):
            second, third = min(first + 1, last), min(first + 2, last)
            fourth = min(first + 3, last)
            totals = (zero, zero, zero, zero)
            for m in range(n_bands):
                row = m * n_mfcc
                weights = (
                    spread(dct, row + first),
                    spread(dct, row + second),
                    spread(dct, row + third),
                    spread(dct, row + fourth),
                )
                totals = _added(totals, load(above, m * LANES), weights)
            for j, total in enumerate(totals):
                store(sums, j * LANES, total)
            for i in range(n):
                for j in range(min(_GROUP, n_mfcc - first)):
                    out[start + i, first + j] = sums[j, i]
        for i in range(n):
            out[start + i, 0] += constants[i] * math.sqrt(n_bands)
    return out


@kernel()
def filtered(S: np.ndarray, bank: np.ndarray, n_frames: int) -> np.ndarray:
    """Power of each frame through a dense bank of filters.

    Parameters
    ----------
    S : np.ndarray [shape=(batches, bins, LANES), dtype=float32]
        Magnitudes.
    bank : np.ndarray [shape=(n_filters, bins), dtype=float32]
        The filters.
    n_frames : int
        Number of frames.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_filters), dtype=float32]
    """
    n_batches, n_bins, _ = S.shape
    n_filters = bank.shape[0]
    last = n_filters - 1
    out = np.empty((n_frames, n_filters), np.float32)
    sums = np.empty((2, _GROUP, LANES), np.float32)
    zero = splat(np.float32(0))
    # Two batches at once, so that each weight is fetched for both.
    for batch in range(0, n_batches, 2):
        one, two = batch * n_bins, min(batch + 1, n_batches - 1) * n_bins
        for first in range(0, n_filters, _GROUP):
            second, third = min(first + 1, last), min(first + 2, last)
            fourth = min(first + 3, last)
            sums[:] = 0
            for part in range(0, n_bins, _PART):
                ones, twos = (zero, zero, zero, zero), (zero, zero, zero, zero)
                for k in range(part, min(part + _PART, n_bins)):
                    weights = (
                        spread(bank, first * n_bins + k),
                        spread(bank, second * n_bins + k),
                        spread(bank, third * n_bins + k),
                        spread(bank, fourth * n_bins + k),
                    )
                    s, t = load(S, (one + k) * LANES), load(S, (two + k) * LANES)
                    ones, twos = _added(ones, s * s, weights), _added(twos, t * t, weights)
                for i, total in enumerate(ones + twos):
                    store(sums, i * LANES, load(sums, i * LANES) + total)
            for i in range(min(2 * LANES, n_frames - batch * LANES)):
                for j in range(min(_GROUP, n_filters - first)):
                    out[batch * LANES + i, first + j] = sums[i // LANES, j, i % LANES]
    return out


@njit(nogil=True, forceinline=True)
def _added(totals: Any, value: Any, weights: Any) -> Any:
    """Four sums with one more value, by a weight for each."""
    return (
        muladd(value, weights[0], totals[0]),
        muladd(value, weights[1], totals[1]),
        muladd(value, weights[2], totals[2]),
        muladd(value, weights[3], totals[3]),
    )


@kernel()
def relative_to_strongest(x: np.ndarray) -> np.ndarray:
    """Rows divided by their largest value, except rows whose largest value is almost zero."""
    out = np.empty_like(x)
    for t in range(x.shape[0]):
        strongest = x[t, 0]
        for k in range(1, x.shape[1]):
            strongest = max(strongest, x[t, k])
        for k in range(x.shape[1]):
            out[t, k] = x[t, k] if strongest < TINY else x[t, k] / strongest
    return out
