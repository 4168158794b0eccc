"""Kernels of the shape of magnitude spectra."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from featurelib.kernels.cache import kernel
from featurelib.kernels.lanes import TINY
from featurelib.kernels.vector import (
    LANES,
    absolute,
    less,
    load,
    log,
    magnitude,
    maximum,
    muladd,
    select,
    shifted,
    splat,
    spread,
    sqrt,
    store,
    to_float64,
)


@kernel()
def absolute_values(D: np.ndarray, out: np.ndarray) -> None:
    """Fill `out`, (batches, bins, LANES), with magnitudes of complex spectra.

    `D` has the shape (batches, 2, bins, LANES), float32: real and imaginary parts.
    """
    n_batches, _, n_bins, _ = D.shape
    for batch in range(n_batches):
        for k in range(n_bins):
            p = (2 * batch * n_bins + k) * LANES
            S = magnitude(load(D, p), load(D, p + n_bins * LANES))
            store(out, (batch * n_bins + k) * LANES, S)


@kernel()
def power_sums(S: np.ndarray, out: np.ndarray) -> None:
    """Fill `out`, of shape (3, batches · LANES), with sums over the bins k of S, k S and k² S."""
    n_batches, n_bins, _ = S.shape
    for batch in range(n_batches):
        zeroth, first, second = splat(0.0), splat(0.0), splat(0.0)
        for k in range(n_bins):
            s = to_float64(load(S, (batch * n_bins + k) * LANES))
            weighted = s * splat(np.float64(k))
            zeroth = zeroth + s
            first = first + weighted
            second = muladd(weighted, splat(np.float64(k)), second)
        store(out, batch * LANES, zeroth)
        store(out, (n_batches + batch) * LANES, first)
        store(out, (2 * n_batches + batch) * LANES, second)


@kernel()
def centroids(sums: np.ndarray, bin_width: float, out: np.ndarray) -> None:
    """Fill `out` with the mean frequency of each frame, given `power_sums`; 0 for silence."""
    for t in range(out.shape[0]):
        total = sums[0, t] if sums[0, t] >= TINY else 1.0
        out[t] = sums[1, t] / total * bin_width


@kernel()
def bandwidths(sums: np.ndarray, bin_width: float, out: np.ndarray) -> None:
    """Fill `out` with the standard deviation of frequency in each frame; 0 for silence."""
    for t in range(out.shape[0]):
        total = sums[0, t] if sums[0, t] >= TINY else 1.0
        mean = sums[1, t] / total
        square = (sums[2, t] - mean * (2 * sums[1, t] - mean * sums[0, t])) / total
        out[t] = math.sqrt(max(square, 0.0)) * bin_width


@kernel()
def bandwidths_of_whole_order(
    S: np.ndarray, sums: np.ndarray, p: int, bin_width: float
) -> np.ndarray:
    """Moment of order p of frequency around the centroid, given `power_sums`; 0 for silence."""
    n_batches, n_bins, _ = S.shape
    n_frames = sums.shape[1]
    moments, centres = np.empty(n_batches * LANES), np.zeros(n_batches * LANES)
    for t in range(n_frames):
        centres[t] = sums[1, t] / (sums[0, t] if sums[0, t] >= TINY else 1.0)
    for batch in range(n_batches):
        centre, total = load(centres, batch * LANES), splat(0.0)
        for k in range(n_bins):
            distance = absolute(splat(np.float64(k)) - centre)
            power = distance
            for _ in range(p - 1):
                power = power * distance
            s = to_float64(load(S, (batch * n_bins + k) * LANES))
            total = muladd(s, power, total)
        store(moments, batch * LANES, total)
    return _roots(moments[:n_frames], sums, np.float64(p), bin_width)


@kernel()
def bandwidths_of_order(S: np.ndarray, sums: np.ndarray, p: float, bin_width: float) -> np.ndarray:
    """`bandwidths_of_whole_order` of an order that is no whole number."""
    n_frames = sums.shape[1]
    moments = np.zeros(n_frames)
    for t in range(n_frames):
        centre = sums[1, t] / (sums[0, t] if sums[0, t] >= TINY else 1.0)
        for k in range(S.shape[1]):
            s = np.float64(S[t // LANES, k, t % LANES])
            moments[t] += s * abs(k - centre) ** p
    return _roots(moments, sums, p, bin_width)


@njit(nogil=True)
def _roots(moments: np.ndarray, sums: np.ndarray, p: float, bin_width: float) -> np.ndarray:
    out = np.empty(moments.shape[0])
    for t in range(out.shape[0]):
        total = sums[0, t] if sums[0, t] >= TINY else 1.0
        out[t] = (moments[t] / total) ** (1.0 / p) * bin_width
    return out


@kernel()
def rolloff_bins(S: np.ndarray, fraction: np.float32, out: np.ndarray) -> None:
    """Fill `out` with the bins at which running float32 sums reach a `fraction` of their totals.

    Parameters
    ----------
    S : np.ndarray [shape=(batches, bins, LANES), dtype=float32]
        Magnitudes.
    fraction : np.float32
        The share.
    out : np.ndarray [shape=(batches * LANES,), dtype=float32]
        The first such bin of each lane.
    """
    n_batches, n_bins, _ = S.shape
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    # Two batches at once, because each addition waits for the one before it.
    for batch in range(0, n_batches, 2):
        other = min(batch + 1, n_batches - 1)
        start, start_2 = batch * n_bins * LANES, other * n_bins * LANES
        total, total_2 = zero, zero
        for k in range(n_bins):
            total = total + load(S, start + k * LANES)
            total_2 = total_2 + load(S, start_2 + k * LANES)
        threshold, threshold_2 = total * splat(fraction), total_2 * splat(fraction)
        running, running_2, below, below_2 = zero, zero, zero, zero
        for k in range(n_bins):
            running = running + load(S, start + k * LANES)
            running_2 = running_2 + load(S, start_2 + k * LANES)
            below = below + select(less(running, threshold), one, zero)
            below_2 = below_2 + select(less(running_2, threshold_2), one, zero)
        store(out, batch * LANES, below)
        store(out, other * LANES, below_2)


@kernel()
def log_power(S: np.ndarray, floor: np.float32, out: np.ndarray) -> None:
    """Fill `out` with the natural logarithm of the squared magnitudes, of at least `floor`."""
    for i in range(0, S.size, LANES):
        s = load(S, i)
        store(out, i, log(maximum(s * s, splat(floor))))


@kernel()
def log_density(S: np.ndarray, scales: np.ndarray, floor: np.float32, out: np.ndarray) -> None:
    """Fill `out` with the natural logarithm of scaled squared magnitudes, plus `floor`.

    Parameters
    ----------
    S : np.ndarray [shape=(batches, bins, LANES), dtype=float32]
        Magnitudes.
    scales : np.ndarray [shape=(bins,), dtype=float32]
        Factor of each bin's square.
    floor : np.float32
        Added before the logarithm.
    out : np.ndarray [shape=(n_frames, n), dtype=float32]
        Logarithms of the first n bins.
    """
    n_bins = S.shape[1]
    logarithms = np.empty((out.shape[1], LANES), np.float32)
    for batch in range(S.shape[0]):
        for k in range(out.shape[1]):
            s = load(S, (batch * n_bins + k) * LANES)
            value = log(muladd(s * s, spread(scales, k), splat(floor)))
            store(logarithms, k * LANES, value)
        for t in range(batch * LANES, min((batch + 1) * LANES, out.shape[0])):
            for k in range(out.shape[1]):
                out[t, k] = logarithms[k, t - batch * LANES]


@kernel()
def flatness(S: np.ndarray, logarithms: np.ndarray, floor: np.float32) -> np.ndarray:
    """Geometric over arithmetic mean of each frame's power, given `log_power`."""
    n_batches, n_bins, _ = S.shape
    geometric, arithmetic = np.empty(n_batches * LANES), np.empty(n_batches * LANES)
    for batch in range(n_batches):
        start = batch * n_bins * LANES
        logs, powers = splat(0.0), splat(0.0)
        for k in range(n_bins):
            s = load(S, start + k * LANES)
            powers = powers + to_float64(maximum(s * s, splat(floor)))
            logs = logs + to_float64(load(logarithms, start + k * LANES))
        store(geometric, batch * LANES, logs)
        store(arithmetic, batch * LANES, powers)
    out = np.empty(n_batches * LANES)
    for t in range(out.shape[0]):
        out[t] = math.exp(geometric[t] / n_bins) / (arithmetic[t] / n_bins)
    return out


@kernel()
def flux(S: np.ndarray, totals: np.ndarray, before: np.ndarray, total_before: float) -> np.ndarray:
    """Distance of each frame's normalized spectrum from the one before it.

    `totals` are the sums of the frames' magnitudes, and say how many frames there are;
    `before` is a spectrum, with `total_before` as its sum, ahead of the first frame.
    """
    n_batches, n_bins, _ = S.shape
    # What spectra are multiplied with, beginning with that of the one before.
    scales = np.zeros(n_batches * LANES + 1)
    scales[0] = 1.0 / total_before if total_before >= TINY else 0.0
    for t in range(totals.shape[0]):
        scales[t + 1] = 1.0 / totals[t] if totals[t] >= TINY else 0.0
    out = np.empty(n_batches * LANES)
    ahead = np.zeros((n_bins, LANES), np.float32)
    for k in range(n_bins):
        ahead[k, LANES - 1] = before[k]
    for batch in range(n_batches):
        here, there = load(scales, batch * LANES + 1), load(scales, batch * LANES)
        square = splat(0.0)
        for k in range(n_bins):
            s = load(S, (batch * n_bins + k) * LANES)
            if batch:
                earlier = load(S, ((batch - 1) * n_bins + k) * LANES)
            else:
                earlier = load(ahead, k * LANES)
            difference = to_float64(s) * here - to_float64(shifted(earlier, s)) * there
            square = muladd(difference, difference, square)
        store(out, batch * LANES, sqrt(square))
    return out[: totals.shape[0]]


@kernel()
def spectrum_of(S: np.ndarray, t: int) -> np.ndarray:
    """Magnitudes of one frame."""
    return S[t // LANES, :, t % LANES].copy()
