"""Kernels of spectral peaks, from which the tuning is told."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from featurelib.kernels.cache import kernel
from featurelib.kernels.vector import LANES, at_least, bits, both, less, load, maximum, splat


@kernel()
def spectral_peaks(
    S: np.ndarray,
    low: int,
    high: int,
    threshold: np.float32,
    sr: float,
    n_fft: int,
    n_frames: int,
    is_squared: bool,
) -> np.ndarray:
    """Peaks of the magnitude or power spectra in bins [low, high), parabolically refined.

    A peak is a bin above its left neighbour, not below its right one (which the last bin
    has none of), and above `threshold` times its frame's maximum. Arithmetic is float32
    except where librosa's is float64, as the tuning estimate hangs on single bits of it.

    Returns
    -------
    np.ndarray [shape=(n, 2), dtype=float32]
        Frequency [Hz] and height of each.
    """
    n_bins = S.shape[1]
    out = np.empty((n_frames * ((high - low) // 2 + 1), 2), np.float32)
    count = 0
    for batch in range(S.shape[0]):
        start = batch * n_bins * LANES
        largest = splat(np.float32(0))
        for k in range(n_bins):
            largest = maximum(largest, load(S, start + k * LANES))
        floor = _raised(largest, is_squared) * splat(threshold)
        valid = (1 << min(n_frames - batch * LANES, LANES)) - 1
        left, here = load(S, start + (low - 1) * LANES), load(S, start + low * LANES)
        left, here = _raised(left, is_squared), _raised(here, is_squared)
        for k in range(low, min(high, n_bins - 1)):
            right = load(S, start + (k + 1) * LANES)
            right = _raised(right, is_squared)
            peaks = both(both(less(left, here), at_least(here, right)), less(floor, here))
            found = bits(peaks) & valid
            lane = 0
            while found:
                if found & 1:
                    a = _raised(S[batch, k - 1, lane], is_squared)
                    b = _raised(S[batch, k, lane], is_squared)
                    c = _raised(S[batch, k + 1, lane], is_squared)
                    frequency, height = _refined(a, b, c, k)
                    out[count, 0] = frequency * sr / n_fft
                    out[count, 1] = height
                    count += 1
                found >>= 1
                lane += 1
            left, here = here, right
        if high == n_bins:
            found = bits(both(less(left, here), less(floor, here))) & valid
            for lane in range(LANES):
                if found >> lane & 1:
                    out[count, 0] = (n_bins - 1) * sr / n_fft
                    out[count, 1] = _raised(S[batch, n_bins - 1, lane], is_squared)
                    count += 1
    return out[:count]


@njit(nogil=True, forceinline=True)
def _raised(a: Any, is_squared: bool) -> Any:
    return a * a if is_squared else a


@njit(nogil=True)
def _refined(
    left: np.float32, here: np.float32, right: np.float32, k: int
) -> tuple[np.float64, np.float32]:
    """Place [bins] and height of the parabola through three bins."""
    curvature = np.float64(right + left) - 2.0 * np.float64(here)
    slope = np.float64(right - left) / 2.0
    shift = np.float32(0)
    if abs(slope) < abs(curvature):
        shift = np.float32(-slope / curvature)
    gradient = (right - left) / np.float32(2)
    return np.float64(k) + np.float64(shift), here + np.float32(0.5) * gradient * shift


@kernel()
def count_height_digits(
    peaks: np.ndarray, prefix: int, known: int, width: int, counts: np.ndarray
) -> None:
    """Count, by their next `width` bits, the heights whose first `known` bits are `prefix`.

    Positive float32 numbers are ordered as their bits are.
    """
    words = peaks.view(np.uint32)
    mask = (1 << width) - 1
    for i in range(words.shape[0]):
        word = np.int64(words[i, 1])
        if word >> (32 - known) == prefix:
            counts[(word >> (32 - known - width)) & mask] += 1


@kernel()
def digit_of_rank(counts: np.ndarray, rank: int) -> tuple[int, int]:
    """Digit of the value at a place in the order that digits are counted in.

    Returns
    -------
    tuple of int
        The digit, and the value's place among those of the same digit.
    """
    digit = 0
    while rank >= counts[digit]:
        rank -= counts[digit]
        digit += 1
    return digit, rank


@kernel()
def largest_below(peaks: np.ndarray, height: np.float32) -> np.float32:
    """The largest height below another; 0 without any."""
    largest = np.float32(0)
    for i in range(peaks.shape[0]):
        if peaks[i, 1] < height:
            largest = max(largest, peaks[i, 1])
    return largest


@kernel()
def count_deviations(
    octaves: np.ndarray,
    peaks: np.ndarray,
    least: np.float32,
    bins_per_octave: np.float32,
    edges: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Add to a histogram the deviations from whole steps of peaks of at least a height."""
    n = counts.shape[0]
    for i in range(octaves.shape[0]):
        if peaks[i, 1] < least:
            continue
        steps = bins_per_octave * octaves[i]
        deviation = steps - np.float32(np.trunc(steps))
        if deviation < 0:
            deviation += np.float32(1)
        if deviation >= np.float32(0.5):
            deviation -= np.float32(1)
        place = min(max(np.int64((np.float64(deviation) + 0.5) * n), 0), n - 1)
        # The edges decide, not the product's rounding.
        while place > 0 and deviation < edges[place]:
            place -= 1
        while place < n - 1 and deviation >= edges[place + 1]:
            place += 1
        counts[place] += 1
