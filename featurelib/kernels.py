"""Compiled inner loops. Arrays of spectra are (frames, bins), one row a frame.

Each is compiled at its first call and kept in numba's cache on disk. The sums let the
compiler reorder additions, in float64; what has to equal librosa's float32 arithmetic
bit by bit (roll-off, spectral peaks) does not.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_exact = njit(cache=True, nogil=True)
_sums = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
_finite = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz", "nnan"})

#: Below this a sum of magnitudes counts as silence: the smallest normal float32.
TINY = float(np.finfo(np.float32).tiny)


@_exact
def windowed_frames(y: np.ndarray, window: np.ndarray, hop_length: int, out: np.ndarray) -> None:
    """Fill each row of `out` with a frame of y times the window, in float64."""
    for t in range(out.shape[0]):
        start = t * hop_length
        for i in range(out.shape[1]):
            out[t, i] = np.float64(y[start + i]) * window[i]


@_sums
def row_sums(x: np.ndarray) -> np.ndarray:
    """Sum of each row, in float64."""
    n_rows, n = x.shape
    out = np.empty(n_rows)
    for t in range(n_rows):
        total = 0.0
        for k in range(n):
            total += np.float64(x[t, k])
        out[t] = total
    return out


@_sums
def centroids(S: np.ndarray, freqs: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Mean frequency of each frame, weighted by magnitude; 0 for silence."""
    out = np.empty(S.shape[0])
    for t in range(S.shape[0]):
        weighted = 0.0
        for k in range(S.shape[1]):
            weighted += freqs[k] * np.float64(S[t, k])
        out[t] = weighted / (totals[t] if totals[t] >= TINY else 1.0)
    return out


@_sums
def bandwidths(
    S: np.ndarray, freqs: np.ndarray, totals: np.ndarray, centroid: np.ndarray
) -> np.ndarray:
    """Standard deviation of frequency in each frame, weighted by magnitude."""
    out = np.empty(S.shape[0])
    for t in range(S.shape[0]):
        weighted = 0.0
        for k in range(S.shape[1]):
            deviation = freqs[k] - centroid[t]
            weighted += deviation * deviation * np.float64(S[t, k])
        out[t] = math.sqrt(weighted / (totals[t] if totals[t] >= TINY else 1.0))
    return out


@_exact
def rolloff_bins(S: np.ndarray, fraction: np.float32) -> np.ndarray:
    """First bin of each frame at which the running float32 sum reaches its `fraction`."""
    n_rows, n = S.shape
    out = np.empty(n_rows, np.int64)
    running = np.empty(n, np.float32)
    for t in range(n_rows):
        total = np.float32(0)
        for k in range(n):
            total += S[t, k]
            running[k] = total
        out[t] = np.searchsorted(running, fraction * total)
    return out


@_sums
def flux(S: np.ndarray, totals: np.ndarray, before: np.ndarray, total_before: float) -> np.ndarray:
    """Distance of each frame's normalized spectrum from the one before it.

    `before` is the spectrum ahead of the first row, or empty at a signal's beginning,
    in which case the first row gives no value.
    """
    n_rows, n = S.shape
    first = 1 if before.shape[0] == 0 else 0
    out = np.empty(max(n_rows - first, 0))
    for t in range(first, n_rows):
        previous = before if t == 0 else S[t - 1]
        previous_total = total_before if t == 0 else totals[t - 1]
        a = 1.0 / totals[t] if totals[t] >= TINY else 0.0
        b = 1.0 / previous_total if previous_total >= TINY else 0.0
        square = 0.0
        for k in range(n):
            difference = np.float64(S[t, k]) * a - np.float64(previous[k]) * b
            square += difference * difference
        out[t - first] = math.sqrt(square)
    return out


@_exact
def band_extremes(
    S: np.ndarray, starts: np.ndarray, stops: np.ndarray, takes: np.ndarray
) -> np.ndarray:
    """Mean of the largest and of the smallest magnitudes in each band of each frame.

    Returns (frames, 2, bands): peaks, then valleys; `takes` says how many make the mean.
    """
    n_bands = starts.shape[0]
    out = np.empty((S.shape[0], 2, n_bands), np.float32)
    most = takes.max()
    low, high = np.empty(most, np.float32), np.empty(most, np.float32)
    for t in range(S.shape[0]):
        for band in range(n_bands):
            take = takes[band]
            low[:take] = np.inf
            high[:take] = -np.inf
            # Both lists are kept sorted, their worst member last.
            for k in range(starts[band], stops[band]):
                value = S[t, k]
                if value < low[take - 1]:
                    place = take - 1
                    while place > 0 and low[place - 1] > value:
                        low[place] = low[place - 1]
                        place -= 1
                    low[place] = value
                if value > high[take - 1]:
                    place = take - 1
                    while place > 0 and high[place - 1] < value:
                        high[place] = high[place - 1]
                        place -= 1
                    high[place] = value
            highest, lowest = 0.0, 0.0
            for place in range(take):
                highest += np.float64(high[place])
                lowest += np.float64(low[place])
            out[t, 0, band] = highest / take
            out[t, 1, band] = lowest / take
    return out


@_sums
def filter_rows(
    x: np.ndarray, starts: np.ndarray, stops: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Product of each row with a bank of filters that are zero outside [start, stop)."""
    out = np.empty((x.shape[0], starts.shape[0]), np.float32)
    for t in range(x.shape[0]):
        for m in range(starts.shape[0]):
            total = 0.0
            for k in range(starts[m], stops[m]):
                total += np.float64(x[t, k]) * np.float64(weights[m, k])
            out[t, m] = total
    return out


@_exact
def spectral_peaks(
    S: np.ndarray, low: int, high: int, threshold: np.float32, sr: float, n_fft: int
) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and heights of the peaks in bins [low, high), parabolically refined.

    A peak is a bin above its left neighbour, not below its right one, and above
    `threshold` times its frame's maximum. Arithmetic is float32 except where librosa's
    is float64, as the tuning estimate hangs on single bits of it.
    """
    n_rows, n = S.shape
    frequencies = np.empty(n_rows * ((high - low) // 2 + 1), np.float32)
    heights = np.empty(frequencies.shape[0], np.float32)
    count = 0
    for t in range(n_rows):
        maximum = np.float32(0)
        for k in range(n):
            maximum = max(maximum, S[t, k])
        floor = threshold * maximum
        for k in range(low, high):
            here = S[t, k]
            if not (here > floor and here > S[t, k - 1] and here >= S[t, k + 1]):
                continue
            left, right = S[t, k - 1], S[t, k + 1]
            curvature = np.float64(right + left) - 2.0 * np.float64(here)
            slope = np.float64(right - left) / 2.0
            shift = np.float32(0)
            if abs(slope) < abs(curvature):
                shift = np.float32(-slope / curvature)
            gradient = (right - left) / np.float32(2)
            frequencies[count] = (np.float64(k) + np.float64(shift)) * sr / n_fft
            heights[count] = here + np.float32(0.5) * gradient * shift
            count += 1
    return frequencies[:count].copy(), heights[:count].copy()


@_exact
def crossing_rates(
    y: np.ndarray, low: int, high: int, frame_length: int, hop_length: int, n_rows: int
) -> np.ndarray:
    """Share of samples in each frame whose sign differs from the sample before.

    Only y[low:high] is signal: what lies outside is padding and crosses nothing.
    Values within 1e-10 of zero, and both zeros, count as positive.
    """
    floor = np.float32(-1e-10)
    running = np.zeros(y.shape[0], np.int64)
    count = 0
    for i in range(1, y.shape[0]):
        if low < i < high:
            count += (y[i] < floor) != (y[i - 1] < floor)
        running[i] = count
    out = np.empty(n_rows)
    for t in range(n_rows):
        start = t * hop_length
        out[t] = (running[start + frame_length - 1] - running[start]) / frame_length
    return out


@_sums
def frame_rms(y: np.ndarray, frame_length: int, hop_length: int, n_rows: int) -> np.ndarray:
    """Root of the mean square of each frame of samples."""
    out = np.empty(n_rows)
    for t in range(n_rows):
        total = 0.0
        for i in range(t * hop_length, t * hop_length + frame_length):
            total += np.float64(y[i]) * np.float64(y[i])
        out[t] = math.sqrt(total / frame_length)
    return out


@_sums
def central_moments(x: np.ndarray) -> np.ndarray:
    """Moments of each column: rows of mean, sums of 2nd to 4th powers, minimum, maximum."""
    n_rows, n = x.shape
    out = np.zeros((6, n))
    for t in range(n_rows):
        for k in range(n):
            out[0, k] += np.float64(x[t, k])
    out[0] /= n_rows
    out[4], out[5] = np.inf, -np.inf
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
    return out


@_finite
def cell_moments(x: np.ndarray) -> np.ndarray:
    """`central_moments` of all values of a flat array as one column."""
    total = 0.0
    for value in x:
        total += np.float64(value)
    mean = total / x.shape[0]
    m2, m3, m4 = 0.0, 0.0, 0.0
    lowest, highest = x[0], x[0]
    for value in x:
        deviation = np.float64(value) - mean
        square = deviation * deviation
        m2 += square
        m3 += square * deviation
        m4 += square * square
        lowest = min(lowest, value)
        highest = max(highest, value)
    out = np.empty((6, 1))
    out[0], out[1], out[2], out[3], out[4], out[5] = mean, m2, m3, m4, lowest, highest
    return out
